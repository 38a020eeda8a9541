"""The cosine transform beside scipy's, and distances with a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dct
from svc.pipeline.metrics.cepstra import FLOOR_UNDER_PEAK, beside, cepstrum, distance_db, loud, mel_cepstra, own_scale


def test_cepstra_are_a_cosine_transform() -> None:
    mel = np.random.default_rng(0).normal(size=(7, 128))
    truth = dct(mel, type=2, norm="ortho", axis=1)
    np.testing.assert_allclose(cepstrum(torch.from_numpy(mel)).numpy(), truth[:, 1:25], atol=1e-9)
    np.testing.assert_allclose(mel_cepstra(mel.astype(np.float32), 13), truth[:, :13], atol=1e-5)


def test_what_lies_deep_under_a_peak_is_not_heard() -> None:
    mel = np.zeros((1, 128), np.float32)
    mel[0, 3] = -FLOOR_UNDER_PEAK
    deeper = mel.copy()
    deeper[0, 3] = -100
    np.testing.assert_array_equal(mel_cepstra(mel), mel_cepstra(deeper))


def test_a_voice_s_own_scale_is_of_its_loud_frames() -> None:
    mel = np.random.default_rng(0).normal(size=(300, 128)).astype(np.float32)
    mel[200:] -= 50
    assert loud(mel).sum() == 200
    mean, deviation = own_scale([mel[:150], mel[150:]])
    frames = np.concatenate([mel_cepstra(mel[:150]), mel_cepstra(mel[150:200])])  # without the soft rest
    np.testing.assert_allclose(mean, frames.mean(0), atol=1e-5)
    np.testing.assert_allclose(deviation, frames.std(0) + 1e-3, atol=1e-5)


def test_neighbours_at_an_edge_are_the_edge() -> None:
    frames = np.arange(4, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(beside(frames, (-2, 0, 1)), [[0, 0, 1], [0, 1, 2], [0, 2, 3], [1, 3, 3]])


def test_a_distance_in_decibels() -> None:
    """A tilt of one cosine of the spectrum, 3 dB high, is a distance of 3 / sqrt(2) dB; loudness does not count."""
    bins = (np.arange(128) + 0.5) * np.pi / 128
    mel = np.random.default_rng(0).normal(size=(20, 128))
    other = mel + 3 * np.log(10) / 20 * np.cos(2 * bins) + 5.0
    assert distance_db(mel, other, np.ones(20, bool)) == pytest.approx(3 / np.sqrt(2), rel=1e-4)
    judged = np.arange(20) < 10
    other[10:] += np.cos(bins)
    assert distance_db(mel, other, judged) == pytest.approx(3 / np.sqrt(2), rel=1e-4)
