from __future__ import annotations

from pathlib import Path

import pytest
from svc.common.errors import UserError
from svc.stages.extraction.recordings import find_recordings


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_each_folder_is_a_speaker_however_deep_its_files(tmp_path: Path) -> None:
    touch(tmp_path, "anna/a.wav", "anna/x/y/b.FLAC", "보라/c.mp3", "anna/notes.txt", ".trash/d.wav", "anna/._a.wav")
    all_found = find_recordings([tmp_path])
    found, refused = all_found.recordings, all_found.refused
    assert [(f.speaker, f.name, f.source) for f in found] == [
        ("anna", "anna/a", "anna/a.wav"),
        ("anna", "anna/x/y/b", "anna/x/y/b.FLAC"),
        ("보라", "보라/c", "보라/c.mp3"),
    ]
    assert refused == []


def test_a_flat_folder_is_one_speaker(tmp_path: Path) -> None:
    touch(tmp_path / "anna", "b.wav", "a.wav")
    found = find_recordings([tmp_path / "anna"]).recordings
    assert [(f.speaker, f.name) for f in found] == [("anna", "anna/a"), ("anna", "anna/b")]


def test_a_loose_file_beside_speakers_is_refused_and_shifts_nobody(tmp_path: Path) -> None:
    touch(tmp_path, "anna/a.wav", "stray.wav", "zoe/z.wav")
    all_found = find_recordings([tmp_path])
    found, refused = all_found.recordings, all_found.refused
    assert [f.speaker for f in found] == ["anna", "zoe"]
    assert len(refused) == 1
    assert "stray.wav" in refused[0].path
    assert "move it" in refused[0].reason


def test_names_that_differ_only_in_their_ending_keep_it(tmp_path: Path) -> None:
    touch(tmp_path, "anna/a.wav", "anna/a.flac", "anna/b.wav")
    assert [f.name for f in find_recordings([tmp_path]).recordings] == ["anna/a.flac", "anna/a.wav", "anna/b"]


def test_a_store_beside_the_recordings_is_no_speaker(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "old.zarr/zarr.json", "old.zarr/x.wav")
    assert [f.speaker for f in find_recordings([tmp_path]).recordings] == [tmp_path.name]


@pytest.mark.parametrize(
    ("names", "says"),
    [([], "nothing at all"), (["anna/a.txt", "anna/b.txt"], "2 .txt"), (["a.doc"], "1 .doc")],
)
def test_no_recordings_says_what_was_expected_and_found(tmp_path: Path, names: list[str], says: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UserError, match=r"expected SPEAKER/\*\.wav") as error:
        find_recordings([tmp_path])
    assert says in str(error.value)


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "song.wav")
    with pytest.raises(UserError, match="does not exist"):
        find_recordings([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="is a file"):
        find_recordings([tmp_path / "song.wav"])
