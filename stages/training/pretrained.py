"""Beginning from another run: a base voice, whose units and weights a new run starts with."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...common.differences import differences
from ...common.errors import UserError
from ...common.files import write_whole
from .. import checkpoint
from ..run import Run
from ..run_config import RunConfig

# Settings that must be equal for the weights of one run to fit another; its speakers may differ.
SETTINGS = ("units", "unit_dim", "objective", "shallow_depth")


def check_pretrained(before: Run, config: RunConfig) -> None:
    """Raises UserError when a run with this record cannot begin from the weights of `before`."""
    if not before.best.exists():
        raise UserError(f"{before.path} was never trained, so nothing can begin from it; give another --base")

    def essence(config: RunConfig) -> dict[str, Any]:
        return {
            **{name: getattr(config.settings, name) for name in SETTINGS},
            "encoder": config.encoder.description,
            "unit_column": config.unit_column.name,
            "shape": asdict(replace(config.shape, speakers=1)),
        }

    if changed := differences(essence(before.config), essence(config), "in the base", "asked for"):
        raise UserError(f"the weights of {before.path} do not fit what is to be trained:\n{changed}")


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
