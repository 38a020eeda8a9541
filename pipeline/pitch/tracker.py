"""The interface of f0 trackers.

A new one is a file with a subclass of `Tracker`, a line in `pitch.METHODS`, and its name in `settings.NAMES`.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.errors import SvcError

F0 = NDArray[np.float64]
CPU = torch.device("cpu")


class MissingLibraryError(SvcError, ImportError):
    """An f0 method needs a library, or a file of the user, that is not there. The message is a sentence for users."""


class Tracker(ABC):
    """Finds f0. Any number of threads may use one at the same time; the same samples give the same bits."""

    def __init__(self, model: str = ""):
        """`model` is a file or hub id of the user, for a tracker whose weights are in no package."""
        self.model = model
        self.lock = threading.Lock()

    @abstractmethod
    def track(self, wav: NDArray[np.float32], f0_min: float, f0_max: float, device: torch.device = CPU) -> F0:
        """f0 of a recording.

        Args:
            wav: float32 (T,) at 44.1 kHz, at least 512 samples.
            f0_min: lowest f0 to search for, in Hz.
            f0_max: highest. The result may lie outside: the caller removes such values.
            device: where a network computes; all else, including StoneMask, computes on the CPU.

        Returns:
            float64 (T // 512,), Hz at the mel frames' centres, 0 where unvoiced.

        Raises:
            MissingLibraryError: the library or file is not there, or is damaged.
        """

    def weights(self) -> str:
        """sha256 of its weights, or "" for one without weights. Raises MissingLibraryError."""
        return ""


def package_file(package: str, name: str, method: str, replacement: str) -> Path:
    """A file of an installed package, found without importing the package.

    Args:
        package: its name for import.
        name: the file's path in it.
        method: the f0 method that needs it, and `replacement` one that does not, for a message.

    Raises:
        MissingLibraryError: it is not installed.
    """
    found = find_spec(package)
    path = None
    if found is not None and found.submodule_search_locations:
        path = Path(found.submodule_search_locations[0], name)
    if path is None or not path.is_file():
        raise MissingLibraryError(
            f"f0 method {method!r} needs {package}, which is not installed",
            f"Install it: pip install {package.replace('_', '-')}. Or take {replacement} (docs/f0.md compares them)",
        )
    return path


def file_hash(path: Path) -> str:
    """sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
