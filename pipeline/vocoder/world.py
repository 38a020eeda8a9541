"""A vocoder without weights: the mel becomes a smooth envelope, WORLD sings it (Morise et al., 2016).

The mel says how strong each band is, with the harmonics of its f0 in it. Averaged over one f0's width they vanish
(CheapTrick's idea: Morise, 2015), and what is left, scaled by what such a smoothing makes of a flat spectrum, is the
envelope. Voiced frames are pulses with a breath of noise that grows with frequency; unvoiced frames are noise.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ..frames import MEL_HOP, MEL_RATE
from ..mel import F_MAX, FLOOR, N_FFT, filterbank, log_mel
from ..quiet_pyworld import pyworld

PERIOD_MS = 1000.0 * MEL_HOP / MEL_RATE
LOWEST_HZ, HIGHEST_HZ = 40.0, 2000.0  # f0 that WORLD is asked to sing
PIECE, OVERLAP = 1_700, 4  # mel frames
BREATH = ((0.0, -40.0), (3_000.0, -25.0), (8_000.0, -8.0), (14_000.0, -3.0))  # Hz, noise under the voice in dB


class World:
    """Sings mel and f0 with WORLD's pulses and noise."""

    name = "world"

    def __call__(self, mel: NDArray[np.float32], f0: NDArray[np.float32]) -> NDArray[np.float32]:
        """mel float (M, 128) ln magnitude, f0 float (M,) Hz with 0 = unvoiced -> float32 (M * 512,) at 44.1 kHz.

        The same input gives the same bytes. Long input is sung in pieces that meet where nothing is voiced, so that
        memory stays bounded and no pulse is lost.
        """
        out = np.zeros(len(f0) * MEL_HOP, np.float32)
        # Both sides of a join are noise, and not the same noise: faded so that their powers add up.
        fade = np.sqrt(np.linspace(0, 1, OVERLAP * MEL_HOP, dtype=np.float32))
        for start, stop in _pieces(f0) if len(f0) else []:
            # A piece runs on into the next one's unvoiced beginning, and the two are faded over.
            end = min(stop + OVERLAP, len(f0))
            wav = self._sing(mel[start:end], f0[start:end])
            if start > 0:
                wav[: len(fade)] *= fade
            if end > stop:
                wav[-len(fade) :] *= fade[::-1]
            out[start * MEL_HOP : end * MEL_HOP] += wav
        return out

    def _sing(self, mel: NDArray[np.float32], f0: NDArray[np.float32]) -> NDArray[np.float32]:
        frames = len(f0)
        # WORLD's frame i stands at i * hop, a mel frame's centre half a hop later: one frame more, at the edges.
        power = 2 * np.log(self.envelope(mel, f0))
        power = np.concatenate([power[:1], (power[1:] + power[:-1]) / 2, power[-1:]])
        # At an edge between voiced and unvoiced the sound is voiced: onsets keep their pitch.
        left, right = np.append(0.0, f0), np.append(f0, 0.0)
        pitch = np.where((left > 0) & (right > 0), np.sqrt(left * right), np.maximum(left, right))
        pitch = np.where(pitch > 0, np.clip(pitch, LOWEST_HZ, HIGHEST_HZ), 0.0)
        noise = np.where(pitch[:, None] > 0, self._breath, 1.0)
        wav = pyworld.synthesize(pitch.astype(np.float64), np.exp(power), noise, MEL_RATE, PERIOD_MS)
        length = frames * MEL_HOP
        return np.pad(wav[:length], (0, max(0, length - len(wav)))).astype(np.float32)

    def envelope(self, mel: NDArray[np.float32], f0: NDArray[np.float32]) -> NDArray[np.float64]:
        """WORLD's amplitude envelope (the root of its power spectrum): (M, n_fft // 2 + 1)."""
        return _smooth(mel, f0) / self._of_flat(f0)

    def _of_flat(self, f0: NDArray[np.float32]) -> NDArray[np.float64]:
        """What `_smooth` makes of WORLD's sound when its envelope is 1: it depends on f0; noise has its own."""
        pitches, table = self._calibration
        place = np.interp(np.log(np.maximum(f0, 1.0)), np.log(pitches), np.arange(len(pitches)))
        low = np.minimum(place.astype(int), len(pitches) - 2)
        part = (place - low)[:, None]
        voiced = (1 - part) * table[low] + part * table[low + 1]
        return np.where(f0[:, None] > 0, voiced, table[-1])

    @cached_property
    def _calibration(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measured on WORLD itself, every quarter octave from 50 to 1600 Hz; the last row is noise's."""
        pitches = 50.0 * 2.0 ** np.arange(0, 5.25, 0.25)
        frames, rows = 64, []
        for pitch in [*pitches, 0.0]:
            noise = np.tile(self._breath if pitch else np.ones_like(self._breath), (frames, 1))
            wav = pyworld.synthesize(np.full(frames, pitch), np.ones_like(noise), noise, MEL_RATE, PERIOD_MS)
            flat = log_mel(torch.from_numpy(wav.astype(np.float32))).numpy()[8:-8]
            row = _smooth(flat, np.full(len(flat), pitch, np.float32)).mean(0)
            # Noise flickers and flat spectra do not: smooth along frequency what is no property of the smoothing.
            row[_CEILING:] = row[_CEILING - 32 : _CEILING].mean()
            rows.append(uniform_filter1d(row, 9, mode="nearest"))
        return pitches, np.array(rows)

    @cached_property
    def _breath(self) -> NDArray[np.float64]:
        """WORLD's aperiodicity of voiced frames: the noise's share, as an amplitude, (n_fft // 2 + 1,)."""
        hertz, decibels = zip(*BREATH, strict=True)
        frequencies = np.arange(N_FFT // 2 + 1) * MEL_RATE / N_FFT
        return 10 ** (np.interp(frequencies, hertz, decibels) / 20)


def _pieces(f0: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Frames [start, stop) that are sung at once: some 20 s each, cut where the next OVERLAP frames are unvoiced."""
    # quiet[i]: none of the frames i .. i + OVERLAP - 1 is voiced
    quiet = np.convolve(f0 > 0, np.ones(OVERLAP), "full")[OVERLAP - 1 :] == 0
    cuts = [0]
    for frame in np.flatnonzero(quiet).tolist():
        if frame - cuts[-1] >= PIECE and len(f0) - frame > OVERLAP:
            cuts.append(frame)
    return list(zip(cuts, [*cuts[1:], len(f0)], strict=True))


_CEILING = int(F_MAX / MEL_RATE * N_FFT)  # the first bin that the mel says nothing of


def _smooth(mel: NDArray[np.float32], f0: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mel as STFT magnitudes without its harmonics: (M, n_fft // 2 + 1)."""
    weights = filterbank().numpy().astype(np.float64)
    area = weights.sum(0)  # what a flat spectrum of magnitude 1 gives in each mel band
    centres = (weights * np.arange(len(weights))[:, None]).sum(0) / area
    magnitude = np.exp(np.asarray(mel, np.float64)) / area
    bins = np.arange(N_FFT // 2 + 1)
    # Linear interpolation, as a matrix: every bin is a mean of the two mel bands around it.
    place = np.interp(bins, centres, np.arange(len(centres)))
    low = np.minimum(place.astype(int), len(centres) - 2)
    spectrum = magnitude[:, low] * (1 - (place - low)) + magnitude[:, low + 1] * (place - low)
    # Nothing is known above the mel's ceiling; voices fall off there.
    spectrum[:, _CEILING:] *= (_CEILING / bins[_CEILING:]) ** 4
    return np.maximum(_box(spectrum, np.where(f0 > 0, f0, 0.0) * N_FFT / MEL_RATE), FLOOR)


def _box(spectrum: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running mean of each frame over `width` bins, fractions included; widths below 1 change nothing. (M, K), (M,)."""
    bins = spectrum.shape[1]
    mirrored = np.concatenate([spectrum[:, :0:-1], spectrum, spectrum[:, -2::-1]], axis=1)
    running = np.concatenate([np.zeros((len(spectrum), 1)), mirrored.cumsum(1)], axis=1)
    half = np.maximum(width, 1.0)[:, None] / 2
    middle = bins - 1 + np.arange(bins)[None] + 0.5

    def at(position: NDArray[np.float64]) -> NDArray[np.float64]:
        low = np.floor(position).astype(int)
        fraction = position - low
        below = np.take_along_axis(running, low, 1)
        return below + fraction * (np.take_along_axis(running, low + 1, 1) - below)

    return (at(middle + half) - at(middle - half)) / (2 * half)
