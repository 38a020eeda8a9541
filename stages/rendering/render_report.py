"""The result of one song."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RenderReport:
    """The result of one song. The shares are of the frames that should be voiced, None without any.

    Attributes:
        song, wav: where the song and the result lie.
        picture: where the picture lies, if there is one.
        speaker: the target voice.
        key: semitones above the song.
        seconds: how long the song lasts.
        took: seconds that it took, without loading.
        delivered: seconds after which the result was written; measured figures and the picture come later.
        median_cents: how far f0 is from the target f0, where the result is voiced.
        within_20_cents, within_50_cents: the share of frames within that distance.
        notes: sentences for the user.
        timings: seconds by part of the work.
        first_sound: seconds after which the first sound was computed.
    """

    song: Path
    wav: Path
    picture: Path | None
    speaker: str
    key: float
    seconds: float
    took: float
    delivered: float
    median_cents: float | None
    within_20_cents: float | None
    within_50_cents: float | None
    notes: tuple[str, ...]
    timings: dict[str, float]
    first_sound: float | None

    def lines(self, verbose: bool = False) -> list[str]:
        """The report as text; `verbose` adds how long each part took."""
        said = [f"  {self.song}: {note}" for note in self.notes]
        in_tune = (
            "nothing in it is voiced"
            if self.within_20_cents is None
            else f"{self.within_20_cents:.1%} of voiced frames within 20 cents of the target f0 "
            f"({self.within_50_cents:.1%} within 50)"
        )
        said.append(f"{self.wav}: {self.seconds:.1f} s in {self.took:.1f} s; {in_tune}")
        if verbose:
            said += [
                f"  {seconds:8.2f} s  {seconds / self.seconds:6.3f} of real time  {name}"
                for name, seconds in self.timings.items()
            ]
            said += [f"  first sound after {self.first_sound:.2f} s"] if self.first_sound is not None else []
            said.append(f"  result delivered after {self.delivered:.2f} s")
        return said
