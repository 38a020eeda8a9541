"""`svc inspect`: the content of a store or a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..common.errors import UserError
from ..common.text import count
from ..store import Clip, Store, open_store
from ..store.folder import open_folder
from . import checkpoint
from .pack import read_card
from .run import Run
from .stores import other_kind
from .training_log import TrainingLog
from .voice_file import SUFFIX

__all__ = ["describe", "describe_utterance", "lines", "open_store", "utterance_lines"]

SCORES = ("content", "speaker", "pitch", "variance")  # of the conversion probe


def describe(location: str | Path) -> dict[str, Any]:
    """A description of a store or a run, as JSON. Raises UserError if it is neither."""
    if not Path(location).is_file() and open_folder(location).files("ledger"):
        return describe_store(open_store(location))
    path = Path(location)
    if path.is_file() and path.suffix == SUFFIX:
        return {**describe_run(Run.open(path)), "kind": "voice file", "card": read_card(path)}
    if (path / "run.json").exists():
        return describe_run(Run.open(path))
    if not path.exists():
        raise UserError(f"{location} does not exist; give a store (corpus.zarr) or a run (runs/NAME)")
    if kind := other_kind(location):
        raise UserError(f"{location} is {kind}, neither a store nor a run")
    raise UserError(f"{location} is neither a store (it has no ledger/) nor a run (it has no run.json)")


def describe_store(store: Store) -> dict[str, Any]:
    """The output of `svc inspect STORE --json`: columns, speakers, and refused inputs."""
    speakers: dict[str, dict[str, float]] = {}
    rate = float(store.description["identity"]["mel_frame_rate"])
    for utterance in store.table:
        entry = speakers.setdefault(utterance.speaker, {"utterances": 0, "seconds": 0.0})
        entry["utterances"] += 1
        entry["seconds"] = round(entry["seconds"] + (utterance.end - utterance.start) / rate, 3)
    columns = {
        name: {
            "axis": c.axis,
            "dtype": c.dtype,
            "width": c.width,
            "unit": c.unit,
            "settings": c.settings,
            "origin": c.origin,
        }
        for name, c in sorted(store.columns.items())
    }
    return {
        "kind": "store",
        "path": store.location,
        "utterances": len(store),
        "incomplete": store.incomplete(),
        "speakers": speakers,
        "columns": columns,
        **{key: store.description[key] for key in ("version", "identity")},
    }


def describe_utterance(clip: Clip) -> dict[str, Any]:
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
    """The output of `svc inspect RUN --json`: its settings, speakers, and the scores of its checkpoints."""
    validations = TrainingLog(run.log).read()
    best = checkpoint.describe(run.best).get("step") if run.best.exists() else None
    config = run.config
    return {
        "kind": "run",
        "path": str(run.source),
        "trained": run.best.exists(),
        "last_validation": validations[-1] if validations else None,
        "best_validation": next((line for line in validations if line["step"] == best), None),
        "shape": asdict(config.shape),
        **asdict(config),
    }


def lines(metadata: dict[str, Any]) -> list[str]:
    """The result of `describe`, as text."""
    if metadata["kind"] == "store":
        return [repr(open_store(metadata["path"])), *_store_lines(metadata)]
    return _run_lines(metadata)


def utterance_lines(metadata: dict[str, Any]) -> list[str]:
    """The result of `describe_utterance`, as text."""
    return [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in metadata.items()]


def _store_lines(metadata: dict[str, Any]) -> list[str]:
    said = [
        f"  {name}: {count(entry['utterances'], 'utterance')}, {entry['seconds'] / 60:.1f} minutes"
        for name, entry in metadata["speakers"].items()
    ]
    for name, column in metadata["columns"].items():
        width = f" x {column['width']}" if column["width"] else ""
        unit = "" if column["unit"] == "1" else f", {column['unit']}"
        made = column["settings"]
        by = ""
        if "encoder" in made:
            by = f", by {column['origin']} ({made.get('precision', 'fp32')})"
        elif name == "f0" and "method" in made:
            by = f", by {made['method']}, {made['f0_min']:g} to {made['f0_max']:g} Hz"
        said.append(f"  {name}: {column['dtype']}{width}{unit}, along {column['axis']} frames{by}")
    if metadata["incomplete"]:
        said.append(f"  not complete: {count(metadata['incomplete'], 'utterance')}; run svc extract again")
    return said


def _trained(metadata: dict[str, Any]) -> str:
    """How far a run is trained."""
    last, best = metadata["last_validation"], metadata["best_validation"]
    if "card" in metadata:
        return f"step {metadata['card']['step']}"
    if not last:
        return "not validated yet" if metadata["trained"] else "not trained yet"
    return f"step {last['step']} of {metadata['settings']['steps']}" + (f", best at {best['step']}" if best else "")


def _run_lines(metadata: dict[str, Any]) -> list[str]:
    settings, shape = metadata["settings"], metadata["shape"]
    best = metadata["best_validation"]
    width = shape["projected"] or shape["unit_dim"]
    sizes = settings["architecture"]
    said = [f"{metadata['kind'].capitalize()} {metadata['path']}: " + _trained(metadata)]
    for speaker in metadata["speakers"]:
        low, middle, high = (speaker[name] for name in ("f0_low", "f0_median", "f0_high"))
        pitch = f"f0 from {low:.0f} to {high:.0f} Hz, median {middle:.0f}" if middle else "never voiced"
        said.append(f"  {speaker['name']}: {pitch}")
    said += [
        f"  units: {settings['units']}, {width} wide, of {metadata['unit_column']['name']}; "
        f"codes of hidden/{metadata['code_layer']}",
        f"  encoder: {metadata['encoder']['origin'] or 'one that has no public name'}",
        f"  model: {settings['objective']}, {sizes['denoiser']}, {sizes['layers']} layers of {sizes['channels']}",
        f"  licence: {metadata['card']['licence']}"
        if "card" in metadata
        else f"  stores: {', '.join(metadata['stores'])}",
    ]
    if best:
        scores = ", ".join(f"{name} {best[name]:.0%}" for name in SCORES if name in best)
        said.append(f"  the best converts held-out utterances: {scores} of what recordings score")
    return [*said, f"  everything: svc inspect {metadata['path']} --json"]
