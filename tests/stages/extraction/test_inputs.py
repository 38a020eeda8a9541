"""Files of a corpus are used, or named; names of utterances are unique for any file names."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from svc.common.progress import Progress
from svc.pipeline import audio
from svc.pipeline.audio import AudioError
from svc.stages.extraction.corpus_files import Source
from svc.stages.extraction.corpus_scan import CorpusScan, scan_corpus
from svc.stages.extraction.extract import extract
from svc.stages.extraction.plan import plan
from svc.stages.extraction.recordings import find_recordings
from svc.stages.extraction.worker import WorkerContext
from svc.stages.settings import ExtractSettings, SliceSettings
from svc.store import open_store
from svc.store.schema import PackSize
from svc.store.verify import verify


def tone(path: Path, hertz: float = 220, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * 44_100)) / 44_100
    wav = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 5)) * 0.2
    soundfile.write(path, wav, 44_100, format="FLAC" if path.suffix == ".flac" else "WAV")
    return path


def names(corpus: Path) -> list[str]:
    """Of the utterances that a new store would get."""
    scan = scan_corpus(find_recordings([corpus]), Progress())
    scan.slice(list(scan.entries), SliceSettings(max_seconds=1.0), Progress())
    return [u.id for u in plan([], [], scan, PackSize.for_seconds(1)).utterances]


def test_one_name_in_several_formats(tmp_path: Path) -> None:
    for number, name in enumerate(("x.wav", "x.flac", "x.wav.flac", "y.wav")):
        tone(tmp_path / "anna" / name, 200 + 50 * number)
    assert names(tmp_path) == ["anna/x.flac", "anna/x.wav", "anna/x.wav.flac", "anna/y"]


def test_a_name_like_that_of_an_utterance(tmp_path: Path) -> None:
    """song.wav has two utterances, song#001 and song#002."""
    tone(tmp_path / "anna" / "song.wav", 200, 1.5)
    tone(tmp_path / "anna" / "song#002.wav", 300)
    assert names(tmp_path) == ["anna/song#001", "anna/song#002", "anna/song#002.wav"]


def test_two_spellings_of_one_name_are_one_name(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "노래é") for form in ("NFC", "NFD"))
    tone(tmp_path / composed / "1.wav", 200)
    tone(tmp_path / decomposed / "2.wav", 250)
    tone(tmp_path / composed / f"{decomposed}.wav", 300)
    found = find_recordings([tmp_path]).recordings
    assert {item.speaker for item in found} == {composed}
    assert sorted(item.name for item in found) == [f"{composed}/1", f"{composed}/2", f"{composed}/{composed}"]
    tone(tmp_path / composed / f"{composed}.wav", 350)
    assert len({item.name for item in find_recordings([tmp_path]).recordings}) == 4


def test_an_utterance_is_found_by_either_spelling(tmp_path: Path, encoder: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "노래é") for form in ("NFC", "NFD"))
    tone(tmp_path / "c" / decomposed / "1.wav")
    extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
    store = open_store(tmp_path / "s.zarr")
    assert store[f"{decomposed}/1"].id == store[f"{composed}/1"].id == f"{composed}/1"


def test_links_to_folders_are_followed_and_a_circle_is_told(tmp_path: Path) -> None:
    tone(tmp_path / "elsewhere" / "take" / "1.wav")
    (tmp_path / "c" / "anna").mkdir(parents=True)
    (tmp_path / "c" / "anna" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "c" / "anna" / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    found = find_recordings([tmp_path / "c"])
    assert [item.name for item in found.recordings] == ["anna/linked/take/1"]
    told = {Path(item.path).name: item.reason for item in found.refused}
    assert told == {
        "round": "is a link to a folder that it lies in; it is not followed",
        "gone.wav": "is a link to nothing",
    }


def test_a_folder_that_vanishes_while_the_corpus_is_listed_is_refused_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        tone(tmp_path / "c" / "anna" / name / "1.wav")
    real = os.stat

    def stat(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("anna/a"):
            shutil.rmtree(path, ignore_errors=True)
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "stat", stat)
    found = find_recordings([tmp_path / "c"])
    assert [item.name for item in found.recordings] == ["anna/b/1"]
    assert [(Path(item.path).name, item.reason) for item in found.refused] == [
        ("a", "cannot be read: No such file or directory")
    ]


def test_what_is_no_recording_is_named_or_counted(tmp_path: Path, encoder: Path) -> None:
    tone(tmp_path / "c" / "anna" / "1.wav")
    for name in ("words.txt", "notes.txt", "README", "song.mid", ".hidden.wav"):
        (tmp_path / "c" / "anna" / name).write_text("x")
    os.mkfifo(tmp_path / "c" / "anna" / "pipe.wav")
    report = extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)), dry_run=True)
    assert report.others == {".txt": 2, "no ending": 1, ".mid": 1}
    assert "  files of other kinds, not read: 1 .mid, 2 .txt, 1 no ending" in report.lines()
    assert [str(item) for item in report.refused] == [f"{tmp_path}/c/anna/pipe.wav: is no regular file"]


def test_what_is_not_used_of_a_recording_is_told(tmp_path: Path, encoder: Path) -> None:
    path = tone(tmp_path / "c" / "anna" / "1.wav", 220, 2)
    wav, _ = soundfile.read(path)
    soundfile.write(path, np.concatenate([wav, np.zeros(4 * 44_100), wav]), 44_100)
    report = extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)), dry_run=True)
    assert report.notes == [f"{path}: 3.5 s of 8.0 s (43%) are silence and not used: 0:02.3-0:05.7"]
    assert report.unused_seconds == pytest.approx(3.5, abs=0.05)


def export_again(path: Path, keep_times: bool) -> None:
    """Another sound of the same size, as after an editor has saved it again."""
    before = path.stat()
    wav, rate = soundfile.read(path)
    soundfile.write(path, wav[::-1], rate)
    assert path.stat().st_size == before.st_size
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("keep_times", [False, True])
@pytest.mark.parametrize("when", ["before the scan", "after the scan", "between two packs"])
def test_a_recording_exported_again_while_it_is_extracted(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, when: str, keep_times: bool
) -> None:
    """The new sound was once stored under the old sound's hash, which could not be detected."""
    path = tone(tmp_path / "c" / "anna" / "1.wav", 220, 2)
    times = 0
    original = WorkerContext.recording

    def recording(self: WorkerContext, source: Source) -> audio.Recording:
        nonlocal times
        if (times := times + 1) == (2 if when == "between two packs" else 1) and when != "after the scan":
            export_again(path, keep_times)
        found = original(self, source)
        if when == "after the scan" and times == 1:
            export_again(path, keep_times)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(WorkerContext, "recording", recording)
        report = extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
    assert [item.reason for item in report.refused] == ["changed while it was being extracted; run again"]
    after = extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings())
    assert not after.refused
    store = open_store(tmp_path / "s.zarr")
    assert verify(store) == []
    truth = audio.read(audio.scan(path), store[0].row.start, store[0].row.end)
    other = tmp_path / "other"
    (other / "anna").mkdir(parents=True)
    (other / "anna" / "1.wav").write_bytes(path.read_bytes())
    extract([other], tmp_path / "o.zarr", ExtractSettings(encoder=str(encoder)))
    assert len(truth)
    for name in store.columns:
        assert np.array_equal(store[0].read(name), open_store(tmp_path / "o.zarr")[0].read(name))


def test_a_file_that_is_being_written_is_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tone(tmp_path / "1.wav")
    original = audio.file_hash

    def slowly(name: Path) -> str:
        found = original(name)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(audio, "file_hash", slowly)
    with pytest.raises(AudioError, match="is being written at this moment"):
        Source.of(path)


def test_too_little_memory_for_one_recording_refuses_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        tone(tmp_path / "anna" / f"{number}.wav", 200 + number)
    scan = scan_corpus(find_recordings([tmp_path]), Progress())
    original = audio.scan

    def hungry(path: Path) -> audio.Recording:
        if path.name == "1.wav":
            raise MemoryError
        return original(path)

    monkeypatch.setattr(audio, "scan", hungry)
    scan.slice(list(scan.entries), SliceSettings(), Progress())
    assert isinstance(scan, CorpusScan)
    assert len(scan.rows) == 2
    assert [item.reason for item in scan.refused] == ["needs more memory than there is; cut it into shorter files"]
