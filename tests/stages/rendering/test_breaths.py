"""Breaths and sibilants at known places of a synthetic song: found, kept, converted, or scaled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from scipy.signal import butter, sosfilt
from svc.pipeline import audio
from svc.pipeline.breaths import NoisePassage, bright_share, find_breaths, noisy_runs
from svc.pipeline.frames import mel_seconds
from svc.pipeline.sample_buffer import SampleBuffer
from svc.stages.rendering.breaths import SourceNoise
from svc.stages.rendering.converter import AudioChunk, ConversionPlan, Converter
from svc.stages.rendering.stopwatch import Stopwatch
from svc.stages.settings import ConversionSettings
from svc.stages.settings.render import parse_breaths

RATE, HOP = 44_100, 512
VOICE = [(0.0, 1.0), (1.15, 2.0), (2.8, 3.5), (4.5, 5.5)]  # seconds
BREATHS = [(2.2, 2.7), (4.0, 4.4)]
SIBILANTS = [(1.0, 1.15), (5.5, 5.65)]


def noise(seconds: float, band: tuple[float, float], level_db: float, seed: int) -> np.ndarray:
    """Band-passed noise of an RMS in dBFS, with 10 ms of rise and fall."""
    wav = np.random.default_rng(seed).standard_normal(round(seconds * RATE) + RATE)
    wav = sosfilt(butter(4, band, "band", fs=RATE, output="sos"), wav)[RATE:]
    wav *= 10 ** (level_db / 20) / np.sqrt(np.mean(wav**2))
    at = np.arange(len(wav))
    return wav * np.clip(np.minimum(at, at[::-1]) / 441, 0, 1)


def song(floor_db: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sound float32 (T,), and f0 (frames,), of sung notes with breaths in pauses and sibilants beside notes."""
    wav = np.zeros(6 * RATE)
    t = np.arange(len(wav)) / RATE
    sung = np.sum([np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 20)], 0)
    for start, end in VOICE:
        own = slice(round(start * RATE), round(end * RATE))
        wav[own] += 0.1 * sung[own]
    for number, (start, end) in enumerate(BREATHS):
        begin = round(start * RATE)
        sound = noise(end - start, (400, 3_500), -38, number)
        wav[begin : begin + len(sound)] += sound
    for number, (start, end) in enumerate(SIBILANTS):
        begin = round(start * RATE)
        sound = noise(end - start, (5_000, 12_000), -28, 10 + number)
        wav[begin : begin + len(sound)] += sound
    if floor_db is not None:
        wav += 10 ** (floor_db / 20) * np.random.default_rng(99).standard_normal(len(wav))
    centres = (np.arange(-(-len(wav) // HOP)) + 0.5) * HOP / RATE
    f0 = np.zeros(len(centres), np.float32)
    for start, end in VOICE:
        f0[(centres >= start) & (centres < end)] = 220
    return wav.astype(np.float32), f0


def found(wav: np.ndarray, f0: np.ndarray) -> list[NoisePassage]:
    recording = audio.scan(SampleBuffer.of(wav, RATE))
    assert recording.flatness is not None
    padded = np.pad(wav, (0, HOP))
    return find_breaths(f0, recording.level_db, recording.flatness, lambda start, end: padded[start * HOP : end * HOP])


@pytest.mark.parametrize("floor_db", [None, -75.0, -62.0])
def test_breaths_and_sibilants_are_found_where_they_are(floor_db: float | None) -> None:
    """To 60 ms, whatever the background; nothing of the voice is among them."""
    wav, f0 = song(floor_db)
    passages = found(wav, f0)
    for truth, breath in ((BREATHS, True), (SIBILANTS, False)):
        spans = [(mel_seconds(each.start), mel_seconds(each.end)) for each in passages if each.breath == breath]
        assert len(spans) == len(truth), passages
        np.testing.assert_allclose(spans, truth, atol=0.06)
    assert not any(f0[each.start : each.end].any() for each in passages)


def test_a_song_without_breaths_has_none() -> None:
    t = np.arange(3 * RATE) / RATE
    tone = 0.1 * np.sum([np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 20)], 0).astype(np.float32)
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(len(t)).astype(np.float32)
    tone[RATE : 2 * RATE] = 0
    f0 = np.full(-(-len(t) // HOP), 150, np.float32)
    f0[RATE // HOP : 2 * RATE // HOP] = 0
    assert found(tone + hiss, f0) == []
    assert noisy_runs(np.zeros(100, np.float32), np.full(100, -120, np.float32), np.ones(100, np.float32)) == []


def test_sibilants_are_bright_and_breaths_are_not() -> None:
    assert bright_share(noise(0.3, (5_000, 12_000), -20, 0).astype(np.float32)) > 0.9
    assert bright_share(noise(0.3, (400, 3_500), -20, 0).astype(np.float32)) < 0.1
    assert bright_share(np.zeros(1_000, np.float32)) == 0


class Louder(Converter):
    """Gives the song twice as loud, with noise replaced by a hum, so that no breath stays unchanged."""

    name = "louder"

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        for segment, wave in plan.source.waveforms(plan.source.segments, (RATE,)):
            own = slice(segment.own.start * HOP, segment.own.stop * HOP)
            wav = 2 * wave.at(RATE)[own]
            voiced = np.repeat(plan.target.f0[segment.span.start : segment.span.end] > 0, HOP)
            hum = 0.05 * np.sin(np.arange(len(wav)) * 2 * np.pi * 100 / RATE)
            yield AudioChunk(
                0,
                segment.span.start,
                np.where(voiced, wav, hum).astype(np.float32),
                not segment.before,
                not segment.after,
            )


def inside(spans: list[tuple[float, float]], margin: float) -> np.ndarray:
    """The samples in spans of seconds, without a margin at either end."""
    return np.concatenate([np.arange(int((a + margin) * RATE), int((b - margin) * RATE)) for a, b in spans])


def sung(breaths: float | str) -> tuple[np.ndarray, tuple[str, ...]]:
    conversion = Louder().convert(song()[0], RATE, ConversionSettings(breaths=breaths), measured=False)
    return conversion.samples, conversion.notes


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return sung("sing")[0]


def test_kept_breaths_are_the_songs_own_as_loud_beside_the_voice(plain: np.ndarray) -> None:
    wav, _ = song()
    kept, notes = sung("keep")
    noisy = inside(BREATHS + SIBILANTS, 0.07)
    np.testing.assert_allclose(kept[noisy], 2 * wav[noisy], atol=0.05 * np.abs(wav[noisy]).max())
    voiced = inside(VOICE, 0.1)
    np.testing.assert_array_equal(kept[voiced], plain[voiced])
    assert any("2 breaths" in note and "2 sibilants are the song's own, +6.0 dB" in note for note in notes)


@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_breaths_are_scaled_and_words_are_not(plain: np.ndarray, factor: float) -> None:
    scaled, notes = sung(factor)
    breath = inside(BREATHS, 0.08)
    np.testing.assert_allclose(scaled[breath], factor * plain[breath], atol=1e-6)
    others = inside(VOICE + SIBILANTS, 0.05)
    np.testing.assert_array_equal(scaled[others], plain[others])
    assert any(note.startswith("2 breaths (0.") for note in notes)


def test_joints_of_kept_breaths_do_not_click(plain: np.ndarray) -> None:
    kept, _ = sung("keep")
    ends = [edge for span in BREATHS for edge in span]
    for edge in ends:
        near = slice(int((edge - 0.08) * RATE), int((edge + 0.08) * RATE))
        assert np.abs(np.diff(kept[near])).max() < 1.5 * max(
            np.abs(np.diff(plain[near])).max(), np.abs(np.diff(2 * song()[0][near])).max()
        )


def test_how_a_result_is_read_changes_nothing() -> None:
    wav, _ = song()
    noise = SourceNoise(audio.scan(SampleBuffer.of(wav, RATE)), [NoisePassage(190, 230, True)], 0.5)
    result = np.zeros(len(wav), np.float32)
    whole = noise.blend(0, result)
    pieces = [noise.blend(at, result[at : at + 10_007]) for at in range(0, len(wav), 10_007)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert np.abs(whole).max() > 0
    assert not result.any()


def test_other_words_are_refused() -> None:
    assert [parse_breaths(text) for text in ("keep", " Sing", "0.25")] == ["keep", "sing", 0.25]
    with pytest.raises(ValueError, match="expected keep, sing or a number from 0 to 1"):
        parse_breaths("loud")
    for breaths in ("loud", 1.5, float("nan")):
        with pytest.raises(ValueError, match="expected keep, sing or a number from 0 to 1"):
            dataclasses.replace(ConversionSettings(), breaths=breaths)
