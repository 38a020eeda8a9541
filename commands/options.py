"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

PATH = click.Path(path_type=Path)

# Listed here as well as in the registries, so that help is printed without importing torch; a test compares both.
ENCODERS = (
    "en, ko, ja, zh, en-large, contentvec, hubert-soft, mini, whisper, whisper-tiny, whisper-small, whisper-medium, "
    "whisper-large, wavlm, wavlm-large"
)
METHODS, METHOD = "swift-f0, dio, harvest, crepe, crepe-tiny, fcpe or rmvpe:FILE", "swift-f0"

device_option = cloup.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
json_option = cloup.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
strict_option = cloup.option("--strict", is_flag=True, help="Exit with 1 if anything was refused.")


def numbers(name: str, text: str | None) -> tuple[int, ...] | None:
    """Whole numbers with commas between, sorted, each once; None for None.

    Raises:
        ValueError: there is something else between the commas; `name` is the option's.
    """
    if text is None:
        return None
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise ValueError(f"{name} {text!r}: expected whole numbers with commas between, such as 7,12") from error
