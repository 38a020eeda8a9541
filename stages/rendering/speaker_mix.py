"""The target voice: one speaker, a mixture of several, or one that changes into another during the song."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...pipeline.pitch.melody import Range

EXPECTED = (
    'expected a name, "a:0.7,b:0.3" for a mixture, or "0=a; 1:30=b" for one that changes (linearly, between times)'
)


@dataclass(frozen=True)
class SpeakerMix:
    """Shares of a run's speakers at some times; in between they change linearly, and before and after they are
    constant.

    `seconds` (K,) rise; `shares` (K, speakers) each sum to 1. `name` is the user's text.
    """

    name: str
    seconds: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]

    @classmethod
    def parse(cls, text: str, speakers: Sequence[str]) -> SpeakerMix:
        """Raises UserError for an unknown speaker, or a text that is no mixture."""
        if text in speakers or not any(sign in text for sign in ":=;,"):
            return cls(text, (0.0,), (_shares(text, speakers),))
        moments = [part.strip() for part in text.split(";") if part.strip()]
        if len(moments) == 1 and not (set(moments[0]) & {"="}):
            return cls(text, (0.0,), (_shares(moments[0], speakers),))
        seconds, shares = [], []
        for moment in moments:
            at, sign, who = moment.partition("=")
            if not sign:
                raise UserError(f"{moment!r} in speaker {text!r} has no time: {EXPECTED}")
            seconds.append(_seconds(at, text))
            shares.append(_shares(who.strip(), speakers))
        if not seconds or sorted(set(seconds)) != seconds:
            raise UserError(f"the times in speaker {text!r} do not rise: {EXPECTED}")
        return cls(text, tuple(seconds), tuple(shares))

    @property
    def single(self) -> int | None:
        """The speaker's number, if there is only one throughout."""
        first = self.shares[0]
        return first.index(1.0) if 1.0 in first and set(self.shares) == {first} else None

    @property
    def changes(self) -> bool:
        """Whether the shares change over the song."""
        return len(set(self.shares)) > 1

    def at(self, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        """Shares at some times of the song, (T,): float32 (T, speakers)."""
        columns = np.array(self.shares).T
        return np.stack([np.interp(seconds, self.seconds, column) for column in columns], 1).astype(np.float32)

    def whole(self) -> NDArray[np.float64]:
        """How much of it each speaker is on average over the moments named: (speakers,)."""
        mean: NDArray[np.float64] = np.array(self.shares).mean(0)
        return mean

    def range(self, ranges: Sequence[Range | None]) -> Range | None:
        """The mixture's range: its speakers', averaged in log f0 by their shares. None where one's is unknown."""
        shares = self.whole()
        known = [(share, r) for share, r in zip(shares, ranges, strict=True) if share > 0]
        if any(r is None for _, r in known):
            return None
        parts = [[np.log(hertz) for hertz in (r.low, r.middle, r.high)] for _, r in known if r is not None]
        low, middle, high = np.exp(np.average(parts, axis=0, weights=[share for share, _ in known])).tolist()
        return Range(low, middle, high)


def _shares(text: str, speakers: Sequence[str]) -> tuple[float, ...]:
    shares = dict.fromkeys(speakers, 0.0)
    for part in [text] if text in shares else text.split(","):
        name, sign, share = part.strip().rpartition(":")
        if part.strip() in shares or not sign:
            name, share = part.strip(), "1"
        if name.strip() not in shares:
            raise UserError(f"there is no speaker {name.strip()!r}; there are {', '.join(speakers)}")
        try:
            shares[name.strip()] += float(share)
        except ValueError as error:
            raise UserError(f"{share!r} in speaker {text!r} is no number: {EXPECTED}") from error
    total = sum(shares.values())
    if not total > 0 or min(shares.values()) < 0 or total == float("inf"):
        raise UserError(f"the shares in speaker {text!r} must be positive: {EXPECTED}")
    return tuple(share / total for share in shares.values())


def _seconds(text: str, whole: str) -> float:
    """`90`, `90.5` or `1:30`."""
    try:
        minutes, _, seconds = text.strip().rpartition(":")
        return 60 * float(minutes or 0) + float(seconds)
    except ValueError as error:
        raise UserError(f"{text.strip()!r} in speaker {whole!r} is no time: {EXPECTED}") from error
