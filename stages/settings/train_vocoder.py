"""The settings of `svc train --only vocoder`, and the presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...pipeline.diffusion.shape import MAX_LAYERS, MAX_WIDTH, check_size
from .seed import check_seed


@dataclass(frozen=True)
class VocoderSettings:
    """The settings of `svc train --only vocoder`.

    Attributes:
        channels, layers: the network's (pipeline.vocoder.source_filter.Shape).
        steps: optimizer steps.
        batch: crops a step, over all processes, of `crop_seconds` each.
        learning_rate: AdamW's, reached after `warmup` steps; it falls to a tenth.
        discriminator_after: the step from which the adversarial and feature-matching losses are added.
        discriminator_channels: width of the discriminator.
        adversarial_weight: of those losses, beside the spectral ones.
        ema: decay of the averaged weights, which are the ones that rendering uses.
        validate_every: steps between validations.
        precision: `fp32`, `bf16`, or `auto`: bf16 on a GPU that computes it in hardware.
        seed: every random number follows from it.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "judge_after": "discriminator_after",
        "judge_channels": "discriminator_channels",
        "judge_weight": "adversarial_weight",
    }

    channels: int = 256
    layers: int = 6
    steps: int = 1_500
    batch: int = 8
    crop_seconds: float = 0.7
    learning_rate: float = 1e-3
    warmup: int = 50
    discriminator_after: int = 750
    discriminator_channels: int = 8
    adversarial_weight: float = 0.1
    ema: float = 0.99
    validate_every: int = 100
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("channels", "discriminator_channels"):
            check_size(name, getattr(self, name), 1, MAX_WIDTH)
        check_size("layers", self.layers, 1, MAX_LAYERS)
        for name in ("steps", "batch", "validate_every"):
            check_size(name, getattr(self, name), 1, 2**40)
        check_size("warmup", self.warmup, 0, 2**40)
        check_seed(self.seed)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0.2 <= self.crop_seconds <= 10:
            raise ValueError(f"a vocoder's crop must last 0.2 to 10 s, not {self.crop_seconds} s")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be 0 or more and below 1, not {self.ema}")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision {self.precision!r} is not known; choose auto, fp32, bf16")


VOCODER_PRESETS = {
    "tiny": VocoderSettings(),
    "base": VocoderSettings(
        channels=384,
        layers=8,
        steps=100_000,
        batch=16,
        crop_seconds=1.0,
        learning_rate=5e-4,
        discriminator_after=10_000,
        discriminator_channels=32,
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
        discriminator_after=20_000,
        discriminator_channels=32,
        ema=0.9999,
        validate_every=2_000,
    ),
}
