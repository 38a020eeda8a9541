"""What a stranger might send, at random: `python tests/fuzzing.py audio|store|checkpoint FIRST COUNT FOLDER`.

Each number makes one input out of good ones, the same every time. Whatever it is, it must be used or refused in a
sentence, within ALLOWED_BYTES of memory and ALLOWED_SECONDS; anything else ends this process with what went wrong.
"""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

ALLOWED_BYTES = 2**30
ALLOWED_SECONDS = 30
NUMBERS = [0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1, 2**80]
VALUES: list[Any] = [
    *NUMBERS,
    0.5,
    1e308,
    "",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "9" * 5000,
    None,
    True,
    [],
    {},
    [[]],
]

Attempt = Callable[[random.Random, Path], bool]  # whether the input was used; False: refused in a sentence


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """A file with some of its bytes changed, cut, doubled or made extreme numbers."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        if not out:
            break
        # Most fields that a decoder reads are at the start.
        at = rng.randrange(min(len(out), rng.choice([16, 64, 512, len(out)])))
        match rng.randrange(6):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at] = rng.choice([0, 0x7F, 0x80, 0xFF])
            case 2:
                del out[at : at + rng.choice([1, 4, 100, len(out)])]
            case 3:
                out[at:at] = out[at : at + rng.choice([1, 4, 1000])]
            case 4:
                number = rng.choice(NUMBERS) & 2**32 - 1
                out[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
            case 5:
                out[at:at] = rng.randbytes(rng.choice([1, 8, 300]))
    return bytes(out)


def json_changed(value: Any, rng: random.Random) -> Any:
    """A JSON value with one of its parts made another, taken away or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        match rng.randrange(12):
            case 0:
                return {name: v for name, v in value.items() if name != key}
            case 1:
                return {**value, str(rng.choice(VALUES)): value[key]}
        return {**value, key: json_changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        match rng.randrange(12):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[:at] + value[at : at + 1] + value[at:]
        return [*value[:at], json_changed(value[at], rng), *value[at + 1 :]]
    if isinstance(value, int) and rng.random() < 0.3:
        return value + rng.choice([-1, 1])
    return rng.choice(VALUES)


def audio() -> Attempt:
    import soundfile
    from svc.pipeline import audio

    wav = 0.3 * np.sin(np.arange(9000) / 20) + 0.01 * np.random.default_rng(0).normal(size=9000)
    stereo = np.stack([wav, wav[::-1]], 1)
    seeds: list[bytes] = []
    for kind, subtype in [
        ("WAV", "PCM_16"), ("WAVEX", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_24"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("AU", "ULAW"),
        ("RF64", "PCM_16"), ("WAV", "IMA_ADPCM"),
    ]:  # fmt: skip
        file = io.BytesIO()
        soundfile.write(file, stereo if len(seeds) % 2 else wav, 24_000, format=kind, subtype=subtype)
        seeds.append(file.getvalue())

    def attempt(rng: random.Random, folder: Path) -> bool:
        path = folder / "a.wav"
        path.write_bytes(bytes_changed(rng.choice(seeds), rng))
        try:
            recording = audio.scan(path)
            span = audio.read(recording, 0, min(recording.frames, 100))
        except audio.AudioError:
            return False
        assert np.isfinite(span).all()
        return True

    return attempt


def store() -> Attempt:
    from svc.common.canonical_json import digest
    from svc.store import StoreError, open_store
    from svc.store.cells import write_cell
    from svc.store.checksummed_json import add_checksum, check_checksum
    from svc.store.compact import compact
    from svc.store.packs import NewRow
    from svc.store.repair import repair
    from svc.store.schema import Column, PackSize, Utterance
    from svc.store.verify import verify_at
    from svc.store.writer import open_writer

    columns = [Column("hidden/2", "unit", "float16", 8, "1", {}), Column("f0", "mel", "float32", 0, "Hz", {"a": 1.5})]

    def make(path: Path) -> None:
        with open_writer(path, PackSize(256, 256), {"mel_frame_rate": 86.0}) as writer:
            writer.add([NewRow(f"{n:064x}", 0, 90 + n, False, 50 + n, 90 + n) for n in range(4)])
            places = [(pack, number, row) for pack in writer.packs for number, row in enumerate(pack.rows)]
            writer.set_utterances(
                [
                    Utterance(f"a/{i}", "a", "/c", f"{i}.wav", row.audio, 0, row.end, pack.number, number)
                    for i, (pack, number, row) in enumerate(places)
                ]
            )
            writer.set_columns(columns)
            for column in columns:
                for pack in writer.packs:
                    shapes = [(row.place(column.axis)[1], *column.frame_shape) for row in pack.rows]
                    values = {n: np.ones(shape, column.dtype) for n, shape in enumerate(shapes)}
                    writer.accept(write_cell(path, writer.size, column, pack, values, {}, {}))

    def change(path: Path, rng: random.Random) -> None:
        """One file, sealed and consistent again, as by an attacker who knows the format."""
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "lock")
        file = rng.choice(files)
        data = file.read_bytes()
        try:
            sealed = check_checksum(data, "")
        except StoreError:
            sealed = None
        if sealed is None or rng.random() < 0.1:
            file.write_bytes(bytes_changed(data, rng))
            return
        value = json_changed(sealed, rng)
        if not isinstance(value, dict):
            file.write_bytes(json.dumps(value).encode())
            return
        file.write_bytes(add_checksum(value))
        with suppress(StoreError, KeyError, IndexError, TypeError):  # may follow from an earlier change
            follow(path, file, value)

    def follow(path: Path, file: Path, value: dict[str, Any]) -> None:
        """Update the records that refer to a changed one."""
        if file.parent.name == "packs" and file.stem.isdigit():
            table = check_checksum((path / "ledger" / "utterances.json").read_bytes(), "")
            table["packs"][int(file.stem)] = digest(value)
            (path / "ledger" / "utterances.json").write_bytes(add_checksum(table))
            for receipt in (path / "ledger" / "receipts").rglob(file.name):
                told = check_checksum(receipt.read_bytes(), "")
                receipt.write_bytes(add_checksum({**told, "pack_digest": digest(value)}))
        if "columns" in file.parts and isinstance(value.get("settings"), dict):
            metadata = {**value["settings"], **{key: value.get(key) for key in ("axis", "dtype", "width")}}
            for receipt in (path / "ledger" / "receipts").rglob("*.json"):
                told = check_checksum(receipt.read_bytes(), "")
                if told["column"] == value.get("name"):
                    receipt.write_bytes(add_checksum({**told, "made_by": digest([told["column"], metadata])}))

    def attempt(rng: random.Random, folder: Path) -> bool:
        good, path = folder / "good.zarr", folder / "s.zarr"
        if not good.exists():
            make(good)
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(good, path)
        for _ in range(rng.choice([1, 1, 1, 2])):
            change(path, rng)
        used = True
        looks: list[Callable[[Path], object]] = [
            _read_all,
            verify_at,
            compact,
            lambda p: repair(p, lambda mel: mel - 40),
        ]
        for look in looks:
            try:
                look(path)
            except StoreError:
                used = False
        return used

    def _read_all(path: Path) -> None:
        opened = open_store(path)
        repr(opened), opened.speakers
        refused: list[StoreError] = []
        for clip in opened:
            clip.summary()
            for name in opened.columns:
                try:
                    assert clip.read(name).nbytes < 2**20
                except StoreError as error:
                    refused.append(error)
        if refused:
            raise refused[0]

    return attempt


def checkpoint() -> Attempt:
    import safetensors.torch
    import torch
    from svc.common.errors import UserError
    from svc.pipeline.checkpoints.torch_file import read_checkpoint_file
    from svc.stages import checkpoint

    tensors = {"a.weight": torch.arange(60.0).reshape(6, 10), "b": torch.ones(3, dtype=torch.float16)}

    def saved(**options: Any) -> bytes:
        file = io.BytesIO()
        torch.save({"model": tensors, "args": {"x": [1, 2.5, None, "y"]}, "cfg": np.float64(3)}, file, **options)
        return file.getvalue()

    pickles = [saved(), saved(_use_new_zipfile_serialization=False)]

    def attempt(rng: random.Random, folder: Path) -> bool:
        path = folder / "c.safetensors"
        checkpoint.save(path, tensors, {"step": 3})
        if rng.random() < 0.9:  # as in svc 0.1, without a checksum, which would find every change
            safetensors.torch.save_file(tensors, path, {"facts": '{"step": 3}'})
        data = path.read_bytes()
        if rng.random() < 0.5:  # a header in JSON, as by an attacker
            length = struct.unpack("<Q", data[:8])[0]
            header = json.dumps(json_changed(json.loads(data[8 : 8 + length]), rng)).encode()
            data = struct.pack("<Q", len(header)) + header + data[8 + length :]
        else:
            data = bytes_changed(data, rng)
        path.write_bytes(data)
        used = 0  # of the two files; of our own, whose checksum is compared, hardly any
        with suppress(UserError):
            checkpoint.load(path)
            used += 1
        path = folder / "c.pt"
        path.write_bytes(bytes_changed(rng.choice(pickles), rng))
        with suppress(ValueError):
            read_checkpoint_file(path)
            used += 1
        return used > 0

    return attempt


def main(kind: str, first: int, count: int, folder: Path) -> None:
    attempt = {"audio": audio, "store": store, "checkpoint": checkpoint}[kind]()
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + ALLOWED_BYTES, in_use + ALLOWED_BYTES))
    used = 0
    for number in range(first, first + count):
        signal.alarm(ALLOWED_SECONDS)
        try:
            used += attempt(random.Random(number), folder)
        except BaseException:
            traceback.print_exc()
            sys.exit(f"input {number} of {kind} was neither used nor refused")
    signal.alarm(0)
    print(json.dumps({"tries": count, "used": used}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
