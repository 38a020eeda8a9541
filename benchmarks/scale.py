"""How the cost of opening, planning, resuming and reading a store grows with its utterances: synthetic stores of 10^4
to 10^6.

    python -m svc.benchmarks.scale 10000 100000 1000000

A store has one speaker a thousand utterances, recordings of ten utterances, packs of 22 minutes, and the columns f0 and
loudness: only the ledger grows with the number of utterances, independent of a frame's width. Its recordings are files
of a few bytes, so that hashing them costs little. Each step runs in a process of its own; memory is the peak above that
of the imports (600 MB with torch), mapped shards included.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 689  # mel frames, 8 s
UNITS = 400
PER_RECORDING = 10
PER_SPEAKER = 1_000


def columns() -> list[Any]:
    from svc.store.schema import MEL, Column

    return [
        Column(name, MEL, "float32", 0, unit, {"made": "up"}) for name, unit in (("f0", "Hz"), ("loudness", "dBFS"))
    ]


def make(root: Path, count: int) -> None:
    """A corpus of small files, and its store."""
    from svc.common.progress import Progress
    from svc.pipeline.slicing import SliceSettings
    from svc.stages.extraction.corpus_scan import scan_corpus
    from svc.stages.extraction.plan import plan
    from svc.stages.extraction.recordings import find_recordings
    from svc.stages.features import identity
    from svc.store.cells import write_cell
    from svc.store.packs import NewRow
    from svc.store.schema import PackSize
    from svc.store.writer import open_writer

    for number in range(count // PER_RECORDING):
        folder = root / "corpus" / f"s{number * PER_RECORDING // PER_SPEAKER:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:07d}.wav").write_bytes(number.to_bytes(8, "little"))
    scan = scan_corpus(find_recordings([root / "corpus"]), Progress())
    for digest in scan.entries:
        scan.rows[digest] = [
            NewRow(digest, FRAMES * n, FRAMES * (n + 1), n > 0, UNITS, FRAMES) for n in range(PER_RECORDING)
        ]
    size = PackSize.for_seconds(1e9)
    with open_writer(root / "s.zarr", size, identity(SliceSettings())) as writer:
        planned = plan([], [], scan, size)
        writer.add(planned.rows)
        writer.set_utterances(planned.utterances)
        writer.set_columns(columns())
        value = np.zeros(FRAMES, np.float32)
        for pack in writer.packs:
            values = dict.fromkeys(range(len(pack.rows)), value)
            for column in columns():
                writer.accept(write_cell(writer.layout.folder, writer.size, column, pack, values, {}, {}))


def open_it(root: Path) -> Any:
    from svc.store import open_store

    return open_store(root / "s.zarr")


def find(root: Path) -> None:
    """A thousand utterances by their id."""
    store = open_it(root)
    ids = [store.table[at].id for at in np.linspace(0, len(store) - 1, 1_000).astype(int).tolist()]
    assert [store[name].id for name in ids] == ids


def crops(root: Path) -> None:
    """Ten thousand crops of two columns, drawn over the whole corpus."""
    store = open_it(root)
    for at in np.random.default_rng(0).integers(0, len(store), 10_000).tolist():
        clip = store[at]
        for name in ("f0", "loudness"):
            clip.read(name, 100, 350)


def lengths(root: Path) -> None:
    """The lengths of all utterances, as for a training's sampler."""
    assert sum(clip.row.mel_frames for clip in open_it(root)) > 0


def resume(root: Path) -> None:
    """A second run with nothing new: find the files, use cached hashes, plan, check that every cell exists."""
    from svc.common.progress import Progress
    from svc.pipeline.slicing import SliceSettings
    from svc.stages.extraction.corpus_scan import scan_corpus
    from svc.stages.extraction.plan import plan
    from svc.stages.extraction.recordings import find_recordings
    from svc.stages.features import identity
    from svc.store.schema import PackSize
    from svc.store.writer import open_writer

    scan = scan_corpus(find_recordings([root / "corpus"]), Progress())
    with open_writer(root / "s.zarr", PackSize.for_seconds(1e9), identity(SliceSettings())) as writer:
        planned = plan(writer.packs, writer.utterances, scan, writer.size)
        assert not planned.rows
        writer.set_columns(columns())
        assert all(len(writer.missing(column)) <= 1 for column in columns())  # added by `grow`


def grow(root: Path) -> None:
    """One more recording: planned and committed."""
    from svc.common.progress import Progress
    from svc.pipeline.slicing import SliceSettings
    from svc.stages.extraction.corpus_scan import scan_corpus
    from svc.stages.extraction.plan import plan
    from svc.stages.extraction.recordings import find_recordings
    from svc.stages.features import identity
    from svc.store.packs import NewRow
    from svc.store.schema import PackSize
    from svc.store.writer import open_writer

    (root / "corpus" / "s00000" / "new.wav").write_bytes(b"new")
    scan = scan_corpus(find_recordings([root / "corpus"]), Progress())
    with open_writer(root / "s.zarr", PackSize.for_seconds(1e9), identity(SliceSettings())) as writer:
        for digest, entry in scan.entries.items():
            if entry.found.source.endswith("new.wav"):
                scan.rows[digest] = [NewRow(digest, 0, FRAMES, False, UNITS, FRAMES)]
        planned = plan(writer.packs, writer.utterances, scan, writer.size)
        writer.add(planned.rows)
        writer.set_utterances(planned.utterances)
        writer.set_columns(columns())


def check(root: Path) -> None:
    """svc verify."""
    from svc.store.verify import verify

    assert verify(open_it(root)) == []


STEPS: dict[str, Callable[[Path], Any]] = {
    "open": open_it,
    "find 1,000": find,
    "all lengths": lengths,
    "10,000 crops": crops,
    "resume": resume,
    "verify": check,
    "grow by one": grow,
}


def measured(name: str, root: Path) -> dict[str, float]:
    """Seconds and peak MB of a step, in a process of its own."""
    code = "from svc.benchmarks.scale import run_step; import sys; run_step(sys.argv[1], sys.argv[2])"
    done = subprocess.run([sys.executable, "-c", code, name, str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_step(name: str, root: str) -> None:
    """In the process of its own: imports are not counted."""
    import svc.stages.extraction.extract
    import svc.store.writer  # noqa: F401  # for its memory alone

    imported, before = peak_mb(), time.perf_counter()
    STEPS[name](Path(root))
    seconds = time.perf_counter() - before
    print(json.dumps({"seconds": seconds, "mb": peak_mb() - imported}))


def peak_mb() -> float:
    """Of this process. Not getrusage's, which includes the memory of the parent process."""
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where stores are made, and kept")
    options = parser.parse_args()
    rows = []
    for count in options.counts:
        root = (options.folder or Path(tempfile.mkdtemp())) / str(count)
        began = time.perf_counter()
        if not (root / "s.zarr").exists():
            make(root, count)
            print(
                f"{count:,} utterances ({count * 8 / 3600:,.0f} h) made in {time.perf_counter() - began:.0f} s",
                flush=True,
            )
            time.sleep(2.1)  # hashes of files that have just changed are not cached
            measured("resume", root)
        for name in STEPS:
            found = measured(name, root)
            rows.append((name, count, found))
            print(f"{name:<14} {count:>10,}  {found['seconds']:9.2f} s  {found['mb']:8.0f} MB", flush=True)
        if not options.folder:
            shutil.rmtree(root.parent)


if __name__ == "__main__":
    main()
