"""All time and frame arithmetic, in one place.

One clock: seconds from the utterance's start. Unit frame i is centred at (i + 0.5) * 20 ms, mel frame m
at (m + 0.5) * hop / sample_rate. `mel2ph` names, for every mel frame, the unit frame sounding then:
1-based, 0 where there is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONTENT_RATE = 16_000  # Hz, the sample rate of every HuBERT
CONTENT_HOP = 320  # samples at 16 kHz between unit frames
CONTENT_WINDOW = 400  # samples at 16 kHz: the receptive field of one unit frame in the convolutions
CONTENT_PAD = (CONTENT_WINDOW - CONTENT_HOP) // 2  # zeros each side, so that frame i is centred at (i + 0.5) * hop
UNIT_RATE = CONTENT_RATE / CONTENT_HOP  # unit frames per second

MEL_RATE = 44_100  # Hz, the sample rate of mel, f0, loudness and everything rendered
MEL_HOP = 512  # samples at 44.1 kHz between mel frames
MEL_FRAME_RATE = MEL_RATE / MEL_HOP  # mel frames per second


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """Number of samples that last as long as `samples` do, at another rate; halves round up."""
    return (2 * samples * to_rate + from_rate) // (2 * from_rate)


def mel_frames_covering(samples: int, sample_rate: int) -> int:
    """Mel frames that it takes to cover a recording of `samples` at `sample_rate`, the last one perhaps in part."""
    return -(-samples * MEL_RATE // (sample_rate * MEL_HOP))


def mel_frame_start(frame: int, sample_rate: int) -> int:
    """The sample, in a recording at `sample_rate`, where mel frame `frame` begins."""
    return resampled_length(frame * MEL_HOP, MEL_RATE, sample_rate)


def content_samples(mel_frames: int) -> int:
    """Samples at 16 kHz in an utterance of `mel_frames`."""
    return resampled_length(mel_frames * MEL_HOP, MEL_RATE, CONTENT_RATE)


def unit_frames(samples_16k: int) -> int:
    """Unit frames of a padded clip of `samples_16k` samples at 16 kHz."""
    return samples_16k // CONTENT_HOP


def mel_seconds(frames: float) -> float:
    """Where mel frame `frames` begins, in seconds."""
    return frames * MEL_HOP / MEL_RATE


def mel_centres(start: int, stop: int) -> NDArray[np.float64]:
    """Where the centres of mel frames [start, stop) lie, in seconds: float64 (stop - start,)."""
    return (np.arange(start, stop) + 0.5) * MEL_HOP / MEL_RATE


def unit_centres(units: int) -> NDArray[np.float64]:
    """Where the centres of the first unit frames lie, in seconds: float64 (units,)."""
    return np.asarray((np.arange(units) + 0.5) / UNIT_RATE, np.float64)


def seconds_to_mel_frames(seconds: float) -> int:
    """The nearest whole number of mel frames."""
    return round(seconds * MEL_FRAME_RATE)


def mel2ph(mel_frames: int, units: int) -> NDArray[np.int32]:
    """Unit frame sounding at each mel frame's centre: int32 (mel_frames,), 1-based; all 0 when there are no units.

    The true-time rule: t = (m + 0.5) * hop / rate, unit = clamp(floor(t / 20 ms), 0, units - 1) + 1. It does not
    drift, unlike `mel2ph_diff_svc`.
    """
    if units == 0:
        return np.zeros(mel_frames, np.int32)
    # floor((m + 0.5) * hop / rate * unit_rate) in whole numbers: no rounding can move a frame.
    numerator = (2 * np.arange(mel_frames, dtype=np.int64) + 1) * MEL_HOP * CONTENT_RATE
    unit = numerator // (2 * MEL_RATE * CONTENT_HOP)
    return (np.minimum(unit, units - 1) + 1).astype(np.int32)


def mel2ph_diff_svc(mel_frames: int, units: int) -> NDArray[np.int32]:
    """Diff-SVC's stretch of `units` over `mel_frames` (prophesier/diff-svc, get_align), to compare `mel2ph` with.

    int32 (mel_frames,), 1-based, 0 = padding. It lags true time, by 12 to 21 ms on the average.
    """
    out = np.zeros(mel_frames, np.int32)
    ratio = mel_frames / units
    start = 0
    for unit in range(units):
        end = int(unit * ratio + ratio + 0.5)
        out[start : end + 1] = unit + 1
        start = end + 1
    return out
