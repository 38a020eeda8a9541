"""What a store is to hold: what it holds already, and what was asked beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.encoders import EncoderError
from ...pipeline.pitch.pitch import PitchSettings
from ...pipeline.slicing import SliceSettings
from ...store import Store
from ...store.schema import Column
from ..features import (
    SOFT,
    content_columns,
    describe_head,
    formant_shift_of,
    is_content,
    pitch_shift_columns,
    pitch_shift_of,
    signal_columns,
)
from ..settings import ExtractSettings


@dataclass(frozen=True)
class TargetColumns:
    """The columns of a store as they are to be, and everything that decides their values.

    `replaced` names columns that were made with other settings and are to be made anew. `content` is the encoder, if it
    had to be loaded to know its columns.
    """

    slices: SliceSettings
    pitch: PitchSettings
    encoder: str
    precision: str
    columns: dict[str, Column]
    replaced: frozenset[str]
    content: ContentEncoder | None

    @property
    def layers(self) -> list[int]:
        return sorted(int(name.split("/")[1]) for name in self.columns if name.startswith("hidden/"))


def target_columns(
    settings: ExtractSettings, store: Store | None, load: Callable[[str, str], ContentEncoder]
) -> TargetColumns:
    """What the store, if there is one, is to hold. `load` brings an encoder by its name and precision.

    Of a store that knows its encoder the encoder is not loaded, unless one is asked for by name.

    Raises:
        EncoderError: the encoder is not there, or has no such layer.
    """
    known = {} if store is None else store.columns
    slices, pitch = SliceSettings(), PitchSettings()
    if store is not None:
        slices = SliceSettings(**store.description["identity"]["slices"])
    if "f0" in known:
        made = known["f0"].settings
        pitch = PitchSettings(**{name: made[name] for name in PitchSettings.__dataclass_fields__ if name in made})
    slices, pitch = settings.slices(slices), settings.pitch(pitch)
    stored = [column for name, column in known.items() if is_content(name)]
    content = None
    if settings.encoder is None and stored:
        first = stored[0]
        encoder, origin = first.settings["encoder"], first.origin
        precision = settings.precision or first.settings.get("precision", "fp32")
        head = known[SOFT].settings["head"] if SOFT in known else None
    else:
        precision = settings.precision or (stored[0].settings.get("precision", "fp32") if stored else "fp32")
        content = load(settings.encoder or "en", precision)
        encoder, origin = content.describe(), content.origin
        head = describe_head(content)
    kept = {int(column.name.split("/")[1]) for column in stored if column.name != SOFT}
    # Until all columns were described once, what is there may be a part of the defaults, from a run that was stopped.
    settled = kept and store is not None and store.settled
    layers = kept | set(settings.layers or (() if settled else default_layers(encoder["layers"])))
    if wrong := [layer for layer in layers if not 0 <= layer <= encoder["layers"]]:
        raise EncoderError(f"{origin} has no layer {wrong[0]}: it has layers 0 to {encoder['layers']}")
    formant_shifted = {formant_shift for name in known if (formant_shift := formant_shift_of(name))}
    formant_shifted |= {
        (semitones, max(layers))
        for semitones in {*settings.formant_shifts, *(semitones for semitones, _ in formant_shifted)}
    }
    pitch_shifts = {shift for name in known if (shift := pitch_shift_of(name))} | set(settings.pitch_shifts)
    table = [
        *content_columns(encoder, origin, precision, sorted(layers), head, formant_shifted),
        *signal_columns(pitch),
        *pitch_shift_columns(pitch_shifts),
    ]
    columns = {column.name: column for column in table}
    # f0 is cheap and has no heirs in the store: another may take its place. All else that differs is a mistake.
    replaced = {"f0"} if "f0" in known and known["f0"].made_by != columns["f0"].made_by else set()
    return TargetColumns(slices, pitch, origin, precision, columns, frozenset(replaced), content)


def default_layers(count: int) -> tuple[int, ...]:
    """A middle layer for the codes and the last for the units: 7 and 12 of a base model's 12."""
    return tuple(sorted({max(1, round(count * 7 / 12)), count}))
