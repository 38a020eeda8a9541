"""Settings of `svc extract`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.slicing import SliceSettings

PRECISIONS = ("fp32", "bf16", "fp16")
AUTO_FORMANT_SHIFTS = (-4, 4)  # semitones
SMALL_CORPUS_SECONDS = 1_800.0


@dataclass(frozen=True)
class ExtractSettings:
    """The settings of `svc extract`.

    None keeps what the store has; in a new store it is the default.

    Attributes:
        encoder: short name, hub id or path; `en` in a new store.
        layers: hidden layers wanted beside those that the store has; a middle one and the last in a new store.
        slice_db: threshold of silence, in dB under a recording's loudest moment; SliceSettings has the default.
        f0, f0_min, f0_max: method and range in Hz; PitchSettings has the defaults. Another replaces the f0 column.
        pitch_shifts: semitones that the mel is moved by, in further columns, to augment training.
        formant_shifts: semitones that formants are moved by before the encoder is run, in further columns: trained with
            them, the projection contains less speaker information. None: AUTO_FORMANT_SHIFTS where a new store has at
            most SMALL_CORPUS_SECONDS of sound, whose training gains most by them; none elsewhere.
        features: further columns by name, such as `hidden/9`; every kind that `features/registry.py` lists.
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
    pitch_shifts: tuple[int, ...] = ()
    formant_shifts: tuple[int, ...] | None = ()
    features: tuple[str, ...] = ()
    precision: str | None = None
    device: str = "auto"
    workers: int = 0
    scheduler: str | None = None

    def __post_init__(self) -> None:
        self.slices(SliceSettings())
        self.pitch(PitchSettings())
        for name in ("pitch_shifts", "formant_shifts"):
            if wrong := [shift for shift in getattr(self, name) or () if shift == 0 or abs(shift) > 12]:
                raise ValueError(f"{name} are by 1 to 12 semitones up or down, not by {wrong[0]}")
        if self.precision not in (None, *PRECISIONS):
            raise ValueError(f"precision {self.precision!r} is not known; choose {', '.join(PRECISIONS)}")
        if self.workers < 0:
            raise ValueError(f"{self.workers} workers cannot be; 0 computes in this process")
        if self.workers and self.scheduler:
            raise ValueError(
                "--workers starts processes on this machine, --scheduler uses those of a scheduler: give one of them"
            )

    def slices(self, stored: SliceSettings) -> SliceSettings:
        """The store's, with the user's changes."""
        return stored if self.slice_db is None else replace(stored, silence_db=self.slice_db)

    def pitch(self, stored: PitchSettings) -> PitchSettings:
        """The store's, with the user's changes."""
        return PitchSettings(
            stored.method if self.f0 is None else self.f0,
            stored.f0_min if self.f0_min is None else self.f0_min,
            stored.f0_max if self.f0_max is None else self.f0_max,
        )
