"""The format of docs/store.md, checked by a reader that uses nothing of svc.

`read` stands in that document word for word: what is said there is what is run here.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from svc.store import open_store
from svc.store.compact import compact
from svc.store.folder import Folder
from svc.store.packs import NewRow

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

ON_DISK = pytest.mark.parametrize("sample", ["local"], indirect=True)
DOCUMENT = Path(__file__).parents[2] / "docs" / "store.md"


def read(root: Path, name: str, utterance: str) -> np.ndarray:
    """A column's values of one utterance; FileNotFoundError where its cell does not exist, ValueError for damage."""
    store = unseal(root / "ledger/store.json")
    check(store["format"] == "svc unit store" and store["version"] == 1)
    column = unseal(root / f"ledger/columns/{name}.json")
    axis, width, dtype = column["axis"], column["width"], np.dtype(column["dtype"]).newbyteorder("<")
    check(column["name"] == name)
    corpus = unseal(root / "ledger/utterances.json")
    at = corpus["table"]["id"].index(utterance)
    number, row = corpus["table"]["pack"][at], corpus["table"]["row"][at]
    pack = unseal(root / f"ledger/packs/{number:06d}.json")
    check(pack["number"] == number and sha256(pack) == corpus["packs"][number])
    receipt = unseal(root / f"ledger/receipts/{name}/{number:06d}.json")  # none: the cell does not exist
    made_by = sha256([name, {**column["settings"], "axis": axis, "dtype": column["dtype"], "width": width}])
    belongs = [receipt[key] for key in ("column", "pack", "pack_digest", "made_by")]
    check(belongs == [name, number, corpus["packs"][number], made_by])
    check(str(row) not in receipt["refused"])  # else its value says why there is nothing
    shard = (root / name / "c" / str(number) / ("0" if width else "")).read_bytes()
    check(unseal(root / f"ledger/receipts/{name}/{number:06d}.json") == receipt)  # not rewritten meanwhile
    check(len(shard) == receipt["size"] and hashlib.sha256(shard).hexdigest() == receipt["sha256"])
    slots = store["size"][axis] // 128
    chunk = 128 * max(1, width) * dtype.itemsize + 4  # bytes, with the checksum
    index = shard[len(shard) - 16 * slots - 4 :]
    held, rest = divmod(len(shard) - len(index), chunk)
    places = [(n * chunk, chunk) if n < held else (2**64 - 1, 2**64 - 1) for n in range(slots)]
    check(rest == 0 and index == checked(b"".join(struct.pack("<QQ", *place) for place in places)))
    offset, length = pack["rows"][row][f"{axis}_offset"], pack["rows"][row][f"{axis}_frames"]
    check(0 <= offset <= offset + length <= held * 128)
    first, last = offset // 128, -(-(offset + length) // 128)
    chunks = [shard[n * chunk : (n + 1) * chunk] for n in range(first, last)]
    check(all(data == checked(data[:-4]) for data in chunks))
    frames = np.frombuffer(b"".join(data[:-4] for data in chunks), dtype)
    return frames.reshape((-1, width) if width else -1)[offset - first * 128 :][:length]


def unseal(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    seal = str(json.loads(data)["seal"])
    value = {key: item for key, item in json.loads(data).items() if key != "seal"}
    check(seal == sha256(value) and data == canonical({**value, "seal": seal}) + b"\n")
    return value


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sha256(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def checked(data: bytes) -> bytes:
    """With its crc32c behind it."""
    crc = 2**32 - 1
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return data + struct.pack("<I", crc ^ 2**32 - 1)


def crc_table() -> Iterator[int]:
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        yield crc


TABLE = list(crc_table())


def check(good: bool) -> None:
    if not good:
        raise ValueError("the store is damaged")


def test_checksum_is_the_castagnoli_crc() -> None:
    assert checked(b"123456789")[-4:] == 0xE3069283.to_bytes(4, "little")  # the check value of CRC-32C


def test_document_shows_this_reader() -> None:
    block = DOCUMENT.read_text("utf-8").split("```python\n")[1].split("```")[0]
    here = Path(__file__).read_text("utf-8").replace("\n\n\n", "\n\n")
    assert block.replace("\n\n\n", "\n\n").strip() in here


def test_worked_examples_of_the_document() -> None:
    """Every example is followed by its sha256."""
    examples = re.findall(r"^(\S.*?)(\\n)?\n +sha256 ([0-9a-f]{64})$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert len(examples) >= 2
    for text, _, digest in examples:
        assert hashlib.sha256(text.encode("ascii")).hexdigest() == digest


@ON_DISK
def test_reader_that_knows_only_the_format_reads_the_same(sample: Sample) -> None:
    assert isinstance(sample.root, Path)
    for clip in sample.open():
        for column in sample.columns:
            found = read(sample.root, column.name, clip.id)
            assert (found.dtype, found.shape) == (clip.read(column.name).dtype, clip.read(column.name).shape)
            assert found.tobytes() == clip.read(column.name).tobytes()
            assert np.array_equal(found, sample.truth(column, clip.row))


def test_also_after_compacting_and_with_refused_rows(
    tmp_path: Path, extract: Run, sample: Sample, pieces: dict[str, NewRow]
) -> None:
    root = tmp_path / "a.zarr"
    columns = sample.columns[1:4:2]
    extract(root, columns=columns, refused={"bass/long": "too quiet"}, removed=list(pieces)[::3])
    compact(root)
    store = open_store(root)
    corpus = unseal(root / "ledger/utterances.json")
    assert None in corpus["packs"]
    assert corpus["table"]["id"] == [clip.id for clip in store]
    for clip in store:
        for column in columns:
            if clip.id == "bass/long":
                with pytest.raises(ValueError, match="damaged"):
                    read(root, column.name, clip.id)
            else:
                assert read(root, column.name, clip.id).tobytes() == clip.read(column.name).tobytes()


@pytest.mark.parametrize("sample", ["local"], indirect=True)
def test_reader_notices_any_changed_byte_of_what_it_reads(copy: Sample, flip: Run) -> None:
    column, clip = copy.columns[3], copy.open()[0]
    at, pack = copy.at, clip.utterance.pack
    paths = [
        at.description,
        at.utterances,
        at.pack(pack),
        at.column("f0"),
        at.receipt("f0", pack),
        at.shard(column, pack),
    ]
    rng = np.random.default_rng(31)
    for path in paths:
        data = path.read_bytes()
        for _ in range(20):
            flip(path, rng)
            with pytest.raises((ValueError, KeyError)):
                read(copy.at.root, "f0", clip.id)
            path.write_bytes(data)
    assert np.array_equal(read(copy.at.root, "f0", clip.id), clip.f0)
