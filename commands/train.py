"""`svc train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from ..common.text import json_text
from .group import checked_settings, say
from .options import PATH, device_option
from .terminal import Terminal


@cloup.command(short_help="Train a voice from a store.")
@cloup.option_group(
    "Everyday options",
    cloup.option(
        "--store", "stores", multiple=True, metavar="STORE", help="May be repeated.  [default: the only one here]"
    ),
    cloup.option("-o", "--out", type=PATH, metavar="RUN", help="The run's folder.  [default: runs/NAME of the store]"),
    cloup.option("--preset", help="tiny, base, large, diff-svc, diffusion-svc.  [default: base on a GPU, else tiny]"),
    cloup.option("--steps", type=int, help="Steps of the acoustic model.  [default: the preset's]"),
    cloup.option(
        "--base",
        metavar="RUN",
        help="Begin with the units and weights of another run; none: with no base.  "
        "[default: the base voice that ships for the encoder, if any]",
    ),
    cloup.option(
        "--only",
        type=click.Choice(["units", "diffusion", "vocoder"]),
        help="Train one part; vocoder makes the run's own.",
    ),
    cloup.option("--resume", is_flag=True, help="Insist that there is a run to continue."),
    cloup.option("--show", is_flag=True, help="Print the settings and do nothing."),
    device_option,
)
@cloup.option_group(
    "Training options",
    cloup.option("--batch", type=int, help="Crops a step.  [default: the preset's]"),
    cloup.option("--learning-rate", type=float, metavar="RATE", help="The highest.  [default: the preset's]"),
    cloup.option("--seed", type=int, help="Of all random numbers.  [default: 0]"),
)
@cloup.option_group(
    "Research options",
    cloup.option("--units", help="soft, hidden, linear or hubert-soft.  [default: soft; hidden with Whisper]"),
    cloup.option("--unit-dim", type=int, metavar="WIDTH", help="Width of soft and linear units.  [default: 256]"),
    cloup.option(
        "--unit-layer", type=int, metavar="LAYER", help="Layer that units are made of.  [default: the highest stored]"
    ),
    cloup.option("--codes", type=int, metavar="N", help="k-means clusters that soft units predict.  [default: 100]"),
    cloup.option(
        "--code-layer", type=int, metavar="LAYER", help="Layer that is clustered.  [default: the lowest stored]"
    ),
    cloup.option("--objective", help="flow or ddpm.  [default: the preset's]"),
    cloup.option("--denoiser", help="wavenet or lynxnet2.  [default: the preset's]"),
    cloup.option(
        "--k-step",
        type=click.IntRange(1, 1000),
        metavar="N",
        help="Depth of shallow diffusion, in noise steps of 1000.  [default: the preset's]",
    ),
    cloup.option(
        "--compare",
        metavar="[WIDTHS]",
        is_flag=False,
        flag_value="128,256,512,768,hidden",
        help="Train units of several widths or kinds, and print a table.  [without WIDTHS: 128,256,512,768,hidden]",
    ),
    cloup.option("--truth", metavar="STORE", help="For --compare: a store in which the voices sing the same songs."),
)
def train(
    stores: tuple[str, ...],
    out: Path | None,
    preset: str | None,
    base: str | None,
    only: str | None,
    compare: str | None,
    truth: str | None,
    resume: bool,
    show: bool,
    device: str,
    **asked: Any,
) -> None:
    """Train a voice from a store: the soft units, then the acoustic model. The encoder is not needed.

    Interrupted, the same command continues; with a larger --steps, it trains on. On several GPUs:
    accelerate launch -m svc.cli train --store ...
    """
    from ..stages.training.plan import plan_training, run_plan

    with checked_settings():
        plan = plan_training(stores, out, preset, device, only, base, compare, truth, resume, asked)
    if show:
        say(json_text(plan.to_json()))
        return
    with checked_settings():  # values that --compare refuses
        report = run_plan(plan, Terminal())
    for line in report.lines():
        say(line)
