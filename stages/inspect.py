"""`svc inspect`: what is in a store or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..store import Clip, Store, open_store
from ..store.folder import open_folder
from ..store.verify import verify_at
from .errors import UserError
from .run import Run

__all__ = ["describe", "describe_clip", "open_store", "verify_at"]


def describe(location: str | Path) -> dict[str, Any]:
    """What a store or a run is, as JSON would have it. Raises UserError when it is neither."""
    if open_folder(location).files("ledger"):
        return describe_store(open_store(location))
    path = Path(location)
    if (path / "run.json").exists():
        return describe_run(Run.open(path))
    if not path.exists():
        raise UserError(f"{location} does not exist; give a store (corpus.zarr) or a run (runs/NAME)")
    raise UserError(f"{location} is neither a store (it has no ledger/) nor a run (it has no run.json)")


def describe_store(store: Store) -> dict[str, Any]:
    speakers: dict[str, dict[str, float]] = {}
    incomplete = 0
    for clip in store:
        entry = speakers.setdefault(clip.speaker, {"utterances": 0, "seconds": 0.0})
        entry["utterances"] += 1
        entry["seconds"] = round(entry["seconds"] + clip.seconds, 3)
        incomplete += bool(clip.missing())
    columns = {
        name: {"axis": c.axis, "dtype": c.dtype, "width": c.width, "unit": c.unit, "settings": c.settings}
        for name, c in sorted(store.columns.items())
    }
    return {
        "kind": "store",
        "path": store.location,
        "utterances": len(store),
        "incomplete": incomplete,
        "speakers": speakers,
        "columns": columns,
        **{key: store.description[key] for key in ("version", "identity")},
    }


def describe_clip(clip: Clip) -> dict[str, Any]:
    """One utterance: its line of the table, and the shape of each column."""
    shapes = {name: list(clip.read(name).shape) for name in clip.store.columns if name not in clip.missing()}
    f0 = clip.f0
    voiced = f0[f0 > 0]
    return {
        **clip.summary(),
        "shapes": shapes,
        "voiced": round(float((f0 > 0).mean()), 3),
        "f0_median": round(float(sorted(voiced)[len(voiced) // 2]), 1) if len(voiced) else None,
    }


def describe_run(run: Run) -> dict[str, Any]:
    log = run.log.read_text("utf-8").splitlines() if run.log.exists() else []
    return {
        "kind": "run",
        "path": str(run.path),
        "trained": run.best.exists(),
        "last_validation": log[-1] if log else None,
        **{key: run.facts[key] for key in ("speakers", "settings", "shape", "encoder", "encoder_origin", "held_out")},
    }
