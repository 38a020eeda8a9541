"""How `svc render` sings."""

from __future__ import annotations

from dataclasses import dataclass

from ...pipeline.pitch.pitch import PitchSettings
from .seed import check_seed


@dataclass(frozen=True)
class RenderSettings:
    """How `svc render` sings.

    Attributes:
        speaker: whose voice: a name, or a mixture (stages.rendering.speaker_mix); None takes the run's first.
        key: semitones up, or `auto`: the key in which the voice reaches the song's notes (pipeline.melody.choose_key).
        steps, method: the sampler's; None is what suits the model (pipeline.diffusion.sampling).
        k_step: how far into noise to go, of 1000; None is as far as the model was trained to.
        seed: the same seed gives the same bytes.
        encoder: where the run's encoder is, if not where the store was made with.
        device: `auto`, `cpu`, `cuda`.
        vocoder: `own`, `plain`, `world` or a path; None takes the run's own if it has one, else plain.
        f0, f0_min, f0_max: how the song's f0 is found; None as the run's store has it.
        smooth_ms: f0 is smoothed over so many milliseconds.
        mend_octaves: f0's octave slips are mended.
        formants: semitones by which formants are moved.
        loudness: how much of the song's own loudness the result is given, 0 to 1.
        threshold: dBFS; where the song is softer the result is silent.
        retrieve: how much of each unit is taken from its nearest neighbours among the target's own, 0 to 1; None takes
            all of it where the run's store is there, which has them.
        depth: of the written samples: `16`, `24` or `float`.
        rate: of the written samples, Hz; 0 is the song's own.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the machine computes it in hardware.
        batch: slices that are sampled at once; 0 is 1 on a CPU, 8 on a GPU.
        separate: whether the song is a mix, whose voice is to be taken out, sung, and mixed back in.
    """

    speaker: str | None = None
    key: float | str = 0.0
    steps: int | None = None
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
    fix_octaves: bool = False
    formants: float = 0.0
    loudness: float = 0.0
    threshold: float | None = None
    retrieve: float | None = None
    depth: str = "16"
    rate: int = 44_100
    precision: str = "auto"
    batch: int = 0
    separate: bool = False

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ValueError(f"steps must be 1 to 1000, not {self.steps}")
        if isinstance(self.key, str):
            if self.key != "auto":
                raise ValueError(f"key {self.key!r} is neither a number of semitones nor auto")
        elif not -48 <= self.key <= 48:
            raise ValueError(f"a key of {self.key:+g} semitones is beyond four octaves")
        if self.k_step is not None and not 1 <= self.k_step <= 1000:
            raise ValueError(f"k-step must be 1 to 1000 noise steps, not {self.k_step}")
        for name in ("loudness", "retrieve"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
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
        check_seed(self.seed)
        self.pitch(PitchSettings())

    def pitch(self, stored: PitchSettings) -> PitchSettings:
        """The run's, but for what was asked."""
        return PitchSettings(
            self.f0 or stored.method,
            stored.f0_min if self.f0_min is None else self.f0_min,
            stored.f0_max if self.f0_max is None else self.f0_max,
        )
