"""The lock of stores that are not on disk: one owner at a time, which must renew it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from svc.store import StoreError, open_store
from svc.store.lock import HeldObject, Pace
from svc.store.packs import NewRow
from svc.store.remote import RemoteFolder
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]

NAME = "ledger/lock"
QUICK = Pace(beat=0.05, stale=5, look=0.02, settle=0.01)  # stale only after longer than busy machines pause
HASTY = Pace(beat=0.05, stale=0.3, look=0.02, settle=0.01)  # takes over at once
NEVER = Pace(beat=60, stale=0.3, look=0.02, settle=0.01)  # its owner looks dead at once


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    base = request.getfixturevalue("bucket") if request.param == "s3" else "memory:/"
    yield f"{base}{tmp_path}/a.zarr"
    folder = RemoteFolder(f"{base}{tmp_path}")
    folder.remove(folder.files(""))


def nobody() -> None:
    raise AssertionError("nobody has it")


def test_lock_is_there_while_it_is_held_and_then_gone(url: str) -> None:
    folder = RemoteFolder(url, QUICK)
    for _ in range(2):
        with folder.lock(NAME, nobody) as held:
            assert folder.size(NAME) is not None
            held()
        assert folder.size(NAME) is None


def test_lock_is_let_go_when_its_owner_fails(url: str) -> None:
    folder = RemoteFolder(url, QUICK)
    with pytest.raises(KeyError), folder.lock(NAME, nobody):
        raise KeyError("x")
    assert folder.size(NAME) is None


def test_one_at_a_time_and_all_in_the_end(url: str) -> None:
    """Eight threads, each with a connection and lock of its own; each waits and is told so at most once."""
    inside, most, told, done = 0, 0, [0] * 8, []

    def work(number: int) -> None:
        nonlocal inside, most

        def waiting() -> None:
            told[number] += 1

        with RemoteFolder(url, QUICK).lock(NAME, waiting) as held:
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            held()
            inside -= 1
            done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    assert most == 1
    assert max(told) <= 1
    assert sum(told) >= 1


def test_owner_who_lives_keeps_it_however_long(url: str) -> None:
    """Twice as long as it takes to look dead."""
    other = threading.Event()

    def rival() -> None:
        with RemoteFolder(url, QUICK).lock(NAME, lambda: None):
            other.set()

    with RemoteFolder(url, QUICK).lock(NAME, nobody) as held:
        thread = threading.Thread(target=rival)
        thread.start()
        until = time.monotonic() + 2 * QUICK.stale
        while time.monotonic() < until:
            assert not other.wait(0.1)
            held()
    thread.join()
    assert other.is_set()


def test_lock_without_a_beat_is_taken_over_and_its_owner_is_told(url: str) -> None:
    began = time.monotonic()
    with RemoteFolder(url, NEVER).lock(NAME, nobody) as first:
        first()
        with RemoteFolder(url, NEVER).lock(NAME, lambda: None) as second:
            assert time.monotonic() - began > 0.3
            second()
            for _ in range(2):
                with pytest.raises(StoreError, match="taken over"):
                    first()
            second()
        with pytest.raises(StoreError, match="taken over"):
            first()


def test_owner_who_lost_it_leaves_the_new_owners_lock_alone(url: str) -> None:
    folder = RemoteFolder(url, NEVER)
    with RemoteFolder(url, NEVER).lock(NAME, nobody):
        second = folder.lock(NAME, lambda: None)
        held = second.__enter__()
    held()
    second.__exit__(None, None, None)
    assert folder.size(NAME) is None


def test_beat_never_revives_a_lock_that_was_taken(url: str) -> None:
    """The first owner beats again, late: it must notice, and not write over the second's."""
    late = Pace(beat=0.6, stale=0.2, look=0.02, settle=0.01)
    with RemoteFolder(url, late).lock(NAME, nobody) as first, RemoteFolder(url, HASTY).lock(NAME, lambda: None) as held:
        time.sleep(1)
        held()
        with pytest.raises(StoreError):
            first()


def test_of_many_who_wait_for_a_dead_owner_one_takes_over_at_a_time(url: str) -> None:
    RemoteFolder(url).write(NAME, b'{"owner": "dead"}')
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        with RemoteFolder(url, Pace(0.05, 3, 0.01, 0.2)).lock(NAME, lambda: None):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1
            done += 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (done, most) == (5, 1)


def test_writer_that_lost_its_lock_commits_nothing(
    url: str, extract: Run, pieces: dict[str, NewRow], sample: Sample
) -> None:
    identity: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
    folder = RemoteFolder(url, NEVER)
    extract(folder, corpus=dict(list(pieces.items())[:4]), columns=sample.columns[:1])
    receipt = open_store(folder).receipt("hidden/7", 0)
    with open_writer(folder, sample.size, identity) as writer:
        utterances = writer.utterances
        folder.write(NAME, b'{"owner": "another"}')
        before = folder.read_all(folder.files(""))
        for commit in (
            lambda: writer.add(list(pieces.values())[4:]),
            lambda: writer.set_utterances(utterances[1:]),
            lambda: writer.set_columns(sample.columns),
            lambda: writer.accept(receipt),
            lambda: writer.write_report({"done": True}),
        ):
            with pytest.raises(StoreError, match="taken over"):
                commit()
        assert folder.read_all(folder.files("")) == before
    assert folder.read(NAME) == b'{"owner": "another"}'


def test_on_s3_a_lock_that_changed_since_it_was_read_is_not_written_over(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late write is refused by the service itself."""
    folder = RemoteFolder(f"{bucket}{tmp_path}/a.zarr", QUICK)
    path = f"{folder.url.removeprefix('s3://')}/{NAME}"
    lock = HeldObject(path, folder.where(), folder._fs, lambda: folder._asking(NAME), QUICK)
    folder.write(NAME, b"dead")
    read = HeldObject._read

    def then_another_writes(self: HeldObject) -> bytes | None:
        found = read(self)
        folder.write(NAME, b"another's")
        return found

    monkeypatch.setattr(HeldObject, "_read", then_another_writes)
    assert not lock._replace(b"dead")
    monkeypatch.undo()
    assert folder.read(NAME) == b"another's"
    assert lock._replace(b"another's")


OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs are started without
from svc.store.lock import Pace
from svc.store.remote import RemoteFolder
with RemoteFolder(sys.argv[1], Pace(0.05, 5, 0.02, 0.01)).lock("ledger/lock", lambda: None):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("end", ["kill", "interrupt"])
def test_owner_that_is_killed_is_waited_for_no_longer_than_needed(bucket: str, tmp_path: Path, end: str) -> None:
    """Interrupted, it lets go itself."""
    url = f"{bucket}{tmp_path}/{end}.zarr"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        told: list[bool] = []
        if end == "kill":
            owner.kill()
        else:
            owner.send_signal(2)
            owner.wait()
        with RemoteFolder(url, HASTY).lock(NAME, lambda: told.append(True)) as held:
            held()
        assert told == ([True] if end == "kill" else [])
