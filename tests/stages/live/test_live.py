"""A run's live conversion: the stream of a whole song equals live conversion, and settings change meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.data.singers.harmonic import VOICES, practice, sing
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.streaming.joins import Samples
from svc.pipeline.streaming.timing import StreamTiming
from svc.stages.live.live_converter import LiveConverter, LiveSettings
from svc.stages.live.session import LiveSession
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import RenderSettings

TIMING = StreamTiming(hop=9, context=50, lookahead=8)


@pytest.fixture(scope="module")
def live(run: Path) -> LiveConverter:
    settings = RenderSettings(precision="fp32", device="cpu", retrieve=0.0, vocoder="plain")
    converter = LiveConverter(RunConverter(Run.open(run), settings), LiveSettings(settings), TIMING)
    converter.prepare()
    return converter


@pytest.fixture(scope="module")
def phrase() -> Samples:
    wav, _ = sing(practice(VOICES[0], 2.0, 4), VOICES[0], 4)
    return np.asarray(np.concatenate([wav, np.zeros(22_050)]), np.float32)


def test_a_whole_song_is_what_live_gives(live: LiveConverter, phrase: Samples) -> None:
    want = live.stream().stream(phrase)
    rng, blocks, start = np.random.default_rng(0), [], 0
    while start < len(phrase):
        blocks.append(phrase[start : start + int(rng.integers(1, 9_000))])
        start += len(blocks[-1])
    assert np.array_equal(live.stream().aligned(blocks), want)
    assert want.shape == phrase.shape
    # In tune with the song, where both are voiced.
    found, asked = (pitch.track(wav, PitchSettings()) for wav in (want, phrase))
    assert np.median(pitch.cents_off(found, asked)) < 15
    # Below the gate there is silence.
    assert not want[-4_000:].any()


def test_the_key_changes_on_the_way(live: LiveConverter, phrase: Samples) -> None:
    stream, before = live.stream(), live.settings
    half = len(phrase) // 2 // TIMING.hop_samples * TIMING.hop_samples
    first = stream.push(phrase[:half])
    live.settings = before.changed(key=12.0)
    rest = stream.push(phrase[half:])
    live.settings = before
    same = live.stream().push(phrase)
    assert np.array_equal(first, same[: len(first)])
    found, plain = (pitch.track(wav[len(first) + 8_192 :], PitchSettings()) for wav in (np.append(first, rest), same))
    both = (found > 0) & (plain > 0)
    assert np.median(found[both] / plain[both]) == pytest.approx(2, rel=0.02)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="semitones"):
        LiveSettings(RenderSettings(key="auto"))
    with pytest.raises(ValueError, match="gate"):
        LiveSettings(RenderSettings(), 3.0)


def test_a_vocoder_whose_phase_cannot_be_carried_is_refused(live: LiveConverter) -> None:
    settings = replace(live.settings.conversion, vocoder="world")
    with pytest.raises(UserError, match="world cannot be used live"):
        LiveConverter(RunConverter(live.converter.run, settings), LiveSettings(settings), TIMING)


def test_a_session_takes_commands_and_streams_files(live: LiveConverter, phrase: Samples, tmp_path: Path) -> None:
    said: list[str] = []
    session = LiveSession(live, 3_528, said.append)
    assert "latency 277 ms" in session.header()
    engine, before = session.engine(), live.settings
    assert session.command("k -3", engine) == "key -3"
    assert live.settings.conversion.key == -3
    assert "no speaker 'nobody'" in session.command("s nobody", engine)
    assert session.command("g off", engine) == "gate off"
    assert live.settings.gate_db is None
    assert session.command("b", engine) == "bypass on"
    assert "hops converted" in session.command("?", engine)
    assert "bypass" in session.command("what", engine)
    live.settings = before
    soundfile.write(tmp_path / "song.wav", phrase[: 30_000 + 7], 44_100)
    assert session.stream_file(tmp_path / "song.wav", tmp_path / "out.wav") == pytest.approx(30_007 / 44_100)
    with soundfile.SoundFile(tmp_path / "out.wav") as file:
        assert "synthetic" in file.comment
        assert len(file) == 30_007
    with pytest.raises(UserError, match="exists"):
        session.stream_file(tmp_path / "song.wav", tmp_path / "out.wav")
