"""A job: some columns of one pack, computed together.

Every engine computes jobs, and computing one twice gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...pipeline import frames
from ...pipeline.pitch.settings import PitchSettings
from ...store.receipts import Receipt
from ...store.schema import Column, Pack, PackSize
from ..features import Feature
from .corpus_files import Source


@dataclass(frozen=True)
class JobConfig:
    """The settings that all jobs of one run share.

    Attributes:
        location: the store, as `open_folder` takes it.
        size: frames in a pack.
        pitch: settings of the f0 tracker.
        encoder: where the encoder's weights are.
        precision: the encoder's arithmetic.
        device: torch's name of the device that the encoder runs on.
    """

    location: str
    size: PackSize
    pitch: PitchSettings
    encoder: str
    precision: str
    device: str


@dataclass(frozen=True)
class Job:
    """Columns of one pack: either those that need the encoder, at one formant shift, or those that do not.

    Attributes:
        features, columns: the features to compute, and their columns in the store, in the same order.
        sources: the pack's recordings by sha256.
    """

    config: JobConfig
    pack: Pack
    features: tuple[Feature, ...]
    columns: tuple[Column, ...]
    sources: Mapping[str, Source]

    @property
    def needs_encoder(self) -> bool:
        """Whether its features are computed from hidden states of the encoder."""
        return self.features[0].needs_encoder

    @property
    def formant_shift(self) -> int:
        """Semitones that formants are moved by before the encoder is run."""
        return self.features[0].formant_shift

    @property
    def sample_rates(self) -> set[int]:
        """Hz of the audio that its features read."""
        return {feature.sample_rate for feature in self.features if feature.sample_rate is not None}

    @property
    def seconds(self) -> float:
        """Seconds of sound in its pack."""
        return frames.mel_seconds(sum(row.mel_frames for row in self.pack.rows))


@dataclass(frozen=True)
class Outcome:
    """A job's cells, which are on disk and are not yet accepted by the store's writer.

    Attributes:
        refused: why a row has no values, by row.
        redone: clips that were encoded again in fp32, because their values overflowed the precision.
        reduced: clips that were encoded in bf16 instead of fp32, because GPU memory did not suffice.
    """

    pack: int
    receipts: list[Receipt]
    refused: dict[int, str] = field(default_factory=dict)
    redone: int = 0
    reduced: int = 0
