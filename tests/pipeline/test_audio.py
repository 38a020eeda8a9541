"""Recordings made by the tests: reading and refusals."""

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from svc.pipeline import audio, frames
from svc.pipeline.audio import AudioError

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
Array = NDArray[np.float64]
HALF_BIT = 1 / 32_768  # the resolution of 16 bits


def sine(hertz: float, count: int, rate: int, amplitude: float = 0.5) -> Array:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(count) / rate)


def noise(count: int, seed: int = 0, amplitude: float = 0.2) -> Array:
    """Without a mean of its own: scan takes a constant offset away."""
    wav = np.random.default_rng(seed).uniform(-amplitude, amplitude, count)
    return wav - wav.mean()


def save(path: Path, wav: Array, rate: int = 16_000, subtype: str | None = None) -> Path:
    soundfile.write(path, wav, rate, subtype=subtype)
    return path


def whole(path: Path) -> NDArray[np.float32]:
    recording = audio.scan(path)
    return audio.read(recording, 0, recording.frames)[: recording.samples]


# Resampling


@pytest.mark.parametrize("to_rate", [16_000, 44_100])
@pytest.mark.parametrize("from_rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_gives_the_same_tone_at_the_same_time(from_rate: int, to_rate: int) -> None:
    """Away from the ends the result is the sine itself at the new rate: frequency, amplitude and phase."""
    seconds, hertz = 1.0, 1234.5
    wav = sine(hertz, int(seconds * from_rate), from_rate).astype(np.float32)
    got = audio.resample(wav, from_rate, to_rate, to_rate)
    assert got.shape == (to_rate,)
    assert got.dtype == np.float32
    inner = slice(to_rate // 10, -to_rate // 10)
    np.testing.assert_allclose(got[inner], sine(hertz, to_rate, to_rate)[inner], atol=1e-3)


def test_resampling_leaves_nothing_above_the_new_half_rate() -> None:
    wav = sine(12_000, 48_000, 48_000).astype(np.float32)
    got = audio.resample(wav, 48_000, 16_000, 16_000)
    assert np.abs(got[1600:-1600]).max() < 1e-3


@pytest.mark.parametrize("length", [10, 100, 137])
def test_resample_cuts_or_pads_to_the_length_asked_for(length: int) -> None:
    wav = noise(100).astype(np.float32)
    got = audio.resample(wav, 16_000, 16_000, length)
    assert got.shape == (length,)
    np.testing.assert_array_equal(got, np.r_[wav, np.zeros(37, np.float32)][:length])


# Mono


def test_mono_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left, right = noise(8000, 1), noise(8000, 2)
    got = whole(save(tmp_path / "a.wav", np.stack([left, right], 1)))
    np.testing.assert_allclose(got, (left + right) / 2, atol=2 * HALF_BIT)


@pytest.mark.parametrize("sounding", [0, 1])
def test_a_silent_channel_does_not_halve_the_other(tmp_path: Path, sounding: int) -> None:
    wav = np.zeros((8000, 2))
    wav[:, sounding] = noise(8000)
    got = whole(save(tmp_path / "a.wav", wav))
    np.testing.assert_allclose(got, wav[:, sounding], atol=2 * HALF_BIT)


@pytest.mark.parametrize("balance", [1.0, 0.9])
def test_channels_in_antiphase_do_not_cancel(tmp_path: Path, balance: float) -> None:
    voice = noise(8000)
    path = save(tmp_path / "a.flac", np.stack([voice, -balance * voice], 1))
    np.testing.assert_allclose(whole(path), voice, atol=2 * HALF_BIT)
    assert any("cancel" in note and "channel 1" in note for note in audio.scan(path).notes)


def test_surround_is_the_mean_of_the_channels_that_sound(tmp_path: Path) -> None:
    """5.1 with a voice in front left, right and centre; LFE and rear silent."""
    wav = np.zeros((8000, 6))
    wav[:, :3] = np.stack([noise(8000, seed) for seed in range(3)], 1)
    got = whole(save(tmp_path / "a.wav", wav))
    np.testing.assert_allclose(got, wav[:, :3].mean(1), atol=2 * HALF_BIT)


# Repairs


def test_a_constant_offset_is_removed_and_told(tmp_path: Path) -> None:
    tone = sine(440, 16_000, 16_000, 0.3)  # whole periods: its own mean is 0
    path = save(tmp_path / "a.wav", tone + 0.25)
    np.testing.assert_allclose(whole(path), tone, atol=2 * HALF_BIT)
    assert any("+0.25" in note for note in audio.scan(path).notes)


def test_few_broken_samples_are_silenced_and_told(tmp_path: Path) -> None:
    wav = sine(440, 16_000, 16_000)
    broken = wav.copy()
    broken[[100, 5000, 9000]] = np.nan, np.inf, -np.inf
    path = save(tmp_path / "a.wav", broken, subtype="FLOAT")
    truth = np.where(np.isfinite(broken), wav, 0.0)
    np.testing.assert_allclose(whole(path), truth, atol=1e-4)
    assert any(note.endswith("(NaN or infinite): 3 samples") for note in audio.scan(path).notes)


def test_many_broken_samples_are_refused(tmp_path: Path) -> None:
    wav = sine(440, 16_000, 16_000)
    wav[:100] = np.nan
    with pytest.raises(AudioError, match="100 of 16000 samples are not numbers"):
        audio.scan(save(tmp_path / "a.wav", wav, subtype="FLOAT"))


def test_over_full_scale_is_turned_down_and_told(tmp_path: Path) -> None:
    wav = sine(441, 16_000, 16_000, 3.0)
    peak = np.abs(wav).max()
    path = save(tmp_path / "a.wav", wav, subtype="FLOAT")
    np.testing.assert_allclose(whole(path), wav / peak, atol=1e-4)
    assert any("+9.5 dBFS" in note for note in audio.scan(path).notes)


def test_sound_within_full_scale_keeps_its_level(tmp_path: Path) -> None:
    wav = sine(441, 16_000, 16_000, 0.999)
    path = save(tmp_path / "a.wav", wav)
    np.testing.assert_allclose(whole(path), wav, atol=2 * HALF_BIT)
    assert audio.scan(path).notes == ()


@pytest.mark.parametrize("gain", [0.4, 3.0])
@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_levels_are_the_rms_of_what_is_read_in_each_mel_frame(tmp_path: Path, rate: int, gain: float) -> None:
    count = rate * 14 + 77  # over a block's 12 s, and not a whole number of frames
    rng = np.random.default_rng(3)
    wav = rng.uniform(-1, 1, (count, 2)) * (gain * np.linspace(0.1, 1, count) ** 2)[:, None]
    recording = audio.scan(save(tmp_path / "a.wav", wav, rate, "FLOAT"))
    assert recording.samples == count
    assert recording.frames == math.ceil(Fraction(count * 44_100, rate * 512))
    mono = audio.read(recording, 0, recording.frames).astype(np.float64)
    for m in range(0, recording.frames, 7):
        start, end = (frames.mel_frame_start(frame, rate) for frame in (m, m + 1))
        truth = 10 * math.log10(np.mean(mono[start:end] ** 2))
        assert recording.level_db[m] == pytest.approx(truth, abs=1e-2)


# What is refused


def test_a_tenth_of_a_second_is_enough_and_less_is_too_short(tmp_path: Path) -> None:
    assert audio.scan(save(tmp_path / "a.wav", noise(1600))).samples == 1600
    with pytest.raises(AudioError, match=r"too short: 99\.9 ms"):
        audio.scan(save(tmp_path / "b.wav", noise(1599)))


@pytest.mark.parametrize("wav", [np.zeros(16_000), np.full(16_000, 0.25), noise(16_000, amplitude=3e-5)])
def test_silence_is_refused(tmp_path: Path, wav: Array) -> None:
    with pytest.raises(AudioError, match="is silent"):
        audio.scan(save(tmp_path / "a.wav", wav, subtype="FLOAT"))


def test_a_moment_of_voice_in_long_silence_is_no_silence(tmp_path: Path) -> None:
    wav = np.zeros(160_000)
    wav[80_000:81_600] = noise(1600, amplitude=0.01)
    assert audio.scan(save(tmp_path / "a.wav", wav)).level_db.max() == pytest.approx(-44.8, abs=1)


def put(content: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.wav", put(b""), "empty .0 bytes."),
        ("a.wav", put(b"I am no sound at all, but a line of text.\n" * 50), "no audio that can be decoded"),
        ("a.flac", put(bytes(range(256)) * 40), "no audio that can be decoded"),
        ("a.m4a", put(b"\0\0\0 ftypM4A " + bytes(500)), "no audio that can be decoded.*convert"),
        ("a.wav", lambda path: save(path, np.zeros(0)), "no samples"),
        ("a.wav", lambda path: None, "cannot be read: No such file"),
        ("a.wav", lambda path: save(path, noise(16_000), 1000), "sample rate of 1000 Hz"),
        ("a.wav", lambda path: save(path, np.tile(noise(3000)[:, None], 40)), "40 channels"),
    ],
    ids=["empty", "text", "bytes", "aac", "header", "missing", "rate", "channels"],
)
def test_what_is_no_recording_is_refused_with_a_reason(
    tmp_path: Path, name: str, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(AudioError, match=message):
        audio.scan(path)


def test_a_flac_cut_short_is_refused_as_damaged(tmp_path: Path) -> None:
    path = save(tmp_path / "a.flac", noise(160_000))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(AudioError, match="is damaged"):
        audio.scan(path)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg"])
def test_a_header_that_claims_too_much_is_not_believed(tmp_path: Path, name: str) -> None:
    """Half of the file is gone: its header still tells the old length, and what is left is used."""
    rate, count = 16_000, 16_000 * 20
    path = save(tmp_path / name, noise(count), rate)
    before = whole(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    recording = audio.scan(path)
    assert recording.samples == pytest.approx(count / 2, rel=0.1)
    assert recording.frames == frames.mel_frames_covering(recording.samples, rate)
    same = slice(0, recording.samples - 4000)  # a codec's last packet may differ
    got = audio.read(recording, 0, recording.frames)
    # Each was freed of a mean, over what there was of it.
    np.testing.assert_allclose(got[same] - got[same].mean(), before[same] - before[same].mean(), atol=1e-6)
    assert not audio.read(recording, recording.frames + 2, recording.frames + 9).any()


def test_a_wav_header_that_claims_four_gigabytes_is_not_believed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", noise(16_000))
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(content)
    assert audio.scan(path).samples == 16_000
    np.testing.assert_allclose(whole(path), noise(16_000), atol=2 * HALF_BIT)


# Reading spans


@pytest.mark.parametrize("rate", [22_050, 48_000])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.caf"])
def test_a_span_is_that_slice_of_the_whole(tmp_path: Path, name: str, rate: int) -> None:
    """Sample for sample, over the borders of blocks (12 s) and beyond the end, where there are zeros."""
    recording = audio.scan(save(tmp_path / name, np.stack([noise(rate * 15, 1), noise(rate * 15, 2)], 1), rate))
    last = recording.frames
    everything = np.zeros(frames.mel_frame_start(last + 20, rate), np.float32)
    content = audio.read(recording, 0, last)
    everything[: len(content)] = content
    for start, end in [(0, 1), (7, 100), (1000, 1050), (500, last), (last - 1, last), (last - 3, last + 20)]:
        first, stop = (frames.mel_frame_start(frame, rate) for frame in (start, end))
        np.testing.assert_array_equal(audio.read(recording, start, end), everything[first:stop], err_msg=str(start))


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_the_whole_is_what_was_written(tmp_path: Path, name: str) -> None:
    wav = noise(44_100 * 13)
    np.testing.assert_allclose(whole(save(tmp_path / name, wav, 44_100)), wav, atol=2 * HALF_BIT)


@pytest.mark.parametrize(("name", "correlation"), [("a.ogg", 0.99), ("a.mp3", 0.99)])
def test_lossy_files_are_read_at_their_own_time(tmp_path: Path, name: str, correlation: float) -> None:
    """A codec's delay would show as a shift: a tone's phase is compared sample by sample."""
    wav = sine(500, 44_100, 44_100) + sine(707, 44_100, 44_100, 0.2)
    got = whole(save(tmp_path / name, wav, 44_100))
    count = min(len(got), len(wav))
    assert np.corrcoef(got[:count], wav[:count])[0, 1] > correlation


def test_write_is_read_back(tmp_path: Path) -> None:
    wav = noise(44_100, amplitude=0.9).astype(np.float32)
    audio.write(tmp_path / "a.wav", wav)
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.samplerate, info.frames, info.channels, info.subtype) == (44_100, 44_100, 1, "PCM_16")
    np.testing.assert_allclose(whole(tmp_path / "a.wav"), wav, atol=2 * HALF_BIT)


def test_file_hash_is_sha256_of_the_bytes_whatever_the_name(tmp_path: Path) -> None:
    for name in ("a.wav", "b 노래.wav"):
        (tmp_path / name).write_bytes(b"abc" * 99)
        assert audio.file_hash(tmp_path / name) == hashlib.sha256(b"abc" * 99).hexdigest()
    with pytest.raises(AudioError, match="cannot be read"):
        audio.file_hash(tmp_path / "none.wav")
