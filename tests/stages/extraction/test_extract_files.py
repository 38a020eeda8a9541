"""Recordings of all kinds: unreadable, changing, with names in any language."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from svc.common.errors import UserError
from svc.pipeline import audio
from svc.pipeline.encoder.content import ContentEncoder
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import open_store
from svc.store.writer import Writer


def test_a_clip_that_fails_costs_only_itself(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder overflows on one clip: it is refused by name, the rest is whole, and the next run tries it again."""
    real = ContentEncoder._states
    longest: list[int] = []

    def failing(
        self: ContentEncoder, wavs: torch.Tensor, lengths: torch.Tensor, layers: list[int], dtype: torch.dtype
    ) -> dict[int, torch.Tensor]:
        states = real(self, wavs, lengths, layers, dtype)
        if not longest:
            longest.append(len(wavs[0]))
            states[layers[0]] = states[layers[0]].clone()
            states[layers[0]][0] *= torch.inf
        return states

    settings = ExtractSettings(encoder=str(encoder))
    monkeypatch.setattr(ContentEncoder, "_states", failing)
    report = extract([corpus], tmp_path / "s.zarr", settings)
    assert len(report.refused) == 1
    assert "not finite" in report.refused[0].reason
    incomplete = [clip for clip in open_store(tmp_path / "s.zarr") if clip.missing()]
    assert [clip.id for clip in incomplete] == [report.refused[0].path]
    monkeypatch.setattr(ContentEncoder, "_states", real)
    extract([corpus], tmp_path / "s.zarr", settings)
    assert all(not clip.missing() for clip in open_store(tmp_path / "s.zarr"))


def test_every_odd_file_is_used_or_refused_in_a_sentence(shared: Path, tmp_path: Path, encoder: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for path in (shared / "audio" / "odd").iterdir():
        if not path.name.startswith("long_"):
            shutil.copy(path, odd)
    report = extract([odd], tmp_path / "odd.zarr", ExtractSettings(encoder=str(encoder)))
    refused = {Path(r.path).name: r.reason for r in report.refused}
    used = {u.source for u in open_store(tmp_path / "odd.zarr").table}
    assert used | set(refused) == {p.name for p in odd.iterdir()}
    assert not used & set(refused)
    bad = {p.name for p in odd.iterdir() if p.name.startswith(("bad_", "short_", "silence_"))}
    assert bad - set(refused) == {"bad_nan_inf_float32.wav", "bad_truncated.wav", "short_300ms.wav"}
    twins = {name for name, reason in refused.items() if "is the same file as" in reason}
    assert set(refused) - bad == twins
    assert all(clip.missing() == [] and np.isfinite(clip.mel).all() for clip in open_store(tmp_path / "odd.zarr"))


def test_a_corpus_of_nothing_but_bad_files_says_so(tmp_path: Path, encoder: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.wav").write_bytes(b"no audio")
    with pytest.raises(UserError, match=r"none of the recordings(.|\n)*a\.wav"):
        extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))


def test_a_file_that_changes_while_it_is_extracted_is_named_and_done_next_time(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, path = tmp_path / "mine", tmp_path / "s.zarr"
    shutil.copytree(corpus / "alto", mine)
    real = Writer.set_columns

    def meanwhile(self: Writer, *arguments: Any) -> None:
        real(self, *arguments)
        wav, rate = soundfile.read(mine / "phrase_1.wav", dtype="float32")
        audio.write(mine / "phrase_1.wav", wav[::-1], rate)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "set_columns", meanwhile)
        report = extract([mine], path, ExtractSettings(encoder=str(encoder)))
    assert [(r.path, r.reason) for r in report.refused] == [
        ("mine/phrase_1", "changed while it was being extracted; run again")
    ]
    report = extract([mine], path, ExtractSettings())
    assert report.changes.changed == ("mine/phrase_1",)
    assert not report.refused
    assert all(not clip.missing() for clip in open_store(path))
    assert len(open_store(path)) == 5


def test_korean_and_japanese_recordings(shared: Path, tmp_path: Path, encoder: Path) -> None:
    corpora = [shared / "audio" / "corpus" / name for name in ("ko_m_zeroth104", "ja_m_atr503")]
    report = extract(corpora, tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder), f0="dio"))
    assert not report.refused
    store = open_store(tmp_path / "s.zarr")
    assert store.speakers == ["ja_m_atr503", "ko_m_zeroth104"]
    assert report.seconds > 60
    for clip in store:
        assert np.isfinite(clip.hidden(4)).all()
        assert 0.1 < (clip.f0 > 0).mean() < 1
