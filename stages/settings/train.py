"""What `svc train` learns, and the presets."""

from __future__ import annotations

from dataclasses import dataclass

from .seed import check_seed

UNITS = ("soft", "hidden", "linear", "hubert-soft")
SCHEDULES = ("cosine", "step", "constant")


@dataclass(frozen=True)
class TrainSettings:
    """What `svc train` learns, and how long. The presets are some of these.

    Attributes:
        units: `soft` (a projection trained on codes), `hidden` (the hidden states themselves), `linear` (a projection
            trained with the acoustic model), `hubert-soft` (the column of an encoder that came with a soft head).
        unit_dim: width of the units that `soft` and `linear` make.
        codes: k-means clusters of a hidden layer.
        code_layer: which layer; None takes the lowest stored.
        unit_layer: which layer units are made of; None takes the highest stored.
        unit_steps: optimizer steps of the soft projection.
        objective: `flow` or `ddpm`.
        condition, denoiser, channels, layers, dilation_cycle, decoder_layers, decoder_channels: the acoustic model's
            (pipeline.diffusion.Shape).
        depth: how far into noise it goes; less than 1 starts from the auxiliary decoder's guess.
        steps: optimizer steps of the acoustic model.
        batch: crops a step, of `crop_seconds` each, over all processes.
        learning_rate: AdamW's, after `warmup` steps, or a tenth of all if those are fewer.
        schedule: what becomes of it: `cosine` falls to a fiftieth at the last step, `step` halves it every
            `halve_every` steps, `constant` keeps it.
        ema: decay of the averaged weights that sing.
        validate_every: steps between validations, each of which writes a checkpoint.
        volume_db: half of the crops are made louder or softer by up to this.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the machine computes it in hardware.
        seed: everything random follows from it.
    """

    units: str = "soft"
    unit_dim: int = 256
    codes: int = 100
    code_layer: int | None = None
    unit_layer: int | None = None
    unit_steps: int = 400
    objective: str = "flow"
    condition: int = 192
    denoiser: str = "wavenet"
    channels: int = 192
    layers: int = 6
    dilation_cycle: int = 4
    decoder_layers: int = 4
    decoder_channels: int = 192
    depth: float = 0.1
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
        at_least_one = ("unit_dim", "codes", "unit_steps", "condition", "channels", "layers", "steps", "batch")
        for name in (*at_least_one, "dilation_cycle", "halve_every", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, known in (
            ("units", UNITS),
            ("objective", ("flow", "ddpm")),
            ("denoiser", ("wavenet", "lynxnet2")),
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
        if not 0 < self.depth <= 1:
            raise ValueError(f"depth must be above 0 and at most 1, not {self.depth}")
        if self.depth < 1 and not self.decoder_layers:
            raise ValueError("a depth below 1 starts from an auxiliary decoder: give it decoder_layers")
        if not 0 <= self.volume_db <= 40:
            raise ValueError(f"volume_db must be 0 to 40, not {self.volume_db}")


PRESETS = {
    "tiny": TrainSettings(),
    # The size of DDSP-SVC 6 (6 layers of 512), with LYNXNet2's layers.
    "base": TrainSettings(
        unit_steps=5_000,
        condition=256,
        denoiser="lynxnet2",
        channels=512,
        layers=6,
        decoder_layers=6,
        decoder_channels=384,
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
        condition=384,
        denoiser="lynxnet2",
        channels=1024,
        layers=6,
        decoder_layers=6,
        decoder_channels=512,
        steps=100_000,
        batch=48,
        crop_seconds=2.0,
        learning_rate=4e-4,
        warmup=2_000,
        ema=0.9999,
        validate_every=2_000,
        volume_db=12.0,
    ),
    # Diff-SVC as it is at 44.1 kHz, but for its faults (docs/units.md).
    "diff-svc": TrainSettings(
        unit_steps=5_000,
        objective="ddpm",
        condition=256,
        channels=384,
        layers=20,
        decoder_layers=0,
        depth=1.0,
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
        condition=256,
        channels=512,
        layers=20,
        dilation_cycle=1,
        decoder_layers=0,
        depth=1.0,
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
