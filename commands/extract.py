"""`svc extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloup

from ..common.text import json_text
from .group import PARTS_EPILOG, checked_settings, finish, say
from .options import ENCODERS, METHOD, METHODS, PATH, device_option, json_option, numbers, strict_option
from .terminal import Terminal


@cloup.command(short_help="Analyse recordings once, into a store.", epilog=PARTS_EPILOG)
@cloup.argument("corpora", nargs=-1, required=True, type=PATH, metavar="CORPUS...")
@cloup.option_group(
    "Everyday options",
    cloup.option("--store", metavar="STORE", help="The store to fill: a path or URL.  [default: CORPUS.zarr]"),
    cloup.option("--encoder", metavar="NAME", help=f"{ENCODERS}, hub id, path.  [default: the store's, or en]"),
    cloup.option("--check", is_flag=True, help="Read every byte that is stored, and compute damaged cells again."),
    cloup.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing."),
    strict_option,
    json_option,
    device_option,
)
@cloup.option_group(
    "Where it is computed",
    cloup.option("--workers", default=0, metavar="N", help="Processes.  [default: threads of this one]"),
    cloup.option("--scheduler", metavar="ADDRESS", help="Compute with dask: tcp://host:8786."),
    cloup.option("--precision", help="The encoder's arithmetic: fp32, bf16 or fp16.  [default: fp32]"),
)
@cloup.option_group(
    "Pitch and silence",
    cloup.option("--f0", metavar="METHOD", help=f"{METHODS}.  [default: the store's, or {METHOD}]"),
    cloup.option("--f0-min", type=float, help="Hz.  [default: 65]"),
    cloup.option("--f0-max", type=float, help="Hz.  [default: 1100]"),
    cloup.option("--slice-db", type=float, help="Silence, in dB under the loudest moment.  [default: -40]"),
)
@cloup.option_group(
    "Research options",
    cloup.option("--layers", help="Hidden layers to add, such as 7,12.  [default: a middle one and the last]"),
    cloup.option(
        "--pitch-shifts",
        "--shifts",
        "pitch_shifts",
        help="Semitones that mels are moved by, to augment training: such as -4,4.",
    ),
    cloup.option(
        "--formant-shifts",
        "--warps",
        "formant_shifts",
        help="Semitones that formants are moved by before the encoder, to augment training: such as -4,4; or none.  "
        "[default: -4,4 up to 30 minutes of recordings]",
    ),
    cloup.option("--features", metavar="NAMES", help="Further columns by name, such as hidden/9,mel_up/4."),
)
def extract(
    corpora: tuple[Path, ...],
    store: str | None,
    layers: str | None,
    pitch_shifts: str | None,
    formant_shifts: str | None,
    features: str | None,
    check: bool,
    dry_run: bool,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the encoder over CORPUS/SPEAKER/** (or a folder of one speaker), once, into a store.

    Interrupted, or with new files, another layer or another f0, the same command computes what is missing. What is left
    out of the command stays as the store has it. A recording that cannot be used is named, and the rest is done.
    """
    with checked_settings():
        from ..stages.settings import ExtractSettings

        settings = ExtractSettings(
            layers=numbers("layers", layers),
            pitch_shifts=numbers("pitch-shifts", pitch_shifts) or (),
            formant_shifts=() if formant_shifts == "none" else numbers("formant-shifts", formant_shifts),
            features=tuple(name.strip() for name in (features or "").split(",") if name.strip()),
            **options,
        )
    from ..stages.extraction.extract import extract as run_extract
    from ..stages.stores import check_corpora, store_beside

    check_corpora(corpora)
    report = run_extract(corpora, store or store_beside(corpora[0]), settings, Terminal(), dry_run, check)
    if as_json:
        say(json_text(report.to_json()))
    else:
        for line in report.lines():
            say(line)
    finish(len(report.refused), "recording", strict)
