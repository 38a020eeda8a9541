"""How near a conversion comes to the truth: numbers that need neither listeners nor networks.

They are for a result, its source and its reference that lie on one time axis, frame by frame, with a known f0. Mel
cepstral distortion is Kubichek's (1993), on WORLD's envelope at the known f0 (CheapTrick: Morise, 2015), without time
warping. Global variance is Toda and Tokuda's (2007).
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
CEILING_HZ = 15_000.0  # above it an envelope is held: a mel that ends at 16 kHz is not to cost 4 dB
FLOOR_DB = 70.0  # an envelope is not looked at further than this under its frame's peak
QUIET_DB = 45.0  # frames further under the loudest of the reference are not judged
UNVOICED_HZ = 500.0  # what CheapTrick is told where there is no f0: WORLD's own default
POINTS = 256  # of an envelope, evenly along the mel scale

Array = NDArray[np.float64]
Frames = NDArray[np.float32]


def envelopes(wav: Frames, f0: Frames) -> Array:
    """Guarded spectral envelopes: float (M * 512,) at 44.1 kHz, f0 (M,) Hz at mel centres -> (M, POINTS), ln amplitude,
    evenly along the mel scale from 0 to CEILING_HZ."""
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
    """Cepstrum of envelopes (M, K), ln amplitude: c[m] so that ln A = c[0] + sum c[m] cos(m w); (M, order + 1).

    That is a minimum phase filter's, as SPTK and the literature on MCD have it: twice the real cepstrum.
    """
    count = envelope.shape[1]
    own = np.sqrt(np.where(np.arange(order + 1) == 0, 1, 2) / count)  # from an orthonormal transform to that sum
    return envelope @ (cosines(count, order + 1) * own)


def distances(a: Array, b: Array) -> Array:
    """Mel cepstral distortion of each frame: (M, order + 1) twice -> (M,), dB. 10 / ln 10 sqrt(2 sum dc^2), c0 aside.

    It is the root mean square difference of the two spectra in dB, as far as the cepstra tell them.
    """
    return 10 / np.log(10) * np.sqrt(2 * np.square(a[:, 1:] - b[:, 1:]).sum(axis=1))


def audible(wav: Frames, frames: int) -> NDArray[np.bool_]:
    """Frames that are not far softer than the loudest: (frames,)."""
    signal = np.pad(wav[: frames * MEL_HOP], (0, max(0, frames * MEL_HOP - len(wav)))).astype(np.float64)
    level = 10 * np.log10(np.square(signal).reshape(frames, MEL_HOP).mean(axis=1) + 1e-12)
    return level > level.max() - QUIET_DB


@dataclass(frozen=True)
class Timbre:
    """How much of the way from the source to the reference a result went.

    `mcd` is its distance from the reference in dB, `cr` 1 - mcd / (the source's): 0 is the source, 1 the reference.
    `ctr` is the share of frames that are nearer to the reference than to the source. `gv` is the variance of its mel
    cepstra over the reference's: under 1 is over-smoothed.
    """

    mcd: float
    cr: float
    ctr: float
    gv: float


def timbre(result: Array, source: Array, reference: Array, judged: NDArray[np.bool_]) -> Timbre:
    """From cepstra (M, order + 1) of the three, over the `judged` frames (M,)."""
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
    """Geometric mean over cepstra 1 to order of their variance over time, result's over reference's."""
    ratio = result[:, 1:].var(axis=0) / np.maximum(reference[:, 1:].var(axis=0), 1e-12)
    return float(np.exp(np.mean(np.log(np.maximum(ratio, 1e-12)))))


@dataclass(frozen=True)
class Pitch:
    """A found f0 beside the true one.

    `cents` is the median |error| where both are voiced, `gpe50` the share of those frames off by more than 50 cents
    (1 when there are none), `vuv_f1` the F1 score of the voiced frames.
    """

    cents: float
    gpe50: float
    vuv_f1: float


def pitch(found: Frames, truth: Frames) -> Pitch:
    """From f0 (M,) in Hz with 0 = unvoiced; of unlike lengths the shorter counts."""
    count = min(len(found), len(truth))
    found, truth = found[:count], truth[:count]
    off = cents_off(found, truth)
    voiced = int((found > 0).sum() + (truth > 0).sum())
    f1 = 2 * len(off) / voiced if voiced else 1.0
    if not len(off):
        return Pitch(float("nan"), 1.0, f1)
    return Pitch(float(np.median(off)), float(np.mean(off > 50)), f1)


def loudness_correlation(result: Frames, reference: Frames, judged: NDArray[np.bool_]) -> float:
    """Pearson's correlation of loudness in dB, (M,) each, over the judged frames."""
    a, b = result[judged].astype(np.float64), reference[judged].astype(np.float64)
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
