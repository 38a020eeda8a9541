"""A passage much softer than the rest of a song is converted, and keeps its level."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from svc.data.singers.harmonic import VOICES, ode_to_joy, sing
from svc.pipeline import audio
from svc.pipeline.sample_buffer import SampleBuffer
from svc.stages.rendering.clip_converter import ClipConverter
from svc.stages.rendering.converter import Converter
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.rendering.soft_passages import USUAL_DB, amplified, soft_gain_db
from svc.stages.run import Run
from svc.stages.settings import RenderSettings

RATE, SOFT_FROM = 44_100, 3.0  # seconds
F32 = NDArray[np.float32]


def sung(soft_db: float) -> F32:
    """A song at -20 dBFS whose part from SOFT_FROM on is softer by `soft_db`."""
    wav, _ = sing(ode_to_joy(62)[:12], VOICES[0], 5)
    wav = wav * np.float32(0.1 / np.sqrt(np.mean(wav**2)))
    wav[round(SOFT_FROM * RATE) :] *= np.float32(10 ** (-soft_db / 20))
    return wav


def gain_of(wav: F32) -> F32:
    recording = audio.scan(SampleBuffer.of(wav, RATE))
    return soft_gain_db(recording.level_db, recording.flatness)


def test_a_soft_voice_is_raised_to_one_level_and_a_loud_one_is_left_as_it_is() -> None:
    assert not gain_of(sung(0)).any()
    assert not gain_of(sung(15)).any()
    wav = sung(40)
    gain = gain_of(wav)
    after = np.arange(len(gain)) * 512 / RATE > SOFT_FROM + 0.5
    assert not gain[: round((SOFT_FROM - 0.5) * RATE / 512)].any()
    assert 20 < np.median(gain[after]) < 45
    raised = audio.scan(SampleBuffer.of(amplified(wav[: len(gain) * 512], gain), RATE))
    assert np.percentile(raised.level_db[: len(after)][after[: len(raised.level_db)]], 80) == pytest.approx(
        USUAL_DB, abs=6
    )
    assert soft_gain_db(np.full(100, -60, np.float32), None).max() == 0


def test_noise_in_the_pause_of_a_loud_song_is_not_raised() -> None:
    noise = 1e-4 * np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    wav = np.concatenate([sung(0)[: 3 * RATE], noise, sung(0)[: 3 * RATE]])
    assert not gain_of(wav).any()


@pytest.fixture(scope="module", params=["run", "clip"])
def converter(request: pytest.FixtureRequest, run: Path, corpus: Path) -> Converter:
    if request.param == "run":
        return RunConverter(Run.open(run), RenderSettings(steps=2))
    return ClipConverter([corpus / "alto"], RenderSettings())


def test_what_is_sung_softly_is_neither_silent_nor_loud(converter: Converter) -> None:
    """The same notes, 40 dB softer: the result is as much softer, within the accuracy of a small model."""
    loud, soft = (converter.convert(sung(db), RATE).measured for db in (0, 40))
    assert loud is not None
    assert soft is not None
    after = np.arange(len(soft.f0)) * 512 / RATE > SOFT_FROM + 0.5
    both = after & loud.asked & soft.asked
    assert both.sum() > 0.8 * (after & loud.asked).sum()
    softer = loud.loudness[both] - soft.loudness[both]
    assert np.median(softer) == pytest.approx(40, abs=8)
    silent = next((fault.share for fault in soft.faults() if fault.name == "silent"), 0.0)
    assert silent < 0.05
    far_softer = [np.mean(each.loudness[both] < each.source_db[both] - 20) for each in (loud, soft)]
    assert far_softer[1] < far_softer[0] + 0.05
