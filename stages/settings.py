"""One frozen dataclass of settings a command, checked when made, saved beside what it produced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..pipeline.pitch import PitchSettings
from ..pipeline.slicing import SliceSettings

__all__ = [
    "PRESETS",
    "VOCODER_PRESETS",
    "ExtractSettings",
    "PitchSettings",
    "RenderSettings",
    "SliceSettings",
    "TrainSettings",
    "VocoderSettings",
]


PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class ExtractSettings:
    """What `svc extract` computes, and what with.

    What is None stays as the store has it; in a new store it is the default.

    Attributes:
        encoder: short name, hub id or path; `en` in a new store.
        layers: hidden layers wanted beside those that the store has; a middle one and the last in a new store.
        slice_db: what counts as silence, in dB under a recording's loudest moment; SliceSettings has the default.
        f0, f0_min, f0_max: method and range in Hz; PitchSettings has the defaults. Another replaces the f0 column.
        shifts: semitones that the mel is moved by, in columns beside those that the store has, to augment training.
        warps: semitones that formants are moved by before the encoder hears the utterance, in columns of their own: so
            training learns not to heed whose voice the units were heard from.
        precision: the encoder's arithmetic: fp32, bf16 or fp16; fp32 in a new store.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        workers: processes on this machine; 0 computes in this one.
        scheduler: address of a dask scheduler whose workers compute.
    """

    encoder: str | None = None
    layers: tuple[int, ...] | None = None
    slice_db: float | None = None
    f0: str | None = None
    f0_min: float | None = None
    f0_max: float | None = None
    shifts: tuple[int, ...] = ()
    warps: tuple[int, ...] = ()
    precision: str | None = None
    device: str = "auto"
    workers: int = 0
    scheduler: str | None = None

    def __post_init__(self) -> None:
        self.slices(SliceSettings())
        self.pitch(PitchSettings())
        for name in ("shifts", "warps"):
            if wrong := [shift for shift in getattr(self, name) if shift == 0 or abs(shift) > 12]:
                raise ValueError(f"{name} are by 1 to 12 semitones up or down, not by {wrong[0]}")
        if self.precision not in (None, *PRECISIONS):
            raise ValueError(f"precision {self.precision!r} is not known; choose {', '.join(PRECISIONS)}")
        if self.workers < 0:
            raise ValueError(f"{self.workers} workers cannot be; 0 computes in this process")
        if self.workers and self.scheduler:
            raise ValueError("--workers starts its own processes, --scheduler uses somebody's: give one of them")

    def slices(self, stored: SliceSettings) -> SliceSettings:
        """Those of the store, but for what was asked."""
        return stored if self.slice_db is None else replace(stored, silence_db=self.slice_db)

    def pitch(self, stored: PitchSettings) -> PitchSettings:
        """Those of the store, but for what was asked."""
        return PitchSettings(
            stored.method if self.f0 is None else self.f0,
            stored.f0_min if self.f0_min is None else self.f0_min,
            stored.f0_max if self.f0_max is None else self.f0_max,
        )


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
        unit_steps: optimizer steps of the soft projection.
        objective: `flow` or `ddpm`.
        condition, denoiser, channels, layers, dilation_cycle, decoder_layers, decoder_channels: the acoustic model's
            (pipeline.diffusion.Shape).
        depth: how far into noise it goes; less than 1 starts from the auxiliary decoder's guess.
        steps: optimizer steps of the acoustic model.
        batch: crops a step, of `crop_seconds` each, over all processes.
        learning_rate: AdamW's, after `warmup` steps.
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
    unit_steps: int = 400
    objective: str = "flow"
    condition: int = 192
    denoiser: str = "wavenet"
    channels: int = 192
    layers: int = 6
    dilation_cycle: int = 4
    decoder_layers: int = 4
    decoder_channels: int = 192
    depth: float = 0.3
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
        if not 0.2 <= self.crop_seconds <= 30:
            raise ValueError(f"a crop must last 0.2 to 30 s, not {self.crop_seconds} s")
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
        depth=0.4,
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
        depth=0.4,
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


@dataclass(frozen=True)
class RenderSettings:
    """How `svc render` sings.

    Attributes:
        speaker: whose voice: a name, or a mixture (stages.mixture); None takes the run's first.
        key: semitones up, or `auto`: the key in which the voice reaches the song's notes (pipeline.melody.choose_key).
        steps, method: the sampler's; a method of None is the objective's own.
        k_step: how far into noise to go, of 1000; None is as far as the model was trained to.
        seed: the same seed gives the same bytes.
        encoder: where the run's encoder is, if not where the store was made with.
        device: `auto`, `cpu`, `cuda`.
        vocoder: `own`, `world` or a path; None takes the run's own if it has one, else world.
        f0, f0_min, f0_max: how the song's f0 is found; None as the run's store has it.
        smooth_ms: f0 is smoothed over so many milliseconds.
        mend_octaves: f0's octave slips are mended.
        formants: semitones by which formants are moved.
        loudness: how much of the song's own loudness the result is given, 0 to 1.
        threshold: dBFS; where the song is softer the result is silent.
        retrieve: how much of each unit is taken from its nearest neighbours in the target's store, 0 to 1.
        depth: of the written samples: `16`, `24` or `float`.
        rate: of the written samples, Hz; 0 is the song's own.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the machine computes it in hardware.
        batch: slices that are sampled at once; 0 is 1 on a CPU, 8 on a GPU.
        separate: whether the song is a mix, whose voice is to be taken out, sung, and mixed back in.
    """

    speaker: str | None = None
    key: float | str = 0.0
    steps: int = 20
    method: str | None = None
    seed: int = 0
    encoder: str | None = None
    device: str = "auto"
    k_step: int | None = None
    vocoder: str | None = None
    f0: str | None = None
    f0_min: float | None = None
    f0_max: float | None = None
    smooth_ms: float = 0.0
    mend_octaves: bool = False
    formants: float = 0.0
    loudness: float = 0.0
    threshold: float | None = None
    retrieve: float = 0.0
    depth: str = "16"
    rate: int = 44_100
    precision: str = "auto"
    batch: int = 0
    separate: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise ValueError(f"steps must be 1 to 1000, not {self.steps}")
        if isinstance(self.key, str):
            if self.key != "auto":
                raise ValueError(f"key {self.key!r} is neither a number of semitones nor auto")
        elif not -48 <= self.key <= 48:
            raise ValueError(f"a key of {self.key:+g} semitones is beyond four octaves")
        if self.k_step is not None and not 1 <= self.k_step <= 1000:
            raise ValueError(f"k-step must be 1 to 1000 noise steps, not {self.k_step}")
        for name in ("loudness", "retrieve"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is an amount from 0 to 1, not {getattr(self, name)}")
        if not -12 <= self.formants <= 12:
            raise ValueError(f"formants can be moved by up to 12 semitones, not {self.formants:+g}")
        if not 0 <= self.smooth_ms <= 1000:
            raise ValueError(f"f0 can be smoothed over 0 to 1000 ms, not {self.smooth_ms}")
        if self.threshold is not None and not -120 <= self.threshold <= 0:
            raise ValueError(f"a threshold lies between -120 and 0 dBFS, not {self.threshold}")
        if self.depth not in ("16", "24", "float"):
            raise ValueError(f"depth {self.depth!r} is not known; choose 16, 24 or float")
        if self.rate and not 8_000 <= self.rate <= 192_000:
            raise ValueError(f"a sample rate of {self.rate} Hz is not written; 8000 to 192000 Hz are, or the song's")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision {self.precision!r} is not known; choose auto, fp32 or bf16")
        if self.batch < 0:
            raise ValueError(f"{self.batch} slices at once cannot be")
        self.pitch(PitchSettings())

    def pitch(self, stored: PitchSettings) -> PitchSettings:
        """The run's, but for what was asked."""
        return PitchSettings(
            self.f0 or stored.method,
            stored.f0_min if self.f0_min is None else self.f0_min,
            stored.f0_max if self.f0_max is None else self.f0_max,
        )


def pick_precision(name: str, device: str) -> str:
    """`auto` becomes bf16 where the device multiplies it in hardware, else fp32."""
    import torch

    if name != "auto":
        return name
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    can = torch.cpu.get_capabilities() if device == "cpu" else {}
    return "bf16" if can.get("amx_bf16") or can.get("avx512_bf16") else "fp32"


def pick_device(name: str) -> str:
    """`auto` becomes the GPU where there is one. Raises UserError for a device that is not there."""
    import torch

    from .errors import UserError

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r} cannot be used here: {reason}; try --device auto or cpu") from error
    return name


def beside(path: Path, suffix: str) -> Path:
    """The path next to `path` that has its name and another suffix, for folders with dots in their names too."""
    path = Path(path).absolute()
    return path.parent / (path.name + suffix)
