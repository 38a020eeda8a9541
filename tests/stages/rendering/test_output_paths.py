"""Paths of results: unique over a whole call, and never replacing other files."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from svc.common.errors import UserError
from svc.stages.rendering.output_paths import (
    STANDARD,
    check_writable,
    description_path,
    made_here,
    picture_path,
    plan_outputs,
)


def test_where_results_go(tmp_path: Path) -> None:
    song, other = tmp_path / "my song.flac", tmp_path / "my song.mp3"
    new = tmp_path / "new"
    assert plan_outputs([song], "a/b", None) == [tmp_path / "my song.a_b.wav"]
    assert plan_outputs([song], "a", tmp_path) == [tmp_path / "my song.a.wav"]
    assert plan_outputs([song], "a", tmp_path / "x.wav") == [tmp_path / "x.wav"]
    assert plan_outputs([song, tmp_path / "b"], "a", new) == [new / "my song.a.wav", new / "b.a.wav"]
    assert plan_outputs([song], "a", tmp_path / "folder", ".mp3") == [tmp_path / "folder" / "my song.a.mp3"]
    assert plan_outputs([song, other], "a", None) == [tmp_path / f"my song.{end}.a.wav" for end in ("flac", "mp3")]
    with pytest.raises(UserError, match=r"does not end in \.wav, \.flac, \.mp3, \.ogg"):
        plan_outputs([song], "a", tmp_path / "x.aac")


def test_songs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    """`svc render v1/vocals.wav v2/vocals.wav -o out` once replaced one result by the other."""
    songs = [tmp_path / name for name in ("v1/vocals.wav", "v2/vocals.wav", "v2/vocals.flac", "v2/lead.wav")]
    names = [path.name for path in plan_outputs(songs, "alto", tmp_path / "out")]
    assert names == ["v1_vocals.wav.alto.wav", "v2_vocals.wav.alto.wav", "v2_vocals.flac.alto.wav", "lead.alto.wav"]
    beside = plan_outputs(songs[:2], "alto", None)
    assert beside == [song.parent / "vocals.alto.wav" for song in songs[:2]]
    deep = [tmp_path / name for name in ("x/v/vocals.wav", "y/v/vocals.wav")]
    assert [path.name for path in plan_outputs(deep, "a", tmp_path)] == ["x_v_vocals.a.wav", "y_v_vocals.a.wav"]


@pytest.mark.parametrize(
    "names",
    [
        ["a_b/c.wav", "a/b_c.wav", "x/c.wav"],
        ["Song.wav", "d/song.wav"],  # the same file where a file system has no cases
        [f"{unicodedata.normalize(form, '노래')}/{form}/노래.wav" for form in ("NFC", "NFD")],
        [unicodedata.normalize("NFC", "노래.wav"), "d/" + unicodedata.normalize("NFD", "노래.wav")],
        ["a/v1_x.wav", "v1/x.wav", "v2/x.wav"],
        ["a b/x.wav", "a_b/x.wav", 'a"b/x.wav', "a:b/x.wav"],
    ],
)
def test_no_two_results_have_one_name(tmp_path: Path, names: list[str]) -> None:
    """Nor names that differ only in case or in how Unicode spells them."""
    outputs = plan_outputs([tmp_path / name for name in names], "alto", tmp_path / "out")
    same = {unicodedata.normalize("NFC", str(path)).casefold() for path in outputs}
    assert len(same) == len(names)


def test_standard_input_and_output() -> None:
    assert plan_outputs([STANDARD], "a", None) == [STANDARD]
    assert plan_outputs([STANDARD], "a", Path("x.flac")) == [Path("x.flac")]
    assert plan_outputs([Path("s.wav")], "a", STANDARD) == [STANDARD]
    with pytest.raises(UserError, match="2 songs cannot go to standard output"):
        plan_outputs([Path("s.wav"), Path("t.wav")], "a", STANDARD)
    check_writable(STANDARD)


def described(out: Path, song: Path | None = None) -> None:
    """A result as svc render leaves it."""
    out.write_bytes(b"sound")
    said = {"made": "svc render", "result": out.name, "song": str(song)}
    description_path(out).write_text(json.dumps(said))
    picture_path(out).write_bytes(b"picture")


def test_two_formats_of_one_song_lie_side_by_side(tmp_path: Path) -> None:
    """The second was once refused as "not made by svc render"."""
    wav, flac = tmp_path / "s.a.wav", tmp_path / "s.a.flac"
    for out in (wav, flac):
        check_writable(out)
        described(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "s.a.flac", "s.a.flac.json", "s.a.flac.png", "s.a.json", "s.a.png", "s.a.wav",
    ]  # fmt: skip
    for out in (wav, flac):
        assert made_here(out)
        check_writable(out)


def test_names_are_checked_before_anything_is_computed(tmp_path: Path) -> None:
    """80 Hangul syllables, 240 bytes, are a name that a result can have; 85 are none."""
    check_writable(tmp_path / f"{'가' * 80}.alto.wav")
    with pytest.raises(UserError, match="has 264 bytes; file systems take 255"):
        check_writable(tmp_path / f"{'가' * 85}.alto.wav")
    with pytest.raises(UserError, match="does not exist"):
        check_writable(tmp_path / "no" / "a.wav")
    with pytest.raises(UserError, match="would replace the song"):
        check_writable(tmp_path / "s.wav", tmp_path / "S.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.json", "a.png"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_others_put_there_is_left_alone(tmp_path: Path, name: str, kind: str) -> None:
    precious = tmp_path / "precious"
    if kind != "dangling link":
        precious.write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    if kind == "file":
        (tmp_path / "out" / name).write_bytes(b"mine")
    else:
        (tmp_path / "out" / name).symlink_to(precious)
    with pytest.raises(UserError, match=r"exists and was not made by svc"):
        check_writable(tmp_path / "out" / "a.wav")


def test_another_songs_result_is_not_replaced_unless_it_was_named(tmp_path: Path) -> None:
    one, other, out = tmp_path / "a" / "v.wav", tmp_path / "b" / "v.wav", tmp_path / "v.alto.wav"
    for song in (one, other):
        song.parent.mkdir()
        song.write_bytes(b"song")
    described(out, one)
    check_writable(out, one, named=False)
    check_writable(out, other, named=True)
    with pytest.raises(UserError, match="is the result of another song"):
        check_writable(out, other, named=False)
    one.unlink()  # it was moved: perhaps it is the same
    check_writable(out, other, named=False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_pipe_in_place_of_a_description_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    assert not made_here(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"a\.json exists"):
        check_writable(tmp_path / "a.wav")
