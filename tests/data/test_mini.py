"""The embedded encoder: its size, and its phones on singers that it was not trained on; and its training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import svc.data
import torch
from svc.data.mini_training.augment import faster, spoilt
from svc.data.mini_training.corpus import HOP, RATE, Corpus, CorpusWriter
from svc.data.mini_training.student import PAD, config, embedded, normalised, states, with_position
from svc.data.probe_mini import features_of, phones, random_like
from svc.data.singer_clips import FIRST_PROBE_SEED, Clip, mfcc, sing_clip
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.network import EncoderError, Recommended
from svc.pipeline.encoder.registry import load_encoder, recommended

FOLDER = Path(svc.data.__file__).parent / "mini"


@pytest.fixture(scope="module")
def content() -> Hubert:
    found = load_encoder("mini")
    assert isinstance(found, Hubert)
    return found


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [sing_clip(FIRST_PROBE_SEED + 500 + number, 4.0) for number in range(36)]


def test_it_is_small_and_loads_from_any_folder(
    content: Hubert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 32e6
    monkeypatch.chdir(tmp_path)
    again = load_encoder("mini")
    assert again.fingerprint == content.fingerprint
    assert again.origin == "mini"
    assert (content.hidden_size, content.layers, content.normalize) == (512, 4, True)
    assert content.describe()["pad"] == PAD
    assert {p.dtype for p in content.model.parameters()} == {torch.float32}


def test_how_it_is_best_used_is_in_its_config_and_not_in_code(content: Hubert, tmp_path: Path) -> None:
    assert content.recommended == recommended("mini") == Recommended(layer=4, retrieve=1.0, real_voices=False)
    shutil.copytree(FOLDER, tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**config, "svc_recommended": {"layer": 3}}))
    assert load_encoder(str(tmp_path / "copy")).recommended == Recommended(layer=3)
    del config["svc_recommended"]
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config))
    assert recommended(str(tmp_path / "copy")) == recommended("facebook/hubert-base-ls960") == Recommended()
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**config, "svc_recommended": {"retrieve": 2}}))
    with pytest.raises(EncoderError, match=r"config.json: svc_recommended: retrieve must lie in 0..1, not 2"):
        load_encoder(str(tmp_path / "copy"))


def test_it_is_computed_in_full_precision_whatever_is_asked(content: Hubert) -> None:
    """Its constant of 32 leaves bfloat16 no digits for the content: the relative error would be .44."""
    asked = load_encoder("mini", precision="bf16")
    assert asked.precision == "fp32"
    wav = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32))
    torch.testing.assert_close(asked.encode(wav, [4])[4], content.encode(wav, [4])[4])


def test_it_tells_phones_of_unseen_singers_better_than_mfccs_and_a_random_network_does_not(
    content: Hubert, clips: list[Clip]
) -> None:
    wavs = [clip.wav.astype(np.float32) / np.float32(32767) for clip in clips]

    def told(states: list[np.ndarray]) -> float:
        return phones(states[:24], states[24:], clips)

    mine, cepstra, chance = features_of(content), mfcc, features_of(random_like(content))
    score = told([mine(wav)["layer 4"] for wav in wavs])
    assert score > told([cepstra(wav) for wav in wavs]) + 0.05
    assert score > told([chance(wav)["layer 4"] for wav in wavs]) + 0.2


# Parts of its training


def test_the_positional_convolution_gives_the_sinusoid() -> None:
    """In training the position is added outright; the saved model has it in its convolution, through a constant."""
    from transformers import HubertModel

    torch.manual_seed(0)
    model = HubertModel(config(1)).eval()
    wav = normalised(torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (1, 4 * RATE)).astype(np.float32)))
    with torch.inference_mode():
        expected = states(model, wav)[-1]
        without = model(torch.nn.functional.pad(wav, (PAD, PAD))).last_hidden_state
        with_position(model, embedded(model, wav)[0].mean(0))
        found = model(torch.nn.functional.pad(wav, (PAD, PAD))).last_hidden_state
    assert found.shape == expected.shape == (1, 200, 512)
    error, before = ((each - expected).square().mean().sqrt() / expected.std() for each in (found, without))
    assert error < 0.1  # the convolution sums a little of the content too
    assert before > 5 * error


def test_a_corpus_that_was_stopped_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wavs = [rng.uniform(-0.5, 0.5, RATE + 100 * number).astype(np.float32) for number in range(3)]
    writer = CorpusWriter(tmp_path, "a")
    writer.add("0", wavs[0], speaker="x")
    with (tmp_path / "a.pcm").open("ab") as file:
        file.write(b"\1" * 999)  # the samples of a clip that was being written
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"name": "1", "sta')
    writer = CorpusWriter(tmp_path, "a")
    assert writer.done == {"0"}
    writer.add("1", wavs[1])
    writer.add("2", wavs[2])
    corpus = Corpus(tmp_path, "a")
    assert [clip.name for clip in corpus.clips] == ["0", "1", "2"]
    assert corpus.clips[0].metadata == {"speaker": "x"}
    for clip, wav in zip(corpus.clips, wavs, strict=True):
        assert clip.start % HOP == 0
        np.testing.assert_allclose(corpus.samples(clip), wav[: clip.samples], atol=1 / 32768)


def test_what_the_student_gets_is_the_clip_changed() -> None:
    time = np.arange(2 * RATE) / RATE
    wav = (0.3 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    for seed in range(8):
        changed = spoilt(wav, np.random.default_rng(seed))
        assert changed.shape == wav.shape
        assert np.isfinite(changed).all()
        np.testing.assert_array_equal(changed, spoilt(wav, np.random.default_rng(seed)))
    quick = faster(wav, 1.25)
    assert len(quick) == int(len(wav) / 1.25)
    spectrum = np.abs(np.fft.rfft(quick * np.hanning(len(quick))))
    assert np.fft.rfftfreq(len(quick), 1 / RATE)[spectrum.argmax()] == pytest.approx(625, abs=2)


def test_mfccs_are_at_unit_frames() -> None:
    assert mfcc(np.random.default_rng(0).normal(0, 0.1, 16_000 * 3).astype(np.float32)).shape == (150, 39)
