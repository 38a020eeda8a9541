"""Gains for passages of a song that are much softer than usual recordings of voices.

A model learns from recordings that very soft frames are silence: a voice at -60 dBFS became 15 to 25 dB softer than it
was, or silent, and unit selection chose a clip's silence for it. The epsilon of the encoder's group norm and the f0
tracker's threshold have an effect as well. Therefore such a passage is converted at a level that is usual in
recordings, and the result is attenuated by the same gain (`SourceAudio.gain_db`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...pipeline.frames import seconds_to_mel_frames
from ...pipeline.slicing import is_tonal, running_level

SOFT_DB = -45.0  # dBFS over 0.4 s; a voice that is softer is made louder,
USUAL_DB = -25.0  # up to this, dBFS,
SLOPE = 2.5  # gain in dB for each dB under SOFT_DB, so that the gain is continuous
MOST_DB = 60.0  # at most
LEAST_SECONDS = 0.3  # of a soft voice between loud frames: a shorter passage is the end of a loud note
NEPERS = np.float32(np.log(10) / 20)  # a dB as a difference of ln magnitude

F32 = NDArray[np.float32]


def soft_gain_db(level_db: F32, flatness: F32 | None) -> F32:
    """How much louder each mel frame is converted: float32 (frames,), dB, 0 where a song is not soft.

    It is not 0 where there is a voice (tonal sound) softer than SOFT_DB. Consonants and pauses get values
    interpolated between those of the voiced frames around them, so noise in the pauses of a loud song is not amplified.

    Args:
        level_db: RMS of mel frames, dBFS, (frames,).
        flatness: spectral flatness, (frames,); without it voices cannot be detected, and no frame is amplified.
    """
    gain = np.zeros(len(level_db), np.float32)
    if flatness is None:
        return gain
    level = running_level(level_db)
    loud = level >= SOFT_DB
    soft = ~loud & is_tonal(flatness) & (level >= USUAL_DB - MOST_DB)
    passage = np.cumsum(loud)  # the same number for all frames between two loud ones
    soft &= np.bincount(passage, soft)[passage] >= seconds_to_mel_frames(LEAST_SECONDS)
    known = np.flatnonzero(loud | soft)
    if not soft.any():
        return gain
    wanted = np.where(loud, 0.0, np.minimum(SLOPE * (SOFT_DB - level), USUAL_DB - level))[known]
    return np.interp(np.arange(len(gain)), known, wanted).astype(np.float32)


def amplified(mono: F32, gain_db: F32) -> F32:
    """Samples (T,) of the mel frames whose gain is `gain_db` (M,), which changes linearly between their centres."""
    if not gain_db.any():
        return mono
    centres = (np.arange(len(gain_db)) + 0.5) * (len(mono) / len(gain_db))
    return mono * (10 ** (np.interp(np.arange(len(mono)), centres, gain_db) / 20)).astype(np.float32)
