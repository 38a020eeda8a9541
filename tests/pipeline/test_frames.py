"""Frame arithmetic against exact fractions and against Diff-SVC's own alignment."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from svc.pipeline import frames

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RATES = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000]
rates = st.sampled_from(RATES)
samples = st.integers(0, 50_000_000)


def true_unit(mel_frame: int, units: int) -> int:
    """floor(t / 20 ms) at the mel frame's centre, clamped, 1-based, in rational numbers."""
    seconds = (mel_frame + Fraction(1, 2)) * Fraction(512, 44_100)
    return min(max(seconds // Fraction(20, 1000), 0), units - 1) + 1


@pytest.mark.parametrize("mel_frames", [1, 2, 3, 8, 9, 86, 87, 431, 1000, 1292, 9973])
@pytest.mark.parametrize("surplus", [-7, -1, 0, 1, 50])
def test_mel2ph_is_the_true_time_rule_to_the_last_frame(mel_frames: int, surplus: int) -> None:
    units = max(1, frames.unit_frames(frames.content_samples(mel_frames)) + surplus)
    truth = [true_unit(m, units) for m in range(mel_frames)]
    got = frames.mel2ph(mel_frames, units)
    assert got.dtype == np.int32
    assert got.tolist() == truth


def test_centres_lie_on_one_clock() -> None:
    """Frame i is centred at (i + 0.5) frames, in either rate; mel2ph names the unit whose centre is nearest."""
    mel, unit = frames.mel_centres(0, 400), frames.unit_centres(232)
    assert mel[3] == pytest.approx(float(Fraction(7, 2) * Fraction(512, 44_100)))
    np.testing.assert_array_equal(mel[5:9], frames.mel_centres(5, 9))
    assert unit[3] == pytest.approx(0.07)
    nearest = np.abs(mel[:, None] - unit).argmin(1)
    np.testing.assert_array_equal(frames.mel2ph(400, 232), nearest + 1)


@unhurried
@given(st.integers(1, 5_000))
def test_mel2ph_picks_the_unit_whose_20_ms_hold_the_mel_centre(mel_frames: int) -> None:
    """Where there are units enough, the centre of a mel frame lies inside its unit's own 20 ms, at every length."""
    got = frames.mel2ph(mel_frames, 10**9)
    centre = (np.arange(mel_frames) + 0.5) * 512 / 44_100
    assert np.all((got - 1) * 0.02 <= centre + 1e-9)
    assert np.all(centre < got * 0.02 + 1e-9)


def test_mel2ph_without_units_is_all_padding() -> None:
    assert frames.mel2ph(5, 0).tolist() == [0] * 5


def test_mel2ph_does_not_drift_in_half_an_hour() -> None:
    mel_frames = 155_000
    last = frames.mel2ph(mel_frames, 10**9)[-1]
    assert last == true_unit(mel_frames - 1, 10**9)


def test_mel2ph_diff_svc_is_what_diff_svc_makes(shared: Path) -> None:
    with np.load(shared / "fixtures" / "diff_svc" / "case.npz") as case:
        golden = {key: case[key] for key in case if key.startswith("mel2ph_")}
    assert golden
    for key, truth in golden.items():
        units, mel_frames = map(int, key.split("_")[1:])
        np.testing.assert_array_equal(frames.mel2ph_diff_svc(mel_frames, units), truth, err_msg=key)


@unhurried
@given(samples, rates, rates)
def test_resampled_length_is_the_exact_length_rounded(count: int, from_rate: int, to_rate: int) -> None:
    exact = Fraction(count * to_rate, from_rate)
    assert frames.resampled_length(count, from_rate, to_rate) == (exact + Fraction(1, 2)) // 1


@unhurried
@given(st.integers(1, 5_000_000), rates)
def test_mel_frames_cover_a_recording_and_none_is_superfluous(count: int, rate: int) -> None:
    covering = frames.mel_frames_covering(count, rate)
    seconds, frame = Fraction(count, rate), Fraction(512, 44_100)
    assert (covering - 1) * frame < seconds <= covering * frame
    assert frames.mel_frame_start(covering, rate) >= count


@unhurried
@given(st.integers(0, 5_000_000), rates)
def test_mel_frame_start_rises_and_is_within_half_a_sample_of_true_time(frame: int, rate: int) -> None:
    here, there = frames.mel_frame_start(frame, rate), frames.mel_frame_start(frame + 1, rate)
    assert here < there
    assert abs(here - Fraction(frame * 512 * rate, 44_100)) <= Fraction(1, 2)


@pytest.mark.parametrize("rate", RATES)
def test_mel_frames_tile_a_recording_without_gap_or_overlap(rate: int) -> None:
    """Consecutive starts differ by the floor or the ceiling of the exact hop, and the first is 0."""
    starts = np.array([frames.mel_frame_start(m, rate) for m in range(3000)])
    hop = 512 * rate / 44_100
    assert starts[0] == 0
    assert set(np.diff(starts).tolist()) <= {int(np.floor(hop)), int(np.ceil(hop))}


@pytest.mark.parametrize("mel_frames", [0, 1, 9, 86, 861, 100_001])
def test_content_samples_last_as_long_as_the_mel_frames(mel_frames: int) -> None:
    exact = Fraction(mel_frames * 512 * 16_000, 44_100)
    assert abs(frames.content_samples(mel_frames) - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(("count", "units"), [(0, 0), (319, 0), (320, 1), (639, 1), (640, 2), (16_000, 50)])
def test_unit_frames_of_a_padded_clip(count: int, units: int) -> None:
    """With 40 zeros each side seven convolutions of HuBERT leave floor(N / 320) frames; here they are counted out."""
    left = count + 2 * frames.CONTENT_PAD
    for kernel, stride in [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]:
        left = (left - kernel) // stride + 1
    assert frames.unit_frames(count) == max(left, 0) == units


def test_seconds_and_mel_frames() -> None:
    assert frames.mel_seconds(44_100) == pytest.approx(512)
    assert frames.seconds_to_mel_frames(512) == 44_100
    assert frames.seconds_to_mel_frames(1.0) == 86
