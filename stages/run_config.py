"""run.json as a typed record: the settings of the training, and everything that rendering must reproduce.

`run_format` reads and writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from .. import __version__
from ..common.records import read_record
from ..pipeline.diffusion.shape import ModelShape, check_size
from ..pipeline.encoder.network import PRECISIONS
from ..pipeline.frames import MEL_FRAME_RATE, UNIT_RATE
from ..pipeline.mel import N_MELS
from ..pipeline.pitch.melody import Range
from ..pipeline.pitch.settings import PitchSettings
from ..pipeline.slicing import SliceSettings
from .settings import TrainSettings

MAX_NAME = 1_000  # characters of a speaker's name


@dataclass(frozen=True)
class Speaker:
    """A speaker's name, and the 5th, 50th and 95th percentile of voiced f0 in Hz; None: never voiced."""

    name: str
    f0_low: float | None = None
    f0_median: float | None = None
    f0_high: float | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_NAME:
            raise ValueError(f"a name must have 1 to {MAX_NAME} characters")
        hertz = [value for value in (self.f0_low, self.f0_median, self.f0_high) if value is not None]
        if len(hertz) not in (0, 3) or sorted(hertz) != hertz or any(value <= 0 for value in hertz):
            raise ValueError("f0_low, f0_median and f0_high must be positive and rise, or all be null")

    @property
    def range(self) -> Range | None:
        """The pitch range, or None when it is unknown."""
        if self.f0_low is None or self.f0_median is None or self.f0_high is None:
            return None
        return Range(self.f0_low, self.f0_median, self.f0_high)


@dataclass(frozen=True)
class UnitColumn:
    """The stored column that units are computed from: its name, the encoder layer it holds, and its width."""

    name: str
    layer: int
    width: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,64}(/[0-9]{1,4})?", self.name):
            raise ValueError(f"{self.name!r} is not the name of a column")
        check_size("layer", self.layer, 0, 1_000)
        check_size("width", self.width, 1, 65_536)


@dataclass(frozen=True)
class EncoderRecord:
    """The content encoder: `description` decides the values (ContentEncoder.describe), `origin` is where it was."""

    description: dict[str, Any]
    origin: str
    precision: str = "fp32"

    def __post_init__(self) -> None:
        for name in ("layers", "hidden_size"):
            if type(value := self.description.get(name)) is not int or not 0 < value <= 65_536:
                raise ValueError(f"description.{name}: expected a whole number from 1 to 65536, found {value!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected {', '.join(PRECISIONS)}, found {self.precision!r}")


@dataclass(frozen=True)
class FrameRates:
    """Frames per second of the two axes of features."""

    unit: float = UNIT_RATE
    mel: float = MEL_FRAME_RATE


@dataclass(frozen=True)
class RunConfig:
    """The content of run.json.

    Attributes:
        settings: of the training.
        precision: `fp32` or `bf16`: the arithmetic that the training chose.
        stores: where the stores were that the run was trained on.
        data_digest: identifies the clips, and which of them were held out.
        held_out: ids of the held-out utterances.
        speakers: in the order of the model's speaker numbers.
        code_layer: the layer that was clustered.
        unit_column: the column from which units are computed.
        encoder: the content encoder.
        slices: how recordings were cut.
        pitch: how f0 was found: the settings of the store's f0 column.
        augmented: columns for augmentation; those added to a store later are not used.
        init_from: the run whose weights this one began with.
        frame_rates, algorithm: the features' conventions; they must be those of this svc.
        svc: the version of svc that began the run.
    """

    settings: TrainSettings
    precision: str
    stores: tuple[str, ...]
    data_digest: str
    held_out: tuple[str, ...]
    speakers: tuple[Speaker, ...]
    code_layer: int
    unit_column: UnitColumn
    encoder: EncoderRecord
    slices: SliceSettings
    pitch: dict[str, Any]
    augmented: tuple[str, ...] | None = None
    init_from: str | None = None
    frame_rates: FrameRates = FrameRates()
    algorithm: int = 1
    svc: str = __version__

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"precision: expected fp32 or bf16, found {self.precision!r}")
        names = [speaker.name for speaker in self.speakers]
        if not names or len(set(names)) != len(names):
            raise ValueError("speakers: expected at least one, each with a name of its own")
        layers = self.encoder.description["layers"]
        for place, layer in (("code_layer", self.code_layer), ("unit_column.layer", self.unit_column.layer)):
            if not 0 <= layer <= layers:
                raise ValueError(f"{place}: expected 0 to {layers}, the encoder's layers, found {layer}")
        if self.frame_rates != FrameRates():
            raise ValueError(f"frame_rates: this svc computes {FrameRates()}, the run needs {self.frame_rates}")
        _ = self.pitch_settings, self.shape  # each raises for invalid settings

    @property
    def shape(self) -> ModelShape:
        """The acoustic model's widths."""
        settings = self.settings
        return ModelShape(
            unit_dim=settings.unit_dim if settings.units == "soft" else self.unit_column.width,
            speakers=len(self.speakers),
            bins=N_MELS,
            projected=settings.unit_dim if settings.units == "linear" else 0,
            architecture=settings.architecture,
        )

    @property
    def pitch_settings(self) -> PitchSettings:
        """How f0 was found, as far as it can be chosen."""
        names = {field.name for field in fields(PitchSettings)}
        own = {name: value for name, value in self.pitch.items() if name in names}
        return read_record(PitchSettings, own, "pitch")
