"""A file that has not changed is not read again; any change is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from svc.common.progress import Progress
from svc.pipeline import audio
from svc.pipeline.audio import AudioError
from svc.stages.extraction import hash_cache
from svc.stages.extraction.corpus_files import Source
from svc.stages.extraction.corpus_scan import scan_corpus
from svc.stages.extraction.hash_cache import HashCache
from svc.stages.extraction.recordings import find_recordings


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hash_cache, "SETTLED_NS", 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are hashed."""
    found: list[str] = []
    original = audio.file_hash

    def read(path: Path) -> str:
        found.append(path.name)
        return original(path)

    monkeypatch.setattr(audio, "file_hash", read)
    return found


def corpus(tmp_path: Path) -> Path:
    (tmp_path / "c" / "anna").mkdir(parents=True)
    for number in range(5):
        (tmp_path / "c" / "anna" / f"{number}.wav").write_bytes(bytes([number]) * 100)
    return tmp_path / "c"


def test_unchanged_files_are_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    root = corpus(tmp_path)
    first = scan_corpus(find_recordings([root]), Progress())
    assert len(reads) == 5
    again = scan_corpus(find_recordings([root]), Progress())
    assert len(reads) == 5
    assert again.entries == first.entries
    scan_corpus(find_recordings([root]), Progress(), trust=False)
    assert len(reads) == 10


@pytest.mark.parametrize("how", ["longer", "same length", "same length and time", "another file in its place"])
def test_any_change_is_noticed(tmp_path: Path, reads: list[str], how: str) -> None:
    root = corpus(tmp_path)
    scan_corpus(find_recordings([root]), Progress())
    path = root / "anna" / "3.wav"
    before = path.stat()
    if how == "another file in its place":
        (tmp_path / "new").write_bytes(b"n" * 100)
        os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tmp_path / "new").rename(path)
    else:
        path.write_bytes(b"n" * (101 if how == "longer" else 100))
        if how == "same length and time":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    reads.clear()
    scan = scan_corpus(find_recordings([root]), Progress())
    assert reads == ["3.wav"]
    assert {Path(e.source.path).name: e.source.sha256 for e in scan.entries.values()}["3.wav"] == audio.file_hash(path)


def test_a_file_changed_just_now_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change once more within the tick of the file system's clock."""
    monkeypatch.setattr(hash_cache, "SETTLED_NS", 2_000_000_000)
    root = corpus(tmp_path)
    scan_corpus(find_recordings([root]), Progress())
    assert HashCache(root).known(str(root / "anna" / "0.wav")) is None


def test_a_damaged_cache_is_no_cache(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    scan_corpus(find_recordings([root]), Progress())
    cache = HashCache(root)
    assert cache.known(str(root / "anna" / "0.wav")) is not None
    data = bytearray(cache.path.read_bytes())
    data[60] ^= 1
    cache.path.write_bytes(data)
    assert HashCache(root).known(str(root / "anna" / "0.wav")) is None


def test_what_is_gone_is_told(tmp_path: Path) -> None:
    root = corpus(tmp_path)
    found = find_recordings([root])
    scan_corpus(found, Progress())
    (root / "anna" / "2.wav").unlink()
    with pytest.raises(AudioError, match="cannot be read: No such file"):
        HashCache(root).known(str(root / "anna" / "2.wav"))
    assert len(scan_corpus(found, Progress()).refused) == 1


def test_paths_that_are_no_text(tmp_path: Path) -> None:
    root = tmp_path / "c"
    (root / "anna").mkdir(parents=True)
    name = os.fsdecode(b"\xff\xfe.wav")
    (root / "anna" / name).write_bytes(b"1")
    scan_corpus(find_recordings([root]), Progress())
    assert HashCache(root).known(str(root / "anna" / name)) == Source.of(root / "anna" / name)
