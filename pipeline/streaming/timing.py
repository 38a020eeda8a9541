"""How long a stream's windows are, and the latency that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from ..frames import MEL_HOP, mel_seconds, seconds_to_mel_frames

FADE = 1  # mel frames, 12 ms, over which one window's sound is faded into the next one's
LEAST_LOOKAHEAD = FADE + 2  # a vocoder's spectra reach two frames beyond the emitted hop


@dataclass(frozen=True)
class StreamTiming:
    """Lengths in mel frames (11.6 ms). Each `hop` frames a window of context + hop + lookahead is converted.

    Attributes:
        hop: frames that are emitted at a time.
        context: frames of the past that a window begins with.
        lookahead: frames of the window after those that are emitted.
    """

    hop: int = 9
    context: int = 86
    lookahead: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.hop <= 430:
            raise ValueError(f"a stream's hop must be 12 ms to 5 s, not {1000 * mel_seconds(self.hop):.0f} ms")
        if not 9 <= self.context <= 860:
            raise ValueError(f"a stream's context must be 0.1 to 10 s, not {mel_seconds(self.context):.2f} s")
        if not LEAST_LOOKAHEAD <= self.lookahead <= 430:
            raise ValueError(
                f"a stream's lookahead must be {1000 * mel_seconds(LEAST_LOOKAHEAD):.0f} ms to 5 s, "
                f"not {1000 * mel_seconds(self.lookahead):.0f} ms"
            )

    @classmethod
    def of_seconds(cls, hop: float, context: float, lookahead: float) -> StreamTiming:
        """The nearest whole numbers of mel frames. Raises ValueError for lengths out of range."""
        return cls(*(seconds_to_mel_frames(seconds) for seconds in (hop, context, lookahead)))

    @property
    def window(self) -> int:
        """Mel frames of a window."""
        return self.context + self.hop + self.lookahead

    @property
    def hop_samples(self) -> int:
        """Samples of a hop at 44.1 kHz."""
        return self.hop * MEL_HOP

    @property
    def delay(self) -> int:
        """Samples between a moment in the input and the same moment in the output, if computing took no time.

        A hop must be complete before it is converted, and the emitted hop ends `lookahead` before the input's end.
        """
        return (self.hop + self.lookahead) * MEL_HOP

    @property
    def seconds(self) -> float:
        """The algorithmic latency: `delay` in seconds."""
        return mel_seconds(self.hop + self.lookahead)
