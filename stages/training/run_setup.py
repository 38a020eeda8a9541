"""Beginning a run, or continuing an existing one."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ...common.differences import differences
from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline.slicing import SliceSettings
from ...store import Clip, Store
from ..devices import pick_precision
from ..features import SOFT
from ..run import CONFIG, Run
from ..run_config import EncoderRecord, FrameRates, RunConfig, Speaker, UnitColumn
from ..run_stores import is_address, recorded_locations, to_record
from ..settings import AUTO_BASE, TrainSettings
from .corpus import Corpus
from .pretrained import copy_units, find_base
from .statistics import spread
from .units import Layers

CHANGEABLE = {"steps": "the run's length in steps", "batch": "the number of crops a step"}
RANGE_CLIPS = 1_000  # of each speaker, for the pitch range, at most


def open_run(
    out: Path,
    stores: Sequence[Store],
    corpus: Corpus,
    settings: TrainSettings,
    device: str,
    init_from: Path | str | None,
    progress: Progress,
) -> Run:
    """Begin a run, or check that the existing one has the same settings and data.

    Raises UserError if it differs in a setting that cannot change, or cannot begin from `init_from`.
    """
    if (out / CONFIG).exists():
        return _go_on(Run.open(out), stores, corpus, settings, device, init_from, progress)
    config = _config(out, stores, corpus, settings, device)
    if base := find_base(init_from, config, out):
        recorded, before = base
        config = replace(config, init_from=recorded)
        shown = f"the base voice {before.name} ({count(len(before.speakers), 'speaker')})"
        progress.say(f"it begins with the units and weights of {shown if init_from == AUTO_BASE else init_from}")
        copy_units(Run(out, config), before)
    run = Run(out, config)
    run.save()
    return run


def choose_layers(store: Store, settings: TrainSettings) -> Layers:
    """The layer that is clustered, by default the lowest stored, and the column that units come from, the highest.

    Raises UserError when the store lacks one of them.
    """
    layers = sorted(int(name.split("/")[1]) for name in store.columns if name.startswith("hidden/"))
    if not layers:
        raise UserError(f"{store.location} has no hidden states; run `svc extract` on it first")
    codes = layers[0] if settings.code_layer is None else settings.code_layer
    units = layers[-1] if settings.unit_layer is None else settings.unit_layer
    for layer in (codes, units):
        if layer not in layers:
            raise UserError(
                f"{store.location} has layers {', '.join(map(str, layers))}, not {layer}; "
                f"add it: svc extract --layers {layer}"
            )
    if settings.units != "hubert-soft":
        return Layers(codes, f"hidden/{units}")
    if SOFT not in store.columns:
        raise UserError(
            f"{store.location} has no units of a HuBERT-soft; they come with its encoder: "
            f"svc extract --encoder hubert-soft"
        )
    return Layers(codes, SOFT)


def _config(out: Path, stores: Sequence[Store], corpus: Corpus, settings: TrainSettings, device: str) -> RunConfig:
    """The record of a new run."""
    layers = choose_layers(stores[0], settings)
    column = stores[0].columns[layers.units]
    encoder = column.settings["encoder"]
    identity = stores[0].description["identity"]
    return RunConfig(
        settings=settings,
        precision=pick_precision(settings.precision, device),
        stores=tuple(to_record(store.location, out) for store in stores),
        data_digest=corpus.digest,
        held_out=tuple(clip.id for clip in corpus.held_out),
        speakers=speakers_of(corpus),
        code_layer=layers.codes,
        unit_column=UnitColumn(layers.units, column.settings.get("layer", encoder["layers"]), column.width),
        encoder=EncoderRecord(encoder, column.origin, column.settings["precision"]),
        slices=SliceSettings(**identity["slices"]),
        pitch=stores[0].columns["f0"].settings,
        augmented=(*corpus.pitch_shifts.values(), *corpus.formant_shifts(layers.units).values()),
        frame_rates=FrameRates(identity["unit_frame_rate"], identity["mel_frame_rate"]),
        algorithm=identity["algorithm"],
    )


def _go_on(
    run: Run,
    stores: Sequence[Store],
    corpus: Corpus,
    settings: TrainSettings,
    device: str,
    init_from: Path | str | None,
    progress: Progress,
) -> Run:
    """An existing run, with changed steps or batch. Raises UserError if it differs otherwise."""
    before = run.config
    if before.data_digest != corpus.digest:
        raise UserError(
            f"{run.path} was trained on other data: the store has changed since it began",
            "Train a new run with --out ANOTHER, or restore the store",
        )
    if init_from not in (None, AUTO_BASE) and (
        before.init_from is None or os.path.realpath(run.beside(before.init_from)) != os.path.realpath(str(init_from))
    ):
        raise UserError(
            f"{run.path} did not begin from {init_from}", "Leave --base out to go on with it, or give another --out"
        )
    precision = pick_precision(settings.precision, device)
    # Steps and batch may change, and with `auto` a run keeps the precision that it began with.
    kept = {name: getattr(before.settings, name) for name in CHANGEABLE}
    old = {**asdict(before.settings), "precision": before.precision}
    new = {**asdict(settings), **kept, "precision": before.precision if settings.precision == "auto" else precision}
    if changed := differences(old, new, "in the run", "asked for"):
        raise UserError(f"{run.path} was begun with other settings:\n{changed}", "Give the same ones, or another --out")
    changes = {name: getattr(settings, name) for name in CHANGEABLE if getattr(settings, name) != kept[name]}
    for name, value in changes.items():
        progress.say(f"{CHANGEABLE[name]} was {kept[name]} and is now {value}")
    after = replace(before, settings=replace(before.settings, **changes), stores=_moved(run, stores, progress))
    if after == before:
        return run
    run = Run(run.path, after)
    run.save()
    return run


def _moved(run: Run, stores: Sequence[Store], progress: Progress) -> tuple[str, ...]:
    """The stores' locations for run.json: those recorded there, unless the same data has another place now."""
    given = [store.location if is_address(store.location) else os.path.abspath(store.location) for store in stores]
    if given == recorded_locations(run):
        return run.config.stores
    progress.say(f"the run's store is now {', '.join(given)}")
    return tuple(to_record(location, run.path) for location in given)


def speakers_of(corpus: Corpus) -> tuple[Speaker, ...]:
    """The speakers with their pitch ranges, from the training clips: at most RANGE_CLIPS of each, spread evenly."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in corpus.train:
        by_speaker[clip.speaker].append(clip)
    return tuple(Speaker(name, *_pitch_range(spread(by_speaker[name], RANGE_CLIPS))) for name in corpus.speakers)


def _pitch_range(clips: list[Clip]) -> tuple[float, ...]:
    """The 5th, 50th and 95th percentile of voiced f0 in Hz; empty if no frame is voiced."""
    f0 = np.concatenate([np.zeros(0, np.float32), *(clip.f0 for clip in clips)])
    voiced = f0[f0 > 0]
    return tuple(np.percentile(voiced, [5, 50, 95]).round(1).tolist()) if len(voiced) else ()
