"""Checkpoints from elsewhere: pickles that may name any class or function, read without running any of them.

PyTorch's restricted unpickler (`torch.load(weights_only=True)`) makes tensors and plain containers, and refuses every
other name. Training frameworks pickle their settings beside the weights, as objects of classes that are not here. Each
such name is given to the unpickler as `Inert`, so that nothing of a stranger's is imported or called, and what it was
made from can still be looked at.
"""

from __future__ import annotations

import pickle
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from typing import Any

import torch

ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGIC = b"\x80\x02"  # protocol 2, the only one that torch.save writes unless told otherwise
LEGACY_PICKLES = 4  # magic number, version, system, then the checkpoint itself

ADVICE = ("Weights only load failed", "Please file an issue", "(1) ", "(2) ")


class Inert:
    """Stands in for any stranger, class or function. `args` is what it was called with, `state` what was set on it."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Inert:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_checkpoint_file(path: Path) -> Any:
    """What `torch.save` wrote, in its zip or its older format, on the CPU, with `Inert` for what PyTorch does not know.

    Raises:
        ValueError: it is empty, cut off, no such file, or cannot be had without running its code.
    """
    with path.open("rb") as file:
        head = file.read(24)
    if not head:
        raise ValueError("the file is empty")
    if not head.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        raise ValueError(f"expected a file that torch.save wrote; found one that begins with {head!r}")
    try:
        names = _zip_strangers(path) if head.startswith(ZIP_MAGIC) else _legacy_strangers(path)
        with torch.serialization.safe_globals([(_stand_in(name), name) for name in sorted(names)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"its pickle asks for what is refused in files from elsewhere: {reason(error)}") from error
    except Exception as error:
        raise ValueError(f"the file is cut off or damaged: {reason(error)}") from error


def reason(error: Exception) -> str:
    """An error in one line, without PyTorch's advice to load the file with its safety off."""
    lines = [line.strip().removeprefix("WeightsUnpickler error: ") for line in str(error).splitlines()]
    told = next((line for line in lines if line and not line.startswith(ADVICE)), type(error).__name__)
    return told.partition(" Please use ")[0]


def describe(found: Any) -> str:
    """What a file holds, for a message: the first keys of a dict, and of the first dict inside it."""
    if not isinstance(found, dict):
        return f"a {type(found).__name__}"
    inside = next((value for value in found.values() if isinstance(value, dict)), None)
    within = f", with {_first(inside)} inside" if inside else ""
    return f"a dict of {_first(found)}{within}"


def _first(keys: dict[Any, Any]) -> str:
    names = [str(key) for key in keys]
    return (", ".join(names[:3]) or "nothing") + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _stand_in(name: str) -> Any:
    # The unpickler fills only true dicts, and settings do hold filled defaultdicts.
    return _empty_dict if name == "collections.defaultdict" else Inert


def _empty_dict(*_: Any) -> dict[Any, Any]:
    return {}


def _zip_strangers(path: Path) -> set[str]:
    return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))


def _legacy_strangers(path: Path) -> set[str]:
    """Names in the pickles at the head of a file from before the zip format, as they are written and as Python 3 says.

    A name that this misses is refused later on: torch's own list and this one are all that the unpickler will look up.
    """
    names = set()
    with path.open("rb") as file:
        for _ in range(LEGACY_PICKLES):
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    module, name = str(argument).split(" ", 1)
                    now = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                    names |= {f"{module}.{name}", ".".join(now)}
    return names
