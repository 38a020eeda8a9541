"""The probe's classifier and measures, on mels with known properties."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from svc.common.progress import Progress
from svc.data.singers.harmonic import VOICES, practice, sing
from svc.pipeline.griffin_lim import griffin_lim
from svc.pipeline.mel import log_mel
from svc.pipeline.metrics.mel_classifier import MelClassifier
from svc.pipeline.pitch.settings import PitchSettings
from svc.stages.training.conversion_tasks import choose_tasks
from svc.stages.training.corpus import gather_corpus
from svc.stages.training.probe_scores import ProbeScores, pitch_matches
from svc.store import open_store


@pytest.fixture(scope="module")
def phrase() -> tuple[np.ndarray, np.ndarray]:
    """The mel of a synthetic voice and its true f0 at mel centres."""
    wav, f0 = sing(practice(VOICES[0], 2.0, 1), VOICES[0], 1)
    mel = log_mel(torch.from_numpy(wav)).numpy()
    return mel, f0[256::512][: len(mel)].astype(np.float32)


def test_the_pitch_in_a_mel_is_heard(phrase: tuple[np.ndarray, np.ndarray]) -> None:
    mel, f0 = phrase
    near, voiced = pitch_matches(mel, f0, PitchSettings())
    assert near > 0.95 * voiced


@pytest.mark.parametrize("semitones", [-3, 1, 12])
def test_a_mel_in_another_key_is_not_in_tune(phrase: tuple[np.ndarray, np.ndarray], semitones: int) -> None:
    """The f0 of the mel itself, which a vocoder with f0 as input would hide."""
    mel, f0 = phrase
    near, voiced = pitch_matches(mel, (f0 * 2 ** (semitones / 12)).astype(np.float32), PitchSettings())
    assert near < 0.1 * voiced


def test_a_mel_without_harmonics_is_not_in_tune(phrase: tuple[np.ndarray, np.ndarray]) -> None:
    mel, f0 = phrase
    kernel = np.ones(25) / 25
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), 1, mel).astype(np.float32)
    near, voiced = pitch_matches(smooth, f0, PitchSettings())
    assert near < 0.5 * voiced


def test_griffin_lim_keeps_time(phrase: tuple[np.ndarray, np.ndarray]) -> None:
    """Loudness falls and rises where the mel's does."""
    mel = torch.from_numpy(phrase[0])
    wav = griffin_lim(mel)
    assert wav.shape == (len(mel) * 512,)
    again = log_mel(wav)
    curves = [m.exp().sum(1).log().numpy() for m in (mel, again)]
    lags = {lag: np.corrcoef(curves[0][5:-5], np.roll(curves[1], lag)[5:-5])[0, 1] for lag in range(-3, 4)}
    assert max(lags, key=lags.__getitem__) == 0
    assert lags[0] > 0.95


def test_judges_learn_to_tell_sounds_and_voices() -> None:
    """Spectra of four sounds, tilted by each of two voices: both are predicted for new mels."""
    generator = torch.Generator().manual_seed(0)
    sounds, tilts = torch.randn(4, 16, generator=generator), torch.linspace(-1, 1, 16) * torch.tensor([[1.0], [-1.0]])

    def draw(size: int) -> tuple[torch.Tensor, ...]:
        codes = torch.randint(0, 4, (size, 5), generator=generator).repeat_interleave(6, 1)
        voice = torch.randint(0, 2, (size,), generator=generator)
        mel = sounds[codes] + tilts[voice][:, None] + 0.5 * torch.randn(size, 30, 16, generator=generator)
        return mel.transpose(1, 2), codes, voice, torch.ones(size, 30)

    torch.manual_seed(0)
    judges = MelClassifier(16, 4, 2)
    optimizer = torch.optim.Adam(judges.parameters(), 2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        judges.loss(*draw(16)).backward()
        optimizer.step()
    mel, codes, voice, _ = draw(32)
    said, who = judges(mel)
    assert (said.argmax(1) == codes).float().mean() > 0.9
    assert (who.mean(-1).argmax(1) == voice).float().mean() > 0.9


def test_the_score_is_one_for_a_recording_and_wants_everything() -> None:
    recorded = ProbeScores(0.6, 0.9, 0.98, 0.8)
    assert recorded.relative_to(recorded).score == pytest.approx(1)
    perfect = ProbeScores(1, 1, 1, 1)
    for name in ("content", "speaker", "pitch", "variance"):
        assert dataclasses.replace(perfect, **{name: 0.5}).score == pytest.approx(0.5**0.25)
        assert dataclasses.replace(perfect, **{name: 0.0}).score < 0.05


def test_each_song_is_sung_by_another_voice_in_its_own_range(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    tasks = choose_tasks(corpus, [440.0, 110.0])
    assert {task.crop.clip.speaker for task in tasks} == {"alto", "bass"}
    for task in tasks:
        source = corpus.speakers.index(task.crop.clip.speaker)
        assert task.speaker != source
        assert task.key == (-24 if source == 0 else 24)
        assert 0 <= task.crop.start < task.crop.stop <= task.crop.clip.row.mel_frames


def test_one_voice_alone_sings_in_another_key(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    alone = dataclasses.replace(
        corpus,
        train=[c for c in corpus.train if c.speaker == "alto"],
        held_out=[c for c in corpus.train if c.speaker == "alto"][:3],
        speakers=["alto"],
    )
    tasks = choose_tasks(alone, [440.0])
    assert {task.speaker for task in tasks} == {0}
    assert {task.key for task in tasks} == {-4, 4}
