"""Files from which no encoder is loaded: they run no code, and the message says what each one is."""

import functools
import os
import pickle
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from svc.pipeline.encoder.network import EncoderError
from torch import nn

from .checkpoint_writers import (
    CONVOLUTIONS,
    assert_same,
    in_fairseq_names,
    load_encoder,
    make,
    settings_of,
    write,
    write_fairseq,
)


class Bomb:
    """Pickled, it is a call."""

    def __init__(self, function: Callable[..., Any], *args: Any):
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def bombs(trace: Path) -> dict[str, Bomb]:
    python = f"open({str(trace)!r}, 'w').close()"
    return {
        "os.system": Bomb(os.system, f"touch '{trace}'"),
        "eval": Bomb(eval, python),
        "exec": Bomb(exec, python),
        "open": Bomb(open, str(trace), "w"),
        "Popen": Bomb(subprocess.check_call, ["touch", str(trace)]),
        "method": Bomb(Path.touch, trace),
        "getattr": Bomb(getattr, Bomb(__import__, "os"), "system"),
        "partial": Bomb(next, Bomb(map, Bomb(functools.partial, eval), [python])),
        "numpy": Bomb(np.save, str(trace), 1),
        "torch.save": Bomb(torch.save, [1], str(trace)),
        "torch.hub": Bomb(torch.hub.set_dir, str(trace)),
    }


LOUD = (
    "os.system",
    "eval",
    "exec",
    "open",
    "Popen",
    "method",
    "partial",
    "torch.save",
)  # calls whose effect can be detected


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", bombs(Path("trace")))
def test_a_malicious_pickle_does_nothing(tmp_path: Path, name: str, legacy: bool) -> None:
    trace, model = tmp_path / "trace", make()
    bomb = bombs(trace)[name]
    alone = write(tmp_path / "alone.pt", bomb, legacy)
    if name in LOUD:
        torch.load(alone, weights_only=False)
        assert trace.exists(), "the bomb is a dud and the test would prove nothing"
        trace.unlink()
    with pytest.raises(EncoderError, match=r"alone\.pt"):
        load_encoder(alone)
    beside = write_fairseq(tmp_path / "beside.pt", model, legacy, extra_state=[bomb])
    assert_same(load_encoder(beside).model, model)  # read as an inert object, it does no harm
    tensors = {**in_fairseq_names(model), "encoder.layer_norm.bias": bomb}
    with pytest.raises(EncoderError, match=r"expected a tensor of floats as encoder"):
        load_encoder(write_fairseq(tmp_path / "as a tensor.pt", model, legacy, model=tensors))
    with pytest.raises(EncoderError, match=r"found a dict of bomb"):
        load_encoder(write(tmp_path / "unused.pt", {"bomb": bomb.call[0]}, legacy))
    assert not trace.exists()


def test_bombs_in_other_places_do_nothing(tmp_path: Path) -> None:
    trace, model = tmp_path / "trace", make()
    bomb = bombs(trace)["eval"]
    for protocol in (0, 2, 4):
        (tmp_path / "bare.pt").write_bytes(pickle.dumps(bomb, protocol))
        with pytest.raises(EncoderError):
            load_encoder(str(tmp_path / "bare.pt"))
    cfg = settings_of(model)
    cfg["model"]["conv_feature_layers"] = f"open({str(trace)!r}, 'w')"
    with pytest.raises(EncoderError, match="expected 0 convolutions"):
        load_encoder(write_fairseq(tmp_path / "text.pt", model, cfg=cfg))
    model.config.save_pretrained(tmp_path / "folder")
    torch.save({**model.state_dict(), "more": bomb}, tmp_path / "folder" / "pytorch_model.bin")
    assert_same(load_encoder(str(tmp_path / "folder")).model, model)  # all else than its tensors is ignored
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a text\n", "expected a file that torch.save wrote; found one that begins with b'a text"),
        (b"<!DOCTYPE html><html>", "begins with b'<!DOCTYPE html>"),
        (b"\x80\x02}q\x00.", "cut off or damaged"),
        (b"PK\x03\x04 and no more", "cut off or damaged"),
    ],
)
def test_no_checkpoint_at_all_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "hubert.pt").write_bytes(content)
    with pytest.raises(EncoderError, match=rf"hubert\.pt cannot be loaded: .*{re.escape(message)}"):
        load_encoder(str(tmp_path / "hubert.pt"))


@pytest.mark.parametrize("kept", [0.001, 0.3, 0.999])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_file_cut_off_is_refused(tmp_path: Path, legacy: bool, kept: float) -> None:
    path = Path(write_fairseq(tmp_path / "hubert.pt", make(), legacy))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(EncoderError, match=r"hubert\.pt cannot be loaded: the file is cut off or damaged: \S"):
        load_encoder(str(path))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"weight": {"enc_p.emb": torch.ones(1)}, "sr": "40k"}, "a dict of weight, sr, with enc_p.emb inside"),
        ({"model": {"enc_p.pre.weight": torch.ones(1)}, "iteration": 3}, "model, iteration, with enc_p.pre.weight"),
        ({"generator": {"conv_pre.weight_g": torch.ones(1)}}, "a dict of generator, with conv_pre.weight_g inside"),
        ({"model": [1]}, "a dict of model"),
        ({"hubert": None}, "a dict of hubert"),
        ({}, "a dict of nothing"),
        ([torch.ones(1)], "a list"),
        (nn.Linear(1, 1), "a torch.nn.modules.linear.Linear"),
    ],
)
def test_another_kind_of_checkpoint_is_refused(tmp_path: Path, found: Any, message: str) -> None:
    name = write(tmp_path / "G_100.pth", found)
    with pytest.raises(
        EncoderError, match=rf"expected a .*fairseq, or of HuBERT-soft.*; found ({message}|an? .*{message})"
    ):
        load_encoder(name)


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(1, 1)).save(tmp_path / "script.pt")
    with pytest.raises(EncoderError, match="torchscript"):
        load_encoder(str(tmp_path / "script.pt"))


def broken(tensors: dict[str, Any], how: str) -> dict[str, Any]:
    bias = "encoder.layers.1.fc1.bias"
    if how == "more":
        return {**tensors, "quantizer.vars": torch.ones(1), "project_q.weight": torch.ones(1)}
    if how == "stray":
        return {**tensors, "encoder.layers.0.fc1.scale": torch.ones(1)}
    if how == "less":
        return {name: tensor for name, tensor in tensors.items() if name != bias}
    if how == "no positions":
        return {name: tensor for name, tensor in tensors.items() if "pos_conv" not in name}
    if how == "a layer left out":
        return {name.replace("encoder.layers.1.", "encoder.layers.7."): tensor for name, tensor in tensors.items()}
    wrong = {
        "shape": torch.ones(7),
        "integers": torch.ones(80, dtype=torch.int64),
        "meta": torch.ones(80, device="meta"),
    }
    return {**tensors, bias: wrong.get(how)}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("more", "2 tensors are not of a HuBERT: quantizer.vars, project_q.weight"),
        ("stray", "1 tensors are too many, .*: encoder.layers.0.feed_forward.intermediate_dense.scale"),
        ("less", "1 tensors are missing, .*: encoder.layers.1.feed_forward.intermediate_dense.bias"),
        ("no positions", "missing, .*: encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
        ("a layer left out", r": 16 tensors are missing, .*: encoder\.layers\.1\..*, \.\.\."),
        ("shape", r"expected \(80,\) as encoder.layers.1.feed_forward.intermediate_dense.bias; found \(7,\)"),
        ("integers", "expected a tensor of floats as encoder.layers.1.fc1.bias; found torch.int64 on cpu"),
        ("meta", "expected a tensor of floats as encoder.layers.1.fc1.bias; found a .*_rebuild_meta_tensor_no_storage"),
        ("none", "expected a tensor of floats as encoder.layers.1.fc1.bias; found a NoneType"),
    ],
)
def test_weights_that_are_not_all_of_a_hubert_are_refused(tmp_path: Path, how: str, message: str) -> None:
    model = make()
    path = write_fairseq(tmp_path / "hubert.pt", model, model=broken(in_fairseq_names(model), how))
    with pytest.raises(EncoderError, match=message):
        load_encoder(path)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("encoder_attention_heads", 5, "expected attention heads that divide its width of 96; its settings say 5"),
        ("encoder_attention_heads", -4, "its settings say -4"),
        ("encoder_attention_heads", None, "its number of attention heads is not given, .* a width of 96"),
        ("conv_feature_layers", "[(64,10,5)] + [(64,3,2)] * 3", "expected 4 convolutions .*; found 7"),
        ("conv_feature_layers", CONVOLUTIONS.replace("10, 5", "10, 10"), "every 640 samples; 320 are expected"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, setting: str, value: Any, message: str) -> None:
    model = make()
    cfg = settings_of(model)
    cfg["model"][setting] = value
    with pytest.raises(EncoderError, match=message):
        load_encoder(write_fairseq(tmp_path / "hubert.pt", model, cfg=cfg))
