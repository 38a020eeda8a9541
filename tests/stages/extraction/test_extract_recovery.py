"""Stopped extractions and damaged cells: the next run ends with the same store as an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.pipeline import audio
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import open_store
from svc.store.columns import write_column
from svc.store.layout import Layout
from svc.store.schema import Column
from svc.store.verify import verify
from svc.store.writer import Writer

from .extraction_report import Tree, counted


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
    """A run without --check does not read every byte, which takes long for a large store."""
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
    """kill -9 at later and later moments; cells acknowledged before a kill are never computed again."""
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
