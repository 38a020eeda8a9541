"""Encoders out of files: fairseq's, bshall/hubert's, transformers' folders, and files that are or do something else."""

import contextlib
import copy
import functools
import importlib
import json
import os
import pickle
import re
import subprocess
import sys
import types
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from svc.pipeline.checkpoints.pickles import Inert
from svc.pipeline.checkpoints.torch_file import read_checkpoint_file
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.hubert_weights import build_hubert
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.encoder.registry import load_encoder as load_any_encoder
from svc.pipeline.encoder.registry import looks_like_path, short_names
from svc.pipeline.projection import SoftHead, SoftProjection
from torch import Tensor, nn
from torchaudio.models import wav2vec2_model
from torchaudio.models.wav2vec2.utils import import_fairseq
from transformers import HubertConfig, HubertForCTC, HubertModel

WIDTH, HEADS, SOFT_WIDTH, UNIT_DIM, CODES = 96, 4, 128, 40, 20
CONVOLUTIONS = "[(64, 10, 5)] + [(64,3,2)] * 4 + [(64,2,2)] * 2"
# name: (norm of the convolutions, whether norms come first)
KINDS = {"base": ("group", False), "large": ("layer", True), "neither": ("group", True), "nor": ("layer", False)}
STRANGERS = ("fairseq.data.dictionary.Dictionary", "omegaconf.dictconfig.DictConfig", "omegaconf.nodes.AnyNode")


@functools.cache
def make(kind: str = "base", width: int = WIDTH, heads: int = HEADS, **other: Any) -> HubertModel:
    torch.manual_seed(3)
    norm, first = KINDS[kind]
    config = HubertConfig(
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=heads,
        intermediate_size=80,
        conv_dim=[64] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=8,
        feat_extract_norm=norm,
        do_stable_layer_norm=first,
        conv_bias=norm == "layer",
        **other,
    )
    return with_lively_norms(HubertModel(config))


def load_encoder(name: str) -> Hubert:
    found = load_any_encoder(name)
    assert isinstance(found, Hubert)
    return found


def with_lively_norms(model: nn.Module) -> Any:
    """No two tensors alike, so that no two can be confused unseen."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def wave(seconds: float = 0.4) -> Tensor:
    return 0.1 * torch.randn(1, round(16_000 * seconds), generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def states(model: Any) -> list[Tensor]:
    out = model(wave(), output_hidden_states=True)
    return [*out.hidden_states[:-1], out.last_hidden_state]


def assert_same(model: Any, truth: HubertModel) -> None:
    """The same weights in the same order, so of the same fingerprint, and the same hidden states."""
    weights, true = model.state_dict(), truth.state_dict()
    assert list(weights) == list(true)
    assert all(weights[name].dtype == torch.float32 and torch.equal(weights[name], true[name]) for name in true)
    for got, expected in zip(states(model), states(truth), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


# fairseq's format, written by the inverse of what is read


def in_fairseq_names(model: HubertModel) -> dict[str, Tensor]:
    norm = "2" if model.config.feat_extract_norm == "group" else "2.1"
    names = (
        (r"(feature_extractor.conv_layers.\d+).conv", r"\1.0"),
        (r"(feature_extractor.conv_layers.\d+).layer_norm", rf"\1.{norm}"),
        (r"feature_projection.layer_norm", "layer_norm"),
        (r"feature_projection.projection", "post_extract_proj"),
        (r"masked_spec_embed", "mask_emb"),
        (r"encoder.pos_conv_embed.conv", "encoder.pos_conv.0"),
        (r"parametrizations.weight.original0", "weight_g"),
        (r"parametrizations.weight.original1", "weight_v"),
        (r"(encoder.layers.\d+).layer_norm", r"\1.self_attn_layer_norm"),
        (r"attention\.", "self_attn."),
        (r"feed_forward.intermediate_dense", "fc1"),
        (r"feed_forward.output_dense", "fc2"),
    )
    renamed = {}
    for name, tensor in model.state_dict().items():
        for ours, fairseqs in names:
            name = re.sub(ours, fairseqs, name)
        renamed[name] = tensor.clone()
    pretraining = {"final_proj.weight": torch.ones(4, WIDTH), "label_embs_concat": torch.ones(9, 4)}
    return {**renamed, **pretraining, "final_proj.bias": torch.ones(4)}


def settings_of(model: HubertModel, **task: Any) -> dict[str, Any]:
    told = {"encoder_attention_heads": model.config.num_attention_heads, "conv_feature_layers": CONVOLUTIONS}
    return {"model": {**told, "layer_norm_first": model.config.do_stable_layer_norm}, "task": task}


def write(path: Path, found: Any, legacy: bool = False) -> str:
    torch.save(found, path, _use_new_zipfile_serialization=not legacy)
    return str(path)


def write_fairseq(path: Path, model: HubertModel, legacy: bool = False, /, **changed: Any) -> str:
    found = {"cfg": settings_of(model), "args": None, "model": in_fairseq_names(model)}
    return write(path, {**found, **changed}, legacy)


@contextlib.contextmanager
def forged(*names: str) -> Iterator[list[type]]:
    """Classes of these names for as long as a file is being written: then nobody can import them any more."""
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
    """torchaudio has its own map of fairseq's names and its own model: what the file means is not ours to say."""
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
    """Where the library happens to be there, its own objects are the authority on their form, and stay unmade."""
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


# bshall/hubert's format, written by a model of PyTorch's own layers


class Original(nn.Module):
    """HuBERT-soft in PyTorch's own transformer layers, which give its checkpoints their names."""

    def __init__(self) -> None:
        super().__init__()
        kernels = [10, 3, 3, 3, 3, 2, 2]
        self.feature_extractor = nn.ModuleDict({"norm0": nn.GroupNorm(64, 64)})
        for i, kernel in enumerate(kernels):
            conv = nn.Conv1d(64 if i else 1, 64, kernel, 2 if i else 5, bias=False)
            self.feature_extractor[f"conv{i}"] = conv
        self.feature_projection = nn.ModuleDict({"norm": nn.LayerNorm(64), "projection": nn.Linear(64, SOFT_WIDTH)})
        conv = nn.Conv1d(SOFT_WIDTH, SOFT_WIDTH, 16, padding=8, groups=8)
        self.positional_embedding = nn.ModuleDict({"conv": nn.utils.weight_norm(conv, dim=2)})
        self.norm = nn.LayerNorm(SOFT_WIDTH)
        layer = nn.TransformerEncoderLayer(SOFT_WIDTH, 2, 80, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.masked_spec_embed = nn.Parameter(torch.rand(SOFT_WIDTH))
        self.proj = nn.Linear(SOFT_WIDTH, UNIT_DIM)
        self.label_embedding = nn.Embedding(CODES, UNIT_DIM)

    def forward(self, wav: Tensor) -> list[Tensor]:
        x = wav[:, None]
        for i in range(7):
            x = self.feature_extractor[f"conv{i}"](x)
            x = F.gelu(x if i else self.feature_extractor["norm0"](x))
        x = self.feature_projection["projection"](self.feature_projection["norm"](x.transpose(1, 2)))
        position = F.gelu(self.positional_embedding["conv"](x.transpose(1, 2))[..., :-1])
        hidden = [self.norm(x + position.transpose(1, 2))]
        for layer in self.encoder.layers:
            hidden.append(layer(hidden[-1]))
        return hidden


@pytest.fixture(scope="module")
def original() -> Original:
    torch.manual_seed(5)
    made = Original()
    with torch.no_grad():
        for layer in made.encoder.layers:  # PyTorch makes them as copies of one
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return with_lively_norms(made)


def as_v01(model: Original) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in model.state_dict().items()}


def as_v02(model: Original) -> dict[str, Any]:
    return {"hubert": model.state_dict(), "optimizer": {"state": {}}, "step": 25_000}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("form", [as_v01, as_v02, Original.state_dict], ids=["v0.1", "v0.2", "bare"])
def test_a_soft_file_is_the_model_that_was_saved(
    tmp_path: Path, original: Original, form: Callable[[Original], Any], legacy: bool
) -> None:
    encoder = load_encoder(write(tmp_path / "soft.pt", form(original), legacy))
    with torch.inference_mode():
        truth = original(wave())
        for got, expected in zip(states(encoder.model), truth, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        assert not encoder.normalize
        assert encoder.head is not None
        units = original.proj(truth[-1])
        logits = F.cosine_similarity(units[:, :, None], original.label_embedding.weight, dim=-1) / 0.1
        torch.testing.assert_close(encoder.head.units(truth[-1]), units)
        torch.testing.assert_close(encoder.head.logits(truth[-1]), logits, rtol=1e-5, atol=1e-5)
    assert (encoder.head.unit_dim, encoder.head.codes) == (UNIT_DIM, CODES)
    assert not any(parameter.requires_grad for parameter in encoder.head.parameters())


@pytest.mark.parametrize("lost", [["proj.weight", "proj.bias", "label_embedding.weight"], ["label_embedding.weight"]])
def test_a_soft_file_without_a_whole_head_is_an_encoder(tmp_path: Path, original: Original, lost: list[str]) -> None:
    tensors = {name: tensor for name, tensor in original.state_dict().items() if name not in lost}
    encoder = load_encoder(write(tmp_path / "soft.pt", tensors))
    assert encoder.head is None
    torch.testing.assert_close(states(encoder.model)[-1], original(wave())[-1], rtol=1e-5, atol=1e-5)


def test_the_head_is_that_of_hubert_soft(shared: Path) -> None:
    with np.load(shared / "fixtures" / "soft_head" / "case.npz") as case:
        golden = {key: torch.from_numpy(case[key]) for key in case}
    head = SoftHead.of(golden["proj_weight"], golden["proj_bias"], golden["label_embedding"])
    torch.testing.assert_close(head.units(golden["hidden"]), golden["units"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(head.logits(golden["hidden"]), golden["logits"], rtol=1e-4, atol=1e-4)
    assert (head.unit_dim, head.codes) == (256, 100)


def test_a_loaded_soft_encoder_can_be_saved_as_a_folder(tmp_path: Path, original: Original) -> None:
    """Query, key and value were one tensor: cut apart they share no memory with one another."""
    first = load_encoder(write(tmp_path / "soft.pt", as_v01(original)))
    memory = [parameter.untyped_storage().data_ptr() for parameter in first.model.parameters()]
    assert len(set(memory)) == len(memory)
    first.model.save_pretrained(tmp_path / "folder")
    assert_same(load_encoder(str(tmp_path / "folder")).model, first.model)


# Short names of releases


def test_a_release_is_downloaded_once(tmp_path: Path, original: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def download(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        calls.append((url, hash_prefix))
        write(Path(path), as_v01(original))

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    encoder = load_encoder("hubert-soft")
    assert load_encoder(encoder.origin).head is not None
    assert (encoder.name, encoder.origin) == ("hubert-soft", "hubert-soft")
    assert calls == [(short_names()["hubert-soft"], "0d54a1f4")]


def test_a_release_that_cannot_be_had_says_how_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = short_names()["hubert-soft"]

    def fail(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(EncoderError, match="HF_HUB_OFFLINE is set"):
        load_encoder("hubert-soft")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(EncoderError, match=rf"no route to host.*\nWhere .* fetch {url}, copy that file"):
        load_encoder("hubert-soft")


# Folders of transformers


@pytest.mark.parametrize("form", ["pytorch_model.bin", "for ctc", "with final_proj"])
def test_folders_as_they_are_found(tmp_path: Path, form: str) -> None:
    """Chinese HuBERT has no safetensors; fine-tuned models have a prefix; ContentVec's has a projection too many."""
    model = make()
    if form == "for ctc":
        ctc = HubertForCTC(model.config)
        ctc.hubert.load_state_dict(model.state_dict())
        ctc.save_pretrained(tmp_path)
        assert any(name.startswith("hubert.") for name in load_file(tmp_path / "model.safetensors"))
    else:
        model.config.save_pretrained(tmp_path)
        extra = {"final_proj.weight": torch.ones(4, WIDTH), "final_proj.bias": torch.ones(4)}
        torch.save({**model.state_dict(), **(extra if "final" in form else {})}, tmp_path / "pytorch_model.bin")
    if form == "with final_proj":
        config = json.loads((tmp_path / "config.json").read_text())
        config["architectures"] = ["HubertModelWithFinalProj"]
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(load_encoder(str(tmp_path)).model, model)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_of_a_folder_means_the_folder(tmp_path: Path, name: str) -> None:
    model = make()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path / name))
    assert_same(encoder.model, model)
    assert (encoder.name, encoder.origin) == (str(tmp_path / name), str(tmp_path))


def test_names_of_files_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "인코더").mkdir()
    write_fairseq(tmp_path / "인코더" / "hubert base.pt", make())
    encoder = load_encoder("인코더/hubert base.pt")
    assert encoder.origin == str(tmp_path / "인코더" / "hubert base.pt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_encoder("~/인코더/hubert base.pt").origin == encoder.origin
    for name in ("models/not_there.pt", "models/not_there.pth", "models/model.safetensors"):
        assert looks_like_path(name)
        with pytest.raises(EncoderError, match=rf"no encoder in {name}: expected a folder .* or a \.pt file"):
            load_encoder(name)


# Files that would do something


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
)  # those whose working can be shown


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
    assert_same(load_encoder(beside).model, model)  # read as what does nothing, it is not in the way
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
    assert_same(load_encoder(str(tmp_path / "folder")).model, model)  # what is not its tensors is not used
    assert not trace.exists()


# Files that are something else


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


def test_weights_of_a_folder_without_its_config_say_so(tmp_path: Path) -> None:
    save_file(make().state_dict(), tmp_path / "model.safetensors")
    torch.save(make().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"give the folder that has both model\.safetensors and config\.json"):
        load_encoder(str(tmp_path / "model.safetensors"))
    with pytest.raises(EncoderError, match=r"no encoder in .*; found a dict of masked_spec_embed, feature_extractor"):
        load_encoder(str(tmp_path / "pytorch_model.bin"))


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


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "encoder.layers.0.self_attn.in_proj_weight",
            (3 * SOFT_WIDTH - 1, SOFT_WIDTH),
            "expected query, key and value",
        ),
        ("label_embedding.weight", (CODES, UNIT_DIM + 1), r"expected a head of .*; found .*, \(40,\), \(20, 41\)"),
        ("final_proj.weight", (1,), "1 tensors are not of a HuBERT: final_proj.weight"),
    ],
)
def test_soft_files_that_do_not_fit_are_refused(
    tmp_path: Path, original: Original, name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        load_encoder(write(tmp_path / "soft.pt", {**original.state_dict(), name: torch.ones(shape)}))


def test_a_head_is_its_projection_and_no_second_formula() -> None:
    projection = SoftProjection(6, 5, 4)
    hidden = torch.randn(2, 3, 6)
    head = SoftHead(projection)
    assert torch.equal(head.units(hidden), projection(hidden))
    assert torch.equal(head.logits(hidden), projection.logits(projection(hidden)))
