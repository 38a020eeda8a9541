"""Measures of a conversion beside its reference, computed from the signals alone.

Result, source and reference are on one time axis, frame by frame, and their f0 is known, so that nothing is aligned.
Mel-cepstral distortion is Kubichek's (1993), on WORLD's envelope at the known f0 (CheapTrick: Morise, 2015). Global
variance is Toda and Tokuda's (2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frames import MEL_HOP, MEL_RATE, mel_centres
from ..pitch.pitch import cents_off
from ..quiet_pyworld import pyworld
from .cepstra import cosines

ORDER = 24  # mel cepstra compared, from the first: the 0th is loudness
CEILING_HZ = 15_000.0  # above it envelopes are not compared: a mel that ends at 16 kHz would cost 4 dB
FLOOR_DB = 70.0  # under a frame's peak: lower values are raised to this
QUIET_DB = 45.0  # under the loudest frame of the reference: softer frames are not counted
UNVOICED_HZ = 500.0  # f0 for CheapTrick in unvoiced frames: WORLD's default
POINTS = 256  # of an envelope, evenly along the mel scale

Array = NDArray[np.float64]
Frames = NDArray[np.float32]


def envelopes(wav: Frames, f0: Frames) -> Array:
    """Spectral envelopes by CheapTrick, floored at FLOOR_DB.

    Args:
        wav: float32 (T,) at 44.1 kHz; cut or zero-padded to M * 512 samples.
        f0: Hz at mel centres, 0 = unvoiced, (M,).

    Returns:
        ln amplitude, float64 (M, POINTS), evenly along the mel scale from 0 to CEILING_HZ.
    """
    centres = mel_centres(0, len(f0))
    signal = np.pad(wav[: len(f0) * MEL_HOP], (0, max(0, len(f0) * MEL_HOP - len(wav)))).astype(np.float64)
    pitch = np.where(f0 > 0, f0, UNVOICED_HZ).astype(np.float64)
    power = pyworld.cheaptrick(signal, pitch, centres, MEL_RATE)
    level = 0.5 * np.log(power)
    hertz = np.linspace(0, MEL_RATE / 2, level.shape[1])
    mels = np.linspace(0, np.log1p(CEILING_HZ / 700), POINTS)
    place = np.interp(700 * np.expm1(mels), hertz, np.arange(len(hertz)))
    low = np.minimum(place.astype(int), len(hertz) - 2)
    out = level[:, low] * (1 - (place - low)) + level[:, low + 1] * (place - low)
    return np.maximum(out, out.max(axis=1, keepdims=True) - FLOOR_DB * np.log(10) / 20)


def cepstra(envelope: Array, order: int = ORDER) -> Array:
    """Cepstra of envelopes (M, K), ln amplitude: float64 (M, order + 1), with ln A = c[0] + sum c[m] cos(m w).

    It is that of a minimum-phase filter, as in SPTK and the literature on MCD: twice the real cepstrum.
    """
    count = envelope.shape[1]
    own = np.sqrt(np.where(np.arange(order + 1) == 0, 1, 2) / count)  # from an orthonormal transform to that sum
    return envelope @ (cosines(count, order + 1) * own)


def distances(a: Array, b: Array) -> Array:
    """Mel-cepstral distortion of each frame, 10 / ln 10 sqrt(2 sum_m>0 dc[m]^2): (M, order + 1) twice -> (M,), dB.

    It is the root mean square difference of the two spectra in dB as the cepstra describe them.
    """
    return 10 / np.log(10) * np.sqrt(2 * np.square(a[:, 1:] - b[:, 1:]).sum(axis=1))


def audible(wav: Frames, frames: int) -> NDArray[np.bool_]:
    """Whether each mel frame of wav, float32 (T,) at 44.1 kHz, is within QUIET_DB of the loudest: bool (frames,)."""
    signal = np.pad(wav[: frames * MEL_HOP], (0, max(0, frames * MEL_HOP - len(wav)))).astype(np.float64)
    level = 10 * np.log10(np.square(signal).reshape(frames, MEL_HOP).mean(axis=1) + 1e-12)
    return level > level.max() - QUIET_DB


@dataclass(frozen=True)
class Timbre:
    """A result's spectra beside those of its source and its reference.

    Attributes:
        mcd: mel-cepstral distortion to the reference, dB, mean over the frames.
        cr: the relative reduction of MCD, 1 - mcd / (the source's mcd): 0 of a copy of the source, 1 of the reference.
        ctr: the share of frames that are nearer to the reference than to the source.
        gv: the variance of its mel cepstra over the reference's; under 1 is over-smoothed.
    """

    mcd: float
    cr: float
    ctr: float
    gv: float


def timbre(result: Array, source: Array, reference: Array, judged: NDArray[np.bool_]) -> Timbre:
    """From cepstra (M, order + 1) of the three, over the frames where `judged` (M,) is true."""
    result, source, reference = result[judged], source[judged], reference[judged]
    to_reference, to_source = distances(result, reference), distances(result, source)
    apart = float(distances(source, reference).mean())
    return Timbre(
        mcd=float(to_reference.mean()),
        cr=1 - float(to_reference.mean()) / max(apart, 1e-9),
        ctr=float(np.mean(to_reference < to_source)),
        gv=variance_ratio(result, reference),
    )


def variance_ratio(result: Array, reference: Array) -> float:
    """Variance over time of cepstra (M, order + 1), result's over reference's: geometric mean but for the 0th."""
    ratio = result[:, 1:].var(axis=0) / np.maximum(reference[:, 1:].var(axis=0), 1e-12)
    return float(np.exp(np.mean(np.log(np.maximum(ratio, 1e-12)))))


@dataclass(frozen=True)
class Pitch:
    """A result's f0 beside the f0 asked for.

    Attributes:
        cents: the median of |error| over the frames that are voiced in both; NaN where there are none.
        gpe50: gross pitch error, the share of those frames that are off by more than 50 cents; 1 where there are none.
        vuv_f1: the F1 score of the voiced frames.
        in_tune: of all frames that should be voiced, the share that is voiced and off by 50 cents at most; NaN where
            none is.
    """

    cents: float
    gpe50: float
    vuv_f1: float
    in_tune: float


def pitch(found: Frames, asked: Frames) -> Pitch:
    """Compare two f0 tracks (M,), Hz at mel frames, 0 = unvoiced; of unlike lengths only the first frames."""
    count = min(len(found), len(asked))
    found, asked = found[:count], asked[:count]
    off = cents_off(found, asked)
    wanted = int((asked > 0).sum())
    voiced = int((found > 0).sum()) + wanted
    f1 = 2 * len(off) / voiced if voiced else 1.0
    in_tune = float((off <= 50).sum() / wanted) if wanted else float("nan")
    if not len(off):
        return Pitch(float("nan"), 1.0, f1, in_tune)
    return Pitch(float(np.median(off)), float(np.mean(off > 50)), f1, in_tune)


def loudness_correlation(result: Frames, reference: Frames, judged: NDArray[np.bool_]) -> float:
    """Pearson's correlation of loudness in dB (M,) where `judged` (M,) is true; NaN if one is constant."""
    a, b = result[judged].astype(np.float64), reference[judged].astype(np.float64)
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
