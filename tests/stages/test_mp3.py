"""The MP3 of a page can be decoded, and has the same sound."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.stages.mp3 import RATE, encode, encode_file


def tones(sample_rate: int, channels: int) -> np.ndarray:
    """A second of 440 Hz, on the second channel 660 Hz, on others silence: float32 (T, channels)."""
    seconds = np.arange(sample_rate) / sample_rate
    hertz = np.array([440, 660, 0, 0])[:channels]
    return (0.5 * np.sin(2 * np.pi * hertz * seconds[:, None])).astype(np.float32)


def heard(mp3: bytes) -> tuple[float, list[int], float]:
    """Seconds, each channel's loudest frequency in Hz, and the first one's amplitude there."""
    wav, rate = soundfile.read(io.BytesIO(mp3), always_2d=True)
    assert rate == RATE
    middle = wav[len(wav) // 2 - RATE // 4 : len(wav) // 2 + RATE // 4]
    spectra = np.abs(np.fft.rfft(middle * np.hanning(len(middle))[:, None], axis=0)) / (len(middle) / 4)
    return len(wav) / rate, (2 * spectra.argmax(0)).tolist(), float(spectra[:, 0].max())


@pytest.mark.parametrize(("channels", "there"), [(1, [440]), (2, [440, 660]), (4, [440, 660])])
@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
def test_a_file_of_any_rate_is_heard_in_one_or_two_channels(
    tmp_path: Path, sample_rate: int, channels: int, there: list[int]
) -> None:
    soundfile.write(tmp_path / "a.wav", tones(sample_rate, channels), sample_rate, subtype="FLOAT")
    seconds, hertz, amplitude = heard(encode_file(tmp_path / "a.wav"))
    assert seconds == pytest.approx(1, abs=0.1)
    assert hertz == there
    assert amplitude == pytest.approx(0.5, rel=0.05)


def test_blocks_are_one_sound_and_what_is_no_number_is_silence() -> None:
    wav = tones(48_000, 2)
    assert encode(np.array_split(wav, 7), 48_000, 2) == encode([wav], 48_000, 2)
    wav[:1000] = np.nan
    assert heard(encode([wav], 48_000, 2))[1] == [440, 660]
