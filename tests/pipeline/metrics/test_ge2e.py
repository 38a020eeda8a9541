"""Resemblyzer's network: its parts by definition and, if its weights are installed, two voices distinguished."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from svc.common.errors import SvcError
from svc.pipeline import audio
from svc.pipeline.metrics import ge2e
from svc.pipeline.metrics.ge2e import GE2E, HOP, LEVEL_DBFS, PARTIAL, RATE, LstmEncoder

pytest.importorskip("webrtcvad", reason="voice activity detection: pip install webrtcvad-wheels")


def save_weights(path: Path) -> Path:
    """Random weights in the form of Resemblyzer's file."""
    torch.manual_seed(0)
    extra = {"similarity_weight": torch.ones(1), "similarity_bias": torch.zeros(1)}
    torch.save({"step": 1, "model_state": {**LstmEncoder().state_dict(), **extra}, "optimizer_state": {}}, path)
    return path


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise bursts with a voice's harmonics, which a voice activity detector classifies as speech."""
    t = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 3 * t) + 0.5, 0, 1)
    return (0.1 * loud * tone + 0.002 * np.random.default_rng(seed).normal(size=len(t))).astype(np.float32)


def test_mel_power_is_librosas() -> None:
    """A tone of amplitude a has power (a * sum(window) / 2)^2 in its bin; frames are centred at multiples of 160."""
    t = np.arange(RATE) / RATE
    mel = ge2e.mel_power(torch.from_numpy((0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)))
    assert mel.shape == (RATE // HOP + 1, 40)
    middle = mel[50].numpy()
    centres = 15 + np.log(8) / (np.log(6.4) / 27)  # Slaney's scale is linear to 1 kHz, which is 15; this is 8 kHz
    assert middle.argmax() == round(15 / (centres / 41)) - 1
    assert middle.argmax() == mel[10:90].mean(0).argmax()
    assert float(mel[0].sum()) < 0.7 * float(mel[50].sum())  # half of the first window is zeros


@pytest.mark.parametrize(
    ("seconds", "starts"), [(0.5, [0]), (1.6, [0]), (1.96, [0]), (1.98, [0, 77]), (3.2, [0, 77, 154])]
)
def test_partial_utterances(seconds: float, starts: list[int]) -> None:
    """160 frames each, 77 apart; the last only where three quarters of it are sound. Worked out by hand."""
    samples = int(seconds * RATE)
    found = ge2e.partial_starts(samples)
    assert found == starts
    assert len(found) == 1 or (samples - found[-1] * HOP) / (PARTIAL * HOP) >= 0.75


def test_soft_recordings_are_amplified_and_loud_ones_left() -> None:
    wav = speech_like(1)
    soft = ge2e.amplified(wav * np.float32(0.01))
    assert 20 * np.log10(np.sqrt(np.mean(soft**2))) == pytest.approx(LEVEL_DBFS, abs=0.01)
    np.testing.assert_array_equal(ge2e.amplified(wav), wav)


def test_silence_is_cut_out() -> None:
    wav = np.concatenate([speech_like(1.5), np.zeros(3 * RATE, np.float32), speech_like(1.5)])
    assert 2.5 * RATE < len(ge2e.without_silence(wav)) < 4.5 * RATE
    assert len(ge2e.without_silence(np.zeros(RATE, np.float32))) == RATE


def test_an_embedding_has_length_1_and_does_not_depend_on_the_rate(tmp_path: Path) -> None:
    encoder = GE2E(save_weights(tmp_path / "pretrained.pt"))
    wav = speech_like(3)
    found = encoder.embed(wav, RATE)
    assert found.shape == (256,)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found.min() >= 0
    assert found @ encoder.embed(audio.resample(wav, RATE, 44_100), 44_100) > 0.999


def test_other_files_and_missing_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"model_state": {"lstm.weight_ih_l0": torch.zeros(3)}}, tmp_path / "other.pt")
    with pytest.raises(SvcError, match="does not hold the weights of Resemblyzer"):
        GE2E(tmp_path / "other.pt")
    monkeypatch.setattr(ge2e, "packaged_weights", lambda: None)
    with pytest.raises(SvcError, match="pip install --no-deps Resemblyzer"):
        GE2E()


def test_real_voices_are_told_apart(shared: Path) -> None:
    if ge2e.packaged_weights() is None:
        pytest.skip("the weights are in a package: pip install --no-deps Resemblyzer")
    encoder = GE2E()
    voices = {}
    for name in ("en_f_ljspeech", "en_m_michael"):
        files = sorted((shared / "audio" / "corpus" / name).glob("*.flac"))[:3]
        found = [audio.scan(path) for path in files]
        voices[name] = [encoder.embed(audio.read(each, 0, each.frames), each.sample_rate) for each in found]
    lj, michael = voices.values()
    same = [lj[0] @ lj[1], lj[0] @ lj[2], michael[0] @ michael[1]]
    assert min(same) > max(a @ b for a in lj for b in michael) + 0.1
