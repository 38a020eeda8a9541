"""A write that fails says which file, whatever call failed; a process that is terminated leaves no half file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from svc.common.files import new_file_beside, write_whole
from svc.store import StoreError, local
from svc.store.local import LocalFolder


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_the_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail) if call == "fsync" else monkeypatch.setattr(Path, call, fail)
    with pytest.raises(OSError, match=r"a\.json") as caught:
        write_whole(tmp_path / "a.json", b"x")
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "a.json"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def full(path: Path, flags: int, mode: int = 0o777) -> int:
        return real("/dev/full", os.O_RDWR) if str(path).endswith(".partial") else real(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.json'"):
        write_whole(tmp_path / "a.json", b"x" * 100_000)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The utterance table could be written beyond 4 GiB, and then no longer be read."""
    monkeypatch.setattr(local, "MAX_WHOLE", 1000)
    folder = LocalFolder(tmp_path)
    folder.write("a", bytes(1000))
    assert len(folder.read("a")) == 1000
    with pytest.raises(StoreError, match="would have 1001 bytes"):
        folder.write("a", bytes(1001))
    assert len(folder.read("a")) == 1000


def test_a_file_that_cannot_be_made_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'.*/gone/a\.svc'"), new_file_beside(tmp_path / "gone" / "a.svc"):
        raise AssertionError("it was made")


def test_a_command_that_is_terminated_leaves_no_half_file(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import cloup;"
        "from svc.commands.group import CommandGroup; from svc.common.files import write_whole;"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM);"
        "write = cloup.command('write')(lambda: write_whole(Path(sys.argv[2]), b'x'));"
        "group = CommandGroup('svc'); group.add_command(write); group(['write'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "", str(tmp_path / "a.json")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 143, done.stderr
    assert "the same command continues" in done.stderr
    assert list(tmp_path.iterdir()) == []
