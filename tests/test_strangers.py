"""Malicious files: they run no code, refer to no other file, and cost no more than valid ones."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from svc.common.errors import UserError
from svc.pipeline import audio
from svc.stages import checkpoint
from svc.stages.extraction.recordings import find_recordings
from svc.store import StoreError, open_store

pytestmark = pytest.mark.torture


@pytest.mark.parametrize("kind", ["audio", "store", "checkpoint"])
@pytest.mark.parametrize("tries", [150, pytest.param(5000, marks=pytest.mark.long)])
def test_fuzzed(tmp_path: Path, tally: Callable[..., None], kind: str, tries: int) -> None:
    """In a process of its own, whose memory and time are bounded, and which a decoder may tear down."""
    script = Path(__file__).with_name("fuzzing.py")
    command = [sys.executable, str(script), kind, "0", str(tries), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tries"] == tries
    assert 0 < found["used"] < tries  # some inputs stay usable, some do not
    tally(f"fuzzed: {kind}", tries=tries, torn=0, found=tries - found["used"])


def peak(code: str, *arguments: object) -> int:
    """Bytes of memory that running a piece of Python adds, at most, to what its imports took."""
    script = (
        "import resource, sys; from svc.pipeline import audio; from svc.stages import checkpoint\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"{code}\nprint((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_an_hour_of_silence_in_a_small_file_is_read_in_blocks(tmp_path: Path) -> None:
    """A bomb: 500 kB of FLAC that decode to 635 MB."""
    import soundfile

    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 44_100, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 44_100, np.int16))
    assert path.stat().st_size < 600_000
    code = "try: audio.scan(sys.argv[1])\nexcept audio.AudioError as error: assert 'silent' in str(error)"
    code = code.replace("sys.argv[1]", "__import__('pathlib').Path(sys.argv[1])")
    assert peak(code, path) < 200 * 2**20


@pytest.mark.parametrize("what", ["fifo", "device", "loop", "socket"])
def test_a_corpus_leads_to_no_endless_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Reading a pipe or /dev/zero would never end: they are no files, and are not looked into."""
    (tmp_path / "alto").mkdir()
    audio.write(tmp_path / "alto" / "good.wav", np.sin(np.arange(44_100) / 20).astype(np.float32))
    path = tmp_path / "alto" / "endless.wav"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "loop":
        path.symlink_to(path)
        (tmp_path / "alto" / "around").symlink_to(tmp_path)
    else:
        monkeypatch.chdir(tmp_path / "alto")  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("endless.wav")
    all_found = find_recordings([tmp_path])
    found, refused = all_found.recordings, all_found.refused
    assert [item.path.name for item in found] == ["good.wav"]
    assert refused


def test_a_checkpoint_is_no_pickle(tmp_path: Path) -> None:
    """With any file name, a run's checkpoints are read as safetensors, and nothing in them is run."""

    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"facts": Evil()}, tmp_path / "last.safetensors")
    with pytest.raises(UserError, match="no checkpoint of svc"):
        checkpoint.load(tmp_path / "last.safetensors")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_claims_more_than_it_has(tmp_path: Path) -> None:
    """In its header's length, in a tensor's shape, and by two tensors that share their bytes."""
    data = safetensors.torch.save({"a": torch.ones(4)}, {"facts": "{}"})
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    huge = {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}
    shared = {"b": {**header["a"], "shape": [2, 2]}}
    texts = [json.dumps({**header, **claim}).encode() for claim in (huge, shared)]
    files = [struct.pack("<Q", 2**40) + data[8:]]
    files += [struct.pack("<Q", len(text)) + text + data[8 + length :] for text in texts]
    for number, content in enumerate(files):
        (tmp_path / f"{number}.safetensors").write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            checkpoint.load(tmp_path / f"{number}.safetensors")
    code = (
        "from pathlib import Path\nfor path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: checkpoint.load(path)\n    except Exception: pass"
    )
    assert peak(code, tmp_path) < 50 * 2**20


def test_what_zarr_metadata_asks_for_is_not_believed(tmp_path: Path, store: Path) -> None:
    """A store's zarr.json files are for others: chunks of 2^60 frames and codecs of anybody's are nothing to svc."""
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    values = open_store(copy)[0].mel
    for file in copy.rglob("zarr.json"):
        told = json.loads(file.read_text())
        if told.get("node_type") == "array":
            told["shape"] = [2**60, *told["shape"][1:]]
            told["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}, {"name": "../../evil"}]
            told["chunk_grid"]["configuration"]["chunk_shape"] = [2**60, *told["shape"][1:]]
        file.write_text(json.dumps(told))
    begun = time.process_time()
    assert np.array_equal(open_store(copy)[0].mel, values)
    assert time.process_time() - begun < 60


@pytest.mark.parametrize("name", ["ledger/utterances.json", "ledger/store.json"])
def test_a_record_of_a_terabyte_is_not_read(tmp_path: Path, store: Path, name: str) -> None:
    """A file with a hole in it takes no room on disk, and would take all of the memory."""
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    os.truncate(copy / name, 2**40)
    with pytest.raises(StoreError, match="1099511627776 bytes"):
        open_store(copy)


@pytest.mark.parametrize("name", ["ledger/utterances.json", "ledger/receipts/f0/000000.json", "f0/c/0"])
def test_a_pipe_in_a_store_is_not_waited_for(tmp_path: Path, store: Path, name: str) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(StoreError):
        _ = open_store(copy)[0].f0
