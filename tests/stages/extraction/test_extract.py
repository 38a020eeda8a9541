from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from svc.common.errors import UserError
from svc.pipeline import audio, frames
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import default_layers, load_encoder
from svc.stages.extraction.extract import extract
from svc.stages.extraction.report import ExtractReport
from svc.stages.settings import ExtractSettings
from svc.store import SettingsError, open_store
from svc.store.columns import write_column
from svc.store.layout import Layout
from svc.store.schema import Column
from svc.store.verify import verify
from svc.store.writer import Writer

Tree = Callable[[Path], dict[str, str]]


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
    """Only what is new is encoded; a rename costs nothing; what is gone leaves the corpus."""
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


def test_damaged_and_lost_cells_are_made_anew(
    tmp_path: Path, store: Path, corpus: Path, encoder: Path, tree: Tree
) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    whole = tree(copy)
    (copy / "f0" / "c" / "0").write_bytes(b"")
    (copy / "hidden" / "4" / "c" / "0" / "0").unlink()
    report = extract([corpus], copy, ExtractSettings(encoder=str(encoder)))
    assert report.cells_computed == 2
    assert tree(copy) == whole


def test_wrong_bytes_of_the_right_length_are_found_and_made_anew(
    tmp_path: Path, store: Path, corpus: Path, encoder: Path, tree: Tree
) -> None:
    """Which a run without --check takes on trust, as reading every byte of a large store takes long."""
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    whole = tree(copy)
    for name in ("f0/c/0", "hidden/2/c/0/0"):
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 4
        (copy / name).write_bytes(data)
    assert {finding.column for finding in verify(open_store(copy))} == {"f0", "hidden/2"}
    assert counted(extract([corpus], copy, ExtractSettings(), check=True, dry_run=True)) == {"f0": 1, "hidden/2": 1}
    assert counted(extract([corpus], copy, ExtractSettings(), check=True)) == {"f0": 1, "hidden/2": 1}
    assert tree(copy) == whole


def test_a_column_whose_description_is_lost_is_told_and_described_again(
    tmp_path: Path, store: Path, corpus: Path, encoder: Path, tree: Tree
) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    whole = tree(copy)
    (copy / "ledger" / "columns" / "hidden" / "2.json").unlink()
    assert [(finding.kind, finding.column) for finding in verify(open_store(copy))] == [("missing", "hidden/2")]
    assert counted(extract([corpus], copy, ExtractSettings(layers=(2,)))) == {}
    assert tree(copy) == whole


@pytest.mark.long  # test_kills.py kills a few times by default
def test_killed_again_and_again_it_ends_as_if_never_killed(
    tmp_path: Path, encoder: Path, corpus: Path, tree: Tree
) -> None:
    """kill -9 at growing moments; what was acknowledged before a kill is never computed again."""
    many = tmp_path / "many"
    for copy in range(3):
        for source in sorted(corpus.rglob("*.wav")):
            wav, rate = soundfile.read(source, dtype="float32")
            target = many / source.parent.name / f"{copy}_{source.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            audio.write(target, np.roll(wav, copy * 1000), rate)
    code = (
        "import sys; from pathlib import Path; from svc.store.schema import PackSize;"
        "PackSize.for_seconds = classmethod(lambda cls, seconds: cls(unit=512, mel=896));"
        "from svc.stages.extraction.extract import extract; from svc.stages.settings import ExtractSettings;"
        "extract([Path(sys.argv[1])], Path(sys.argv[2]), ExtractSettings(encoder=sys.argv[3]))"
    )

    def start(store: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code, str(many), str(store), str(encoder)])

    assert start(tmp_path / "whole.zarr").wait() == 0
    killed = tmp_path / "killed.zarr"
    receipts: dict[Path, int] = {}
    kills = 0
    for attempt in range(40):
        process = start(killed)
        wanted = len(receipts) + 1 + 5 * (attempt % 3)
        while process.poll() is None and len(list(killed.glob("ledger/receipts/**/*.json"))) < wanted:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        now = {p: p.stat().st_mtime_ns for p in killed.glob("ledger/receipts/**/*.json")}
        assert receipts.items() <= now.items()  # acknowledged once, never written again
        receipts = now
    assert process.returncode == 0
    assert kills >= 5
    assert tree(killed) == tree(tmp_path / "whole.zarr")


def test_stopped_before_the_corpus_is_written_no_part_of_a_recording_is_lost(
    tmp_path: Path, encoder: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, tree: Tree
) -> None:
    """A recording's utterances may lie in several packs: all of them count, or none."""
    from svc.store.schema import PackSize
    from svc.store.writer import Writer

    wavs = [soundfile.read(path, dtype="float32")[0] for path in sorted((corpus / "alto").iterdir())]
    (tmp_path / "long").mkdir()
    gap = np.zeros(2 * 44_100, np.float32)
    audio.write(tmp_path / "long" / "a.wav", np.concatenate([part for wav in wavs for part in (wav, gap)]))
    monkeypatch.setattr(PackSize, "for_seconds", classmethod(lambda cls, seconds: cls(unit=256, mel=512)))
    settings = ExtractSettings(encoder=str(encoder))
    extract([tmp_path / "long"], tmp_path / "whole.zarr", settings)
    assert len(open_store(tmp_path / "whole.zarr").packs) > 2

    def stopped(self: Writer, utterances: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "set_utterances", stopped)
        with pytest.raises(KeyboardInterrupt):
            extract([tmp_path / "long"], tmp_path / "s.zarr", settings)
    (tmp_path / "s.zarr" / "ledger" / "packs" / "000002.json").unlink()  # as if stopped among the packs
    extract([tmp_path / "long"], tmp_path / "s.zarr", settings)
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "whole.zarr")


def test_stopped_among_the_columns_the_next_run_still_makes_them_all(
    tmp_path: Path, encoder: Path, corpus: Path, store: Path, monkeypatch: pytest.MonkeyPatch, tree: Tree
) -> None:
    """Found by killing at random: one of two default layers was described, and the next run took it for a choice."""
    from svc.store import writer

    described: list[Column] = []
    real = write_column

    def stopped(layout: Layout, column: Column) -> None:
        if described:
            raise KeyboardInterrupt
        real(layout, column)
        described.append(column)

    settings = ExtractSettings(encoder=str(encoder))
    with monkeypatch.context() as patched:
        patched.setattr(writer, "write_column", stopped)
        with pytest.raises(KeyboardInterrupt):
            extract([corpus], tmp_path / "s.zarr", settings)
    assert list(open_store(tmp_path / "s.zarr").columns) == ["hidden/2"]
    extract([corpus], tmp_path / "s.zarr", settings)
    assert tree(tmp_path / "s.zarr") == tree(store)


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


def counted(report: ExtractReport) -> dict[str, int]:
    return {name: count for name, count in report.cells.items() if count}


def test_another_layer_is_one_more_column(tmp_path: Path, store: Path, corpus: Path, tree: Tree) -> None:
    """What is left out stays as the store has it, the encoder too."""
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


def test_another_encoder_at_the_same_place_is_refused(
    tmp_path: Path, corpus: Path, encoder: Path, save_encoder: Callable[..., None]
) -> None:
    """The store knows its encoder, so that it need not be loaded; what is loaded at last must be the same."""
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
    """HuBERT-soft: a column of the head's units beside the hidden states that they are made of."""
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


def test_default_layers() -> None:
    assert [default_layers("hubert", n) for n in (12, 24, 4, 1)] == [(7, 12), (14, 24), (2, 4), (1,)]
    assert [default_layers("whisper", n) for n in (6, 4, 12, 32, 1)] == [(3, 4), (2, 3), (6, 8), (16, 21), (1,)]
