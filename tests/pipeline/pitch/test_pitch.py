"""f0 of tones whose f0 is known at every instant, and the effects of repair and continuous."""

import functools
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter
from svc.data.singers.harmonic import Voice, practice, sing
from svc.pipeline.pitch import crepe, tracker
from svc.pipeline.pitch import pitch as pitch_module
from svc.pipeline.pitch.centres import at_centres
from svc.pipeline.pitch.pitch import (
    METHODS,
    WITH_FILE,
    cents_off,
    coarse,
    continuous,
    made_by,
    repair,
    track,
)
from svc.pipeline.pitch.settings import NAMES, NAMES_WITH_FILE, PitchSettings

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RATE, HOP = 44_100, 512
Array = NDArray[np.float64]
Pitch = Callable[[Array], Array]


PACKAGES = {"crepe": "torchcrepe", "crepe-tiny": "torchcrepe", "fcpe": "torchfcpe"}


def trackers() -> list[object]:
    """Every method but `rmvpe`, whose weights are a user's, and `crepe`, which takes minutes; some need a package."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name in PACKAGES and find_spec(PACKAGES[name]) is None, reason=f"{PACKAGES.get(name)} is not installed"
            ),
        )
        for name in METHODS
        if name not in ("rmvpe", "crepe")
    ]


TRACKERS = trackers()


def vibrato(t: Array) -> Array:
    return 220 * 2 ** (np.sin(2 * np.pi * 5.5 * t) / 12)


def glide(t: Array) -> Array:
    return 110 * 2 ** (t / 2)


def high(t: Array) -> Array:
    return 600 * 2 ** (t / 6 + np.sin(2 * np.pi * 5 * t) / 24)


def low(t: Array) -> Array:
    return 80 * 2 ** (-t / 15)


def harmonics(pitch: Pitch, seconds: float) -> NDArray[np.float32]:
    """Harmonics falling by 6 dB an octave; the phase is the integral of f0, at 8 times the sample rate."""
    fine = np.arange(int(seconds * RATE) * 8 + 1) / (8 * RATE)
    f0 = pitch(fine)
    phase = 2 * np.pi * np.concatenate([[0.0], np.cumsum((f0[1:] + f0[:-1]) / 2)])[:-1:8] / (8 * RATE)
    f0 = f0[:-1:8]
    wav = sum(np.where(f0 * k < 16_000, np.sin(k * phase + k * k) / k, 0.0) for k in range(1, 41))
    return (0.3 * wav / np.abs(wav).max()).astype(np.float32)


def centres(count: int) -> Array:
    return (np.arange(count) + 0.5) * HOP / RATE


def cents(got: NDArray[np.floating], truth: NDArray[np.floating]) -> Array:
    return 1200 * np.log2(np.asarray(got, np.float64) / truth)


@pytest.mark.parametrize("method", TRACKERS)
@pytest.mark.parametrize("pitch", [vibrato, glide, high, low])
def test_track_follows_a_moving_tone_at_the_mel_centres(pitch: Pitch, method: str) -> None:
    """Half a hop of misplacement would cost `glide` 3.5 cents and `vibrato` more."""
    wav = harmonics(pitch, 2.0)
    f0 = track(wav, PitchSettings(method))
    assert f0.shape == (len(wav) // HOP,)
    assert f0.dtype == np.float32
    truth, voiced = pitch(centres(len(f0))), f0 > 0
    assert voiced.mean() > 0.98
    error = cents(f0[voiced], truth[voiced])
    assert np.median(np.abs(error)) < 1
    assert np.abs(np.median(error)) < 0.2
    assert np.quantile(np.abs(error), 0.95) < 5


@pytest.mark.parametrize("method", TRACKERS)
@pytest.mark.parametrize("count", [4410, 5000, 22_050, 44_100 + 511])
def test_track_has_one_value_a_mel_frame_and_silence_has_none(count: int, method: str) -> None:
    f0 = track(np.zeros(count, np.float32), PitchSettings(method))
    assert f0.shape == (count // HOP,)
    assert not f0.any()


@pytest.mark.parametrize("method", TRACKERS)
def test_track_says_where_the_voice_is(method: str) -> None:
    """Silence, tone, silence: voiced inside, unvoiced outside, right to within 60 ms of the edges."""
    tone = harmonics(glide, 1.0)
    wav = np.concatenate([np.zeros(RATE, np.float32), tone, np.zeros(RATE, np.float32)])
    voiced = track(wav, PitchSettings(method)) > 0
    seconds = centres(len(voiced))
    assert voiced[(seconds > 1.06) & (seconds < 1.94)].all()
    assert not voiced[(seconds < 0.94) | (seconds > 2.06)].any()


@pytest.mark.parametrize("method", TRACKERS)
def test_track_gives_nothing_outside_its_range(method: str) -> None:
    f0 = track(harmonics(lambda t: 150 * 2 ** (2 * t), 1.0), PitchSettings(method, 200.0, 400.0))
    inside = f0[f0 > 0]
    assert len(inside) > 20
    assert inside.min() >= 200
    assert inside.max() <= 400


@pytest.mark.parametrize("method", TRACKERS)
def test_track_says_neither_early_nor_late(method: str) -> None:
    """Up and down the same slope of an octave a second: their common error is an error of time, 1 ms for 1.2 cents."""
    shift = []
    for slope in (1, -1):

        def slide(t: Array, slope: int = slope) -> Array:
            return 220 * 2 ** (slope * (t - 0.5))

        f0 = track(harmonics(slide, 1.0), PitchSettings(method))
        inner = slice(10, -10)
        shift.append(np.median(cents(f0[inner], slide(centres(len(f0)))[inner])))
    assert abs(shift[0] - shift[1]) / 2 < 0.5


@functools.cache
def tenor() -> tuple[NDArray[np.float32], Array]:
    """A short song, and its f0 at the mel centres."""
    voice = Voice("tenor", 1.0, -7.0, 5.5, 40, 48, 67)
    wav, f0 = sing(practice(voice, 2.5, 1), voice, 1)
    return wav, f0[HOP // 2 :: HOP][: len(wav) // HOP]


@pytest.mark.parametrize("method", TRACKERS)
def test_track_follows_a_singer(method: str) -> None:
    wav, truth = tenor()
    got = track(wav, PitchSettings(method))
    both = (truth > 0) & (got > 0)
    assert (got[truth > 0] > 0).mean() > 0.95
    assert np.median(np.abs(cents(got[both], truth[both]))) < 1
    assert (np.abs(cents(got[both], truth[both])) > 50).mean() < 0.01


def test_the_default_finds_no_voice_in_noise_at_any_loudness() -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    for level in (1e-4, 1e-3, 1e-2, 1e-1):
        assert (track(level * noise, PitchSettings()) > 0).mean() < 0.01


@pytest.mark.parametrize("gain_db", [6, -20, -30])
def test_the_default_hears_a_soft_voice_as_it_hears_a_loud_one(gain_db: int) -> None:
    wav, _ = tenor()
    loud = track(wav, PitchSettings())
    other = track(wav * np.float32(10 ** (gain_db / 20)), PitchSettings())
    both = (loud > 0) & (other > 0)
    assert ((loud > 0) == (other > 0)).mean() > 0.97
    assert (np.abs(cents(other[both], loud[both])) > 20).mean() < 0.01


def test_the_default_keeps_its_head_where_stonemask_strays() -> None:
    """In noise 5 dB under this voice StoneMask alone is more than 50 cents off in every fifth frame."""
    wav, truth = tenor()
    noise = lfilter([1.0], [1.0, -0.9], np.random.default_rng(3).standard_normal(len(wav)))
    got = track((wav + noise * wav.std() / noise.std() * 10 ** (-5 / 20)).astype(np.float32), PitchSettings())
    both = (truth > 0) & (got > 0)
    assert both.sum() > 0.95 * (truth > 0).sum()
    assert (np.abs(cents(got[both], truth[both])) > 50).mean() < 0.05


def test_what_is_far_away_has_no_say_in_the_default() -> None:
    """Two songs with the same middle, between other sounds 0.2 s off (the network reaches 0.176 s) on its own grid."""
    middle = harmonics(vibrato, 2.0)
    grid = 441 * 256  # samples: whole frames of the network, of the mel, and of both sample rates
    beside = [harmonics(low, grid / RATE), np.zeros(grid, np.float32)]
    heard = [track(np.concatenate([other[:grid], middle]), PitchSettings()) for other in beside]
    start = grid // HOP + int(0.25 * RATE / HOP)
    np.testing.assert_allclose(heard[0][start:], heard[1][start:], rtol=1e-5)


@pytest.mark.parametrize("method", TRACKERS)
def test_track_gives_the_same_bits_from_several_threads(method: str) -> None:
    wavs = [harmonics(pitch, 0.5) for pitch in (vibrato, glide, high, low)] * 2
    alone = [track(wav, PitchSettings(method)).tobytes() for wav in wavs]
    with ThreadPoolExecutor(4) as pool:
        together = [f0.tobytes() for f0 in pool.map(lambda wav: track(wav, PitchSettings(method)), wavs)]
    assert together == alone


@pytest.mark.parametrize("method", TRACKERS)
@pytest.mark.parametrize("count", [0, 1, 511, 512, 1_000, 4_410])
def test_track_of_next_to_nothing(count: int, method: str) -> None:
    f0 = track(harmonics(vibrato, 0.1)[:count], PitchSettings(method))
    assert f0.shape == (count // HOP,)
    assert f0.dtype == np.float32
    assert np.isfinite(f0).all()


@pytest.mark.parametrize("limits", [(20.0, 40.0), (2_090.0, 4_000.0), (2_500.0, 4_000.0), (300.0, 301.0)])
def test_a_range_that_the_network_cannot_search_holds_nothing(limits: tuple[float, float]) -> None:
    assert not track(harmonics(high, 0.5), PitchSettings("swift-f0", *limits)).any()


@pytest.mark.parametrize(
    ("method", "package"), [("swift-f0", "swift-f0"), ("crepe", "torchcrepe"), ("fcpe", "torchfcpe")]
)
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, method: str, package: str) -> None:
    monkeypatch.setattr(pitch_module, "_trackers", {})
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    with pytest.raises(tracker.MissingLibraryError, match=f"pip install {package}"):
        track(harmonics(low, 0.1), PitchSettings(method))
    with pytest.raises(tracker.MissingLibraryError, match=f"pip install {package}"):
        made_by(PitchSettings(method))


@pytest.mark.skipif(find_spec("torchcrepe") is None, reason="torchcrepe is not installed")
def test_the_large_crepe() -> None:
    f0 = track(harmonics(vibrato, 0.3), PitchSettings("crepe"))
    truth = vibrato(centres(len(f0)))
    assert (f0 > 0).all()
    assert np.median(np.abs(cents(f0, truth))) < 1


def test_damaged_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "full.pth"
    damaged.write_bytes(b"PK\x03\x04 and nothing more")
    monkeypatch.setattr(pitch_module, "_trackers", {})
    monkeypatch.setattr(crepe, "package_file", lambda *names: damaged)
    with pytest.raises(
        tracker.MissingLibraryError, match=r"CREPE cannot be loaded from .*full\.pth: .*\n.*pip install"
    ):
        track(harmonics(low, 0.1), PitchSettings("crepe"))


def test_settings_of_stores_made_before_are_the_same() -> None:
    settings = PitchSettings()
    assert settings.described() == {"method": "swift-f0", "f0_min": 65.0, "f0_max": 1100.0}
    assert made_by(settings) == {
        "at": "mel centres",
        "weights": "6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22",
    }
    assert made_by(PitchSettings("dio")) == {"at": "mel centres"}
    assert PitchSettings("rmvpe:/home/me/rmvpe.pt").described()["method"] == "rmvpe"


def test_the_network_s_library_is_loaded_only_when_asked_for() -> None:
    code = "import svc.pipeline.pitch.pitch, sys; sys.exit('onnxruntime' in sys.modules or 'swift_f0' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_at_centres_is_linear_in_octaves_and_mixes_nothing_with_silence() -> None:
    seconds = np.arange(5.0)
    f0 = np.array([100.0, 400.0, 0.0, 0.0, 300.0])
    got = at_centres(f0, seconds, np.array([-1.0, 0.0, 0.5, 1.0, 1.4, 1.6, 2.5, 3.4, 3.6, 4.0, 9.0]))
    np.testing.assert_allclose(got, [100, 100, 200, 400, 400, 0, 0, 0, 300, 300, 300])


@pytest.mark.parametrize(
    "settings", [("yin", 65.0, 1100.0), ("dio", 300.0, 200.0), ("dio", 5.0, 900.0), ("crepe:file", 65.0, 1100.0)]
)
def test_pitch_settings_refuse_what_cannot_be(settings: tuple[str, float, float]) -> None:
    with pytest.raises(ValueError, match=r"not known|must lie within"):
        PitchSettings(*settings)


frequencies = st.floats(50, 2000, width=32)


@unhurried
@given(st.lists(st.one_of(st.just(0.0), frequencies), min_size=1, max_size=60))
def test_continuous_keeps_voiced_bits_and_leaves_no_gap(values: list[float]) -> None:
    f0 = np.array(values, np.float32)
    whole = continuous(f0)
    voiced = f0 > 0
    assert whole.dtype == np.float32
    assert whole.shape == f0.shape
    assert (whole > 0).all()
    assert whole[voiced].tobytes() == f0[voiced].tobytes()
    if voiced.any():  # nothing beyond what it bridges
        assert whole.min() >= f0[voiced].min() * (1 - 1e-6)
        assert whole.max() <= f0[voiced].max() * (1 + 1e-6)


def test_continuous_bridges_linearly_in_octaves_and_holds_the_ends() -> None:
    f0 = np.array([0, 100, 0, 0, 0, 400, 0], np.float32)
    truth = 100 * 2.0 ** np.array([0, 0, 0.5, 1, 1.5, 2, 2])
    np.testing.assert_allclose(continuous(f0), truth, rtol=1e-5)


def test_continuous_of_nothing_voiced_is_a_constant() -> None:
    assert continuous(np.zeros(4, np.float32)).tolist() == [200.0] * 4


def sung(count: int = 200, phase: float = 0.0) -> Array:
    """Vibrato of 6 Hz, 100 cents each way, at the mel frames."""
    return 300 * 2 ** (np.sin(2 * np.pi * 6 * centres(count) + phase) / 12)


@pytest.mark.parametrize("phase", range(6))
def test_repair_keeps_vibrato(phase: int) -> None:
    """Inside a run within 5 cents. At its ends a parabola has half as much to hold on to: 20 cents."""
    truth = sung(phase=phase)
    error = np.abs(cents(repair(truth.astype(np.float32)), truth))
    assert error[4:-4].max() < 5
    assert error.max() < 20


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_repair_removes_octave_slips_of_one_frame(factor: float) -> None:
    truth = sung()
    slipped = truth.copy()
    slipped[2:-2:11] *= factor
    error = np.abs(cents(repair(slipped.astype(np.float32)), truth))
    assert error.max() < 40
    assert np.median(error) < 5


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_repair_removes_an_octave_slip_at_a_runs_end(place: int, factor: float) -> None:
    truth = np.full(30, 200.0)
    slipped = truth.copy()
    slipped[place] *= factor
    assert np.abs(cents(repair(slipped.astype(np.float32)), truth)).max() < 60


@pytest.mark.parametrize("length", range(1, 12))
def test_repair_drops_runs_shorter_than_four_frames_and_keeps_longer_ones(length: int) -> None:
    f0 = np.zeros(30, np.float32)
    f0[10 : 10 + length] = 200
    truth = f0 if length >= 4 else np.zeros_like(f0)
    np.testing.assert_allclose(repair(f0), truth, rtol=1e-5)


def test_repair_does_not_mix_neighbouring_runs() -> None:
    """Two notes with one unvoiced frame between: each stays at its own pitch up to the gap."""
    f0 = np.array([200] * 12 + [0] + [350] * 12, np.float32)
    np.testing.assert_allclose(repair(f0), f0, rtol=1e-5)


@unhurried
@given(st.lists(st.one_of(st.just(0.0), frequencies), min_size=1, max_size=60))
def test_repair_voices_nothing_that_was_not(values: list[float]) -> None:
    f0 = np.array(values, np.float32)
    got = repair(f0)
    assert got.shape == f0.shape
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    assert (got >= 0).all()
    assert not got[f0 == 0].any()


def test_coarse_bins_are_diff_svc_s(shared: Path) -> None:
    case = np.load(shared / "fixtures" / "diff_svc" / "case.npz")
    np.testing.assert_array_equal(coarse(case["f0_hz"]), case["f0_coarse"])


def test_cents_are_of_frames_where_both_are_voiced() -> None:
    asked = np.array([0, 220, 220, 440, 0, 330, 330], np.float32)
    found = np.array([110, 440, 0, 440 * 2 ** (-7 / 1200), 0, 330], np.float32)
    np.testing.assert_allclose(cents_off(found, asked), [1200, 7, 0], atol=1e-3)
    assert len(cents_off(found[:0], asked)) == 0


def test_every_method_that_settings_know_is_there() -> None:
    assert list(METHODS) == list(NAMES)
    assert list(WITH_FILE) == list(NAMES_WITH_FILE)
