"""Encoders in the format of bshall/hubert: with and without a head, saved again, downloaded by a short name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.encoder.registry import short_names
from svc.pipeline.projection import SoftHead, SoftProjection
from torch import Tensor, nn

from .checkpoint_writers import (
    CODES,
    SOFT_WIDTH,
    UNIT_DIM,
    assert_same,
    load_encoder,
    states,
    wave,
    with_lively_norms,
    write,
)


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
