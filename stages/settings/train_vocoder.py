"""What `svc train --only vocoder` learns, and the presets."""

from __future__ import annotations

from dataclasses import dataclass

from .seed import check_seed


@dataclass(frozen=True)
class VocoderSettings:
    """What `svc train --only vocoder` learns, and how long.

    Attributes:
        channels, layers: the network's (pipeline.vocoder.source_filter.Shape).
        steps: optimizer steps.
        batch: crops a step, of `crop_seconds` each.
        learning_rate: AdamW's at first; it falls to a tenth.
        judge_after: the step from which a discriminator judges too.
        judge_channels, judge_weight: its size, and how much it counts beside the spectra.
        ema: decay of the averaged weights that sing.
        validate_every: steps between validations, each of which writes a checkpoint.
        seed: everything random follows from it.
    """

    channels: int = 256
    layers: int = 6
    steps: int = 1_500
    batch: int = 8
    crop_seconds: float = 0.7
    learning_rate: float = 1e-3
    judge_after: int = 750
    judge_channels: int = 8
    judge_weight: float = 0.1
    ema: float = 0.99
    validate_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("channels", "layers", "steps", "batch", "judge_channels", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        check_seed(self.seed)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0.2 <= self.crop_seconds <= 10:
            raise ValueError(f"a vocoder's crop must last 0.2 to 10 s, not {self.crop_seconds} s")


VOCODER_PRESETS = {
    "tiny": VocoderSettings(),
    "base": VocoderSettings(
        channels=384,
        layers=8,
        steps=100_000,
        batch=16,
        crop_seconds=1.0,
        learning_rate=5e-4,
        judge_after=10_000,
        judge_channels=32,
        ema=0.9995,
        validate_every=1_000,
    ),
    "large": VocoderSettings(
        channels=512,
        layers=8,
        steps=300_000,
        batch=32,
        crop_seconds=1.0,
        learning_rate=4e-4,
        judge_after=20_000,
        judge_channels=32,
        ema=0.9999,
        validate_every=2_000,
    ),
}
