"""Encoders in folders of transformers, and names that are paths."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.encoder.registry import looks_like_path
from transformers import HubertForCTC

from .checkpoint_writers import WIDTH, assert_same, load_encoder, make, write_fairseq


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


def test_weights_of_a_folder_without_its_config_say_so(tmp_path: Path) -> None:
    save_file(make().state_dict(), tmp_path / "model.safetensors")
    torch.save(make().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"give the folder that has both model\.safetensors and config\.json"):
        load_encoder(str(tmp_path / "model.safetensors"))
    with pytest.raises(EncoderError, match=r"no encoder in .*; found a dict of masked_spec_embed, feature_extractor"):
        load_encoder(str(tmp_path / "pytorch_model.bin"))
