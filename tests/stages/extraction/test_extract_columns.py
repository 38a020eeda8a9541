"""Columns of a store: further ones, replaced ones, and settings that are kept or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from svc.common.errors import UserError
from svc.pipeline.encoder.registry import default_layers, load_encoder
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import SettingsError, open_store
from svc.store.verify import verify

from .extraction_report import Tree, counted


@pytest.mark.parametrize(("change", "names"), [({"precision": "bf16"}, "precision"), ({"slice_db": -50}, "silence_db")])
def test_other_settings_are_refused_with_the_difference(
    tmp_path: Path, store: Path, corpus: Path, encoder: Path, change: dict[str, Any], names: str, tree: Tree
) -> None:
    copy, mine = tmp_path / "s.zarr", tmp_path / "choir"
    shutil.copytree(store, copy)
    shutil.copytree(corpus, mine)
    shutil.copy(mine / "alto" / "phrase_0.wav", mine / "alto" / "new.wav")
    with (mine / "alto" / "new.wav").open("ab") as file:
        file.write(b"\0\0")  # another file by one sample
    before = tree(copy)
    with pytest.raises(SettingsError, match=names):
        extract([mine], copy, ExtractSettings(encoder=str(encoder), **change))
    assert tree(copy) == before


def test_another_layer_is_one_more_column(tmp_path: Path, store: Path, corpus: Path, tree: Tree) -> None:
    """Options that are left out keep the store's settings, including the encoder."""
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    before = tree(copy)
    report = extract([corpus], copy, ExtractSettings(layers=(3,)))
    assert counted(report) == {"hidden/3": 1}
    assert all(tree(copy)[name] == data for name, data in before.items() if "/c/" in name or "receipts" in name)
    content = load_encoder(open_store(copy).columns["hidden/4"].origin)
    clip = open_store(copy)[0]
    assert clip.hidden(3).shape == (clip.row.unit_frames, content.hidden_size)
    again = extract([corpus], copy, ExtractSettings())
    assert counted(again) == {}
    assert again.cells_present == 7


def test_another_f0_replaces_its_column_and_needs_no_encoder(
    tmp_path: Path, corpus: Path, encoder: Path, tree: Tree
) -> None:
    shutil.copytree(encoder, tmp_path / "hubert")
    path = tmp_path / "s.zarr"
    extract([corpus], path, ExtractSettings(encoder=str(tmp_path / "hubert"), f0="harvest"))
    shutil.rmtree(tmp_path / "hubert")
    before = tree(path)
    old = open_store(path)[0].f0
    report = extract([corpus], path, ExtractSettings(f0="dio"))
    assert counted(report) == {"f0": 1}
    changed = {name for name, data in tree(path).items() if before.get(name) != data}
    assert {name for name in changed if "/c/" in name} == {"f0/c/0"}
    assert open_store(path).columns["f0"].settings["method"] == "dio"
    assert not np.array_equal(open_store(path)[0].f0, old)
    assert verify(open_store(path)) == []
    assert counted(extract([corpus], path, ExtractSettings())) == {}  # dio is now the store's
    assert counted(extract([corpus], path, ExtractSettings(f0="harvest"))) == {"f0": 1}
    assert np.array_equal(open_store(path)[0].f0, old)


def test_new_recordings_get_every_column_that_the_store_has(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    mine, path = tmp_path / "mine", tmp_path / "s.zarr"
    shutil.copytree(corpus / "alto", mine)
    extract([mine], path, ExtractSettings(encoder=str(encoder), layers=(1,), f0="dio"))
    shutil.copy(corpus / "bass" / "phrase_0.wav", mine / "new.wav")
    report = extract([mine], path, ExtractSettings())
    assert report.changes.added == ("mine/new",)
    assert set(counted(report)) == {"hidden/1", "mel", "loudness", "mel2ph", "f0"}
    assert all(not clip.missing() for clip in open_store(path))


def test_another_encoder_at_the_same_place_is_refused(
    tmp_path: Path, corpus: Path, encoder: Path, save_encoder: Callable[..., None]
) -> None:
    """The encoder is not loaded if the store describes it; an encoder that is loaded later must be the same."""
    mine, path = tmp_path / "mine", tmp_path / "s.zarr"
    shutil.copytree(corpus / "alto", mine)
    shutil.copytree(encoder, tmp_path / "hubert")
    extract([mine], path, ExtractSettings(encoder=str(tmp_path / "hubert")))
    shutil.rmtree(tmp_path / "hubert")
    save_encoder(tmp_path / "hubert", seed=1)
    assert counted(extract([mine], path, ExtractSettings())) == {}
    shutil.copy(corpus / "bass" / "phrase_0.wav", mine / "new.wav")
    with pytest.raises(UserError, match=r"sha256: \w+\.\.\. in the store, \w+\.\.\. found"):
        extract([mine], path, ExtractSettings())
    with pytest.raises(SettingsError, match="sha256"):
        extract([mine], path, ExtractSettings(encoder=str(tmp_path / "hubert")))


def test_precision_is_the_store_s(tmp_path: Path, store: Path, corpus: Path, encoder: Path) -> None:
    mine, path = tmp_path / "mine", tmp_path / "s.zarr"
    shutil.copytree(corpus / "alto", mine)
    extract([mine], path, ExtractSettings(encoder=str(encoder), precision="bf16"))
    exact = open_store(store)
    for clip in open_store(path):
        near, far = clip.hidden(4).astype(float), exact[clip.id.replace("mine", "alto")].hidden(4).astype(float)
        assert 1e-4 < np.linalg.norm(near - far) / np.linalg.norm(far) < 3e-2
    shutil.copy(corpus / "bass" / "phrase_0.wav", mine / "new.wav")
    extract([mine], path, ExtractSettings())
    assert open_store(path).columns["hidden/4"].settings["precision"] == "bf16"
    assert all(not clip.missing() for clip in open_store(path))


def test_an_encoder_with_a_soft_head_brings_its_units(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HuBERT-soft: a column of the head's units beside the hidden states from which they are computed."""
    from svc.pipeline.checkpoints.model_folder import ModelFolder
    from svc.pipeline.encoder.hubert import Hubert
    from svc.pipeline.encoder.network import EncoderSettings
    from svc.pipeline.projection import SoftHead

    head = SoftHead.of(torch.randn(32, 256), torch.randn(32), torch.randn(10, 32))
    real = Hubert.from_folder

    def with_head(folder: ModelFolder, settings: EncoderSettings) -> Hubert:
        found = real(folder, settings)
        return Hubert(found.model, found.normalize, settings, head)

    monkeypatch.setattr(Hubert, "from_folder", with_head)
    report = extract([corpus / "alto"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder), layers=(2,)))
    assert counted(report) == dict.fromkeys(("hidden/2", "soft", "mel", "loudness", "mel2ph", "f0"), 1)
    extract([corpus / "alto"], tmp_path / "s.zarr", ExtractSettings(layers=(4,)))
    for clip in open_store(tmp_path / "s.zarr"):
        soft = clip.read("soft")
        assert soft.shape == (clip.row.unit_frames, 32)
        expected = head.units(torch.from_numpy(clip.hidden(4).astype(np.float32))).numpy()
        assert np.abs(soft - expected).max() < 0.02 * np.abs(expected).max()


def test_default_layers() -> None:
    assert [default_layers("hubert", n) for n in (12, 24, 4, 1)] == [(7, 12), (14, 24), (2, 4), (1,)]
    assert [default_layers("whisper", n) for n in (6, 4, 12, 32, 1)] == [(3, 4), (2, 3), (6, 8), (16, 21), (1,)]


def test_small_corpora_get_formant_shifted_columns(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExtractSettings(encoder=str(encoder), formant_shifts=None)
    extract([corpus], tmp_path / "small.zarr", settings)
    shifted = {"hidden_down4/4", "hidden_up4/4"}
    assert shifted <= open_store(tmp_path / "small.zarr").columns.keys()
    again = extract([corpus], tmp_path / "small.zarr", settings)
    assert again.cells_computed == 0
    monkeypatch.setattr("svc.stages.extraction.extract.SMALL_CORPUS_SECONDS", 1.0)
    extract([corpus], tmp_path / "large.zarr", settings)
    assert not any("_down" in name or "_up" in name for name in open_store(tmp_path / "large.zarr").columns)
    # What a store has, it keeps, however much there is.
    assert extract([corpus], tmp_path / "small.zarr", settings).cells_computed == 0
    assert shifted <= open_store(tmp_path / "small.zarr").columns.keys()
