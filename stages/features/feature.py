"""The interface of store columns: one subclass of `Feature` is one kind of column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from numpy.typing import NDArray

from ...pipeline import frames
from ...pipeline.encoder.content import EncodedClip
from ...pipeline.encoder.registry import default_layers
from ...pipeline.pitch.settings import PitchSettings
from ...store.schema import Column
from .waveform import CPU, Waveform

ALGORITHM = 1  # increase it when the same settings give other values


@dataclass(frozen=True)
class EncoderInfo:
    """The encoder of a store.

    Attributes:
        description: the result of `ContentEncoder.describe`.
        origin: where its weights were found.
        precision: fp32, bf16 or fp16.
        head: kind, sha256 and width of its soft head, if it has one.
    """

    description: dict[str, Any] = field(hash=False)
    origin: str
    precision: str
    head: dict[str, Any] | None = field(default=None, hash=False)

    @property
    def layers(self) -> int:
        """How many transformer layers it has."""
        return int(self.description["layers"])

    @property
    def default_layers(self) -> tuple[int, ...]:
        """The layers that are stored unless others are asked for."""
        return default_layers(str(self.description["kind"]), self.layers)


@dataclass(frozen=True)
class FeatureSettings:
    """Everything outside a feature's own class and name that decides its values."""

    encoder: EncoderInfo
    pitch: PitchSettings


@dataclass(frozen=True)
class FeatureRequest:
    """The columns that a run of `svc extract` should make.

    Attributes:
        known: names of the columns that the store has.
        settled: whether a run before this one described all columns that it wanted.
        encoder_layers: how many layers the encoder has.
        default_layers: those that are stored unless others are asked for.
        has_soft_head: whether the encoder comes with a soft head.
        names: columns asked for by name.
        layers: hidden layers asked for; None asks for the defaults.
        pitch_shifts, formant_shifts: semitones asked for.
    """

    known: Collection[str]
    settled: bool
    encoder_layers: int
    default_layers: tuple[int, ...]
    has_soft_head: bool
    names: Collection[str] = ()
    layers: Collection[int] | None = None
    pitch_shifts: Collection[int] = ()
    formant_shifts: Collection[int] = ()


@dataclass(frozen=True)
class UtteranceInput:
    """The input from which the features of one utterance are computed.

    Attributes:
        waveform: its audio, at the sample rates that the features named.
        pitch: settings of the f0 tracker.
        device: where its mel, loudness and the tracker's network are computed.
        encoded: the content encoder's output in float16, for the layers and units that the features need; None if no
            feature needs it.
    """

    waveform: Waveform
    pitch: PitchSettings
    device: torch.device = CPU
    encoded: EncodedClip | None = None


class Feature(ABC):
    """One column of a store. A subclass is a kind of column; its instances are the columns of that kind.

    To add a feature, write a subclass in a file of its own and add it to `FEATURES` in `registry.py`. A kind with one
    column sets `NAME`; a kind with several (`hidden/7`, `hidden/12`) overrides `parse` and `name`. Instances are
    compared and pickled: make them frozen dataclasses or leave them without state.

    Attributes:
        NAME: the column's name, where the kind has one column.
        axis: MEL or UNIT, the frames that it runs along.
        dtype: float16, float32 or int32.
        unit: the physical unit, "1" for none.
        sample_rate: Hz of the audio that `compute` reads, None if it reads none.
        needs_encoder: whether `compute` reads hidden states; such features are computed by jobs of their own.
        needs_units: whether `compute` reads the soft head's units.
        in_every_store: whether every store gets it, or only those for which the user names it.
        replaceable: whether other settings may replace the column; otherwise they are refused.
    """

    NAME: ClassVar[str] = ""
    axis: ClassVar[str]
    dtype: ClassVar[str]
    unit: ClassVar[str]
    sample_rate: ClassVar[int | None] = frames.MEL_RATE
    needs_encoder: ClassVar[bool] = False
    needs_units: ClassVar[bool] = False
    in_every_store: ClassVar[bool] = False
    replaceable: ClassVar[bool] = False

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The feature of a column's name, or None if the name is not of this kind."""
        return cls() if name == cls.NAME else None

    @property
    def name(self) -> str:
        """The column's name in the store."""
        return self.NAME

    @property
    def formant_shift(self) -> int:
        """Semitones that formants are moved by before the encoder is run."""
        return 0

    def layers(self, encoder_layers: int) -> tuple[int, ...]:
        """The hidden layers that `compute` reads, of an encoder with `encoder_layers` layers."""
        return ()

    def width(self, made: FeatureSettings) -> int:
        """Numbers a frame; 0 for one number, in an array of one dimension."""
        return 0

    @abstractmethod
    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        """Everything that decides the values, as JSON: other settings make another column."""

    def origin(self, made: FeatureSettings) -> str:
        """Where the encoder was found; for information only."""
        return made.encoder.origin if self.needs_encoder else ""

    @abstractmethod
    def compute(self, utterance: UtteranceInput) -> NDArray[Any]:
        """The values of one utterance: `dtype`, (frames,) or (frames, width), on `axis`.

        Raises ArithmeticError when they are not finite or do not fit: the utterance is then refused, with the reason.
        """

    @classmethod
    def wanted(cls, request: FeatureRequest) -> Iterable[Self]:
        """The columns of this kind that the store should have: its own, those requested by name, the defaults."""
        names = {*request.known, *request.names}
        found = [feature for name in sorted(names) if (feature := cls.parse(name))]
        if not found and cls.in_every_store:
            found = [cls()]
        return found

    def column(self, made: FeatureSettings) -> Column:
        """The column as the store records it."""
        return Column(
            self.name, self.axis, self.dtype, self.width(made), self.unit, self.settings(made), self.origin(made)
        )
