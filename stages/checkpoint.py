"""Checkpoints: one safetensors file each, whole or absent, with a checksum; nothing in them can run.

The header's metadata holds `svc`, a JSON text, and `sha256`, the digest of the whole file with 64 zeros in the digest's
place. Checkpoints of svc 0.1 hold `facts` instead of both, and cannot be verified.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..common.errors import UserError
from ..common.files import write_whole
from ..common.records import RecordError, read_record

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)

NO_DIGEST = "0" * 64
MAX_HEADER = 100_000_000  # bytes, as the safetensors library has it


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors, and JSON about them in the header; `load` verifies both. Equal content gives equal bytes."""
    write_whole(path, to_bytes(tensors, metadata))


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """The content of a checkpoint, as `save` writes it."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(whole)
    length = struct.unpack("<Q", data[:8])[0]
    # The library writes several metadata in an order that varies, so the header is written here.
    fields = {"__metadata__": {"sha256": NO_DIGEST, "svc": json.dumps(metadata)}, **json.loads(data[8 : 8 + length])}
    header = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    start, content = struct.pack("<Q", len(header)), memoryview(data)[8 + length :]
    digest = hashlib.sha256(start + header)
    digest.update(content)
    header = header.replace(_field(NO_DIGEST), _field(digest.hexdigest()), 1)
    return b"".join((start, header, content))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote: tensors by name, and the metadata.

    Raises UserError when the file is not there, damaged, or not a checkpoint.
    """
    try:
        _verify(path)
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = _metadata(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping: not iterable
            return tensors, metadata
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (safetensors.SafetensorError, ValueError, TypeError, RecursionError, OSError) as error:
        raise _damaged(path, error) from error


def describe(path: Path) -> dict[str, Any]:
    """A checkpoint's metadata, from its header alone. Raises UserError as `load`; the content is not verified."""
    try:
        _check_regular(path)
        with safetensors.safe_open(path, framework="pt") as file:
            return _metadata(file.metadata())
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (safetensors.SafetensorError, ValueError, TypeError, RecursionError, OSError) as error:
        raise _damaged(path, error) from error


def load_record(path: Path, kind: type[T]) -> tuple[dict[str, Tensor], T]:
    """Read what `save` wrote, its metadata as a dataclass. Raises UserError as `load`, and for other metadata."""
    tensors, metadata = load(path)
    try:
        return tensors, read_record(kind, metadata)
    except RecordError as error:
        raise _damaged(path, error) from error


def load_module(path: Path, prefix: str, build: Callable[[], M], kind: type[T]) -> tuple[M, T]:
    """A module whose state lies behind `prefix.` in a checkpoint, and the checkpoint's metadata.

    The shapes that `build` expects are compared with those in the file before `build` allocates memory.

    Raises:
        UserError: as `load_record`; or the module's shapes are others, or a value is not finite.
    """
    check_shapes(path, prefix, build)
    tensors, record = load_record(path, kind)
    module = build()
    restore(prefix, module, tensors)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise _damaged(path, f"{prefix}.{name} holds values that are not finite")
    return module, record


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a checkpoint, from its header alone. Raises UserError as `load`."""
    try:
        _check_regular(path)
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # as above
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise _damaged(path, error) from error


def check_shapes(path: Path, prefix: str, build: Callable[[], nn.Module]) -> None:
    """Raises UserError unless the tensors behind `prefix.` have the names and shapes of `build()`'s state.

    `build` is called on torch's meta device, where tensors have shapes and take no memory.
    """
    with torch.device("meta"):
        expected = {f"{prefix}.{name}": tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    found = {name: shape for name, shape in shapes(path).items() if name.startswith(f"{prefix}.")}
    for name in sorted(expected.keys() | found.keys()):
        if (want := expected.get(name)) != (have := found.get(name)):
            raise UserError(
                f"{path} does not fit the model: {name}: expected {_shape(want)}, found {_shape(have)}",
                "Its run.json or its weights are of another run, or damaged: restore both from a copy",
            )


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's state, each name behind `prefix.`."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def restore(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the output of `prefixed`. Raises UserError if it does not fit."""
    start = f"{prefix}."
    state = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"a checkpoint does not fit its model: {str(error).splitlines()[-1].strip()}") from error


def optimizer_state(optimizer: torch.optim.Optimizer, prefix: str = "optimizer") -> dict[str, Tensor]:
    """An optimizer's tensors by name, for `save`."""
    return {
        f"{prefix}.{number}.{name}": value
        for number, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer"
) -> None:
    """Load the output of `optimizer_state`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{prefix}."):
            number, name = key.removeprefix(f"{prefix}.").split(".", 1)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _verify(path: Path) -> None:
    """Raises ValueError when the file's digest is not that in its header. Files of svc 0.1 have none."""
    _check_regular(path)
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER + 1
        if length > MAX_HEADER:
            raise ValueError("its header is too large, or cut off")
        header = file.read(length)
        digest = _recorded(header)
        if digest is None:
            return
        total = hashlib.sha256(start + header.replace(_field(digest), _field(NO_DIGEST), 1))
        while block := file.read(2**24):
            total.update(block)
    if total.hexdigest() != digest:
        raise ValueError("its content does not match its checksum")


def _recorded(header: bytes) -> str | None:
    """The digest in a header; None in those of svc 0.1, which have `facts` alone."""
    parsed = json.loads(header)
    metadata = parsed.get("__metadata__") if isinstance(parsed, dict) else None
    if not isinstance(metadata, dict):
        raise ValueError("its header has no metadata")
    if metadata.keys() == {"facts"}:
        return None
    if metadata.keys() != {"svc", "sha256"}:
        raise ValueError("it has no checksum")
    return str(metadata["sha256"])


def _metadata(given: Mapping[str, str] | None) -> dict[str, Any]:
    found = given or {}
    metadata = json.loads(found["svc"] if "svc" in found else found.get("facts", "null"))
    if not isinstance(metadata, dict):
        raise ValueError("it has no metadata")
    return metadata


def _check_regular(path: Path) -> None:
    if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would block
        raise ValueError("it is not a regular file")


def _field(digest: str) -> bytes:
    return f'"sha256":"{digest}"'.encode()


def _shape(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else str(shape)


def _damaged(path: Path, reason: object) -> UserError:
    return UserError(
        f"{path} is damaged, or no checkpoint of svc: {reason}",
        "Restore it from a copy, or train anew with another --out",
    )
