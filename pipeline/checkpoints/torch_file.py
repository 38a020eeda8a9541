"""Checkpoints that torch.save wrote, from elsewhere: read without running code, and without trusting their sizes.

Both formats are read: the zip with `data.pkl` and one entry a storage, and the older one of four pickles with the
storages behind them. Tensors are views of the mapped file, so that only what is used is read; each must lie within its
storage, and a file cannot claim more bytes than it has.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .pickles import HASHABLE, Cursor, Inert, Name, PickleError, checked_key, read_pickle
from .regular_files import check_regular

ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGIC = b"\x80\x02"  # protocol 2, the only one that torch.save writes by default
LEGACY_NUMBERS = (0x1950A86A20F9469CFC6C, 1001)  # which the older format begins with: its magic number and version
MOST_PICKLE_BYTES = 64 << 20
MOST_DIMENSIONS = 16
MOST_SHARING = 4  # how many times over the tensors of a file may use its bytes

ADVICE = ("Weights only load failed", "Please file an issue", "(1) ", "(2) ")


def read_checkpoint_file(path: Path) -> Any:
    """What torch.save wrote, on the CPU, with `Inert` for what is neither a plain container nor a dense tensor.

    Raises:
        ValueError: it is empty, no regular file, cut off, damaged, compressed, or no such file.
    """
    check_regular(path)
    with path.open("rb") as file:
        head = file.read(24)
        if not head:
            raise ValueError("the file is empty")
        if not head.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
            raise ValueError(f"expected a file that torch.save wrote; found one that begins with {head!r}")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        return _read_zip(path, data) if head.startswith(ZIP_MAGIC) else _read_legacy(data)
    except Unsupported:
        raise
    except Exception as error:
        raise ValueError(f"the file is cut off or damaged: {reason(error)}") from error


class Unsupported(ValueError):
    """A file is whole, but of a kind that is not read."""


@dataclass(frozen=True)
class Storage:
    """Bytes of the file that tensors are views of; `dtype` is None if only the tensors have it."""

    data: mmap.mmap
    start: int
    size: int
    dtype: torch.dtype | None

    def tensor(self, dtype: torch.dtype) -> Tensor:
        """All of it: (elements,). A copy where the file does not align it."""
        count = self.size // dtype.itemsize
        if count == 0:
            return torch.empty(0, dtype=dtype)
        if self.start % dtype.itemsize == 0:
            return torch.frombuffer(self.data, dtype=dtype, count=count, offset=self.start)
        return torch.frombuffer(bytearray(self.data[self.start : self.start + self.size]), dtype=dtype, count=count)


@dataclass(frozen=True)
class StorageType:
    """A storage class that a pickle names."""

    dtype: torch.dtype | None

    @property
    def itemsize(self) -> int:
        """Bytes of one number; of an untyped storage, 1."""
        return 1 if self.dtype is None else self.dtype.itemsize


class _Tensors:
    """Makes the tensors of one file, and counts their bytes."""

    def __init__(self, size: int):
        self.left = MOST_SHARING * size

    def rebuild(
        self, storage: Any, offset: Any, size: Any, stride: Any, *more: Any, dtype: torch.dtype | None = None
    ) -> Tensor:
        """torch._utils._rebuild_tensor and _rebuild_tensor_v2."""
        if not isinstance(storage, Storage) or (dtype := dtype or storage.dtype) is None:
            raise PickleError("a tensor has no storage")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or len(size) > MOST_DIMENSIONS or any(type(n) is not int or n < 0 for n in numbers):
            raise PickleError(f"a tensor has the size {str(size)[:60]} and the stride {str(stride)[:60]}")
        elements, last = 1, offset
        for length, step in zip(size, stride, strict=True):
            elements *= length
            last += (length - 1) * step
        if elements == 0:
            return torch.empty(tuple(size), dtype=dtype)
        held = storage.size // dtype.itemsize
        if last >= held or elements > held:
            raise PickleError(f"a tensor of size {tuple(size)} lies beyond its storage of {held} elements")
        self.left -= elements * dtype.itemsize
        if self.left < 0:
            raise PickleError(f"its tensors use the bytes of the file more than {MOST_SHARING} times over")
        return storage.tensor(dtype).as_strided(tuple(size), tuple(stride), offset)

    def rebuild_with_dtype(
        self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *more: Any
    ) -> Tensor:
        """torch._utils._rebuild_tensor_v3, of dtypes that have no storage class."""
        if not isinstance(dtype, torch.dtype):
            raise PickleError("a tensor has no dtype")
        return self.rebuild(storage, offset, size, stride, dtype=dtype)


def _of_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    """torch._tensor._rebuild_from_type_v2: a tensor of some class, or with attributes; here the tensor."""
    return function(*args) if callable(function) and not isinstance(function, type) else Inert("torch.Tensor", (args,))


def _dict(items: Any = ()) -> dict[Any, Any]:
    return {checked_key(key): value for key, value in items}


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """_codecs.encode, by which Python 2's pickles of bytes are written."""
    return str(text).encode("latin1")


def _known(tensors: _Tensors) -> dict[str, Any]:
    known: dict[str, Any] = {
        "collections.OrderedDict": _dict,
        "collections.defaultdict": lambda *_: {},  # the items are set afterwards
        "torch._utils._rebuild_tensor": tensors.rebuild,
        "torch._utils._rebuild_tensor_v2": tensors.rebuild,
        "torch._utils._rebuild_tensor_v3": tensors.rebuild_with_dtype,
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch._tensor._rebuild_from_type_v2": _of_type,
        "torch.Size": lambda sizes=(): tuple(sizes),
        "_codecs.encode": _encoded,
        "builtins.set": lambda items=(): set(map(checked_key, items)),
    }
    return {**known, **DTYPES, **_storage_types()}


def _storage_types() -> dict[str, Any]:
    untyped = StorageType(None)
    typed = {f"torch.{name}Storage": StorageType(dtype) for name, dtype in STORAGES.items()}
    return {"torch.storage.UntypedStorage": untyped, "torch.storage._UntypedStorage": untyped, **typed}


DTYPES = {f"torch.{name}": found for name in dir(torch) if isinstance(found := getattr(torch, name), torch.dtype)}
STORAGES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
HASHABLE.update(DTYPES.values())


def _read_zip(path: Path, data: mmap.mmap) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(name.endswith("/constants.pkl") for name in entries):
            raise Unsupported("it is a torchscript archive; expected a file that torch.save wrote")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise Unsupported("it is compressed, which torch.save never does: unpack and save it again")
        pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise PickleError(f"it has {len(pickles)} entries data.pkl, where one is expected")
        if entries[pickles[0]].file_size > MOST_PICKLE_BYTES:
            raise Unsupported(f"its data.pkl is larger than {MOST_PICKLE_BYTES >> 20} MiB")
        found = archive.read(pickles[0])
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise Unsupported("its numbers are big-endian")

    def storage(identity: Any) -> Storage:
        kind, key, count = _identity(identity)
        entry = entries.get(f"{root}data/{key}")
        if entry is None or entry.file_size < count * kind.itemsize:
            raise PickleError(f"storage {key!r} is missing or short")
        header = data[entry.header_offset : entry.header_offset + 30]
        name, extra = struct.unpack("<HH", header[26:30])
        start = entry.header_offset + 30 + name + extra
        return _within(Storage(data, start, count * kind.itemsize, kind.dtype))

    return read_pickle(Cursor(found), _known(_Tensors(len(data))), storage)


def _read_legacy(data: mmap.mmap) -> Any:
    cursor = Cursor(data)
    if tuple(read_pickle(cursor, {}, _nothing) for _ in LEGACY_NUMBERS) != LEGACY_NUMBERS:
        raise PickleError("it does not begin as torch.save's older format does")
    system = read_pickle(cursor, {}, _nothing)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise Unsupported("its numbers are big-endian")
    start = cursor.at
    kinds: dict[Any, StorageType] = {}

    def declare(identity: Any) -> None:
        if not _is_module(identity):
            kind, key, _ = _identity(identity)
            kinds[key] = kind

    # The storages lie behind the pickle that refers to them: it is read once to find its end, and once with them.
    read_pickle(cursor, _storage_types(), declare)
    if cursor.at - start > MOST_PICKLE_BYTES:
        raise Unsupported(f"its pickle is larger than {MOST_PICKLE_BYTES >> 20} MiB")
    storages: dict[Any, Storage] = {}
    for key in read_pickle(cursor, {}, _nothing):
        count, kind = cursor.number("<q"), kinds[checked_key(key)]
        storages[key] = _within(Storage(data, cursor.at, count * kind.itemsize, kind.dtype))
        cursor.at += storages[key].size

    def storage(identity: Any) -> Any:
        if _is_module(identity):
            return identity[1]
        kind, key, _ = _identity(identity)
        view = identity[5] if len(identity) > 5 else None
        whole = storages[key]
        if view is None:
            return whole
        _, first, count = view
        if not (type(first) is int and type(count) is int and first >= 0 and count >= 0):
            raise PickleError("a view of a storage is damaged")
        part = Storage(data, whole.start + first * kind.itemsize, count * kind.itemsize, kind.dtype)
        if part.start + part.size > whole.start + whole.size:
            raise PickleError("a view lies beyond its storage")
        return part

    return read_pickle(Cursor(data, start), _known(_Tensors(len(data))), storage)


def _is_module(identity: Any) -> bool:
    """Whether a persistent id is a class with its source text, which the older format has of whole modules."""
    return isinstance(identity, tuple) and len(identity) > 1 and identity[0] == "module"


def _identity(identity: Any) -> tuple[StorageType, str, int]:
    """A persistent id, ("storage", class, key, device, elements, ...): its class, key and elements."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        raise PickleError("a persistent id is no storage")
    _, kind, key, _, count, *_ = identity
    if isinstance(kind, Name):
        raise PickleError(f"a storage is of class {kind.name}")
    if not (isinstance(kind, StorageType) and isinstance(key, str) and type(count) is int and count >= 0):
        raise PickleError("a storage is damaged")
    return kind, key, count


def _within(storage: Storage) -> Storage:
    if storage.size < 0 or storage.start < 0 or storage.start + storage.size > len(storage.data):
        raise PickleError("a storage lies beyond the end of the file")
    return storage


def _nothing(identity: Any) -> None:
    raise PickleError("a storage is where none is expected")


def reason(error: Exception) -> str:
    """An error in one line, without PyTorch's advice to load the file with its safety off."""
    lines = [line.strip().removeprefix("WeightsUnpickler error: ") for line in str(error).splitlines()]
    found = next((line for line in lines if line and not line.startswith(ADVICE)), type(error).__name__)
    return found.partition(" Please use ")[0]


def describe(found: Any) -> str:
    """What a file holds, for a message: the first keys of a dict, and of the first dict inside it."""
    if not isinstance(found, dict):
        return described(found)
    inside = next((value for value in found.values() if isinstance(value, dict)), None)
    within = f", with {_first(inside)} inside" if inside else ""
    return f"a dict of {_first(found)}{within}"


def described(value: Any) -> str:
    """One value, for a message: a tensor's dtype and device, the class of anything else."""
    if isinstance(value, Tensor):
        return f"{value.dtype} on {value.device}"
    return f"a {value.name if isinstance(value, Inert | Name) else type(value).__name__}"


def _first(keys: dict[Any, Any]) -> str:
    names = [str(key) for key in keys]
    return (", ".join(names[:3]) or "nothing") + (f" and {len(names) - 3} more" if len(names) > 3 else "")
