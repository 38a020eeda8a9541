"""The plan of `svc train`, as one checked record, and the call that carries it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...store import open_store
from ..settings import (
    AUTO_BASE,
    NO_BASE,
    PRESETS,
    UNITS_BY_ENCODER,
    TrainSettings,
    VocoderSettings,
    chosen_training,
    chosen_vocoder,
)
from ..stores import check_opens, only_store

PARTS = ("units", "diffusion", "vocoder")
# If one of them is given, the kind of units is the preset's.
UNIT_SETTINGS = ("units", "unit_dim", "codes", "code_layer")


class Report(Protocol):
    """The result of a training."""

    def lines(self) -> list[str]:
        """The result as text, and the next step."""


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of a training.

    Attributes:
        stores: paths or URLs of the stores.
        out: the run's folder, or for a comparison the folder of its runs.
        preset: its settings are the defaults.
        settings: of a voice, or of a vocoder.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        only: one of PARTS; None trains units and acoustic model.
        base: a run whose units and weights are begun with, AUTO_BASE for the one that ships and fits, or None.
        compare: kinds and widths of units to compare; empty trains one run.
        truth: a store with parallel songs, to measure the compared units by.
    """

    stores: tuple[str, ...]
    out: Path
    preset: str
    settings: TrainSettings | VocoderSettings
    device: str = "auto"
    only: str | None = None
    base: Path | str | None = AUTO_BASE
    compare: tuple[str, ...] = ()
    truth: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The settings, as `svc train --show` prints them."""
        return {"preset": self.preset, "out": str(self.out), **asdict(self.settings)}


def plan_training(
    stores: Sequence[str] = (),
    out: Path | None = None,
    preset: str | None = None,
    device: str = "auto",
    only: str | None = None,
    base: str | None = None,
    compare: str | None = None,
    truth: str | None = None,
    resume: bool = False,
    asked: Mapping[str, Any] | None = None,
) -> TrainingPlan:
    """Fill in defaults, and check that the options fit together; torch is loaded only after the cheap checks.

    Args:
        stores: empty takes the only store of the current folder.
        out: None is `runs/NAME`, after the first store.
        base: a run to begin from, `auto` or None for the base voice that ships and fits, or `none`.
        preset: None is the one that the device trains in a reasonable time.
        compare: kinds and widths with commas between, such as `128,256,hidden`.
        resume: whether the run must exist already.
        asked: settings that differ from the preset's; None: no setting.

    Raises:
        ValueError: a setting is invalid.
        UserError: options conflict, or there is no store to train on.
        StoreError: a store is not there, or something else is given in place of one.
    """
    if truth and compare is None:
        raise UserError("--truth is what --compare measures by; name the widths to compare: --compare 128,256")
    if base not in (None, AUTO_BASE, NO_BASE) and (compare is not None or only == "vocoder"):
        raise UserError("--base gives a voice its units and weights; it has none for --compare or a vocoder")
    if compare is not None and only in ("diffusion", "vocoder"):
        raise UserError("--compare is about units; leave --only out")
    stores = tuple(stores) or (only_store(),)
    for store in (*stores, truth) if truth else stores:
        check_opens(store)
    name = PurePosixPath(stores[0]).name.removesuffix(".zarr")
    out = out or Path("runs") / (name if compare is None else f"{name}.compare")
    if resume and not (out / "run.json").exists():
        raise UserError(f"there is no run in {out} to resume; leave --resume out to begin one, or name it with --out")
    preset = preset or _preset_of_device(device)
    asked = dict(asked or {})
    if only != "vocoder" and compare is None and not any(asked.get(name) for name in UNIT_SETTINGS):
        asked["units"] = default_units(preset, stores[0], out, base)
    settings = chosen_vocoder(preset, asked) if only == "vocoder" else chosen_training(preset, asked)
    kinds = () if compare is None else tuple(kind.strip() for kind in compare.split(","))
    begin = None if base == NO_BASE else base or AUTO_BASE
    return TrainingPlan(stores, out, preset, settings, device, only, begin, kinds, truth)


def default_units(preset: str, store: str | Path, out: Path, base: str | None = None) -> str:
    """The kind of units where none is asked for.

    A run that is there keeps its own, and a new one takes those of the run that it begins from; else the preset and the
    store's encoder decide (UNITS_BY_ENCODER).
    """
    named = () if base in (None, AUTO_BASE, NO_BASE) else (Path(str(base)),)
    for run in (out, *named):
        if (run / "run.json").is_file() or run.is_file():
            from ..run import Run  # loads torch, as what follows does

            return Run.open(run).config.settings.units
    units = PRESETS[preset].units if preset in PRESETS else "soft"
    if units != "soft":
        return units
    encoders = [
        column.settings["encoder"] for column in open_store(store).columns.values() if "encoder" in column.settings
    ]
    return UNITS_BY_ENCODER.get(encoders[0].get("kind", ""), units) if encoders else units


def _preset_of_device(device: str) -> str:
    from ..devices import pick_preset  # loads torch, which takes seconds: only once the rest of the call is checked

    return pick_preset(device)


def run_plan(plan: TrainingPlan, progress: Progress | None = None) -> Report:
    """Train, or continue an interrupted training, and report.

    Raises:
        UserError, StoreError, ValueError: as `train`, `train_vocoder` and `compare`.
    """
    progress = progress or Progress()
    if isinstance(plan.settings, VocoderSettings):
        from .train_vocoder import train_vocoder

        return train_vocoder(list(plan.stores), plan.out, plan.settings, plan.device, progress)
    if plan.compare:
        from .compare import Comparison, compare

        return Comparison(
            compare(plan.stores, plan.out, plan.settings, plan.compare, plan.truth, plan.device, progress)
        )
    from ..evaluation.training_report import report_training
    from .train import train

    steps, batch, seconds = plan.settings.steps, plan.settings.batch, plan.settings.crop_seconds
    progress.say(f"preset {plan.preset}: {count(steps, 'step')} of {batch} x {seconds} s")
    report = train(list(plan.stores), plan.out, plan.settings, plan.device, plan.only, progress, plan.base)
    if not report.leads or plan.only == "units":
        return report
    return replace(report, page=report_training(report.run, plan.device, str(report.verdict), plan.stores))
