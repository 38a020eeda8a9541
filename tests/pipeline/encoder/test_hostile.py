"""Encoders in malicious folders: refused at once, before memory is spent."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.encoder.registry import load_encoder
from transformers import HubertConfig, HubertModel, WhisperConfig, WhisperModel

SECONDS, KILOBYTES = 20, 400_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("honest")
    small: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    positions: dict[str, Any] = {"conv_dim": [16] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    HubertModel(HubertConfig(**small, **positions)).save_pretrained(folder / "hubert")
    sizes: dict[str, Any] = {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
    }
    heads: dict[str, Any] = {
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "vocab_size": 8,
        "pad_token_id": 0,
    }
    WhisperModel(WhisperConfig(**sizes, **heads, bos_token_id=1, eos_token_id=2)).save_pretrained(folder / "whisper")
    return {name: folder / name for name in ("hubert", "whisper")}


@pytest.fixture
def folder(request: pytest.FixtureRequest, saved: dict[str, Path], tmp_path: Path) -> Path:
    made = tmp_path / request.param
    made.mkdir()
    for path in saved[request.param].iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    return made


def refused_quickly(folder: Path, message: str) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(EncoderError, match=message):
        load_encoder(str(folder))
    assert time.perf_counter() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KILOBYTES


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("hubert", {"num_hidden_layers": 1_000_000}, "num_hidden_layers is '1000000'; expected a whole number from 1 to"),
    ("hubert", {"num_hidden_layers": 200}, "the weights lack"),
    ("hubert", {"num_hidden_layers": True}, "num_hidden_layers is 'True'"),
    ("hubert", {"hidden_size": 10**9}, "hidden_size is '1000000000'"),
    ("hubert", {"hidden_size": 60_000}, r"expected \(60000,.* as .*, by config.json; found \(32,"),
    ("hubert", {"hidden_size": "32"}, "hidden_size is '32'"),
    ("hubert", {"hidden_size": [32]}, r"hidden_size is '\[32\]'"),
    ("hubert", {"intermediate_size": 60_000}, r"expected \(60000,"),
    ("hubert", {"conv_dim": [16] * 100_000}, "conv_dim is"),
    ("hubert", {"conv_dim": [60_000] * 7}, r"expected \(60000,"),
    ("hubert", {"conv_kernel": [60_000, 3, 3, 3, 3, 2, 2]}, r"expected \(16, 1, 60000\)"),
    ("hubert", {"conv_stride": [1] * 7}, "a frame every 1 samples"),
    ("hubert", {"conv_stride": [5, 2]}, "cannot be loaded: "),
    ("hubert", {"num_conv_pos_embeddings": 60_000}, r"expected \(1, 1, 60000\)"),
    ("hubert", {"num_conv_pos_embedding_groups": 7}, "cannot be loaded: "),
    ("hubert", {"num_attention_heads": 5}, "cannot be loaded: "),
    ("hubert", {"hidden_act": "os.system"}, "hidden_act is 'os.system'; expected one of gelu"),
    ("hubert", {"feat_extract_norm": "batch"}, "feat_extract_norm is 'batch'"),
    ("hubert", {"layer_norm_eps": float("nan")}, "layer_norm_eps is 'nan'"),
    ("hubert", {"conv_pos_batch_norm": True}, "a batch norm is not supported"),
    ("hubert", {"adapter_attn_dim": 10**9}, "adapter_attn_dim is"),
    ("hubert", {"model_type": ["hubert"]}, "is a '' model; expected one of hubert"),
    ("whisper", {"encoder_layers": 1_000_000}, "encoder_layers is '1000000'"),
    ("whisper", {"d_model": 60_000}, r"expected \(60000,"),
    ("whisper", {"max_source_positions": 10**9}, "max_source_positions is"),
    ("whisper", {"max_source_positions": 65_000}, r"expected \(65000, 32\)"),
    ("whisper", {"encoder_ffn_dim": 60_000}, r"expected \(60000,"),
    ("whisper", {"num_mel_bins": 1000}, r"expected \(32, 1000, 3\)"),
]


@pytest.mark.parametrize(
    ("folder", "changed", "message"), HOSTILE, indirect=["folder"], ids=[f"{h[0]}-{next(iter(h[1]))}" for h in HOSTILE]
)
def test_a_hostile_config_is_refused(folder: Path, changed: dict[str, Any], message: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changed}))
    refused_quickly(folder, message)


@pytest.mark.parametrize("folder", ["hubert", "whisper"], indirect=True)
def test_code_and_kernels_that_a_config_names_are_not_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((folder / "config.json").read_text())
    named = {
        "auto_map": {"AutoModel": "nobody/repository--model.Model"},
        "_attn_implementation": "nobody/kernel",
        "attn_implementation": "nobody/kernel",
        "quantization_config": {"quant_method": "gptq", "bits": 4},
        "transformers_weights": "/etc/passwd",
    }
    truth = load_encoder(str(folder)).fingerprint
    (folder / "config.json").write_text(json.dumps({**config, **named}))
    found = load_encoder(str(folder))
    assert found.fingerprint == truth
    assert found.encode(torch.zeros(3200), [1])[1].shape == (10, 32)


@pytest.mark.parametrize("folder", ["hubert", "whisper"], indirect=True)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_fifo_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused_quickly(folder, f"expected a regular file as {name}; found a FIFO")


@pytest.mark.parametrize("folder", ["hubert"], indirect=True)
def test_other_files_that_are_no_json_objects(folder: Path) -> None:
    os.mkfifo(folder / "preprocessor_config.json")
    refused_quickly(folder, "expected a regular file as preprocessor_config.json; found a FIFO")
    (folder / "preprocessor_config.json").unlink()
    for text, message in (
        ("[" * 100_000, "is no JSON"),
        ("[1]", "found a list"),
        ("{" + " " * (5 << 20), "larger than"),
    ):
        (folder / "preprocessor_config.json").write_text(text)
        refused_quickly(folder, message)


@pytest.mark.parametrize("folder", ["hubert"], indirect=True)
def test_shards_stay_in_their_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = folder / "model.safetensors.index.json"
    for found, message in (
        ({"weight_map": {"a": "../outside.safetensors"}}, "must name files of its own folder"),
        ({"weight_map": {str(n): f"{n}.safetensors" for n in range(2000)}}, "must name files of its own folder"),
        ({"weight_map": [1]}, "expected a weight_map of names"),
        ({}, "expected a weight_map of names"),
    ):
        index.write_text(json.dumps(found))
        refused_quickly(folder, message)


@pytest.mark.parametrize("folder", ["hubert"], indirect=True)
def test_weights_that_are_no_floats_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer_norm.bias"] = torch.zeros(32, dtype=torch.int64)
    save_file(tensors, folder / "model.safetensors")
    refused_quickly(folder, "expected a tensor of floats as encoder.layer_norm.bias; found torch.int64")
