"""Beginning from another run: a base voice, whose units and weights a new run starts with.

Base voices of many speakers ship with the package, as voice files in data/base (data/base_training made them). A run on
a store of the same encoder begins from one of them unless another base, or none, is asked for.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...common.differences import differences
from ...common.errors import UserError
from ...common.files import write_whole
from .. import checkpoint
from ..run import Run
from ..run_config import RunConfig
from ..run_stores import to_record
from ..settings import AUTO_BASE
from ..voice_file import SUFFIX

# Settings that must be equal for the weights of one run to fit another; its speakers may differ.
SETTINGS = ("units", "unit_dim", "objective", "shallow_depth")
SHIPPED = "shipped:"  # begins the record of a base that ships


def find_base(base: Path | str | None, config: RunConfig, out: Path) -> tuple[str, Run] | None:
    """The base that a new run with this record begins from, as its run.json records it, and opened; None: no base.

    Args:
        base: a run, AUTO_BASE for the one that ships and fits, if there is one, or None.
        config: of the new run.
        out: the new run's folder.

    Raises:
        UserError: the run that is named was not trained, or does not fit.
    """
    if base is None:
        return None
    if base != AUTO_BASE:
        before = Run.open(Path(base))
        check_pretrained(before, config)
        return to_record(Path(base), out), before
    for path in shipped():
        before = Run.open(path)
        if not _misfits(before, config) and _same_codes(before.config, config):
            return f"{SHIPPED}{path.stem}", before
    return None


def shipped() -> list[Path]:
    """The base voices in data/base: voice files without an index."""
    return sorted(Path(str(files("svc.data"))).glob(f"base/*{SUFFIX}"))


def recorded_base(run: Run) -> Run | None:
    """The base of a run's record, opened. Raises UserError if it does not exist any more."""
    recorded = run.config.init_from
    if recorded is None:
        return None
    if not recorded.startswith(SHIPPED):
        return Run.open(run.beside(recorded))
    name = recorded.removeprefix(SHIPPED)
    found = [path for path in shipped() if path.stem == name]
    if not found:
        raise UserError(
            f"{run.path} was to begin from the base voice {name!r}, which this version of svc does not have",
            "Train a new run with another --out",
        )
    return Run.open(found[0])


def check_pretrained(before: Run, config: RunConfig) -> None:
    """Raises UserError when a run with this record cannot begin from the weights of `before`."""
    if not before.best.exists():
        raise UserError(f"{before.source} was never trained, so nothing can begin from it; give another --base")
    if changed := _misfits(before, config):
        raise UserError(f"the weights of {before.source} do not fit what is to be trained:\n{changed}")


def _misfits(before: Run, config: RunConfig) -> str:
    """Lines with the settings in which a base differs from the new run; empty if it fits."""

    def essence(config: RunConfig) -> dict[str, Any]:
        return {
            **{name: getattr(config.settings, name) for name in SETTINGS},
            "encoder": config.encoder.description,
            "unit_column": config.unit_column.name,
            "shape": asdict(replace(config.shape, speakers=1)),
        }

    return differences(essence(before.config), essence(config), "in the base", "asked for")


def _same_codes(before: RunConfig, config: RunConfig) -> bool:
    """Whether a base's codes have the requested number and layer.

    A base that the user did not name must not change them.
    """
    return (before.settings.codes, before.code_layer) == (config.settings.codes, config.code_layer)


def copy_units(run: Run, base: Run) -> None:
    """The base's codes and projection: its weights expect those."""
    if not run.units.exists():
        write_whole(run.units, base.units.read_bytes())


def copy_weights(model: nn.Module, base: Run, speakers: list[str]) -> None:
    """The base's averaged weights and its mel's scale.

    Speakers of the base keep their embedding, new ones begin with the mean of its speakers.
    """
    tensors, _ = checkpoint.load(base.best)
    name = "ema.condition.speaker.weight"
    tensors[name] = _voices(tensors[name], base.speakers, speakers)
    checkpoint.restore("ema", model, tensors)


def _voices(known: Tensor, before: list[str], now: list[str]) -> Tensor:
    return torch.stack([known[before.index(name)] if name in before else known.mean(0) for name in now])
