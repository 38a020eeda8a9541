"""The loudness of a result over time: moved to the song's loudness, and silent where the song is silent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, uniform_filter1d

from ...pipeline.frames import seconds_to_mel_frames
from ..settings import ConversionSettings

AUDIBLE_DB = -60.0  # dBFS: softer frames of song or result are not matched
MOST_DB = 20.0  # bounds of the gain
SMOOTH_SECONDS = 0.06
HOLD_SECONDS = 0.08  # around sound, in which the response threshold does not silence


def volume(
    source_db: NDArray[np.float32], power: NDArray[np.float32], settings: ConversionSettings
) -> NDArray[np.float32]:
    """The factor for each mel frame of a result: float32 (frames,), 1 = unchanged.

    Args:
        source_db: the song's loudness, dBFS, (frames,).
        power: the result's mean square, (frames,).
        settings: `loudness` 1 gives it the song's own, 0 leaves it (so-vits-svc's and RVC's envelope mix); below
            `threshold` there is silence (Diffusion-SVC's response threshold).
    """
    out = np.ones(len(power), np.float32)
    if settings.loudness > 0:
        # Over the same window as the song's, 2048 samples: four frames.
        sung_db = 10 * np.log10(np.maximum(uniform_filter1d(power.astype(np.float64), 4), 1e-12))
        change = np.clip(settings.loudness * (source_db - sung_db), -MOST_DB, MOST_DB)
        change = np.where((source_db > AUDIBLE_DB) & (sung_db > AUDIBLE_DB), change, 0.0)
        change = uniform_filter1d(change, seconds_to_mel_frames(SMOOTH_SECONDS))
        out = (10 ** (change / 20)).astype(np.float32)
    if settings.threshold is not None:
        held = 2 * seconds_to_mel_frames(HOLD_SECONDS) + 1
        out = np.where(binary_dilation(source_db >= settings.threshold, np.ones(held)), out, 0).astype(np.float32)
    return out
