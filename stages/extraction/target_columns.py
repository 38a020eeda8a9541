"""The columns that a store should have: its own, and those that are requested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...common.column_names import SOFT
from ...common.errors import UserError
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.slicing import SliceSettings
from ...store import Store
from ...store.schema import Column
from ..features import EncoderInfo, Feature, FeatureRequest, FeatureSettings, feature_named, wanted_features
from ..features.content import HiddenState, describe_encoder
from ..features.registry import FEATURES
from ..features.signal import F0
from ..settings import ExtractSettings


@dataclass(frozen=True)
class TargetColumns:
    """The planned columns of a store, and everything that decides their values.

    Attributes:
        features, columns: by column name.
        replaced: columns that were made with other settings and will be computed anew.
        unknown: columns of the store that belong to no kind of feature; they stay as they are.
        content: the encoder, if it had to be loaded to know its columns.
    """

    slices: SliceSettings
    pitch: PitchSettings
    encoder: EncoderInfo
    features: dict[str, Feature]
    columns: dict[str, Column]
    replaced: frozenset[str]
    unknown: tuple[str, ...]
    content: ContentEncoder | None

    @property
    def layers(self) -> list[int]:
        """The hidden layers that are stored."""
        return sorted({f.layer for f in self.features.values() if isinstance(f, HiddenState) and not f.shift})


def target_columns(
    settings: ExtractSettings, store: Store | None, load: Callable[[str, str], ContentEncoder]
) -> TargetColumns:
    """The columns that the store, if there is one, should have.

    `load` loads an encoder by name and precision. An encoder that the store describes is not loaded, unless the user
    names one.

    Raises:
        EncoderError: the encoder is not there, or has no such layer.
        UserError: a column asked for by name is of no known kind.
    """
    known = {} if store is None else store.columns
    slices = SliceSettings() if store is None else SliceSettings(**store.description["identity"]["slices"])
    slices, pitch = settings.slices(slices), settings.pitch(F0.stored_settings(known.get(F0.NAME)))
    encoder, content = _encoder(settings, known, load)
    request = FeatureRequest(
        known=known,
        settled=store is not None and store.settled,
        encoder_layers=encoder.layers,
        default_layers=encoder.default_layers,
        has_soft_head=encoder.head is not None,
        names=settings.features,
        layers=settings.layers,
        pitch_shifts=settings.pitch_shifts,
        formant_shifts=settings.formant_shifts or (),
    )
    try:
        wanted = wanted_features(request)
    except KeyError as error:
        kinds = ", ".join(sorted(kind.NAME for kind in FEATURES if kind.NAME))
        raise UserError(
            f"{error.args[0]!r} is no column that svc computes",
            f"Columns are {kinds}, mel, mel_up/N, hidden/LAYER, hidden_upN/LAYER and the like",
        ) from error
    features = {feature.name: feature for feature in wanted}
    made = FeatureSettings(encoder, pitch)
    columns = {name: feature.column(made) for name, feature in features.items()}
    replaced = {
        name
        for name, feature in features.items()
        if feature.replaceable and name in known and known[name].made_by != columns[name].made_by
    }
    unknown = tuple(sorted(name for name in known if feature_named(name) is None))
    return TargetColumns(slices, pitch, encoder, features, columns, frozenset(replaced), unknown, content)


def _encoder(
    settings: ExtractSettings, known: dict[str, Column], load: Callable[[str, str], ContentEncoder]
) -> tuple[EncoderInfo, ContentEncoder | None]:
    """The requested encoder, loaded, or else the one of the store's columns."""
    stored = [column for name, column in known.items() if (f := feature_named(name)) and f.needs_encoder]
    precision = settings.precision or (stored[0].settings.get("precision", "fp32") if stored else "fp32")
    if settings.encoder is None and stored:
        head = known[SOFT].settings["head"] if SOFT in known else None
        return EncoderInfo(stored[0].settings["encoder"], stored[0].origin, precision, head), None
    content = load(settings.encoder or "en", precision)
    return describe_encoder(content), content
