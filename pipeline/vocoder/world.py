"""WORLD as a vocoder: it synthesises pulses and noise under a smooth envelope of the mel (Morise et al., 2016).

Voiced frames are pulses with a breath of noise that grows with frequency; unvoiced frames are noise. There are two
passes: the second corrects the envelope by the difference to the mel of the first pass's sound. A pulse has the phase
of its envelope, as a vocal tract's has. Where the envelope changes quickly that shifts the pitch, so the envelope is
smoothed; the f0 of `plain` is more exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from ..frames import MEL_HOP, MEL_RATE
from ..mel import N_FFT, log_mel
from ..quiet_pyworld import pyworld
from .levels import Levels, breath
from .vocoder import Frames, Mels, Vocoder

PERIOD_MS = 1000.0 * MEL_HOP / MEL_RATE
LOWEST_HZ, HIGHEST_HZ = 40.0, 8000.0  # f0 that WORLD synthesises
PIECE, OVERLAP = 1_700, 4  # mel frames
FIRST = 430  # mel frames, 5 s, after which the first piece ends, for a short delay
LONGEST = 2 * PIECE  # without an unvoiced frame, after which a piece ends in mid-note
LEAD = 40  # mel frames in which the next piece's pulses come into phase; they are not played
WORLD_UNVOICED_HZ = 500.0  # at which WORLD's phase turns where nothing is voiced
MAX_REFINEMENT = 1.5  # nepers by which an envelope is corrected after the first pass
STEADY = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # over the frames of a voiced sound
BINS = N_FFT // 2 + 1


class World(Vocoder):
    """Synthesises mel and f0 with WORLD's pulses and noise."""

    name = "world"

    def generate(self, mels: Iterable[Frames], f0: Frames) -> Iterator[Frames]:
        """Long input is synthesised in pieces that meet at unvoiced frames, so that no pulse is lost.

        Without an unvoiced frame for over a minute they meet in mid-note, with their pulses in phase.
        """
        held, tail, before = Mels(mels), np.zeros(0, np.float32), np.zeros(0)
        begun = 0  # the frame where the piece before began
        for start, stop in _pieces(f0) if len(f0) else []:
            # A piece overlaps the next one's beginning, and the two are cross-faded.
            end = min(stop + OVERLAP, len(f0))
            stepped = start > 0 and bool(f0[start] > 0)
            first = start - LEAD if stepped else start
            pitch = _pitch(f0[first:end])
            if stepped:
                _fall_into_step(pitch, _turned(before, (start - begun) * MEL_HOP))
            wav = self._sing(held(first, end), f0[first:end], pitch)[(start - first) * MEL_HOP :]
            # Of pulses in phase, amplitudes add up; of independent noise, powers do.
            fade = np.linspace(0, 1, OVERLAP * MEL_HOP, dtype=np.float32) ** (1 if stepped else 0.5)
            if len(tail):
                wav[: len(fade)] *= fade
                wav[: len(fade)] += tail * (1 - fade if stepped else fade[::-1])
            sung = len(wav) - (OVERLAP * MEL_HOP if end > stop else 0)
            yield wav[:sung]
            tail, before, begun = wav[sung:], pitch, first

    def _sing(self, mel: Frames, f0: Frames, pitch: NDArray[np.float64]) -> Frames:
        level, voiced = _levels()(mel, f0), f0[:, None] > 0
        first = self._synthesised(level, voiced, pitch)
        if len(first) < N_FFT:
            return first
        # The mel of this sound has the envelope smoothed once more: the difference is added before the second pass.
        measured = _levels()(log_mel(torch.from_numpy(first)).numpy(), f0)
        missing = np.where(voiced, np.clip(level - measured, -MAX_REFINEMENT, MAX_REFINEMENT), 0.0)
        return self._synthesised(level + missing, voiced, pitch)

    def _synthesised(self, level: NDArray[np.float64], voiced: NDArray[np.bool_], pitch: NDArray[np.float64]) -> Frames:
        """Ln amplitudes (M, n_fft // 2 + 1), voiced (M, 1), WORLD's pitch (M + 1,) -> sound, float32 (M * hop,)."""
        # WORLD's pulses take their phase from the envelope: one that changes quickly shifts the pitch.
        power = 2 * np.where(voiced, convolve1d(level, STEADY, axis=0, mode="nearest"), level)
        # WORLD's frame i stands at i * hop, a mel frame's centre half a hop later: one frame more, at the edges.
        power = np.concatenate([power[:1], (power[1:] + power[:-1]) / 2, power[-1:]])
        noise = np.where(pitch[:, None] > 0, breath(BINS), 1.0)
        wav = pyworld.synthesize(pitch, np.exp(power), noise, MEL_RATE, PERIOD_MS)
        length = len(level) * MEL_HOP
        return np.pad(wav[:length], (0, max(0, length - len(wav)))).astype(np.float32)


@cache
def _levels() -> Levels:
    """Measured once in each process, on WORLD itself."""
    return Levels(lambda f0: World()._synthesised(np.zeros((len(f0), BINS)), f0[:, None] > 0, _pitch(f0)))


def _pitch(f0: Frames) -> NDArray[np.float64]:
    """f0 at mel centres (M,) -> at WORLD's frames, i * hop: float64 (M + 1,)."""
    # At an edge between voiced and unvoiced the sound is voiced: onsets keep their pitch.
    left, right = np.append(0.0, f0), np.append(f0, 0.0)
    pitch = np.where((left > 0) & (right > 0), np.sqrt(left * right), np.maximum(left, right))
    return np.where(pitch > 0, np.clip(pitch, LOWEST_HZ, HIGHEST_HZ), 0.0)


def _turned(pitch: NDArray[np.float64], samples: int) -> float:
    """Cycles that WORLD's pulses turn in the first `samples` of a piece, as it counts them (GetTimeBase)."""
    at = np.arange(samples) / MEL_HOP
    frames = np.arange(len(pitch))
    hertz, voiced = np.interp(at, frames, pitch), np.interp(at, frames, pitch > 0) > 0.5
    return float(np.where(voiced, hertz, WORLD_UNVOICED_HZ).sum() / MEL_RATE)


def _fall_into_step(pitch: NDArray[np.float64], turned: float) -> None:
    """Bend a piece's lead-in, in place, so that its pulses stand at `turned` cycles (or whole ones less) at its end."""
    samples = LEAD * MEL_HOP
    missing = (turned - _turned(pitch, samples) + 0.5) % 1.0 - 0.5
    bend = pitch * np.where(np.arange(len(pitch)) < LEAD - 4, 1.0, 0.0)
    pitch += bend * missing / (np.interp(np.arange(samples) / MEL_HOP, np.arange(len(bend)), bend).sum() / MEL_RATE)


def _pieces(f0: Frames) -> list[tuple[int, int]]:
    """Frames [start, stop) that are synthesised at once: some 20 s each, the first 5, cut where OVERLAP frames are
    unvoiced.

    After LONGEST frames without such a place: in a note, voiced for LEAD frames before and for OVERLAP after.
    """
    # quiet[i]: none of the frames i .. i + OVERLAP - 1 is voiced
    quiet = np.flatnonzero(np.convolve(f0 > 0, np.ones(OVERLAP), "full")[OVERLAP - 1 :] == 0)
    around = np.convolve(f0 > 0, np.ones(LEAD + OVERLAP + 1), "full")[LEAD + OVERLAP :][: max(0, len(f0) - LEAD)]
    steady = np.flatnonzero(around == LEAD + OVERLAP + 1) + LEAD
    cuts = [0]
    while True:
        candidates = [
            int(places[index])
            for places, least in ((quiet, PIECE if len(cuts) > 1 else FIRST), (steady, LONGEST))
            if (index := int(np.searchsorted(places, cuts[-1] + least))) < len(places)
        ]
        if not candidates or len(f0) - min(candidates) <= OVERLAP:
            return list(zip(cuts, [*cuts[1:], len(f0)], strict=True))
        cuts.append(min(candidates))
