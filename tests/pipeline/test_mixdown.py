"""Channels are mixed to mono without losing sound that only some of them have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from svc.pipeline import audio

RATE = 44_100


def voice(seconds: float) -> NDArray[np.float64]:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(sum(np.sin(2 * np.pi * 220 * k * t) / k for k in (1, 2, 3)) * 0.2)


def mono(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    recording = audio.scan(path)
    return audio.read(recording, 0, recording.frames), recording.notes


def test_channels_that_cancel_in_a_part(tmp_path: Path) -> None:
    wav = voice(12)
    stereo = np.stack([wav, wav], 1)
    stereo[6 * RATE :, 1] *= -1
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    found, notes = mono(tmp_path / "a.wav")
    found = found[: len(wav)]
    late = slice(round(6.3 * RATE), round(11.7 * RATE))
    assert np.abs(np.abs(found[late]) - np.abs(wav[late])).max() < 1e-3  # it was silent
    early = slice(0, round(5.7 * RATE))
    assert np.abs(found[early] - wav[early]).max() < 1e-4
    steps, own = np.abs(np.diff(found)).max(), np.abs(np.diff(wav)).max()
    assert steps < 1.5 * own + 0.01  # no click where the mix changes
    assert len(notes) == 1
    assert "cancel each other at 0:05.8-0:12.0; only channel" in notes[0]


def test_a_part_is_the_same_however_it_is_read(tmp_path: Path) -> None:
    wav = voice(30)
    stereo = np.stack([wav, wav], 1)
    stereo[10 * RATE : 20 * RATE, 0] *= -1
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    recording = audio.scan(tmp_path / "a.wav")
    whole = audio.read(recording, 0, recording.frames)
    for first, last in ((0, 100), (850, 900), (1700, 1800)):
        assert np.array_equal(audio.read(recording, first, last), whole[first * 512 : last * 512])


@pytest.mark.parametrize("where", ["left, then right", "one of four"])
def test_what_only_one_channel_has_is_kept(tmp_path: Path, where: str) -> None:
    wav = voice(8)
    many = np.zeros((len(wav), 2 if where == "left, then right" else 4))
    many[: 4 * RATE, 0] = wav[: 4 * RATE]
    many[4 * RATE :, -1] = wav[4 * RATE :]
    soundfile.write(tmp_path / "a.wav", many, RATE, subtype="FLOAT")
    found, _ = mono(tmp_path / "a.wav")
    for second in (1, 6):
        part = found[second * RATE : (second + 1) * RATE]
        assert np.sqrt(np.mean(part**2)) > 0.2 * np.sqrt(np.mean(wav**2))


def test_an_ordinary_stereo_file_is_the_mean_as_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = np.stack([voice(3) + rng.normal(0, 0.02, 3 * RATE), voice(3) + rng.normal(0, 0.02, 3 * RATE)], 1)
    soundfile.write(tmp_path / "a.wav", wide, RATE, subtype="FLOAT")
    recording = audio.scan(tmp_path / "a.wav")
    assert recording.notes == ()
    assert recording.mixdown.knots == ()
