"""The settings of `svc render`: how a voice is converted, and how the result is written."""

from __future__ import annotations

from dataclasses import dataclass

from ...common.text import number_or
from ...pipeline.diffusion.shape import NOISE_STEPS
from ...pipeline.pitch.settings import PitchSettings
from .seed import check_seed

AUTO_KEYS = ("auto", "auto-semitone")
F0_MAX = 2100.0  # Hz; C7, the highest note of sopranos, is 2093


def parse_key(text: str) -> float | str:
    """A number of semitones, `auto` (or `auto-octave`, which is the same) or `auto-semitone`. Raises ValueError."""
    key = number_or(text, (*AUTO_KEYS, "auto-octave"), "a number of semitones, auto or auto-semitone")
    return key.removesuffix("-octave") if isinstance(key, str) else key


def parse_breaths(text: str) -> float | str:
    """`keep`, `sing`, or a number from 0 to 1. Raises ValueError."""
    return number_or(text, ("keep", "sing"), "keep, sing or a number from 0 to 1", "breaths ")


@dataclass(frozen=True)
class ConversionSettings:
    """How one song, or one phrase of it, is converted. Changing a value does not require loading a model again.

    Attributes:
        speaker: the target: a speaker's name, or a mixture (stages.rendering.speaker_mix); None is the run's first.
        key: semitones up; `auto`: the octave in which the target's range fits the song best; `auto-semitone`: the
            best of all keys (pipeline.pitch.melody.choose_key).
        steps, method: of the sampler; None chooses them for the model (pipeline.diffusion.sampling).
        k_step: the noise step, of 1000, that sampling starts from; None is as far as the model was trained to.
        seed: the same seed gives the same samples.
        f0, f0_min, f0_max: method and range (Hz) of the song's f0 tracking; None is as in the run's store, and
            notes above it, up to F0_MAX, are found too.
        smooth_ms: f0 is smoothed over so many milliseconds.
        fix_octaves: whether octave errors of the f0 tracker are corrected.
        formants: semitones by which formants are moved.
        loudness: 0 to 1: how far the result's loudness is moved to the song's own.
        threshold: dBFS; where the song is softer the result is silent.
        breaths: `sing` converts the song's breaths and sibilants like everything else; `keep` leaves them the song's
            own; 0 to 1 multiplies converted breaths with that number (stages.rendering.breaths).
        slice_db: passages softer than this, in dB under the song's loudest moment, are silence and not converted; None
            slices a song as the voice's recordings were cut (source_audio.song_slices); -90 converts everything.
        retrieve: 0 to 1: the share of each unit that comes from its nearest neighbours among the target's units; None
            is 0.5 (1 with the encoder `mini`) where the run has an index, or its store can be opened.
    """

    speaker: str | None = None
    key: float | str = 0.0
    steps: int | None = None
    method: str | None = None
    k_step: int | None = None
    seed: int = 0
    f0: str | None = None
    f0_min: float | None = None
    f0_max: float | None = None
    smooth_ms: float = 0.0
    fix_octaves: bool = False
    formants: float = 0.0
    loudness: float = 0.0
    threshold: float | None = None
    breaths: float | str = "sing"
    slice_db: float | None = None
    retrieve: float | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ValueError(f"steps must be 1 to 1000, not {self.steps}")
        if isinstance(self.key, str):
            if self.key not in AUTO_KEYS:
                raise ValueError(f"key {self.key!r}: expected a number of semitones, {' or '.join(AUTO_KEYS)}")
        elif not -48 <= self.key <= 48:
            raise ValueError(f"a key of {self.key:+g} semitones is beyond four octaves")
        if self.k_step is not None and not 1 <= self.k_step <= NOISE_STEPS:
            raise ValueError(f"k-step must be 1 to {NOISE_STEPS} noise steps, not {self.k_step}")
        for name in ("loudness", "retrieve"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise ValueError(f"{name} is an amount from 0 to 1, not {getattr(self, name)}")
        if not -12 <= self.formants <= 12:
            raise ValueError(f"formants can be moved by up to 12 semitones, not {self.formants:+g}")
        if not 0 <= self.smooth_ms <= 1000:
            raise ValueError(f"f0 can be smoothed over 0 to 1000 ms, not {self.smooth_ms}")
        if self.threshold is not None and not -120 <= self.threshold <= 0:
            raise ValueError(f"a threshold lies between -120 and 0 dBFS, not {self.threshold}")
        known = self.breaths in ("keep", "sing") if isinstance(self.breaths, str) else 0 <= self.breaths <= 1
        if not known:
            raise ValueError(f"breaths {self.breaths!r}: expected keep, sing or a number from 0 to 1")
        if self.slice_db is not None and not -90 <= self.slice_db <= -10:
            raise ValueError(f"slice-db lies between -90 and -10 dB, not {self.slice_db}")
        check_seed(self.seed)
        self.pitch(PitchSettings())

    def pitch(self, stored: PitchSettings) -> PitchSettings:
        """`stored`, with the changes of these settings."""
        return PitchSettings(
            self.f0 or stored.method,
            stored.f0_min if self.f0_min is None else self.f0_min,
            stored.f0_max if self.f0_max is None else self.f0_max,
        )

    @property
    def highest_note(self) -> float | None:
        """The limit in Hz up to which notes above the range of `pitch` are tracked as well; None if f0_max was given.

        A song may have higher notes than the voice's recordings: they can be moved to another octave, and are named.
        """
        return F0_MAX if self.f0_max is None else None


@dataclass(frozen=True)
class OutputSettings:
    """How a result is written.

    Attributes:
        bit_depth: of the samples: `16`, `24` or `float`.
        rate: sample rate in Hz; 0 is the song's own.
        separate: whether the song is a mix: its voice is separated, converted, and mixed with the rest again.
        picture: whether to draw the song and the result.
    """

    bit_depth: str = "16"
    rate: int = 44_100
    separate: bool = False
    picture: bool = True

    def __post_init__(self) -> None:
        if self.bit_depth not in ("16", "24", "float"):
            raise ValueError(f"bit depth {self.bit_depth!r} is not known; choose 16, 24 or float")
        if self.rate and not 8_000 <= self.rate <= 192_000:
            raise ValueError(f"a sample rate of {self.rate} Hz is not written; 8000 to 192000 Hz are, or the song's")


@dataclass(frozen=True)
class RenderSettings(ConversionSettings, OutputSettings):
    """All settings of `svc render`: those above, and the models to load.

    Attributes:
        encoder: where the run's encoder is, if not where the store was made with.
        device: `auto`, `cpu`, `cuda`.
        vocoder: `own`, `plain`, `world` or a path; None takes the run's own if it has one, else plain.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the machine computes it in hardware.
        batch: segments that are sampled at once; 0 is 1 on a CPU, 8 on a GPU.
        stores: where the target's units are retrieved from, in place of the run's index.
    """

    encoder: str | None = None
    device: str = "auto"
    vocoder: str | None = None
    precision: str = "auto"
    batch: int = 0
    stores: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ConversionSettings.__post_init__(self)
        OutputSettings.__post_init__(self)
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision {self.precision!r} is not known; choose auto, fp32 or bf16")
        if self.batch < 0:
            raise ValueError(f"{self.batch} segments at once are not possible; give 1 or more, or 0 for the default")
