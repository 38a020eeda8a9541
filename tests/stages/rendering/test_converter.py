"""The interface: samples in, a Conversion out; a second implementation; phrases alone; the user's own f0."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from svc.pipeline import audio, frames, mel
from svc.pipeline.audio import AudioError
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.sample_buffer import SampleBuffer
from svc.pipeline.slicing import SliceSettings
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.pipeline.vocoder.vocoder import Vocoder
from svc.pipeline.vocoder.world import World
from svc.stages.rendering.converter import AudioChunk, ConversionPlan, Converter
from svc.stages.rendering.render_file import render_file
from svc.stages.rendering.result_files import write_conversion
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.rendering.source_audio import song_slices
from svc.stages.rendering.stopwatch import Stopwatch
from svc.stages.run import Run
from svc.stages.settings import ConversionSettings, OutputSettings, RenderSettings

RATE, HOP = 44_100, 512


class Copy(Converter):
    """Returns the song unchanged."""

    name = "copy"

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        for segment, wave in plan.source.waveforms(plan.source.segments, (RATE,)):
            start, stop = segment.own.start * HOP, segment.own.stop * HOP
            yield AudioChunk(0, segment.span.start, wave.at(RATE)[start:stop], not segment.before, not segment.after)


class CopySynthesis(Converter):
    """The song's own mel and the target f0, through a vocoder."""

    def __init__(self, vocoder: Vocoder):
        self.vocoder, self.name = vocoder, vocoder.name

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        for segment, wave in plan.source.waveforms(plan.source.segments, (RATE,)):
            wav = self.vocoder(wave.log_mel().astype(np.float32), plan.target.f0[segment.start : segment.end])
            start, stop = segment.own.start * HOP, segment.own.stop * HOP
            yield AudioChunk(0, segment.span.start, wav[start:stop], not segment.before, not segment.after)


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    """32 s of one steady vowel at C4."""
    from svc.data.singers.harmonic import VOICES, Note, sing

    return sing([Note(60, 32.0)], VOICES[0], 0)[0].astype(np.float32)


@pytest.fixture(scope="module")
def wav(song: Path) -> np.ndarray:
    return soundfile.read(song, dtype="float32")[0]


@pytest.fixture(scope="module")
def converter(run: Path) -> RunConverter:
    return RunConverter(Run.open(run), RenderSettings(speaker="bass", key=-12, steps=2))


def test_a_converter_is_one_method(wav: np.ndarray, song: Path, tmp_path: Path) -> None:
    """A copy through the whole conversion: arrays, and a file with its picture and description."""
    conversion = Copy().convert(wav, 48_000)
    assert conversion.samples.shape == (frames.resampled_length(len(wav), 48_000, RATE),)
    assert conversion.measured is not None
    assert conversion.measured.median_cents is not None
    assert conversion.measured.median_cents < 3
    assert conversion.metadata == {}
    report = render_file(Copy(), song, tmp_path / "a.wav", RenderSettings(bit_depth="float"))
    written, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == conversion.sample_rate
    np.testing.assert_array_equal(written, conversion.samples)
    assert report.speaker == "copy"
    assert json.loads((tmp_path / "a.json").read_text())["made"] == "svc render"
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize("vocoder", [PulseNoise(), World()], ids=lambda vocoder: vocoder.name)
def test_a_vocoder_alone_is_a_converter_in_any_key(vocoder: Vocoder, wav: np.ndarray) -> None:
    conversion = CopySynthesis(vocoder).convert(wav, 48_000, ConversionSettings(key=3))
    assert conversion.key == 3
    assert conversion.measured is not None
    assert conversion.measured.median_cents is not None
    assert conversion.measured.median_cents < 5
    tracked = conversion.plan.features.f0
    both = (tracked > 0) & (conversion.target_f0 > 0)
    np.testing.assert_allclose(np.median(conversion.target_f0[both] / tracked[both]), 2 ** (3 / 12), rtol=1e-4)


def test_in_memory_and_as_a_file_it_is_the_same_song(
    converter: RunConverter, wav: np.ndarray, song: Path, tmp_path: Path
) -> None:
    heard: list[tuple[float, int]] = []
    conversion = converter.convert(wav, 48_000, on_audio=lambda at, samples: heard.append((at, len(samples))))
    assert isinstance(converter.settings, RenderSettings)
    settings = dataclasses.replace(converter.settings, bit_depth="float")
    render_file(converter, song, tmp_path / "a.wav", settings)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], conversion.samples)
    write_conversion(conversion, tmp_path / "b.wav", "the song", OutputSettings(bit_depth="float"))
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert json.loads((tmp_path / "b.json").read_text())["song"] == "the song"
    assert sum(count for _, count in heard) == HOP * sum(p.end - p.start for p in conversion.plan.source.phrases)


def test_a_phrase_alone_is_the_phrase_in_the_song(converter: RunConverter, wav: np.ndarray) -> None:
    """To the bit; and with another seed, or another speaker, it is another take."""
    plan = converter.plan(converter.analyse(converter.open(wav, 48_000)))
    assert len(plan.source.phrases) > 1

    def take(plan: ConversionPlan, phrases: list[int] | None) -> dict[int, np.ndarray]:
        chunks = list(converter.stream(plan, phrases))
        return {n: np.concatenate([c.samples for c in chunks if c.phrase == n]) for n in {c.phrase for c in chunks}}

    whole, last = take(plan, None), plan.source.phrases[-1].number
    alone = take(plan, [last])
    assert list(alone) == [last]
    np.testing.assert_array_equal(alone[last], whole[last])
    for other in (
        dataclasses.replace(converter.settings, seed=1),
        dataclasses.replace(converter.settings, speaker="alto"),
    ):
        assert not np.array_equal(take(converter.plan(plan.features, other), [last])[last], whole[last])


def test_a_melody_of_the_users_own_is_sung(converter: RunConverter, wav: np.ndarray) -> None:
    features = converter.analyse(converter.open(wav, 48_000))
    f0 = np.where(features.f0 > 0, 300, 0).astype(np.float32)
    conversion = converter.convert(wav, 48_000, f0=f0)
    np.testing.assert_allclose(conversion.target_f0[f0 > 0], 150)
    assert conversion.measured is not None
    found = conversion.measured.f0
    assert np.median(np.abs(1200 * np.log2(found[(found > 0) & (f0 > 0)] / 150))) < 5
    with pytest.raises(ValueError, match="mel frames"):
        converter.plan(features, f0=f0[1:])


def test_what_cannot_be_used_is_refused(converter: RunConverter) -> None:
    with pytest.raises(AudioError, match="too short"):
        converter.convert(np.ones(100, np.float32), RATE)
    with pytest.raises(AudioError, match="silent"):
        converter.convert(np.zeros(RATE, np.float32), RATE)


def test_measuring_a_long_note_has_no_seams(tone: np.ndarray) -> None:
    """32 s, measured in segments: its f0 has no gap, and no column of its mel stands out."""
    conversion = Copy().convert(tone, RATE)
    assert conversion.measured is not None
    f0, drawn = conversion.measured.f0, conversion.measured.mel.mel
    inside = slice(RATE // HOP, len(f0) - RATE // HOP)
    assert (f0[inside] > 0).all()
    assert np.abs(1200 * np.log2(f0[inside] / conversion.target_f0[inside])).max() < 20
    columns = np.abs(np.diff(drawn[inside], axis=0)).mean(1)
    assert columns.max() < 3 * np.median(columns)
    # Beside the whole result's own mel and f0: nothing is measured otherwise than at once.
    whole = mel.log_mel(torch.from_numpy(conversion.samples)).numpy()
    np.testing.assert_allclose(drawn[inside][: len(whole) - inside.start], whole[inside], atol=0.02)
    tracked = pitch.track(conversion.samples, PitchSettings())[inside]
    np.testing.assert_allclose(f0[inside], tracked, rtol=1e-3)


def test_notes_above_the_stores_range_are_tracked_and_lower_ones_stay_as_they_were() -> None:
    """G6 was once rendered as breath, and -k auto chose a key by the other notes."""
    t = np.arange(RATE) / RATE
    wav = np.concatenate([0.3 * np.sin(2 * np.pi * hertz * t) for hertz in (440.0, 1568.0)]).astype(np.float32)
    wav[RATE - 200 : RATE + 200] = 0
    converter = Copy()
    found = converter.analyse(converter.open(wav, RATE)).f0
    asked = ConversionSettings(f0_max=1100.0)
    as_stored = converter.analyse(converter.open(wav, RATE), asked).f0
    high = slice(95, 160)
    assert np.abs(1200 * np.log2(found[high] / 1568)).max() < 20
    assert (as_stored[high] < 1100).all()
    np.testing.assert_array_equal(found[:80], as_stored[:80])


def test_a_fixed_threshold_of_older_stores_cuts_a_song_unless_it_leaves_out_sound() -> None:
    """Five seconds loud and seven 42 dB softer: the soft ones were once rendered as silence.

    A soft breath changes nothing.
    """
    t = np.arange(5 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 220 * t) * (1 + np.sin(2 * np.pi * 1.3 * t)) / 2).astype(np.float32)
    pause = np.zeros(2 * RATE, np.float32)
    stored = SliceSettings(silence_db=-40.0)
    for soft, slices in (
        (tone * 10 ** (-44 / 20), dataclasses.replace(stored, silence_db=None)),
        (tone[: RATE // 2] * 10 ** (-44 / 20), stored),
        (pause, stored),
    ):
        recording = audio.scan(SampleBuffer.of(np.concatenate([tone, pause, soft, pause]).astype(np.float32), RATE))
        assert song_slices(recording, stored) == slices
        assert song_slices(recording, stored, -60.0).silence_db == -60.0
        assert song_slices(recording, SliceSettings()) == SliceSettings()


class Hole(Copy):
    """Returns the song, with one second silent."""

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        for chunk in super().stream(plan, phrases, watch):
            at = chunk.seconds + np.arange(len(chunk.samples)) / RATE
            yield dataclasses.replace(chunk, samples=chunk.samples * ((at < 1) | (at >= 2)))


def test_faults_are_counted_over_the_frames_that_were_to_be_voiced() -> None:
    """A second of three is silent: a third of the frames, named with its times; what the song sings softly is not."""
    tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(3 * RATE) / RATE)).astype(np.float32)
    found = Hole().convert(tone, RATE).measured
    assert found is not None
    faults = {each.name: each for each in found.notable()}
    fault = faults.pop("silent")
    assert all(each.share < 0.05 for each in faults.values())  # where the hole begins and ends
    assert fault.share == pytest.approx(1 / 3, abs=0.02)
    np.testing.assert_allclose(fault.spots, [(1, 2)], atol=0.06)
    assert found.within(20) == pytest.approx(2 / 3, abs=0.04)
    soft = Copy().convert(np.concatenate([tone, tone * 10 ** (-46 / 20)]), RATE).measured
    assert soft is not None
    assert [each.name for each in soft.notable() if each.name == "silent"] == []
