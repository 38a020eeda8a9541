"""Random crops of 3 s per second, warm, one core: our reader, zarr-python's, and a .npy file a clip as the peers do it.

    python benchmarks/store.py            half an hour of clips of 2 to 12 s, HuBERT-base's width, beside each other

Every way reads the same numbers (asserted), in turns within one run; a figure is the median of the rounds, per second
of processor time. "Hidden" is 3 s of the hidden states alone (150 x 768 float16), "all" the input of a training step:
hidden, mel, f0, loudness, mel2ph.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from svc.stages.training.crop_sampler import Crop, CropSampler
from svc.store import Store, open_store
from svc.store.cells import write_cell
from svc.store.packs import NewRow
from svc.store.schema import MEL, UNIT, Column, PackSize, Utterance
from svc.store.writer import open_writer

COLUMNS = (
    Column("hidden/12", UNIT, "float16", 768, "1", {}),
    Column("mel", MEL, "float16", 128, "1", {}),
    Column("f0", MEL, "float32", 0, "Hz", {}),
    Column("loudness", MEL, "float32", 0, "dB", {}),
    Column("mel2ph", MEL, "int32", 0, "1", {}),
)
SECONDS = 3.0
UNIT_RATE, MEL_RATE = 50.0, 44100 / 512  # frames a second

Window = tuple[int, int]  # [first, last) on an axis


def make(folder: Path, minutes: float) -> Store:
    """A store of random numbers, and beside it the same as one .npy a clip and column."""
    rng = np.random.default_rng(0)
    pieces: list[NewRow] = []
    while sum(piece.mel_frames for piece in pieces) < minutes * 60 * MEL_RATE:
        seconds = rng.uniform(2, 12)
        mel = int(seconds * MEL_RATE)
        pieces.append(NewRow(f"{len(pieces):064x}", 0, mel, False, int(seconds * UNIT_RATE), mel))
    size = PackSize.for_seconds(5 * 3600)
    identity = {"mel_frame_rate": MEL_RATE}
    with open_writer(folder / "s.zarr", size, identity) as writer:
        writer.add(pieces)
        places = [(pack, number, row) for pack in writer.packs for number, row in enumerate(pack.rows)]
        writer.set_utterances(
            [
                Utterance(f"a/{i:05d}", "a", "/c", f"{i}.wav", row.audio, 0, row.end, pack.number, number)
                for i, (pack, number, row) in enumerate(places)
            ]
        )
        writer.set_columns(COLUMNS)
        for column in COLUMNS:
            for pack in writer.packs:
                values = {}
                for number, row in enumerate(pack.rows):
                    shape = (row.place(column.axis)[1], *column.frame_shape)
                    values[number] = rng.integers(0, 500, shape).astype(column.dtype)
                    file = folder / "npy" / column.name / f"{int(row.audio, 16)}.npy"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    np.save(file, values[number])
                writer.accept(write_cell(writer.layout.folder, size, column, pack, values, {}, {}))
    return open_store(folder / "s.zarr")


def ways(folder: Path, store: Store) -> dict[str, Callable[[str, int, Window], Any]]:
    """Each way to read a window of a column of a clip."""
    clips = list(store)
    arrays: dict[str, Any] = {column.name: zarr.open_array(folder / "s.zarr" / column.name) for column in COLUMNS}

    def ours(name: str, clip: int, window: Window) -> Any:
        return clips[clip].read(name, *window)

    def zarr_python(name: str, clip: int, window: Window) -> Any:
        column, utterance = store.columns[name], clips[clip].utterance
        begin = utterance.pack * store.size.of(column.axis) + clips[clip].row.place(column.axis)[0]
        return arrays[name][begin + window[0] : begin + window[1]]

    def file(name: str, clip: int) -> Path:
        return folder / "npy" / name / f"{int(clips[clip].row.audio, 16)}.npy"

    def npy(name: str, clip: int, window: Window) -> Any:
        return np.load(file(name, clip))[window[0] : window[1]].copy()

    def npy_mapped(name: str, clip: int, window: Window) -> Any:
        return np.array(np.load(file(name, clip), mmap_mode="r")[window[0] : window[1]])

    return {"svc": ours, "zarr-python": zarr_python, ".npy a clip": npy, ".npy a clip, mapped": npy_mapped}


def windows(crop: Crop, names: list[str], store: Store) -> list[tuple[str, Window]]:
    mel = crop.start, crop.stop
    unit = tuple(int(frame * UNIT_RATE / MEL_RATE) for frame in mel)
    return [(name, mel if store.columns[name].axis == MEL else (unit[0], unit[1])) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of audio in the store")
    parser.add_argument("--crops", type=int, default=600, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = make(Path(name), options.minutes)
        clips = list(store)
        draw = CropSampler([clip.row.mel_frames for clip in clips], int(SECONDS * MEL_RATE), options.crops, seed=0)
        readers = ways(Path(name), store)
        print(f"{len(clips)} clips, {options.minutes:.0f} minutes, {len(store.packs)} packs; 3-s crops a second")
        print(f"{'':22}{'hidden':>9}{'x .npy':>8}{'all':>9}{'x .npy':>8}")
        found: dict[tuple[str, str], list[float]] = {}
        for what, names in (("hidden", ["hidden/12"]), ("all", [column.name for column in COLUMNS])):
            plan = [(crop.clip, windows(crop, names, store)) for crop in draw.step(0)]
            for clip, parts in plan:  # which also warms up
                for name, window in parts:
                    values = [read(name, clip, window) for read in readers.values()]
                    assert all(np.array_equal(value, values[0]) for value in values), name
            for _ in range(options.rounds):
                for way, read in readers.items():
                    begun = time.process_time()
                    for clip, parts in plan:
                        for name, window in parts:
                            read(name, clip, window)
                    found.setdefault((way, what), []).append(len(plan) / (time.process_time() - begun))
        rates = {key: statistics.median(rounds) for key, rounds in found.items()}
        for way in readers:
            line = "".join(
                f"{rates[way, w]:9.0f}{rates[way, w] / rates['.npy a clip', w]:8.1f}" for w in ("hidden", "all")
            )
            print(f"{way:22}{line}")


if __name__ == "__main__":
    main()
