"""A small Whisper with random weights, saved to disk: its words are random, but its use is tested."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from svc.pipeline.checkpoints import hub
from svc.pipeline.checkpoints.hub import ModelError
from svc.pipeline.metrics.transcriber import Transcriber, character_error_rate, letters

SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|ko|>", "<|en|>", "<|transcribe|>", "<|translate|>"),
    *("<|startofprev|>", "<|notimestamps|>"),
)


def save_whisper(folder: Path) -> Path:
    """A tiny multilingual Whisper with a vocabulary of single letters."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {letter: number for number, letter in enumerate([chr(97 + i) for i in range(26)] + ["Ġ"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token="a")
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    number = {name: int(tokenizer.convert_tokens_to_ids(name)) for name in SPECIAL}  # type: ignore[arg-type]  # of one name it is one number
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=64,
        decoder_start_token_id=number["<|startoftranscript|>"],
        eos_token_id=number["<|endoftext|>"],
        pad_token_id=number["<|endoftext|>"],
        bos_token_id=number["<|endoftext|>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=number["<|startoftranscript|>"],
        eos_token_id=number["<|endoftext|>"],
        pad_token_id=number["<|endoftext|>"],
        lang_to_id={name: number[name] for name in ("<|ko|>", "<|en|>")},
        task_to_id={"transcribe": number["<|transcribe|>"], "translate": number["<|translate|>"]},
        no_timestamps_token_id=number["<|notimestamps|>"],
        is_multilingual=True,
        max_length=20,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    return Transcriber(str(save_whisper(tmp_path_factory.mktemp("whisper"))))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, 30_000).astype(np.float32)


def test_the_same_sound_has_the_same_words(whisper: Transcriber) -> None:
    said = whisper([noise(0)], 44_100, "ko")
    assert said == whisper([noise(0)], 44_100, "ko")
    assert said
    assert not any(name in said for name in SPECIAL)
    assert whisper([noise(0), noise(1)], 44_100, "ko").startswith(said)


def test_a_model_in_half_precision_is_computed_in_fp32(tmp_path: Path) -> None:
    from transformers import WhisperForConditionalGeneration

    folder = save_whisper(tmp_path / "half")
    WhisperForConditionalGeneration.from_pretrained(folder).half().save_pretrained(folder)
    half = Transcriber(str(folder))
    assert isinstance(half([noise(0)], 44_100, "ko"), str)
    assert half.name == "half"


def test_the_language_is_one_that_it_knows(whisper: Transcriber) -> None:
    assert whisper.language([noise(0), noise(1)], 44_100) in ("ko", "en")
    assert whisper.language([], 44_100) is None


def test_errors_are_of_letters_alone() -> None:
    assert letters("  Oh, FIancé… 가나\n１") == "ohfiancé가나1"
    assert character_error_rate("the cat sat", "The cat; sat!") == 0
    assert character_error_rate("the hat", "the cat") == pytest.approx(1 / 6)
    assert character_error_rate("", "cat") == 1
    assert character_error_rate("abcabc", "abc") == 1
    assert np.isnan(character_error_rate("something", "..."))


def test_what_is_no_whisper_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import HubertConfig

    HubertConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is a 'hubert' model"):
        Transcriber(str(tmp_path))
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)
    with pytest.raises(ModelError, match="hf download openai/whisper-small"):
        Transcriber("openai/whisper-small")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_computed_in_float32(tmp_path: Path, dtype: str) -> None:
    import torch
    from transformers import WhisperForConditionalGeneration

    folder = save_whisper(tmp_path)
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    found = Transcriber(str(folder))
    assert found.model.dtype == torch.float32
    assert found([noise(0)], 44_100, "ko")
    truth = model.float().model.encoder.conv1.weight
    assert torch.equal(found.model.model.encoder.conv1.weight, truth)
    assert found.model.proj_out.weight is found.model.model.decoder.embed_tokens.weight


def test_a_hostile_folder_is_refused_in_a_moment(tmp_path: Path) -> None:
    folder = save_whisper(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for changed, message in (
        ({"decoder_layers": 1_000_000}, "decoder_layers is 1000000; expected at most 256"),
        ({"vocab_size": 10**10}, "vocab_size is 10000000000"),
        ({"d_model": 60_000}, r"expected \(60000,"),
        ({"id2label": [1] * 2000}, "id2label has 2000 items"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(ModelError, match=message):
            Transcriber(str(folder))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(ModelError, match=r"expected a regular file as tokenizer\.json; found a FIFO"):
        Transcriber(str(folder))
