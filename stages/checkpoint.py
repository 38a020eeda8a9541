"""Checkpoints: one safetensors file each, whole or absent; nothing in them can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..common.errors import UserError
from ..common.files import write_whole


def save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors, and facts about them as JSON in the file's header."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, safetensors.torch.save(whole, {"facts": json.dumps(metadata)}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote. Raises UserError when the file is not there or damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping: not iterable
            return tensors, metadata
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise UserError(
            f"{path} is damaged, or no checkpoint of svc: {error}. Restore it from a copy, or train anew: another --out"
        ) from error


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's state, each name behind `prefix.`."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def restore(prefix: str, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load what `prefixed` gave. Raises UserError when it does not fit."""
    start = f"{prefix}."
    state = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"a checkpoint does not fit its model: {str(error).splitlines()[-1].strip()}") from error


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's tensors by name, for `save`."""
    return {
        f"optimizer.{number}.{name}": value
        for number, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Load what `optimizer_state` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
