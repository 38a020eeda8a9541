from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from svc.common.errors import UserError
from svc.pipeline import audio, frames, mel
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.slicing import slice_at_silence
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.pipeline.vocoder.source_filter import Shape, SourceFilter, SourceFilterNet
from svc.pipeline.vocoder.vocoder import Vocoder
from svc.pipeline.vocoder.world import World
from svc.stages.devices import pick_precision
from svc.stages.picture import PooledMel, pooled_f0, pooled_mean
from svc.stages.rendering.mel_predictor import MelPredictor
from svc.stages.rendering.output_paths import check_writable
from svc.stages.rendering.render_file import render_file
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.rendering.source_audio import SHARED_FRAMES, SourceAudio
from svc.stages.rendering.stopwatch import Stopwatch
from svc.stages.run import Run, newest_run
from svc.stages.settings import RenderSettings


@pytest.fixture(scope="module")
def converter(run: Path) -> RunConverter:
    return RunConverter(Run.open(run), RenderSettings(speaker="bass", key=-12, steps=4))


def test_the_result_lasts_as_long_as_the_song_and_is_in_tune(
    converter: RunConverter, song: Path, tmp_path: Path
) -> None:
    report = render_file(converter, song, tmp_path / "a.wav")
    source, result = soundfile.info(song), soundfile.info(tmp_path / "a.wav")
    assert result.frames == frames.resampled_length(source.frames, source.samplerate, 44_100)
    assert (result.samplerate, result.channels, result.subtype) == (44_100, 1, "PCM_16")
    assert (report.within_50_cents or 0) > 0.95
    metadata = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert metadata["settings"] == {
        **dataclasses.asdict(RenderSettings(speaker="bass", key=-12, steps=4)),
        "method": "euler",
        "retrieve": 0.5,
        "stores": [],
    }
    for path, told in ((song, "song_sha256"), (tmp_path / "a.wav", "result_sha256")):
        assert metadata[told] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sum(metadata["timings"].values()) == pytest.approx(metadata["took_seconds"], abs=0.3)
    assert 0 < metadata["first_sound_seconds"] < metadata["took_seconds"]
    asked = np.array(metadata["f0"]["asked_hz"].split(), float)
    sung, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    measured = pitch.track(sung, PitchSettings())[: len(asked)]
    both = (measured > 0) & (asked[: len(measured)] > 0)
    assert both.mean() > 0.5
    assert np.mean(np.abs(1200 * np.log2(measured[both] / asked[: len(measured)][both])) <= 50) > 0.95
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.png", "a.wav"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    converter: RunConverter, song: Path, tmp_path: Path, run: Path
) -> None:
    for name in "ab":
        render_file(converter, song, tmp_path / f"{name}.wav")
    other = RunConverter(Run.open(run), RenderSettings(speaker="bass", key=-12, steps=4, seed=1))
    render_file(other, song, tmp_path / "c.wav")
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


def test_silence_in_the_song_is_silence_in_the_result(converter: RunConverter, tmp_path: Path, song: Path) -> None:
    wav, rate = soundfile.read(song, dtype="float32")
    gap = np.zeros(3 * rate, np.float32)
    soundfile.write(tmp_path / "s.wav", np.concatenate([wav[:rate], gap, wav[rate : 2 * rate]]), rate)
    render_file(converter, tmp_path / "s.wav", tmp_path / "r.wav")
    result, _ = soundfile.read(tmp_path / "r.wav")
    assert np.abs(result[int(1.6 * 44_100) : int(3.4 * 44_100)]).max() == 0
    assert np.abs(result[:44_100]).max() > 0.01


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    """32 s of one steady vowel."""
    from svc.data.singers.harmonic import VOICES, Note, sing

    return sing([Note(60, 32.0)], VOICES[0], 0)[0]


@pytest.mark.parametrize("vocoder", ["plain", "world", "own"])
def test_of_a_model_without_fault_joins_cannot_be_heard(
    converter: RunConverter, tone: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vocoder: str
) -> None:
    """A model that draws the source's own mel: what is sung in slices is what is sung in one, with no step at joins."""
    own = SourceFilter(SourceFilterNet(Shape(32, 2)), {})
    sings: Vocoder = {"plain": PulseNoise(), "world": World(), "own": own}[vocoder]
    asked: list[np.ndarray] = []
    stream = sings.stream

    def spied(mels: Iterator[NDArray[np.float32]], f0: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        asked.append(f0)
        return stream(mels, f0)

    monkeypatch.setattr(sings, "stream", spied)
    monkeypatch.setattr(converter, "vocoder", sings)
    wav = np.pad(tone, (0, -len(tone) % frames.MEL_HOP))
    truth = mel.log_mel(torch.from_numpy(wav)).numpy()
    monkeypatch.setattr(
        MelPredictor, "_sample", lambda _, __, several, *___: [truth[s.start : s.end] for s, _ in several]
    )
    audio.write(tmp_path / "tone.wav", wav)
    render_file(converter, tmp_path / "tone.wav", tmp_path / "r.wav")
    at_once = sings(truth, asked[0])
    result, _ = soundfile.read(tmp_path / "r.wav", dtype="float32")
    assert len(result) == len(wav)
    gain = (result @ at_once[: len(result)]) / (at_once @ at_once)
    middle = slice(44_100, -44_100)  # the first and last slice end in the tone's own silence
    np.testing.assert_allclose(result[middle], gain * at_once[middle], atol=1e-3)


def test_slices_of_a_long_tone_join_without_a_click(converter: RunConverter, tone: np.ndarray, tmp_path: Path) -> None:
    """Cut twice in mid-sound, sung by a model that is hardly trained: no step at a join is larger than elsewhere."""
    audio.write(tmp_path / "tone.wav", tone)
    spans = slice_at_silence(audio.scan(tmp_path / "tone.wav").level_db, converter.slices)
    assert [span.joined for span in spans] == [False, True, True]
    render_file(converter, tmp_path / "tone.wav", tmp_path / "r.wav")
    result, _ = soundfile.read(tmp_path / "r.wav")
    steps = np.abs(np.diff(result))
    joins = [span.start * frames.MEL_HOP for span in spans[1:]]
    window = 2 * SHARED_FRAMES * frames.MEL_HOP
    at_joins = max(steps[join - window : join + window].max() for join in joins)
    elsewhere = steps[2 * window : joins[0] - 2 * window].max()
    assert at_joins < 1.2 * elsewhere
    level = [np.sqrt(np.mean(result[j - window // 2 : j + window // 2] ** 2)) for j in joins]
    assert min(level) > 0.5 * np.sqrt(np.mean(result[window:-window] ** 2))


def test_another_encoder_is_refused(run: Path, tmp_path: Path, encoder: Path) -> None:
    from transformers import HubertModel

    model = HubertModel.from_pretrained(encoder)
    with torch.no_grad():
        model.get_parameter("encoder.layers.0.feed_forward.output_dense.bias")[0] += 1e-3
    model.save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match=r"is not the one that(.|\n)*sha256(.|\n)*--encoder"):
        RunConverter(Run.open(run), RenderSettings(encoder=str(tmp_path / "other")))


def test_a_moved_encoder_is_found_by_its_option(run: Path, tmp_path: Path, encoder: Path) -> None:
    shutil.copytree(encoder, tmp_path / "moved")
    metadata = json.loads((run / "run.json").read_text())
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(
        json.dumps({**metadata, "encoder": {**metadata["encoder"], "origin": str(tmp_path / "gone")}})
    )
    with pytest.raises(EncoderError, match="no encoder in"):
        RunConverter(Run.open(tmp_path / "run"), RenderSettings())
    RunConverter(Run.open(tmp_path / "run"), RenderSettings(encoder=str(tmp_path / "moved")))


def test_an_unknown_speaker_and_method_are_named_with_the_known(run: Path) -> None:
    with pytest.raises(UserError, match="no speaker 'tenor'; there are alto, bass"):
        RunConverter(Run.open(run), RenderSettings(speaker="tenor"))
    with pytest.raises(UserError, match="choose euler or heun"):
        RunConverter(Run.open(run), RenderSettings(method="pndm"))


def test_what_svc_did_not_make_is_not_overwritten(converter: RunConverter, song: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.wav").write_bytes(b"precious")
    with pytest.raises(UserError, match="not made by svc"):
        render_file(converter, song, tmp_path / "mine.wav")
    assert (tmp_path / "mine.wav").read_bytes() == b"precious"
    with pytest.raises(UserError, match="would replace the song"):
        check_writable(song, song)
    with pytest.raises(UserError, match="does not exist"):
        check_writable(tmp_path / "no" / "a.wav", song)


def test_a_song_without_a_voice_has_no_figures_of_one(converter: RunConverter, tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(44_100).astype(np.float32)
    audio.write(tmp_path / "hiss.wav", noise)
    report = render_file(converter, tmp_path / "hiss.wav", tmp_path / "a.wav")
    metadata = json.loads((tmp_path / "a.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert metadata["f0"]["within_50_cents"] == report.within_50_cents
    assert soundfile.info(tmp_path / "a.wav").frames == 44_100


def test_a_failure_leaves_nothing_behind(
    converter: RunConverter, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter.vocoder, "levels", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render_file(converter, song, tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_the_newest_run_is_taken(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match="no run to render with"):
        newest_run(tmp_path)
    for name in ("old", "new"):
        shutil.copytree(run, tmp_path / name)
        (tmp_path / name / "best.safetensors").touch()
    assert newest_run(tmp_path) == tmp_path / "new"


def test_a_picture_averages_what_does_not_fit() -> None:
    pooled = PooledMel(10_000)
    assert pooled.pool == 3
    pooled.put(3, np.arange(9 * 128, dtype=np.float32).reshape(9, 128))
    np.testing.assert_allclose(pooled.mel[1:4, 0], [128, 512, 896])
    f0 = np.zeros(10_000, np.float32)
    f0[[4, 9_999]] = 100, 200
    np.testing.assert_array_equal(np.flatnonzero(pooled_f0(f0)), [1, 3_333])
    np.testing.assert_allclose(pooled_mean(np.arange(10_000, dtype=np.float32))[[0, 1, -1]], [1, 4, 9_999])


def test_a_listener_hears_it_all_before_it_is_written(converter: RunConverter, song: Path, tmp_path: Path) -> None:
    heard: list[tuple[float, int]] = []
    render_file(converter, song, tmp_path / "a.wav", on_audio=lambda at, wav: heard.append((at, len(wav))))
    sung = json.loads((tmp_path / "a.json").read_text())["f0"]["asked_hz"].split()
    covered = np.zeros(len(sung), bool)
    for at, count in heard:
        start = round(at * 44_100 / 512)
        assert not covered[start : start + count // 512].any()
        covered[start : start + count // 512] = True
    assert covered[np.array(sung, float) > 0].all()


def render_with(run: Path, song: Path, out: Path, **settings: Any) -> dict[str, Any]:
    render_file(RunConverter(Run.open(run), RenderSettings(**{"steps": 2, "speaker": "bass", **settings})), song, out)
    metadata: dict[str, Any] = json.loads(out.with_suffix(".json").read_text())
    return metadata


def test_steps_and_precision_are_chosen_where_left_and_told(run: Path, song: Path, tmp_path: Path) -> None:
    metadata = render_with(run, song, tmp_path / "a.wav", steps=None)
    assert metadata["settings"]["steps"] == 4
    assert metadata["precision"] == metadata["encoder_precision"] == pick_precision("auto", "cpu")
    metadata = render_with(run, song, tmp_path / "a.wav", precision="fp32")
    assert metadata["precision"] == metadata["encoder_precision"] == "fp32"


def test_auto_takes_one_whole_key_in_which_the_bass_reaches_the_altos_song(
    run: Path, song: Path, tmp_path: Path
) -> None:
    metadata = render_with(run, song, tmp_path / "a.wav", key="auto")
    assert metadata["key"] == -12
    assert "bass was recorded from" in metadata["notes"][0]
    asked = np.array(metadata["f0"]["asked_hz"].split(), float)
    as_it_is = render_with(run, song, tmp_path / "b.wav", key=0.0)
    there = np.array(as_it_is["f0"]["asked_hz"].split(), float)
    np.testing.assert_allclose(asked, there / 2, rtol=1e-5)
    assert any("above the range of bass" in note and "12 semitones lower" in note for note in as_it_is["notes"])


def test_a_mixture_lies_between_its_voices_and_can_change(run: Path, song: Path, tmp_path: Path) -> None:
    sung = {}
    for name, speaker in (("a", "alto"), ("b", "bass"), ("m", "alto:0.5,bass:0.5"), ("t", "0=alto; 0.1=bass")):
        render_with(run, song, tmp_path / f"{name}.wav", speaker=speaker, retrieve=0.0)
        sung[name] = soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0]

    def distance(one: str, other: str) -> float:
        mels = [mel.log_mel(torch.from_numpy(sung[name])) for name in (one, other)]
        return float((mels[0] - mels[1]).abs().mean())

    assert 0 < distance("m", "a") < distance("a", "b")
    assert 0 < distance("m", "b") < distance("a", "b")
    assert distance("t", "b") < 0.1 * distance("a", "b")  # it turned before the song's first note


def test_a_voice_that_turns_takes_its_units_from_who_sings_then(run: Path, song: Path) -> None:
    """Before the change, in the song's pause, the result is that of the first voice alone, and after it that of the
    second.
    """
    converter = RunConverter(Run.open(run), RenderSettings(steps=2, precision="fp32"))
    features = converter.analyse(SourceAudio.cut(audio.scan(song), converter.slices))
    segments = features.source.segments
    number = next(n for n, segment in enumerate(segments) if not segment.after) + 1
    pause = frames.mel_seconds(segments[number].start)
    assert 0 < number < len(segments)
    predicted = {}
    for speaker in ("alto", "bass", f"{pause - 0.01}=alto; {pause}=bass"):
        settings = dataclasses.replace(converter.settings, speaker=speaker)
        plan = converter.plan(features, settings, f0=np.full(features.source.frames, 220, np.float32))
        found = converter.predictor.predict(
            plan, segments, converter.voice(settings), converter.sampling(settings), Stopwatch()
        )
        predicted[speaker] = [each.mel for each in found]
    alto, bass, turning = predicted.values()
    for first, second in zip(alto, bass, strict=True):
        assert np.abs(first - second).mean() > 0.01
    for sung, expected in zip(turning, [*alto[:number], *bass[number:]], strict=True):
        np.testing.assert_allclose(sung, expected, atol=1e-4)


@pytest.mark.parametrize("speaker", ["0=alto; 2=bass", "alto:0.25,bass:0.75"])
def test_units_of_several_voices_are_blended_by_their_shares(run: Path, speaker: str) -> None:
    converter = RunConverter(Run.open(run), RenderSettings(speaker=speaker, retrieve=0.8))
    voice = converter.voice(converter.settings)
    hidden = torch.randn(50, 256, generator=torch.Generator().manual_seed(0))
    units = converter.predictor.projection(hidden)
    start = frames.seconds_to_mel_frames(1.0)
    seconds = frames.mel_seconds(start) + 0.02 * (torch.arange(50) + 0.5)[:, None]
    bass = seconds / 2 if voice.speaker_mix.changes else 0.75
    alto, full = (voice.retrievals[number].blend(hidden, units, 0.8) for number in (0, 1))
    expected = torch.lerp(alto, full, bass)
    torch.testing.assert_close(voice.move(start, hidden, units), expected, atol=1e-4, rtol=1e-4)
    assert voice.move(start, hidden[:0], units[:0]).shape == (0, units.shape[1])


def test_the_songs_loudness_and_silence_are_kept_as_asked(run: Path, song: Path, tmp_path: Path) -> None:
    """With the full amount, the result's level follows the song's; under the threshold it is silent."""

    def off(**settings: float) -> float:
        render_with(run, song, tmp_path / "a.wav", bit_depth="float", **settings)
        sung = torch.from_numpy(soundfile.read(tmp_path / "a.wav", dtype="float32")[0])
        levels = mel.loudness(sung).numpy()
        both = (source > -40) & (levels[: len(source)] > -60)
        return float(np.abs(levels[: len(source)] - source)[both].mean())

    wav, rate = soundfile.read(song, dtype="float32")
    length = frames.resampled_length(len(wav), rate, 44_100)
    source = mel.loudness(torch.from_numpy(audio.resample(wav, rate, 44_100, length))).numpy()
    assert off(loudness=1.0) < min(1.5, 0.6 * off(loudness=0.0))
    render_with(run, song, tmp_path / "s.wav", threshold=0.0)
    assert not soundfile.read(tmp_path / "s.wav")[0].any()


def test_units_are_taken_from_the_target_unless_another_amount_is_asked(
    run: Path, song: Path, tmp_path: Path, store: Path
) -> None:
    """From the run's index; where an old run has none, from its store, and none with a note where that is gone."""
    for name, amount, told in (("a", 0.0, 0.0), ("b", None, 0.5)):
        assert render_with(run, song, tmp_path / f"{name}.wav", retrieve=amount)["settings"]["retrieve"] == told
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "b.wav").read_bytes()
    metadata = json.loads((run / "run.json").read_text())
    old = tmp_path / "run"
    shutil.copytree(run, old)
    (old / "run.json").write_text(json.dumps({**metadata, "stores": [str(tmp_path / "gone")]}))
    assert render_with(old, song, tmp_path / "moved.wav")["settings"]["retrieve"] == 0.5
    assert (tmp_path / "moved.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    (old / "index.safetensors").unlink()
    with pytest.raises(UserError, match=r"cannot be opened(.|\n)*where it is now: --store STORE"):
        RunConverter(Run.open(old), RenderSettings(retrieve=0.5))
    alone = render_with(old, song, tmp_path / "c.wav")
    assert alone["settings"]["retrieve"] == 0.0
    assert any("no units are retrieved" in note for note in alone["notes"])
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    named = render_with(old, song, tmp_path / "d.wav", stores=(str(store),))
    assert named["settings"]["stores"] == [str(store)]
    assert (tmp_path / "d.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_k_step_starts_nearer_to_the_first_guess_and_no_farther_than_trained(
    run: Path, song: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="up to 100 noise steps, not 400"):
        RunConverter(Run.open(run), RenderSettings(k_step=400))
    for name, k_step in (("a", 100), ("b", None), ("c", 50)):
        render_with(run, song, tmp_path / f"{name}.wav", k_step=k_step)
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


def test_slices_sampled_at_once_sound_as_one_by_one(run: Path, tmp_path: Path, song: Path) -> None:
    wav, rate = soundfile.read(song, dtype="float32")
    short, gap = wav[: 2 * rate], np.zeros(2 * rate, np.float32)
    soundfile.write(tmp_path / "s.flac", np.concatenate([wav, gap, short, gap, short[: 3 * rate // 2]]), rate)
    mels = []
    for batch in (1, 3):
        render_with(run, tmp_path / "s.flac", tmp_path / "a.wav", batch=batch, precision="fp32")
        mels.append(mel.log_mel(torch.from_numpy(soundfile.read(tmp_path / "a.wav", dtype="float32")[0])))
    assert (mels[0] - mels[1]).abs().mean() < 0.02


def test_a_region_of_any_length_is_sung_piece_by_piece(
    run: Path, tmp_path: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute and a half without silence: no piece of mel or sound is longer than a slice, and none is missing."""
    monkeypatch.setattr(
        "svc.stages.rendering.run_converter.load_vocoder", lambda *_: SourceFilter(SourceFilterNet(Shape(32, 2)), {})
    )
    converter = RunConverter(Run.open(run), RenderSettings(speaker="bass", key=-12, steps=1))
    wav, rate = soundfile.read(song, dtype="float32")
    soundfile.write(tmp_path / "long.flac", np.tile(wav[rate : 2 * rate], 90), rate)
    sizes: list[int] = []
    stream = converter.vocoder.stream

    def spied(mels: Iterator[NDArray[np.float32]], f0: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        def noted() -> Iterator[NDArray[np.float32]]:
            for one in mels:
                sizes.append(len(one))
                yield one

        for piece in stream(noted(), f0):
            sizes.append(len(piece) // frames.MEL_HOP)
            yield piece

    monkeypatch.setattr(converter.vocoder, "stream", spied)
    report = render_file(converter, tmp_path / "long.flac", tmp_path / "r.wav")
    assert soundfile.info(tmp_path / "r.wav").frames == frames.resampled_length(90 * rate, rate, 44_100)
    assert max(sizes) <= frames.seconds_to_mel_frames(15) + 2 * SHARED_FRAMES
    assert sum(sizes) == pytest.approx(2 * 90 * 44_100 / 512, abs=200)
    assert (report.within_50_cents or 0) > 0.9  # where the second is begun again, f0 jumps
