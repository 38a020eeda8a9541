"""Synthesis of a score by a voice: glottal pulses and noise, filtered by a vocal tract, and overlap-added.

Each pulse is computed as a spectrum: the derivative of the glottal flow as an anticausal resonance and a causal
spectral tilt (CALM: Doval, d'Alessandro and Henrich, *The spectrum of glottal flow models*, 2006), times a cascade of
formants (Fant, 1960; Klatt, 1980) at that moment. Breath and friction are noise, filtered frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ...pipeline.frames import MEL_RATE
from .phones import NUMBERS, PHONES, Friction
from .score import CURVE_RATE, STEP, Score
from .vocal_tract import COLOUR_HZ, Voice

PULSE = 2048  # samples of a pulse
LEAD = 640  # samples of a pulse before the glottis closes; it is faded in over half of them
NOISE, NOISE_HOP = 1024, 256  # samples: the transform's, of which the window is half, and the hop
BANDWIDTHS = (75.0, 95.0, 140.0)  # Hz, of F1 to F3 (Fant, 1972)
HIGHER = ((3500.0, 200.0), (4500.0, 260.0), (5500.0, 350.0), (6500.0, 450.0), (7500.0, 600.0), (8500.0, 800.0))  # Hz
NASAL_POLE = 1000.0  # Hz; the pole that cancels the zero of a phone that is no nasal
BURST_SECONDS = 0.008
LEVEL = 10 ** (-23 / 20)  # RMS of the voiced parts, relative to full scale
CHUNK = 256  # pulses at a time

Array = NDArray[np.float64]
Complex = NDArray[np.complex64]


def sing(score: Score, voice: Voice, seed: int = 0) -> NDArray[np.float32]:
    """Synthesise a score: float32 (score.samples,) at 44.1 kHz.

    The same score, voice and seed (of the noise) give the same samples.
    """
    generator = np.random.default_rng([seed, voice.seed, 3])
    tract = _VocalTract(score, voice)
    wav = _pulses(score, voice, tract, generator)
    sung = wav[np.repeat(score.voice > 0.5, STEP)]
    wav /= max(float(np.sqrt(np.mean(np.square(sung)))) if len(sung) else 1.0, 1e-9)
    wav = LEVEL * (wav + _noise(score, voice, tract, generator))
    return (wav * min(1.0, 0.98 / max(float(np.abs(wav).max()), 1e-9))).astype(np.float32)


class _VocalTract:
    """Formants, zeros and noise sources over time, a value every 64 samples, and their transfer function."""

    def __init__(self, score: Score, voice: Voice):
        self.voice = voice
        count = len(score.f0)
        table = voice.formants()
        self.formants, self.zeros = np.zeros((count, 3)), np.full(count, NASAL_POLE)
        self.nasal, self.breath = np.zeros(count), np.zeros(count)
        self.friction, self.place = np.zeros(count), np.tile(np.array([4000.0, 4000.0]), (count, 1))
        edges = np.rint(score.bounds * CURVE_RATE).astype(int)
        numbers = [NUMBERS[name] for name in score.phones]
        for name, number, start, stop in zip(score.phones, numbers, edges, edges[1:], strict=False):
            phone = PHONES[name]
            self.formants[start:stop] = table[number]
            if phone.zero:
                self.zeros[start:stop], self.nasal[start:stop] = phone.zero * voice.tract, 1.0
            opens = start + round(phone.closure * (stop - start))
            self.breath[opens:stop] = phone.breath
            if phone.friction:
                self._add_friction(opens, stop, phone.friction)
            if phone.burst and opens < stop:
                self._add_friction(opens, min(stop, opens + round(BURST_SECONDS * CURVE_RATE)), phone.burst)
        self._shape_h(score, numbers, edges, table)

        def smooth(curve: Array, seconds: float) -> Array:
            return gaussian_filter1d(curve, seconds * CURVE_RATE, axis=0, mode="nearest", truncate=3)

        self.formants = smooth(self.formants, 0.018)
        # F1 does not fall below f0: sopranos open the jaw for high notes (Sundberg, 1975).
        self.formants[:, 0] = np.maximum(self.formants[:, 0], score.f0)
        self.formants[:, 1] = np.maximum(self.formants[:, 1], 1.15 * self.formants[:, 0])
        self.formants[:, 2] = np.maximum(self.formants[:, 2], 1.10 * self.formants[:, 1])
        self.zeros, self.nasal = smooth(self.zeros, 0.010), smooth(self.nasal, 0.010)
        self.breath, self.friction = smooth(self.breath, 0.004), smooth(self.friction, 0.0025)
        self.place = smooth(self.place, 0.006)

    def _add_friction(self, start: int, stop: int, friction: Friction) -> None:
        centre, width, level = friction
        self.friction[start:stop] = level
        self.place[start:stop] = centre * self.voice.hiss, width * self.voice.hiss

    def _shape_h(self, score: Score, numbers: list[int], edges: NDArray[np.int_], table: Array) -> None:
        """An h takes the formants of the phone after it."""
        for place, name in enumerate(score.phones[:-1]):
            if name == "h":
                self.formants[edges[place] : edges[place + 1]] = table[numbers[place + 1]]

    def fixed(self, hertz: NDArray[np.float32]) -> Complex:
        """The constant part of the transfer function: formants from the fourth on, piriform fossae, individual gains.

        Args:
            hertz: float32 (K,).

        Returns:
            complex64 (K,).
        """
        voice, out = self.voice, np.ones(len(hertz), np.complex64)
        for number, (centre, width) in enumerate(HIGHER):
            pull = voice.ring * (0.12, 0.22, 0.1, 0, 0, 0)[number]
            out /= _resonance(hertz, centre * (1 - pull) * voice.tract, width * voice.bandwidth)
        out *= _resonance(hertz, voice.fossa_hz, 300.0) / _resonance(hertz, voice.fossa_hz, 900.0)
        colour = np.interp(np.log(hertz + 1), np.log(np.array(COLOUR_HZ)), voice.colour_db)
        return (out * 10 ** (colour / 20)).astype(np.complex64)

    def passes(self, hertz: NDArray[np.float32], fixed: Complex, at: Array) -> Complex:
        """The transfer function at places `at` (P,) of the curves.

        Complex64 (P, len(hertz)). `fixed` is its constant part.
        """
        low = np.minimum(at.astype(int), len(self.nasal) - 1)
        formants, nasal, zeros = self.formants[low], self.nasal[low], self.zeros[low]
        out = np.broadcast_to(fixed, (len(at), len(hertz)))
        bottom = np.ones((len(at), len(hertz)), np.complex64)
        wide = self.voice.bandwidth * (1 + 0.8 * nasal)
        for number, width in enumerate(BANDWIDTHS):
            bottom *= _resonance(hertz, formants[:, number, None], (width * wide)[:, None])
        out = out / bottom
        if (some := np.flatnonzero(nasal > 0.01)).size:
            # Between nasal and oral phones the zero moves to the pole, where the two cancel.
            zero = NASAL_POLE + nasal[some, None] * (zeros[some, None] - NASAL_POLE)
            damp = (80.0 + 220.0 * (1 - nasal[some]))[:, None]
            out[some] *= _resonance(hertz, zero, damp) / _resonance(hertz, np.full_like(zero, NASAL_POLE), 300.0)
        return out


def _resonance(hertz: NDArray[np.float32], centre: Array | float, width: Array | float) -> Complex:
    """1 - (f / F)^2 + j B f / F^2: divide by it for a pair of poles, multiply for a pair of zeros.

    Args:
        hertz: the frequencies f, float32 (K,).
        centre, width: F and B in Hz, of any shape that broadcasts with `hertz`.
    """
    centre, width = np.asarray(centre, np.float32), np.asarray(width, np.float32)
    ratio = hertz / centre
    out = np.empty(np.broadcast(ratio, width).shape, np.complex64)
    out.real = 1 - ratio * ratio
    out.imag = ratio * (width / centre)
    return out


def _pulses(score: Score, voice: Voice, tract: _VocalTract, generator: np.random.Generator) -> Array:
    """The voiced sound, one pulse a cycle: float64 (samples,)."""
    cycles = np.concatenate([[0.0], np.cumsum(score.f0 / CURVE_RATE)])
    at = np.interp(np.arange(1, int(cycles[-1])), cycles, np.arange(len(cycles)))  # in steps
    period = CURVE_RATE / np.interp(at, np.arange(len(score.f0)), score.f0)
    at = np.clip(at + voice.jitter * period * generator.standard_normal(len(at)), 0, len(score.f0) - 1)
    strength = np.interp(at, np.arange(len(score.f0)), score.voice * 10 ** (score.loudness / 20))
    strength *= 1 + voice.shimmer * generator.standard_normal(len(at))
    audible = np.interp(at, np.arange(len(score.f0)), score.voice) > 0.01
    at, strength, f0 = at[audible], strength[audible], CURVE_RATE / period[audible]
    loud = np.interp(at, np.arange(len(score.f0)), score.loudness)
    out = np.zeros(score.samples + PULSE + LEAD)
    hertz = np.fft.rfftfreq(PULSE, 1 / MEL_RATE).astype(np.float32)
    fixed = tract.fixed(hertz)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.minimum(2 * np.arange(PULSE) / LEAD, 1))
    rise *= rise[::-1]
    for first in range(0, len(at), CHUNK):
        now = slice(first, first + CHUNK)
        spectrum = _source(hertz, f0[now], loud[now], voice) * tract.passes(hertz, fixed, at[now])
        whole = np.floor(at[now] * STEP)
        late = (at[now] * STEP - whole + LEAD)[:, None] / MEL_RATE
        spectrum *= np.exp(-2j * np.pi * (hertz.astype(np.float64) * late)).astype(np.complex64)
        rung = np.fft.irfft(spectrum, PULSE, axis=1) * (rise * strength[now, None])
        for start, pulse in zip(whole.astype(int).tolist(), rung, strict=True):
            out[start : start + PULSE] += pulse
    return out[LEAD : LEAD + score.samples]


def _source(hertz: NDArray[np.float32], f0: Array, loud_db: Array, voice: Voice) -> Complex:
    """Spectra of P cycles of the glottal flow's derivative, for f0 in Hz and loudness in dB (P,): complex64 (P, K)."""
    glottal = (f0 / (2 * voice.open_quotient))[:, None]
    # A softer voice has more spectral tilt.
    fall = (voice.tilt_hz * 10 ** (loud_db / 30))[:, None].astype(np.float32)
    anticausal = np.conj(_resonance(hertz, glottal, 1.2 * glottal))
    flow = (1j * hertz / glottal.astype(np.float32)) / anticausal
    return (flow / (1 + 1j * hertz / fall)).astype(np.complex64)


def _noise(score: Score, voice: Voice, tract: _VocalTract, generator: np.random.Generator) -> Array:
    """Breath, stronger while the glottis is open, through the whole tract, and friction through a band.

    Float64 (samples,).
    """
    cycles = np.interp(np.arange(score.samples), np.arange(len(score.f0)) * STEP, np.cumsum(score.f0 / CURVE_RATE))
    strength = 10 ** (score.loudness / 20)
    beat = np.repeat(score.voice * strength, STEP) * voice.breath * (1 + 0.6 * np.cos(2 * np.pi * cycles))
    steady = np.repeat(tract.breath * strength, STEP)
    hertz = np.fft.rfftfreq(NOISE, 1 / MEL_RATE).astype(np.float32)
    fixed = tract.fixed(hertz)
    # Scaled so that the median transfer function does not change the power of noise.
    usual = tract.passes(hertz, fixed, np.linspace(0, len(score.f0) - 1, 64))
    fixed = (fixed / np.sqrt(np.median(np.mean(np.abs(usual) ** 2, axis=1)))).astype(np.complex64)
    count = -(-score.samples // NOISE_HOP) + 1
    places = np.minimum(np.arange(count) * (NOISE_HOP / STEP), len(score.f0) - 1)
    breath = _filtered(
        (beat + steady) * generator.standard_normal(score.samples), lambda now: tract.passes(hertz, fixed, places[now])
    )

    def friction(now: slice) -> Complex:
        centre, width = tract.place[places[now].astype(int)].T[:, :, None]
        band = 1j * hertz * (width / centre**2) / _resonance(hertz, centre, width)
        return (band / np.sqrt(np.pi / 2 * width / (MEL_RATE / 2))).astype(np.complex64)  # of the same power

    hiss = np.repeat(tract.friction * strength, STEP) * generator.standard_normal(score.samples)
    return breath + _filtered(hiss, friction)


def _filtered(wav: Array, response: Callable[[slice], Complex]) -> Array:
    """Filter `wav`, float64 (T,), by a time-varying filter.

    Args:
        response: from a slice of frames, NOISE_HOP apart, to their spectra, complex64 (n, NOISE // 2 + 1).
    """
    window = np.hanning(NOISE // 2 + 1)[:-1]
    padded = np.pad(wav, (NOISE // 4, NOISE))
    frames = np.lib.stride_tricks.sliding_window_view(padded, NOISE // 2)[::NOISE_HOP]
    count = -(-len(wav) // NOISE_HOP) + 1
    out = np.zeros(len(padded) + 2 * NOISE)
    for first in range(0, count, CHUNK):
        now = slice(first, min(first + CHUNK, count))
        spectra = np.fft.rfft(frames[now] * window, NOISE, axis=1) * response(now)
        for place, piece in enumerate(np.fft.irfft(spectra, NOISE, axis=1), now.start):
            out[place * NOISE_HOP : place * NOISE_HOP + NOISE] += piece
    return out[NOISE // 4 : NOISE // 4 + len(wav)]
