"""f0 at a tracker's own times, interpolated to the mel frames' centres and refined there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..frames import MEL_HOP, MEL_RATE, mel_centres
from ..quiet_pyworld import pyworld

TRUSTED_CENTS = 20.0  # StoneMask's result is used within this distance of the tracker's; in noise it can be far off

F0 = NDArray[np.float64]


def at_centres(f0: F0, seconds: F0, centres: F0) -> F0:
    """f0 interpolated to other times.

    Linear in log f0 between two voiced frames. Beside an unvoiced frame the voiced frame's value is held: there is no
    interpolation between them.

    Args:
        f0: (F,) in Hz, 0 where unvoiced.
        seconds: (F,), when each value holds.
        centres: (M,) in seconds.

    Returns:
        (M,) in Hz, 0 where the nearest frame is unvoiced.
    """
    place = np.interp(centres, seconds, np.arange(len(seconds), dtype=np.float64))
    left = place.astype(np.int64)
    right = np.minimum(left + 1, len(seconds) - 1)
    part = place - left
    nearest = f0[np.where(part < 0.5, left, right)]
    octaves = np.log2(np.where(f0 > 0, f0, 1.0))
    between = 2.0 ** ((1 - part) * octaves[left] + part * octaves[right])
    return np.where((nearest > 0) & (f0[left] > 0) & (f0[right] > 0), between, nearest)


def refined(wav: NDArray[np.float32], f0: F0) -> F0:
    """f0 refined by WORLD's StoneMask (Morise et al., 2016), where the result is within `TRUSTED_CENTS` of f0.

    Args:
        wav: float32 (T,) at 44.1 kHz.
        f0: (T // 512,) in Hz at mel centres, 0 where unvoiced.

    Returns:
        (T // 512,), of the same form.
    """
    fine = pyworld.stonemask(wav.astype(np.float64), f0, mel_centres(0, len(wav) // MEL_HOP), MEL_RATE)
    reach = 2.0 ** (TRUSTED_CENTS / 1200)
    return np.where((fine >= f0 / reach) & (fine <= f0 * reach), fine, f0)
