"""Beginning from another run: a base voice, whose units and weights a new run starts with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...common.differences import differences
from ...common.errors import UserError
from ...common.files import write_whole
from .. import checkpoint
from ..run import Run

# What must be the same for the base's weights to mean the same; its speakers may be others.
SETTINGS = ("units", "unit_dim", "objective", "depth")


def check_pretrained(base: Run, metadata: dict[str, Any]) -> None:
    """Raises UserError when a run of these facts cannot begin from `base`."""
    if not base.best.exists():
        raise UserError(f"{base.path} was never trained, so nothing can begin from it; give another --base")

    def essence(metadata: dict[str, Any]) -> dict[str, Any]:
        return {
            **{name: metadata["settings"][name] for name in SETTINGS},
            "encoder": metadata["encoder"],
            "unit_column": metadata["unit_column"],
            "shape": {**metadata["shape"], "speakers": 0},
        }

    if changed := differences(essence(base.metadata), essence(metadata), "in the base", "asked for"):
        raise UserError(f"the weights of {base.path} do not fit what is to be trained:\n{changed}")


def copy_units(run: Run, base: Run) -> None:
    """The base's codes and projection: its weights expect those."""
    if not run.units.exists():
        write_whole(run.units, base.units.read_bytes())


def copy_weights(model: nn.Module, base: Run, speakers: list[str]) -> None:
    """The base's averaged weights and its mel's scale. Voices that it knows by name keep theirs, new ones begin as the
    mean of its voices.
    """
    tensors, _ = checkpoint.load(base.best)
    name = "ema.condition.speaker.weight"
    tensors[name] = _voices(tensors[name], base.speakers, speakers)
    checkpoint.restore("ema", model, tensors)


def _voices(known: Tensor, before: list[str], now: list[str]) -> Tensor:
    return torch.stack([known[before.index(name)] if name in before else known.mean(0) for name in now])
