"""Results as files: formats, depths, rates, lengths, volumes, and files that are not changed."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.pipeline.frames import resampled_length
from svc.pipeline.sample_buffer import SampleBuffer
from svc.stages.rendering.dynamics import volume
from svc.stages.rendering.mixer import Mixer
from svc.stages.rendering.output_buffer import OutputBuffer
from svc.stages.rendering.output_paths import check_writable, made_here
from svc.stages.rendering.writing import SourceLength, write_output
from svc.stages.settings import OutputSettings, RenderSettings

RATE, HOP = 44_100, 512


def tone(hertz: float, samples: int, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def taken(wav: np.ndarray, start: int = 0, samples: int | None = None) -> OutputBuffer:
    take = OutputBuffer(samples or len(wav))
    take.put(start, wav, rises=False, falls=False)
    return take


def ones(take: OutputBuffer) -> np.ndarray:
    return np.ones(len(take.power))


def test_a_take_is_silent_until_sung_and_after(tmp_path: Path) -> None:
    take = OutputBuffer(100_001)
    take.put(20 * HOP, tone(440, 30 * HOP))
    take.put(60 * HOP, tone(440, 30 * HOP))
    wav = np.concatenate(list(take.blocks()))
    assert len(wav) == 100_001
    assert not wav[: 20 * HOP].any()
    assert not wav[50 * HOP : 60 * HOP].any()
    assert not wav[90 * HOP :].any()
    assert np.abs(np.diff(wav)).max() <= np.abs(np.diff(tone(440, 30 * HOP))).max() * 1.01
    np.testing.assert_allclose(take.power[30:40], 0.125, rtol=0.1)
    assert take.power.shape == (196,)
    take.close()
    assert list(tmp_path.iterdir()) == []


def test_pieces_put_one_after_another_have_no_seam(tmp_path: Path) -> None:
    """A tone in pieces gives the same bits as the whole tone, except at its two ends."""
    wav = tone(440, 60 * HOP)
    take = OutputBuffer(len(wav))
    for start in range(0, 60, 20):
        take.put(start * HOP, wav[start * HOP : (start + 20) * HOP], rises=start == 0, falls=start == 40)
    got = np.concatenate(list(take.blocks()))
    np.testing.assert_array_equal(got[882:-882], wav[882:-882])
    take.close()


def test_what_is_sung_beyond_the_songs_end_is_cut(tmp_path: Path) -> None:
    take = OutputBuffer(10 * HOP + 7)
    take.put(5 * HOP, tone(440, 10 * HOP))
    assert len(np.concatenate(list(take.blocks()))) == 10 * HOP + 7
    take.close()


@pytest.mark.parametrize(
    ("name", "depth", "subtype"),
    [
        ("a.wav", "16", "PCM_16"),
        ("a.wav", "24", "PCM_24"),
        ("a.wav", "float", "FLOAT"),
        ("a.flac", "16", "PCM_16"),
        ("a.flac", "24", "PCM_24"),
        ("a.mp3", "16", "MPEG_LAYER_III"),
        ("a.ogg", "16", "VORBIS"),
    ],
)
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_formats_depths_and_rates(tmp_path: Path, name: str, depth: str, subtype: str, rate: int) -> None:
    samples, song_rate = 100_003, 48_000  # of the song
    length = resampled_length(samples, song_rate, RATE)
    take = taken(tone(440, length))
    settings = RenderSettings(bit_depth=depth, rate=rate)
    write_output(Mixer(take, ones(take)), tmp_path / name, settings, SourceLength(samples, song_rate))
    wav, got_rate = soundfile.read(tmp_path / name)
    assert (soundfile.info(tmp_path / name).subtype, got_rate) == (subtype, rate)
    wanted = samples if rate == song_rate else length
    if name != "a.mp3":  # whose decoder adds its own delay
        assert len(wav) == wanted
    assert len(wav) == pytest.approx(wanted, abs=2_500)
    spectrum = np.abs(np.fft.rfft(wav[10_000:54_100] * np.hanning(44_100)))
    assert spectrum.argmax() * rate / 44_100 == pytest.approx(440, abs=1.5)
    assert np.abs(wav[5_000:-5_000]).max() == pytest.approx(0.5, abs=0.02)
    take.close()


def test_a_rate_of_0_is_the_songs_own(tmp_path: Path) -> None:
    take = taken(tone(440, resampled_length(22_050, 22_050, RATE)))
    write_output(Mixer(take, ones(take)), tmp_path / "a.flac", RenderSettings(rate=0), SourceLength(22_050, 22_050))
    info = soundfile.info(tmp_path / "a.flac")
    assert (info.samplerate, info.frames) == (22_050, 22_050)
    take.close()


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    take = taken(tone(440, 10_000))
    for name, settings, why in (
        ("a.mp3", RenderSettings(rate=96_000), "MP3 has no sample rate of 96000"),
        ("a.flac", RenderSettings(bit_depth="float"), "choose 16 or 24"),
    ):
        with pytest.raises(UserError, match=why):
            write_output(Mixer(take, ones(take)), tmp_path / name, settings, SourceLength(10_000, RATE))
    take.close()
    assert list(tmp_path.iterdir()) == []


def test_peaks_are_brought_down_rather_than_clipped(tmp_path: Path) -> None:
    loud = np.full(4_096, 2.0, np.float32)
    take = taken(np.concatenate([tone(440, 20_480), loud, tone(440, 20_480)]))
    limiter = write_output(Mixer(take, ones(take)), tmp_path / "a.wav", RenderSettings(), SourceLength(45_056, RATE))
    assert limiter is not None
    assert limiter.most_db == pytest.approx(6.1, abs=0.1)
    wav, _ = soundfile.read(tmp_path / "a.wav")
    assert wav.max() == pytest.approx(0.99, abs=1e-3)
    np.testing.assert_allclose(wav[:17_000], tone(440, 17_000), atol=1e-4)
    settings = RenderSettings(bit_depth="float")
    assert write_output(Mixer(take, ones(take)), tmp_path / "b.wav", settings, SourceLength(45_056, RATE)) is None
    assert soundfile.read(tmp_path / "b.wav")[0].max() == 2.0
    take.close()


def test_a_backing_is_added_under_every_channel(tmp_path: Path) -> None:
    backing = np.stack([tone(100, 20_000, 0.1), tone(200, 20_000, 0.1)], 1)
    voice = tone(440, 20_000, 0.3)
    take = taken(voice)
    mixer = Mixer(take, ones(take), SampleBuffer.of(backing, RATE))
    write_output(mixer, tmp_path / "a.wav", RenderSettings(bit_depth="float"), SourceLength(20_000, RATE))
    wav, _ = soundfile.read(tmp_path / "a.wav")
    np.testing.assert_allclose(wav, backing + voice[:, None], atol=1e-6)
    take.close()


def test_volume_goes_smoothly_from_frame_to_frame(tmp_path: Path) -> None:
    take = taken(np.ones(100 * HOP, np.float32))
    steps = np.where(np.arange(100) < 50, 1.0, 0.25)
    got = np.concatenate(list(Mixer(take, steps)))[:, 0]
    assert got[: 49 * HOP].min() == 1
    assert got[51 * HOP :].max() == 0.25
    assert np.abs(np.diff(got)).max() < 0.75 / HOP * 1.01
    take.close()


def test_loudness_makes_up_what_is_missing_and_no_more() -> None:
    source = np.full(200, -20.0, np.float32)
    source[100:] = -90
    power = np.full(200, 1e-3, np.float32)  # -30 dBFS
    full = volume(source, power, RenderSettings(loudness=1.0))
    half = volume(source, power, RenderSettings(loudness=0.5))
    np.testing.assert_allclose(20 * np.log10(full[10:90]), 10, atol=1e-4)
    np.testing.assert_allclose(20 * np.log10(half[10:90]), 5, atol=1e-4)
    np.testing.assert_allclose(full[110:], 1)  # where the song is inaudible there is nothing to match
    np.testing.assert_array_equal(volume(source, power, RenderSettings()), 1)
    far = volume(np.zeros(50, np.float32), np.full(50, 1e-5, np.float32), RenderSettings(loudness=1.0))
    assert 20 * np.log10(far.max()) <= 20.001


def test_the_threshold_silences_what_is_soft_in_the_song() -> None:
    source = np.full(300, -70.0, np.float32)
    source[100:200] = -20
    kept = np.flatnonzero(volume(source, np.ones(300, np.float32), RenderSettings(threshold=-60)))
    assert (kept[0], kept[-1]) == (93, 206)


def test_pictures_and_descriptions_of_others_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"a\.png exists and was not made by svc"):
        check_writable(tmp_path / "a.wav", tmp_path / "song.wav")
    (tmp_path / "b.json").write_text('{"made": "svc render", "result": "b.wav"}')
    check_writable(tmp_path / "b.wav", tmp_path / "song.wav")
    assert made_here(tmp_path / "b.wav")
    assert not made_here(tmp_path / "b.flac")


def test_the_same_samples_give_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    take = taken(tone(440, 20_000))
    for name in "ab":
        write_output(
            Mixer(take, ones(take)), tmp_path / f"{name}.wav", OutputSettings("float"), SourceLength(20_000, RATE)
        )
        time.sleep(1.1)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    take.close()
