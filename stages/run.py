"""A run: the folder that holds a trained voice, and everything that rendering with it needs to know.

runs/NAME/
    run.json                what it is: settings, speakers, what the store was made with
    units.safetensors       codes and soft projection
    last.safetensors        to train on: weights, their average, optimizer
    best.safetensors        to sing with: the averaged weights that did best on held-out utterances
    log.jsonl               losses, a line each
    held_out.png            a held-out utterance, and what the model makes of it
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..pipeline.diffusion import Diffusion, Shape
from ..pipeline.projection import Codebook, SoftProjection
from ..store.files import write_whole
from . import checkpoint
from .errors import UserError

VERSION = 1


@dataclass(frozen=True)
class Run:
    """A run's folder and what its run.json says."""

    path: Path
    facts: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Run:
        """Raises UserError when there is no run, or one of another version."""
        if (path / "ledger").is_dir():
            raise UserError(f"{path} is a store, not a run; train a voice on it first: svc train --store {path}")
        try:
            facts = json.loads((path / "run.json").read_text("utf-8"))
            version = facts["version"]
        except FileNotFoundError as error:
            raise UserError(f"{path} is no run: it has no run.json; `svc train` makes one") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path / 'run.json'} is damaged, or not of svc") from error
        if version != VERSION:
            raise UserError(
                f"{path} was made by svc with run format {version}; this svc reads {VERSION}: train it anew"
            )
        return cls(path, facts)

    def save(self) -> None:
        write_whole(self.path / "run.json", (json.dumps(self.facts, indent=1, ensure_ascii=False) + "\n").encode())

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def speakers(self) -> list[str]:
        return [speaker["name"] for speaker in self.facts["speakers"]]

    @property
    def units(self) -> Path:
        return self.path / "units.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    def shape(self) -> Shape:
        return Shape(**self.facts["shape"])

    def new_model(self) -> Diffusion:
        """The acoustic model, untrained."""
        settings = self.facts["settings"]
        return Diffusion(self.shape(), settings["objective"], settings["depth"])

    def load_units(self) -> tuple[Codebook, SoftProjection]:
        """Raises UserError when the units were never trained."""
        if not self.units.exists():
            raise UserError(f"{self.path} has no units yet: its training stopped before; run `svc train` again")
        tensors, _ = checkpoint.load(self.units)
        codebook = Codebook(tensors["codebook.centroids"])
        codes, unit_dim = tensors["projection.label_embedding.weight"].shape
        projection = SoftProjection(tensors["projection.proj.weight"].shape[1], unit_dim, codes)
        checkpoint.restore("projection", projection, tensors)
        return codebook, projection.eval().requires_grad_(False)

    def load_best(self, device: str) -> tuple[Diffusion, int]:
        """The model to sing with, and the step it is from. Raises UserError when there is none."""
        if not self.best.exists():
            raise UserError(f"{self.path} has no trained model yet: its training stopped before the first checkpoint")
        tensors, facts = checkpoint.load(self.best)
        model = self.new_model()
        checkpoint.restore("ema", model, tensors)
        return model.to(device).eval().requires_grad_(False), int(facts["step"])


def remove_leftovers(path: Path) -> None:
    """Remove what a run that was killed while it wrote left half-written."""
    for name in ("run.json", "units.safetensors", "last.safetensors", "best.safetensors"):
        for left in path.glob(f".{name}.*.partial"):
            left.unlink(missing_ok=True)


def newest_run(folder: Path = Path("runs")) -> Path:
    """The run that was written to last. Raises UserError when there is none."""
    found = [path.parent for path in folder.glob("*/run.json")]
    trained = [path for path in found if (path / "best.safetensors").exists()]
    if not trained:
        why = "holds no finished one" if found else "has none"
        raise UserError(
            f"no run to sing with: {folder.absolute()} {why}; give one with -m RUN, or make one with svc train"
        )
    return max(trained, key=lambda path: (path / "best.safetensors").stat().st_mtime)


def fork_generator(seed: int, *keys: int) -> torch.Generator:
    """A torch generator of its own for every (seed, keys), on the CPU."""
    generator = torch.Generator()
    mixed = seed
    for key in keys:
        mixed = (mixed * 1_000_003 + key + 1) % 2**63
    generator.manual_seed(mixed)
    return generator
