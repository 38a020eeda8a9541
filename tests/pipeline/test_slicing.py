"""Slices of recordings: bounded, in order, and including all loud frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from svc.pipeline import audio
from svc.pipeline.levels import spectral_flatness
from svc.pipeline.slicing import SliceSettings, Span, describe_unused, gated_loudness, is_sound, slice_at_silence

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SECOND = 44_100 / 512  # mel frames


def loudness_of(*pieces: tuple[float, int]) -> NDArray[np.float32]:
    """(dBFS, frames) after one another."""
    return np.concatenate([np.full(count, level, np.float32) for level, count in pieces])


@st.composite
def recordings(draw: st.DrawFn) -> NDArray[np.float32]:
    pieces = draw(st.lists(st.tuples(st.floats(-100, 0), st.integers(1, 400)), min_size=1, max_size=12))
    seed = draw(st.integers(0, 999))
    level = loudness_of(*pieces)
    return level + np.random.default_rng(seed).normal(0, draw(st.floats(0, 10)), len(level)).astype(np.float32)


@st.composite
def rules(draw: st.DrawFn) -> SliceSettings:
    gap = draw(st.floats(0.25, 1.5))
    margin = draw(st.floats(0, (gap - 0.13) / 2))
    return SliceSettings(draw(st.floats(1, 6)), draw(st.one_of(st.none(), st.floats(-60, -20))), gap, margin)


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of True that lie between two False."""
    edges = np.flatnonzero(~mask)
    return (np.diff(edges) - 1).tolist()


@unhurried
@given(recordings(), rules())
def test_slices_are_ordered_bounded_and_hold_all_that_is_loud(level: NDArray[np.float32], rule: SliceSettings) -> None:
    assume(len(level) >= 9)  # the limit of scan
    spans = slice_at_silence(level, rule)
    longest, gap = round(rule.max_seconds * SECOND), round(rule.max_gap_seconds * SECOND)
    loud = is_sound(level, rule)
    covered = np.zeros(len(level), bool)
    end = 0
    for index, span in enumerate(spans):
        assert 0 <= end <= span.start < span.end <= len(level)
        assert 9 <= len(span) <= longest
        assert not span.joined or (index > 0 and span.start == end)
        covered[span.start : span.end] = True
        end = span.end
        if not span.joined and not (index + 1 < len(spans) and spans[index + 1].joined):
            assert max(runs(~loud[span.start : span.end]), default=0) <= gap
    assert covered[loud].all()


@unhurried
@given(recordings(), rules())
def test_little_silence_is_kept(level: NDArray[np.float32], rule: SliceSettings) -> None:
    """A frame further than the margin (or the shortest slice) from anything loud is in a slice only inside a gap."""
    assume(len(level) >= 9)
    loud = np.flatnonzero(is_sound(level, rule))
    gap = round(rule.max_gap_seconds * SECOND)
    margin = max(round(rule.margin_seconds * SECOND), 9)
    kept = np.concatenate([np.arange(s.start, s.end) for s in slice_at_silence(level, rule)])
    for frame in kept.tolist():
        after = np.searchsorted(loud, frame)
        before = loud[after - 1] if after else -(10**9)
        following = loud[after] if after < len(loud) else 10**9
        near = min(frame - before, following - frame) <= margin
        assert near or following - before - 1 <= gap


def test_two_phrases_are_cut_at_the_silence_between_them_with_margins() -> None:
    level = loudness_of((-90, 100), (-20, 200), (-90, 300), (-25, 150), (-90, 100))
    margin = round(0.25 * SECOND)
    truth = [Span(100 - margin, 300 + margin), Span(600 - margin, 750 + margin)]
    assert slice_at_silence(level, SliceSettings()) == truth


def test_a_short_silence_does_not_cut() -> None:
    level = loudness_of((-20, 200), (-90, 86), (-20, 200))
    assert slice_at_silence(level, SliceSettings()) == [Span(0, 486)]
    level = loudness_of((-20, 200), (-90, 87), (-20, 200))
    assert len(slice_at_silence(level, SliceSettings())) == 2


def test_a_click_gets_the_tenth_of_a_second_that_it_takes_to_be_encoded() -> None:
    rule = SliceSettings(margin_seconds=0)
    assert slice_at_silence(loudness_of((-10, 1), (-90, 300)), rule) == [Span(0, 9)]
    assert slice_at_silence(loudness_of((-90, 300), (-10, 1)), rule) == [Span(292, 301)]
    assert slice_at_silence(loudness_of((-90, 100), (-10, 2), (-90, 100)), rule) == [Span(100, 109)]


def test_silence_counts_from_the_loudest_moment() -> None:
    """-55 dB is silence beside a shout of -10 dB, and speech in a quiet recording."""
    quiet = (-55.0, 500)
    assert slice_at_silence(loudness_of((-10, 50), quiet), SliceSettings())[-1].end < 100
    assert slice_at_silence(loudness_of((-50, 50), quiet), SliceSettings()) == [Span(0, 550)]


def test_a_long_note_is_cut_at_its_quietest_moment_and_joined() -> None:
    level = loudness_of((-10, 1000), (-30, 9), (-10, 700))
    assert slice_at_silence(level, SliceSettings()) == [Span(0, 1004), Span(1004, 1709, joined=True)]


def test_a_single_quiet_frame_is_no_place_to_cut_when_there_is_a_longer_one() -> None:
    level = loudness_of((-10, 800), (-60, 1), (-10, 200), (-20, 12), (-10, 600))
    cut = slice_at_silence(level, SliceSettings())[0].end
    assert 1001 <= cut < 1013


def test_a_constant_tone_is_cut_into_pieces_no_longer_than_allowed() -> None:
    spans = slice_at_silence(loudness_of((-10, 5000)), SliceSettings(max_seconds=10))
    assert [s.joined for s in spans] == [False] + [True] * (len(spans) - 1)
    assert spans[0].start == 0
    assert spans[-1].end == 5000
    assert max(map(len, spans)) <= 861
    assert min(map(len, spans)) >= 861 // 3


@pytest.mark.parametrize(("seconds", "decibels"), [(0.5, -40), (31, -40), (15, -5), (15, -95)])
def test_slice_settings_out_of_range_are_refused(seconds: float, decibels: float) -> None:
    with pytest.raises(ValueError, match="must l"):
        SliceSettings(seconds, decibels)


def test_wide_margins_do_not_overlap_or_are_refused() -> None:
    level = loudness_of((-10, 100), (-90, 60), (-10, 100))
    try:
        rule = SliceSettings(max_gap_seconds=0.5, margin_seconds=0.5)
    except ValueError:
        return
    first, second = slice_at_silence(level, rule)
    assert first.end <= second.start


def sung(seconds: float, decibel: float, noise_db: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A harmonic tone with vibrato at `decibel` and white noise at `noise_db`, dBFS RMS, at 44.1 kHz."""
    t = np.arange(round(seconds * 44_100)) / 44_100
    phase = 2 * np.pi * 220 * (t + 0.002 * np.sin(2 * np.pi * 5.5 * t))
    tone = sum(np.sin(k * phase) / k for k in range(1, 8))
    tone = tone / np.sqrt(np.mean(tone**2)) * 10 ** (decibel / 20)
    return np.asarray(tone + rng.normal(0, 10 ** (noise_db / 20), len(t)))


def spans_of(tmp_path: Path, *parts: NDArray[np.float64]) -> tuple[list[Span], int]:
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 44_100, subtype="FLOAT")
    recording = audio.scan(tmp_path / "a.wav")
    return slice_at_silence(recording.level_db, SliceSettings(), recording.flatness), recording.frames


def test_a_passage_42_db_softer_is_not_silence(tmp_path: Path) -> None:
    """Such a passage was once dropped: 40 dB under the loudest moment counted as silence."""
    rng = np.random.default_rng(0)
    spans, frames = spans_of(tmp_path, sung(5, -12, -75, rng), sung(7, -54, -75, rng))
    assert sum(map(len, spans)) > 0.98 * frames
    assert describe_unused(frames, spans) == ""


def test_a_soft_note_without_pauses_or_noise_is_not_the_noise_floor(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spans, frames = spans_of(tmp_path, sung(3, -12, -120, rng), sung(9, -58, -120, rng))
    assert sum(map(len, spans)) > 0.98 * frames


@pytest.mark.parametrize("noise_db", [-55.0, -65.0, -75.0])
def test_pauses_with_the_room_s_noise_are_cut_out_and_told(tmp_path: Path, noise_db: float) -> None:
    rng = np.random.default_rng(0)
    pause = rng.normal(0, 10 ** (noise_db / 20), 4 * 44_100)
    spans, frames = spans_of(tmp_path, sung(4, -14, noise_db, rng), pause, sung(4, -14, noise_db, rng))
    assert len(spans) == 2
    assert sum(map(len, spans)) / frames == pytest.approx(8.5 / 12, abs=0.02)  # with their margins
    assert describe_unused(frames, spans) == "3.5 s of 12.0 s (29%) are silence and not used: 0:04.3-0:07.7"


def test_gated_loudness_is_that_of_what_sounds() -> None:
    """EBU R128: silence between does not count, nor what is 10 LU softer."""
    level = np.concatenate([np.full(400, -20.0), np.full(2000, -90.0), np.full(400, -35.0)]).astype(np.float32)
    assert gated_loudness(level) == pytest.approx(-20, abs=0.3)


def test_flatness_tells_noise_of_any_colour_from_a_voice() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(0, 0.1, 44_100)
    brown = np.cumsum(white)
    voice = sung(1, -20, -60, rng)
    flat = [spectral_flatness(wav[: 21 * 2048].reshape(21, 2048), 44_100).mean() for wav in (white, brown, voice)]
    assert flat[0] > 0.45
    assert flat[1] > 0.4
    assert flat[2] < 0.2


def test_stores_made_before_keep_their_rule() -> None:
    before = SliceSettings(**{"margin_seconds": 0.25, "max_gap_seconds": 1.0, "max_seconds": 15.0, "silence_db": -40.0})
    level = loudness_of((-10, 200), (-52, 300), (-10, 200))
    assert [(span.start, span.end) for span in slice_at_silence(level, before)] == [(0, 222), (478, 700)]
