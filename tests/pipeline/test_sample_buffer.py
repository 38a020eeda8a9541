"""Samples in memory and in an unnamed file, and recordings read from them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.pipeline import audio
from svc.pipeline.sample_buffer import SampleBuffer


@pytest.mark.parametrize("memory", [10, 2**20])
def test_what_was_appended_is_read_back_to_the_bit(tmp_path: Path, memory: int) -> None:
    """In memory and in a file, whose folder stays empty."""
    wav = np.random.default_rng(0).standard_normal((1_000, 3)).astype(np.float32)
    buffer = SampleBuffer(44_100, 3, tmp_path, memory)
    for block in np.split(wav, [1, 500, 500]):
        buffer.append(block)
    assert len(buffer) == 1_000
    np.testing.assert_array_equal(buffer.read(0, 2_000), wav)
    np.testing.assert_array_equal(buffer.read(-5, 7), wav[:7])
    buffer.append(wav[:2])  # after reading, still at the end
    np.testing.assert_array_equal(np.concatenate(list(buffer.blocks(300))), np.concatenate([wav, wav[:2]]))
    assert buffer.read(5_000, 6_000).shape == (0, 3)
    assert list(tmp_path.iterdir()) == []
    buffer.close()


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_a_decoded_recording_is_the_file(tmp_path: Path, suffix: str) -> None:
    """Scanned and read from a buffer and from its file: the same levels and samples, to the bit."""
    generator = np.random.default_rng(0)
    wav = 0.3 * generator.standard_normal((60_000, 2)) * np.hanning(60_000)[:, None]
    soundfile.write(tmp_path / f"a.{suffix}", wav, 48_000)
    file, buffer = (audio.scan(source) for source in (tmp_path / f"a.{suffix}", audio.decode(tmp_path / f"a.{suffix}")))
    assert (file.samples, file.sample_rate, file.mixdown) == (buffer.samples, buffer.sample_rate, buffer.mixdown)
    np.testing.assert_array_equal(file.level_db, buffer.level_db)
    for start, end in ((0, file.frames), (30, 40), (7, 20)):
        np.testing.assert_array_equal(audio.read(file, start, end), audio.read(buffer, start, end))


def test_an_array_is_a_recording() -> None:
    wav = (0.5 * np.sin(np.arange(44_100) / 20)).astype(np.float32)
    recording = audio.scan(SampleBuffer.of(wav, 44_100))
    assert (recording.samples, recording.sample_rate) == (44_100, 44_100)
    np.testing.assert_allclose(audio.read(recording, 0, 50), wav[: 50 * 512], atol=1e-3)
