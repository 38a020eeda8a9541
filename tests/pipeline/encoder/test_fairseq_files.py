"""Encoders in fairseq's format: the model that was saved, and the settings that its file holds."""

import contextlib
import copy
import importlib
import sys
import types
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from svc.pipeline.checkpoints.pickles import Inert
from svc.pipeline.checkpoints.torch_file import read_checkpoint_file
from svc.pipeline.encoder.hubert_weights import build_hubert
from torchaudio.models import wav2vec2_model
from torchaudio.models.wav2vec2.utils import import_fairseq

from .checkpoint_writers import (
    HEADS,
    KINDS,
    WIDTH,
    assert_same,
    in_fairseq_names,
    load_encoder,
    make,
    settings_of,
    states,
    wave,
    write_fairseq,
)

STRANGERS = ("fairseq.data.dictionary.Dictionary", "omegaconf.dictconfig.DictConfig", "omegaconf.nodes.AnyNode")


@contextlib.contextmanager
def forged(*names: str) -> Iterator[list[type]]:
    """Classes of these names while a file is written; afterwards they cannot be imported."""
    with pytest.MonkeyPatch.context() as patch:
        made = []
        for name in names:
            module, _, short = name.rpartition(".")
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                full = ".".join(parts[:end])
                if not isinstance(sys.modules.get(full), Forged):
                    patch.setitem(sys.modules, full, Forged(full))
            made.append(type(short, (), {"__module__": module}))
            setattr(sys.modules[module], short, made[-1])
        yield made


class Forged(types.ModuleType):
    pass


def filled(kind: type, **state: Any) -> Any:
    made: Any = object.__new__(kind)
    made.__dict__.update(state)
    return made


def as_omegaconf(value: Any, container: type, node: type) -> Any:
    if isinstance(value, dict):
        content = {key: as_omegaconf(held, container, node) for key, held in value.items()}
        made = filled(container, _metadata={"resolver_cache": defaultdict(dict, env={"A": 1})}, _content=content)
        for held in content.values():
            held._parent = made  # a tree of OmegaConf is full of cycles
        return made
    return filled(node, _val=value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fairseq_file_is_the_model_that_was_saved(tmp_path: Path, kind: str, legacy: bool) -> None:
    model = make(kind)
    encoder = load_encoder(write_fairseq(tmp_path / "hubert.pt", model, legacy))
    assert_same(encoder.model, model)
    assert not encoder.model.training
    assert encoder.head is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_fairseq_file_sounds_to_us_as_to_torchaudio(tmp_path: Path, kind: str) -> None:
    """torchaudio has its own map of fairseq's names and its own model: an independent reference for the file."""
    model, (norm, first) = make(kind), KINDS[kind]
    theirs = wav2vec2_model(
        extractor_mode=f"{norm}_norm",
        extractor_conv_layer_config=[(64, 10, 5), *[(64, 3, 2)] * 4, *[(64, 2, 2)] * 2],
        extractor_conv_bias=norm == "layer",
        encoder_embed_dim=WIDTH,
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=8,
        encoder_num_layers=2,
        encoder_num_heads=HEADS,
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=80,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=first,
        encoder_layer_drop=0.0,
        aux_num_out=None,
    ).eval()
    tensors = import_fairseq._convert_state_dict(in_fairseq_names(model))
    tensors.pop("label_embs_concat")
    theirs.load_state_dict(tensors)
    ours = load_encoder(write_fairseq(tmp_path / "hubert.pt", model)).model
    with torch.inference_mode():
        truth, _ = theirs(wave())
    torch.testing.assert_close(states(ours)[-1], truth, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("style", ["omegaconf", "namespace", "dict of namespaces"])
def test_settings_are_read_out_of_classes_that_are_not_here(tmp_path: Path, style: str, legacy: bool) -> None:
    model, path = make("neither"), tmp_path / "hubert.pt"
    told = settings_of(model, normalize=True)
    with forged(*STRANGERS) as (dictionary, container, node):
        extra = {"task_state": {"dictionaries": [filled(dictionary, symbols=["<s>"], indices={"<s>": 0})]}}
        if style == "omegaconf":
            write_fairseq(path, model, legacy, cfg=as_omegaconf(told, container, node), **extra)
        elif style == "namespace":
            write_fairseq(path, model, legacy, cfg=None, args=Namespace(**told["model"], **told["task"]), **extra)
        else:
            cfg = {section: Namespace(**settings) for section, settings in told.items()}
            write_fairseq(path, model, legacy, cfg=cfg, **extra)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("fairseq")
    encoder = load_encoder(str(path))
    assert encoder.normalize
    assert_same(encoder.model, model)
    assert "fairseq" not in sys.modules


def test_settings_are_read_out_of_a_true_omegaconf(tmp_path: Path) -> None:
    """If the library is installed, files with its real objects are read, without making these objects."""
    omegaconf = pytest.importorskip("omegaconf")
    model = make("neither")
    cfg = omegaconf.OmegaConf.create({**settings_of(model, normalize=True), "lr": [0.1, "${task.normalize}"]})
    path = write_fairseq(tmp_path / "hubert.pt", model, cfg=cfg)
    assert isinstance(read_checkpoint_file(Path(path))["cfg"], Inert)
    encoder = load_encoder(path)
    assert encoder.normalize
    assert_same(encoder.model, model)


@pytest.mark.parametrize("kind", ["base", "large"])
def test_what_settings_do_not_tell_is_as_in_the_published_models(tmp_path: Path, kind: str) -> None:
    model = make(kind, width=128, heads=2)
    for number, cfg in enumerate((None, {}, {"model": {"layer_norm_first": "???"}, "task": 3}, [1])):
        encoder = load_encoder(write_fairseq(tmp_path / f"{number}.pt", model, cfg=cfg))
        assert encoder.normalize == (kind == "large")
        assert_same(encoder.model, model)


@pytest.mark.parametrize(("width", "heads"), [(768, 12), (1024, 16), (1280, 16)])
def test_attention_heads_of_the_published_widths(width: int, heads: int) -> None:
    weights = make(width=width, heads=1, apply_spec_augment=False).state_dict()
    assert build_hubert(weights).config.num_attention_heads == heads


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kind", ["base", "large"])
def test_normalize_is_what_the_task_tells(tmp_path: Path, kind: str, normalize: bool) -> None:
    model = make(kind)
    path = write_fairseq(tmp_path / "hubert.pt", model, cfg=settings_of(model, normalize=normalize))
    assert load_encoder(path).normalize is normalize


def test_half_precision_and_either_spelling_of_weight_norm(tmp_path: Path) -> None:
    model = copy.deepcopy(make()).half().float()
    old = in_fairseq_names(model)
    new = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor.half()
        for name, tensor in old.items()
    }
    assert set(new) != set(old)
    assert_same(load_encoder(write_fairseq(tmp_path / "new.pt", model, model=new)).model, model)


def test_without_a_mask_embedding_two_loadings_are_one_encoder(tmp_path: Path) -> None:
    model = make()
    tensors = in_fairseq_names(model)
    del tensors["mask_emb"]
    path = write_fairseq(tmp_path / "hubert.pt", model, model=tensors)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["masked_spec_embed"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for name in (path, str(tmp_path)):
        first, second = (load_encoder(name).model for _ in range(2))
        assert_same(first, second)
        torch.testing.assert_close(states(first)[-1], states(model)[-1])
