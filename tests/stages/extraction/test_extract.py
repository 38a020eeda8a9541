"""The values of extraction: equal to those computed by hand, and none computed twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from svc.common.errors import UserError
from svc.pipeline import audio, frames
from svc.pipeline.encoder.registry import load_encoder
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import open_store
from svc.store.verify import verify

from .extraction_report import Tree, counted


def test_hidden_states_are_those_of_the_clip_alone(store: Path, corpus: Path, encoder: Path) -> None:
    """Computed again by hand, from the file: 44.1 kHz PCM, so that no sample is resampled twice."""
    clip = open_store(store)["alto/phrase_0"]
    wav, rate = soundfile.read(corpus / "alto" / "phrase_0.wav", dtype="float32")
    assert rate == frames.MEL_RATE
    row = clip.row
    part = np.pad(wav, (0, frames.MEL_HOP))[row.start * frames.MEL_HOP : row.end * frames.MEL_HOP]
    recording = audio.scan(corpus / "alto" / "phrase_0.wav")
    part = (part - np.float32(recording.mixdown.offset)) * np.float32(recording.mixdown.gain)
    part16 = audio.resample(part, rate, 16_000, frames.content_samples(row.end - row.start))
    content = load_encoder(str(encoder))
    expected = content.encode(torch.from_numpy(part16), [2, 4])
    for layer in (2, 4):
        found = clip.hidden(layer).astype(np.float32)
        assert found.shape == (row.unit_frames, 256)
        error = np.linalg.norm(found - expected[layer].numpy()) / np.linalg.norm(found)
        assert error < 1e-3  # float16


def test_f0_is_the_singer_s_at_the_mel_centres(tmp_path: Path, encoder: Path) -> None:
    from svc.data.singers.harmonic import VOICES, Note, sing

    score = [Note(57 + i % 5, 0.6, "", "a") for i in range(6)]
    wav, truth = sing(score, VOICES[0], 0)
    (tmp_path / "c").mkdir()
    audio.write(tmp_path / "c" / "a.wav", wav)
    extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
    clip = open_store(tmp_path / "s.zarr")["a"]
    centres = ((np.arange(clip.row.start, clip.row.end) + 0.5) * frames.MEL_HOP).astype(int)
    asked = truth[centres.clip(max=len(truth) - 1)]
    both = (asked > 0) & (clip.f0 > 0)
    assert both.mean() > 0.9
    assert np.median(np.abs(1200 * np.log2(clip.f0[both] / asked[both]))) < 2


def test_mel2ph_and_lengths_agree(store: Path) -> None:
    for clip in open_store(store):
        assert len(clip.f0) == len(clip.mel) == len(clip.mel2ph) == len(clip.loudness) == clip.row.mel_frames
        assert clip.mel2ph.min() >= 1
        assert clip.mel2ph.max() <= clip.row.unit_frames == len(clip.hidden(4))


def test_a_second_run_computes_nothing(tmp_path: Path, store: Path, corpus: Path, encoder: Path, tree: Tree) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    before = tree(copy)
    report = extract([corpus], copy, ExtractSettings(encoder=str(encoder)))
    assert report.cells_computed == 0
    assert report.cells_present == 6
    assert tree(copy) == before
    assert verify(open_store(copy)) == []


def test_new_changed_renamed_and_removed_files(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    """Only new recordings are encoded; a rename costs nothing; removed ones leave the corpus."""
    mine, path = tmp_path / "mine", tmp_path / "mine.zarr"
    shutil.copytree(corpus, mine)
    (mine / "alto" / "phrase_4.wav").rename(tmp_path / "later.wav")
    settings = ExtractSettings(encoder=str(encoder))
    first = extract([mine], path, settings)
    kept = {u.id: (u.pack, u.row) for u in open_store(path).table}
    (tmp_path / "later.wav").rename(mine / "alto" / "phrase_4.wav")  # new
    (mine / "bass" / "phrase_0.wav").rename(mine / "bass" / "again.wav")  # renamed
    (mine / "bass" / "phrase_1.wav").unlink()  # removed
    second = extract([mine], path, settings)
    assert first.cells_computed == second.cells_computed == 6  # one pack of six columns each
    now = {u.id: (u.pack, u.row) for u in open_store(path).table}
    assert now["bass/again"] == kept["bass/phrase_0"]
    assert now["alto/phrase_4"][0] == 1
    assert "bass/phrase_1" not in now
    assert all(not clip.missing() for clip in open_store(path))


def test_another_corpus_in_the_same_store_leaves_the_first(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    settings = ExtractSettings(encoder=str(encoder))
    extract([corpus / "alto"], tmp_path / "s.zarr", settings)
    extract([corpus / "bass"], tmp_path / "s.zarr", settings)
    assert open_store(tmp_path / "s.zarr").speakers == ["alto", "bass"]


def test_two_corpora_with_the_same_names_are_not_mixed(tmp_path: Path, corpus: Path, encoder: Path, tree: Tree) -> None:
    settings = ExtractSettings(encoder=str(encoder))
    extract([corpus / "alto"], tmp_path / "s.zarr", settings)
    other = tmp_path / "other" / "alto"
    other.mkdir(parents=True)
    shutil.copy(corpus / "bass" / "phrase_0.wav", other)
    before = tree(tmp_path / "s.zarr")
    with pytest.raises(UserError, match="alto/phrase_0 of another corpus"):
        extract([other], tmp_path / "s.zarr", settings)
    assert open_store(tmp_path / "s.zarr").utterances.index.is_unique
    assert {name: data for name, data in tree(tmp_path / "s.zarr").items() if name in before} == before


def test_a_dry_run_tells_and_writes_nothing(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    mine, path = tmp_path / "mine", tmp_path / "s.zarr"
    shutil.copytree(corpus, mine)
    settings = ExtractSettings(encoder=str(encoder))
    foreseen = extract([mine], path, settings, dry_run=True)
    assert not path.exists()
    done = extract([mine], path, settings)
    assert (foreseen.cells, foreseen.utterances, foreseen.changes) == (done.cells, done.utterances, done.changes)
    (mine / "bass" / "phrase_0.wav").rename(mine / "bass" / "again.wav")
    (mine / "bass" / "phrase_1.wav").unlink()
    with (mine / "alto" / "phrase_0.wav").open("ab") as file:
        file.write(b"\0\0")
    shutil.copy(mine / "alto" / "phrase_1.wav", mine / "alto" / "phrase_9.wav")  # a twin
    wav, rate = soundfile.read(mine / "alto" / "phrase_2.wav", dtype="float32")
    audio.write(mine / "alto" / "new.wav", wav[::-1], rate)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    foreseen = extract([mine], path, ExtractSettings(f0="dio"), dry_run=True)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    changes = foreseen.changes
    assert (changes.added, changes.changed, changes.renamed) == (("alto/new",), ("alto/phrase_0",), ("bass/again",))
    assert changes.removed == ("bass/phrase_1.wav",)
    assert foreseen.cells["f0"] == 2
    assert foreseen.cells["mel"] == 1
    done = extract([mine], path, ExtractSettings(f0="dio"))
    assert (counted(foreseen), foreseen.utterances, changes) == (counted(done), done.utterances, done.changes)
