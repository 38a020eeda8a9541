"""Folders: behaviour that is the same in every place of a store."""

from __future__ import annotations

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from svc.store import MissingError, StoreError
from svc.store.folder import Folder, open_folder
from svc.store.local import LocalFolder
from svc.store.remote import RemoteFolder

DATA = bytes(range(256)) * 40


def test_what_is_written_is_read(place: Folder) -> None:
    for name, data in [("zarr.json", b""), ("hidden/7/c/0/0", DATA), ("ledger/receipts/f0/000000.json", b"{}")]:
        place.write(name, data)
        assert (place.read(name), place.size(name)) == (data, len(data))
    place.write("zarr.json", b"new")
    assert place.read("zarr.json") == b"new"


def test_what_is_not_there_is_missing(place: Folder) -> None:
    place.write("f0/c/0", DATA)
    for name in ("f0/c/1", "f0/c", "f0/c/0/0", "g0/c/0"):
        assert place.size(name) is None
        for ask in (place.read, place.sha256, place.view):
            with pytest.raises(MissingError, match=name):
                ask(name)
    assert place.read_all(["f0/c/0", "f0/c/1", "f0"]) == {"f0/c/0": DATA}
    place.remove(["f0/c/1", "g0/c/0"])


def test_listing(place: Folder) -> None:
    assert place.files("") == place.files("f0/c") == {}
    assert place.entries() == []
    names = ["f0/c/0", "f0/c/10", "f0/c/2", "f0/zarr.json", "f01/c/0", "hidden/7/c/0/0", "zarr.json"]
    for number, name in enumerate(reversed(names)):
        place.write(name, bytes(number))
    sizes = {name: 6 - number for number, name in enumerate(names)}
    assert list(place.files("").items()) == list(sizes.items())
    assert place.files("f0") == {name: sizes[name] for name in names[:4]}
    assert place.files("f0/c") == {name: sizes[name] for name in names[:3]}
    assert place.entries() == ["f0", "f01", "hidden", "zarr.json"]


def test_removing(place: Folder) -> None:
    names = [f"f0/c/{number}" for number in range(5)]
    for name in names:
        place.write(name, DATA)
    place.remove(iter(names[1:]))
    assert place.files("") == {"f0/c/0": len(DATA)}


def test_view_gives_ranges(place: Folder) -> None:
    import hashlib

    place.write("f0/c/0", DATA)
    view = place.view("f0/c/0")
    assert len(view) == len(DATA)
    for start, stop in [(0, 5), (5, 5), (100, 4000), (len(DATA) - 3, len(DATA)), (0, len(DATA))]:
        assert bytes(view[start:stop]) == DATA[start:stop]
    place.write("empty", b"")
    assert len(place.view("empty")) == 0
    assert place.sha256("f0/c/0") == hashlib.sha256(DATA).hexdigest()


def test_view_never_gives_the_bytes_of_a_file_that_came_later(place: Folder) -> None:
    """Of equal length, and a checksum a chunk would not tell: it has the old ones, or none."""
    place.write("f0/c/0", DATA)
    view = place.view("f0/c/0")
    assert bytes(view[0:4]) == DATA[:4]
    place.write("f0/c/0", DATA[::-1])
    if isinstance(place, LocalFolder):
        assert bytes(view[0:4]) == DATA[:4]
    else:
        with pytest.raises(MissingError, match="open the store again"):
            view[0:4]
    assert bytes(place.view("f0/c/0")[0:4]) == DATA[::-1][:4]


HOSTILE = ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a\\..\\b", "c:/x", "", "a/", "x\0", "s3://other/x"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_elsewhere_are_refused(place: Folder, name: str) -> None:
    for ask in (place.read, place.size, place.view, place.sha256):
        with pytest.raises(StoreError, match="no name of a file"):
            ask(name)
    with pytest.raises(StoreError, match="no name of a file"):
        place.write(name, b"")
    with pytest.raises(StoreError, match="no name of a file"):
        place.remove([name])
    if name:
        with pytest.raises(StoreError, match="no name of a file"):
            place.files(name)


def test_folder_is_sent_without_handles(place: Folder) -> None:
    place.write("f0/c/0", DATA)
    sent = pickle.dumps(place)
    assert len(sent) < 600
    there = pickle.loads(sent)
    assert there.read("f0/c/0") == DATA
    assert there.where() == place.where()
    assert open_folder(place.location).read("f0/c/0") == DATA


def test_folder_that_was_sent_is_found_from_another_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = open_folder("here.zarr")
    assert folder.where("x") == "here.zarr/x"  # as it was given
    folder.write("x", DATA)
    sent = pickle.dumps(folder)
    monkeypatch.chdir("/")
    assert pickle.loads(sent).read("x") == DATA


@pytest.mark.parametrize("text", ["a.zarr", "/a/b.zarr", "C:/a.zarr", "file:///a/b.zarr", "file:///a/b%20c.zarr"])
def test_paths_and_file_urls_are_local(text: str) -> None:
    folder = open_folder(text)
    assert isinstance(folder, LocalFolder)
    assert str(folder.root) == text.replace("file://", "").replace("%20", " ")
    assert open_folder(folder) is folder


def test_url_that_was_made_a_path_is_told() -> None:
    """And makes no folder `s3:` beside the corpus."""
    with pytest.raises(StoreError, match="was a URL"):
        open_folder(Path("s3://bucket/a.zarr"))


@pytest.mark.parametrize("url", ["nowhere://a/b.zarr", "memory://", "memory:///"])
def test_url_that_leads_nowhere_is_told(url: str) -> None:
    with pytest.raises(StoreError, match=r"URL|no place"):
        open_folder(url)


def test_without_s3fs_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from svc.store import StoreError, open_store\n"
        "try: open_store('s3://bucket/a.zarr')\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 's3fs'" in done.stdout, done.stderr


def test_service_that_fails_is_no_missing_file(place: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable file must not count as missing, or it would be computed again."""
    if isinstance(place, LocalFolder):
        pytest.skip("the disk has tests of its own")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise PermissionError("Access Denied")

    assert isinstance(place, RemoteFolder)
    for call in ("cat_file", "info", "find", "pipe_file"):
        monkeypatch.setattr(place._fs, call, fail)
    for ask in (place.read, place.size, place.files, lambda name: place.read_all([name]), place.view):
        with pytest.raises(StoreError, match="Access Denied") as caught:
            ask("f0")
        assert not isinstance(caught.value, MissingError)
    with pytest.raises(StoreError, match="Access Denied"):
        place.write("f0", b"")


def test_missing_bucket_is_told(bucket: str) -> None:
    folder = RemoteFolder("s3://no-such-bucket/a.zarr")
    assert folder.entries() == []
    with pytest.raises(StoreError, match="bucket"):
        folder.write("x", b"")


def test_a_link_that_leads_out_of_the_store_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"mine")
    (tmp_path / "inside").mkdir()
    (tmp_path / "a.zarr" / "f0").mkdir(parents=True)
    (tmp_path / "a.zarr" / "f0" / "file").symlink_to(tmp_path / "secret")
    (tmp_path / "a.zarr" / "mel").symlink_to(tmp_path / "inside")
    (tmp_path / "linked.zarr").symlink_to(tmp_path / "a.zarr")  # the store itself may lie elsewhere
    for root in ("a.zarr", "linked.zarr"):
        folder = open_folder(tmp_path / root)
        for name in ("f0/file", "mel/file"):
            for act in (folder.read, folder.view, folder.sha256, folder.size, partial(folder.write, data=b"")):
                with pytest.raises(StoreError, match="leads out of the store, by a symbolic link"):
                    act(name)
        folder.write("ledger/file", b"ours")
        assert folder.read("ledger/file") == b"ours"
    assert (tmp_path / "secret").read_bytes() == b"mine"
    assert not list((tmp_path / "inside").iterdir())


def test_a_range_of_an_object_is_one_request(place: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was three: a HEAD before and after, for each range of each crop."""
    if not (isinstance(place, RemoteFolder) and "s3" in place._fs.protocol):
        pytest.skip("of S3")
    place.write("f0/c/0", DATA)
    view, fs, calls = place.view("f0/c/0"), place._fs, []
    original = fs._call_s3

    async def spy(method: str, *args: object, **kwargs: object) -> object:
        calls.append(method)
        return await original(method, *args, **kwargs)

    monkeypatch.setattr(fs, "_call_s3", spy)
    assert bytes(view[1:4]) == DATA[1:4]
    assert calls == ["get_object"]
