"""The table of `svc train --compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Line:
    """The measurements of one kind and width of units; None: it could not be measured.

    Attributes:
        units: such as `soft 256`.
        accuracy, loss: share of held-out frames whose code is predicted, and the cross-entropy.
        purity: share of held-out frames whose phone is the commonest one of their predicted code.
        phones: share of held-out frames whose phone a linear classifier predicts from the units.
        speakers: the same of the speaker, who should not be in the units: lower is better.
        mel_error: of a held-out utterance, sampled, in ln mel. Units that keep the speaker have a lower one.
        distance_db, way: distance of conversions from the true result, and 1 - it over the source's distance.
    """

    units: str
    accuracy: float | None = None
    loss: float | None = None
    purity: float | None = None
    phones: float | None = None
    speakers: float | None = None
    mel_error: float | None = None
    distance_db: float | None = None
    way: float | None = None


HEADS = {
    "units": "units",
    "accuracy": "codes right",
    "loss": "loss",
    "purity": "phone purity",
    "phones": "phones predicted",
    "speakers": "voices predicted (lower is better)",
    "mel_error": "own mel error",
    "distance_db": "A to B, dB off",
    "way": "of the way to B",
}


def table(lines: Sequence[Line]) -> list[str]:
    """The lines as a Markdown table, without columns that were not measured."""
    rows = [asdict(line) for line in lines]
    names = [name for name in HEADS if any(row[name] is not None for row in rows)]
    out = ["| " + " | ".join(HEADS[name] for name in names) + " |", "|---" * len(names) + "|"]
    return out + ["| " + " | ".join(_shown(name, row[name]) for name in names) + " |" for row in rows]


def _shown(name: str, value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:.2f}" if name in ("loss", "mel_error", "distance_db") else f"{value:.1%}"
