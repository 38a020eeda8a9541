"""Our own vocoder, untrained: its source, its filters, and synthesis in pieces compared with synthesis at once."""

import numpy as np
import pytest
import torch
from svc.pipeline.mel import log_mel
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.vocoder.excitation import Excitation, noise, phase_at_starts, pulses
from svc.pipeline.vocoder.source_filter import Shape, SourceFilter, SourceFilterNet

RATE, HOP = 44_100, 512


@pytest.fixture(scope="module")
def vocoder() -> SourceFilter:
    torch.manual_seed(0)
    return SourceFilter(SourceFilterNet(Shape(channels=32, layers=2)), {})


def glide(frames: int) -> np.ndarray:
    return (110 * 2 ** (np.arange(frames) / frames)).astype(np.float32)


def test_pulses_stand_at_whole_cycles_and_have_power_one() -> None:
    """At 441 Hz every 100 samples, at the phase asked for; all harmonics are equally strong."""
    hertz = np.full(200, 441.0)
    phase = phase_at_starts(hertz * HOP / RATE)
    wav = pulses(hertz, hertz, phase)
    assert np.square(wav).mean() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(np.flatnonzero(wav > 5) % 100, 0)
    harmonics = np.abs(np.fft.rfft(wav[: 100 * 1000]))[1000:49_000:1000]
    assert harmonics.max() / harmonics.min() < 1.1


def test_the_phase_is_the_integral_of_f0() -> None:
    """Pulses of a glide are counted: as many as cycles, however many frames."""
    f0 = glide(2_000)
    wav = Excitation(f0)(0, 2_000)[0]
    peaks = np.flatnonzero((wav[1:-1] > wav[:-2]) & (wav[1:-1] >= wav[2:]) & (wav[1:-1] > 4))
    assert len(peaks) == pytest.approx(f0.astype(np.float64).sum() * HOP / RATE, abs=2)


def test_an_unvoiced_frame_has_no_pulses() -> None:
    f0 = np.where(np.arange(50) < 25, 200, 0).astype(np.float32)
    wav = Excitation(f0)(0, 50)[0]
    assert np.abs(wav[: 25 * HOP]).max() > 5
    assert not wav[25 * HOP :].any()


def test_noise_belongs_to_its_place() -> None:
    whole = noise(3, 0, 700, rows=2)
    np.testing.assert_array_equal(noise(3, 250, 610, rows=2), whole[:, 250 * HOP : 610 * HOP])
    assert whole.std() == pytest.approx(1, abs=0.01)
    assert (noise(4, 0, 1) != whole[:1, :HOP]).any()


@pytest.mark.parametrize("level", [-6.0, -3.0])
def test_noise_has_the_mels_level_before_training(vocoder: SourceFilter, level: float) -> None:
    """A flat unvoiced mel comes out at its level, in the middle of each band and on average."""
    mel = np.full((300, 128), level, np.float32)
    got = log_mel(torch.from_numpy(vocoder(mel, np.zeros(300, np.float32)))).numpy()[10:-10].mean(0)
    assert np.abs(got[4:] - level).max() < 0.5
    assert got.mean() == pytest.approx(level, abs=0.2)


def test_the_pitch_asked_for_is_sung_before_training(vocoder: SourceFilter) -> None:
    f0 = glide(260)
    wav = vocoder(np.full((260, 128), -4, np.float32), f0)
    assert wav.shape == (260 * HOP,)
    got = pitch.track(wav, PitchSettings("dio"))
    voiced = got > 0
    assert voiced.mean() > 0.9
    assert np.percentile(np.abs(1200 * np.log2(got[voiced] / f0[voiced])), 95) < 10


def test_pulses_are_spread_so_that_nothing_has_to_be_turned_down(vocoder: SourceFilter) -> None:
    """The same spectrum at a lower peak: the lows of a pulse come last, some 2 ms behind the highest."""
    mel, f0 = np.full((100, 128), -4, np.float32), np.full(100, 120, np.float32)
    spread = vocoder(mel, f0)
    sharp = SourceFilter(SourceFilterNet(vocoder.network.filters.shape), {})
    sharp.network.load_state_dict(vocoder.network.state_dict())
    sharp.network.filters.spread.zero_()
    plain = sharp(mel, f0)
    assert np.abs(spread).max() < 0.8 * np.abs(plain).max()
    assert abs(10 * np.log10(np.mean(spread**2) / np.mean(plain**2))) < 0.5
    off = (log_mel(torch.from_numpy(spread)) - log_mel(torch.from_numpy(plain)))[5:-5].abs()
    assert off.mean() < 0.05


def test_bf16_is_heard_by_nobody(vocoder: SourceFilter) -> None:
    mel = np.random.default_rng(0).normal(-4, 1, (120, 128)).astype(np.float32)
    same = SourceFilterNet(vocoder.network.filters.shape)
    same.load_state_dict(vocoder.network.state_dict())
    exact, rough = (v(mel, glide(120)) for v in (vocoder, SourceFilter(same, {}, bf16=True)))
    assert np.abs(rough - exact).max() > 0
    assert (log_mel(torch.from_numpy(rough)) - log_mel(torch.from_numpy(exact))).abs().mean() < 0.01


def test_pieces_are_as_the_whole(vocoder: SourceFilter, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    mel = generator.normal(-4, 1, (200, 128)).astype(np.float32)
    f0 = np.where(np.arange(200) % 60 < 45, glide(200), 0).astype(np.float32)
    at_once = vocoder(mel, f0)
    assert vocoder(mel, f0).tobytes() == at_once.tobytes()
    monkeypatch.setattr("svc.pipeline.vocoder.vocoder.PIECE", 32)
    pieces = np.concatenate(list(vocoder.stream(iter(np.split(mel, [7, 90, 91])), f0)))
    assert np.abs(at_once).max() > 0.05
    np.testing.assert_allclose(pieces, at_once, atol=2e-5)


def test_silence_is_nearly_silent(vocoder: SourceFilter) -> None:
    mel = np.full((60, 128), np.log(1e-5), np.float32)
    for f0 in (0.0, 200.0):
        assert np.abs(vocoder(mel, np.full(60, f0, np.float32))).max() < 1e-3


def test_one_frame_is_enough(vocoder: SourceFilter) -> None:
    assert vocoder(np.full((1, 128), -4, np.float32), np.array([200], np.float32)).shape == (HOP,)
    assert vocoder(np.zeros((0, 128), np.float32), np.zeros(0, np.float32)).shape == (0,)
