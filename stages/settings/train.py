"""The settings of `svc train`, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...pipeline.diffusion.registry import OBJECTIVES
from ...pipeline.diffusion.shape import MAX_WIDTH, Architecture, check_size
from .seed import check_seed

UNITS = ("soft", "hidden", "linear", "hubert-soft")
# Units of a voice where nobody asked for any, by the kind of its encoder; `soft` with all others. With Whisper base a
# sung voice loses .09 of its letters with `hidden` and .16 with `soft`, and speech the same (docs/units.md).
UNITS_BY_ENCODER = {"whisper": "hidden"}
AUTO_BASE, NO_BASE = "auto", "none"  # the base voice that ships and fits; no base
MAX_BATCH = 16_384  # crops: a larger number is a mistake
SCHEDULES = ("cosine", "step", "constant")


@dataclass(frozen=True)
class TrainSettings:
    """The settings of `svc train`. The presets are instances of this class.

    Attributes:
        units: `soft` (a projection trained on codes), `hidden` (the hidden states themselves), `linear` (a projection
            trained with the acoustic model), `hubert-soft` (the units of an encoder that has a soft head).
        unit_dim: width of the units that `soft` and `linear` produce.
        codes: number of k-means clusters of a hidden layer.
        code_layer: the layer that is clustered; None: the lowest stored.
        unit_layer: the layer that units are computed from; None: the highest stored.
        unit_steps: optimizer steps of the soft projection.
        objective: `flow` or `ddpm`.
        architecture: sizes of the acoustic model.
        shallow_depth: share of the noise steps that the model is trained on; below 1, sampling starts from the
            auxiliary decoder's output.
        steps: optimizer steps of the acoustic model.
        batch: crops a step, over all processes, of `crop_seconds` each.
        learning_rate: AdamW's, reached after `warmup` steps, or after a tenth of all steps if that is less.
        schedule: `cosine` falls to a fiftieth at the last step, `step` halves the rate every `halve_every` steps,
            `constant` keeps it.
        ema: decay of the averaged weights, which are the ones that rendering uses.
        validate_every: steps between validations.
        volume_db: half of the crops are made louder or softer by up to this.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the machine computes it in hardware.
        seed: every random number follows from it.
    """

    units: str = "soft"
    unit_dim: int = 256
    codes: int = 100
    code_layer: int | None = None
    unit_layer: int | None = None
    unit_steps: int = 400
    objective: str = "flow"
    architecture: Architecture = field(default_factory=lambda: Architecture(decoder_layers=4))
    shallow_depth: float = 0.1
    steps: int = 1_200
    batch: int = 8
    crop_seconds: float = 1.5
    learning_rate: float = 2e-3
    warmup: int = 50
    schedule: str = "cosine"
    halve_every: int = 40_000
    ema: float = 0.995
    validate_every: int = 100
    volume_db: float = 0.0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("unit_dim", "codes"):
            check_size(name, getattr(self, name), 1, MAX_WIDTH)
        for name in ("unit_steps", "steps", "halve_every", "validate_every"):
            check_size(name, getattr(self, name), 1, 2**40)
        check_size("batch", self.batch, 1, MAX_BATCH)
        check_size("warmup", self.warmup, 0, 2**40)
        for name, known in (
            ("units", UNITS),
            ("objective", tuple(OBJECTIVES)),
            ("schedule", SCHEDULES),
            ("precision", ("auto", "fp32", "bf16")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not known; choose {', '.join(known)}")
        check_seed(self.seed)
        if not 0.2 <= self.crop_seconds <= 30:
            raise ValueError(f"a crop must last 0.2 to 30 s, not {self.crop_seconds} s")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be 0 or more and below 1, not {self.ema}")
        if not 0 < self.shallow_depth <= 1:
            raise ValueError(f"shallow_depth must be above 0 and at most 1, not {self.shallow_depth}")
        if self.shallow_depth < 1 and not self.architecture.decoder_layers:
            raise ValueError("a shallow_depth below 1 starts from an auxiliary decoder: set decoder_layers above 0")
        if not 0 <= self.volume_db <= 40:
            raise ValueError(f"volume_db must be 0 to 40, not {self.volume_db}")


PRESETS = {
    "tiny": TrainSettings(),
    # The size of DDSP-SVC 6 (6 layers of 512), with LYNXNet2's layers.
    "base": TrainSettings(
        unit_steps=5_000,
        architecture=Architecture(
            condition=256,
            denoiser="lynxnet2",
            channels=512,
            layers=6,
            decoder_layers=6,
            decoder_channels=384,
        ),
        steps=40_000,
        batch=32,
        crop_seconds=2.0,
        learning_rate=6e-4,
        warmup=1_000,
        ema=0.9995,
        validate_every=1_000,
        volume_db=12.0,
    ),
    # That of openvpi/DiffSinger (LYNXNet2, 6 layers of 1024, hidden 384, decoder 6 layers of 512).
    "large": TrainSettings(
        unit_steps=10_000,
        architecture=Architecture(
            condition=384,
            denoiser="lynxnet2",
            channels=1024,
            layers=6,
            decoder_layers=6,
            decoder_channels=512,
        ),
        steps=100_000,
        batch=48,
        crop_seconds=2.0,
        learning_rate=4e-4,
        warmup=2_000,
        ema=0.9999,
        validate_every=2_000,
        volume_db=12.0,
    ),
    # The sizes of Diff-SVC at 44.1 kHz, without its faults (docs/units.md).
    "diff-svc": TrainSettings(
        unit_steps=5_000,
        objective="ddpm",
        architecture=Architecture(condition=256, channels=384, layers=20),
        shallow_depth=1.0,
        steps=100_000,
        batch=32,
        crop_seconds=2.0,
        learning_rate=8e-4,
        warmup=1,
        schedule="step",
        ema=0.9995,
        validate_every=2_000,
    ),
    "diffusion-svc": TrainSettings(
        unit_steps=5_000,
        objective="ddpm",
        architecture=Architecture(condition=256, channels=512, layers=20, dilation_cycle=1),
        shallow_depth=1.0,
        steps=100_000,
        batch=48,
        crop_seconds=2.0,
        learning_rate=2e-4,
        warmup=1,
        schedule="step",
        halve_every=100_000,
        ema=0.9995,
        validate_every=2_000,
        volume_db=12.0,
    ),
}
