"""Fundamental frequency at the mel frames' centres. 0 means unvoiced; no voice is made up where there is none.

The methods, compared with truth in docs/f0.md by benchmarks/pitch.py:

swift-f0    a small network finds voicing and pitch, StoneMask makes the pitch exact
dio         WORLD's fast estimator, with StoneMask
harvest     WORLD's thorough one, with StoneMask

WORLD (Morise et al., 2016) comes through pyworld.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from ..frames import MEL_HOP, MEL_RATE, mel_centres
from ..quiet_pyworld import pyworld
from . import swift_f0

TRUSTED_CENTS = 20.0  # how far from the network's pitch StoneMask is believed; in noise it strays

NEVER_VOICED_HZ = 200.0  # stands for f0 where nothing is voiced, and on padding


@dataclass(frozen=True)
class PitchSettings:
    """How f0 is found: by `method` (see METHODS), between `f0_min` and `f0_max` Hz."""

    method: str = "swift-f0"
    f0_min: float = 65.0
    f0_max: float = 1100.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"f0 method {self.method!r} is not known; choose {' or '.join(METHODS)}")
        if not 20.0 <= self.f0_min < self.f0_max <= 4000.0:
            raise ValueError(f"f0 range {self.f0_min} to {self.f0_max} Hz: it must lie within 20 to 4000 Hz, and rise")


def track(wav: NDArray[np.float32], settings: PitchSettings) -> NDArray[np.float32]:
    """f0 of float32 (T,) at 44.1 kHz: float32 (T // 512,), Hz at mel centres, 0 where unvoiced.

    May be called from several threads at once. The same samples give the same bits.

    Raises:
        MissingLibraryError: the method's library is not installed.
    """
    if len(wav) < MEL_HOP:
        return np.zeros(0, np.float32)
    f0 = METHODS[settings.method](wav, settings.f0_min, settings.f0_max)
    return np.where((f0 >= settings.f0_min) & (f0 <= settings.f0_max), f0, 0.0).astype(np.float32)


def cents_off(found: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far a found f0 is from the asked one, in cents, |error| at the frames where both are voiced.

    From f0 (M,) in Hz with 0 = unvoiced; of unlike lengths the shorter counts.
    """
    count = min(len(found), len(asked))
    found, asked = found[:count], asked[:count]
    both = (found > 0) & (asked > 0)
    return np.asarray(1200 * np.abs(np.log2(found[both].astype(np.float64) / asked[both])), np.float64)


def made_by(settings: PitchSettings) -> dict[str, str]:
    """What decides f0 beside the settings: where it is read, and a network's weights. Raises MissingLibraryError."""
    weights = {"weights": swift_f0.weights_hash()} if settings.method == "swift-f0" else {}
    return {"at": "mel centres", **weights}


def _harvest(wav: NDArray[np.float32], f0_min: float, f0_max: float) -> NDArray[np.float64]:
    return _world(pyworld.harvest, wav, f0_min, f0_max)


def _dio(wav: NDArray[np.float32], f0_min: float, f0_max: float) -> NDArray[np.float64]:
    return _world(pyworld.dio, wav, f0_min, f0_max)


def _world(
    estimator: Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]],
    wav: NDArray[np.float32],
    f0_min: float,
    f0_max: float,
) -> NDArray[np.float64]:
    """WORLD is asked for twice as many frames as the mel has; every second lies on a mel centre, so none is mixed."""
    signal = wav.astype(np.float64)
    count, period_ms = len(wav) // MEL_HOP, 1000.0 * MEL_HOP / MEL_RATE / 2
    rough, seconds = estimator(signal, MEL_RATE, f0_floor=f0_min, f0_ceil=f0_max, frame_period=period_ms)
    f0 = pyworld.stonemask(signal, rough[1::2].copy(), seconds[1::2].copy(), MEL_RATE)[:count]
    return np.pad(f0, (0, count - len(f0)))


def _swift_f0(wav: NDArray[np.float32], f0_min: float, f0_max: float) -> NDArray[np.float64]:
    rough, seconds = swift_f0.estimate(wav, f0_min, f0_max)
    count = len(wav) // MEL_HOP
    centres = mel_centres(0, count)
    f0 = at_centres(rough, seconds, centres)
    f0[(f0 < f0_min) | (f0 > f0_max)] = 0.0
    fine = pyworld.stonemask(wav.astype(np.float64), f0, centres, MEL_RATE)
    reach = 2.0 ** (TRUSTED_CENTS / 1200)
    return np.where((fine >= f0 / reach) & (fine <= f0 * reach), fine, f0)


def at_centres(
    f0: NDArray[np.float64], seconds: NDArray[np.float64], centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    """f0 (F,), at `seconds` (F,), read at `centres` (M,): Hz, 0 where the nearest frame is unvoiced.

    Linear in log f0 between two voiced frames. A voiced frame beside an unvoiced one is held: nothing is mixed across.
    """
    place = np.interp(centres, seconds, np.arange(len(seconds), dtype=np.float64))
    left = place.astype(np.int64)
    right = np.minimum(left + 1, len(seconds) - 1)
    part = place - left
    nearest = f0[np.where(part < 0.5, left, right)]
    octaves = np.log2(np.where(f0 > 0, f0, 1.0))
    between = 2.0 ** ((1 - part) * octaves[left] + part * octaves[right])
    return np.where((nearest > 0) & (f0[left] > 0) & (f0[right] > 0), between, nearest)


METHODS: dict[str, Callable[[NDArray[np.float32], float, float], NDArray[np.float64]]] = {
    "swift-f0": _swift_f0,
    "dio": _dio,
    "harvest": _harvest,
}  # (samples (T,), lowest, highest Hz) -> f0 (T // 512,) at mel centres, before its range is held


def continuous(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """f0 with its unvoiced gaps bridged, linearly in log f0: float32 (M,), Hz, nowhere 0.

    Voiced values stay to the bit. Before the first and after the last voiced frame their values are held; where
    nothing is voiced it is NEVER_VOICED_HZ.
    """
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.full(len(f0), NEVER_VOICED_HZ, np.float32)
    bridged = np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)
    return np.where(f0 > 0, f0, bridged)


def repair(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """f0 that can be sung: float32 (M,), Hz, 0 where unvoiced.

    Trackers slip for a frame or two, where a voice cannot. Voiced runs shorter than 4 frames (46 ms) are dropped,
    values more than 60 cents off the median of 5 are set to it (Hampel filter), and each run is smoothed by a parabola
    over 9 frames (Savitzky and Golay, 1964), which keeps vibrato.
    """
    out = np.zeros_like(f0)
    voiced = np.flatnonzero(f0 > 0)
    for run in np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1):
        if len(run) < 4:
            continue
        octaves = np.log2(f0[run])
        median = median_filter(octaves, 5, mode="mirror")
        octaves = np.where(np.abs(octaves - median) > 60 / 1200, median, octaves)
        window = min(9, len(run) - (1 - len(run) % 2))
        out[run] = 2.0 ** savgol_filter(octaves, window, polyorder=2, mode="interp") if window > 3 else 2.0**octaves
    return out


def coarse(f0: NDArray[np.float32], f0_min: float = 40.0, f0_max: float = 1100.0) -> NDArray[np.int64]:
    """Diff-SVC's pitch bins, for its checkpoints: float (M,) Hz -> int64 (M,) in 1..255, 1 where unvoiced.

    Evenly spaced in mel (prophesier/diff-svc, f0_to_coarse). A bin is 44 cents wide at 110 Hz: too coarse for singing,
    which is why the models here take f0 as a number.
    """

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127 * np.log1p(hertz / 700)

    low, high = mel(np.array([f0_min, f0_max]))
    bins = (mel(f0.astype(np.float64)) - low) * 254 / (high - low) + 1
    return np.rint(np.clip(bins, 1, 255)).astype(np.int64)
