"""The report of a run of `svc extract`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ...common.text import count
from .plan import Changes
from .recordings import Refused

SHOWN_NOTES = 40  # lines; all of them are in the JSON


@dataclass
class ExtractReport:
    """The report of a run of extract, or with `dry_run` of what it would do: then nothing was written.

    Attributes:
        cells: how many were computed, by column.
        cells_present: how many existed before.
        redone_in_fp32: utterances whose values overflowed the precision.
        reduced_to_bf16: utterances for which GPU memory did not suffice in fp32.
        refused: inputs that were not used.
        notes: repairs and omissions, by recording.
        others: how many files of other kinds the corpora hold, by their ending; they are not read.
        sliced_seconds, unused_seconds: the length of the recordings that were read for the first time, and of their
            silence that is in no utterance.
    """

    store: str
    dry_run: bool = False
    utterances: int = 0
    seconds: float = 0.0
    changes: Changes = field(default_factory=Changes)
    cells: dict[str, int] = field(default_factory=dict)
    cells_present: int = 0
    redone_in_fp32: int = 0
    reduced_to_bf16: int = 0
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    sliced_seconds: float = 0.0
    unused_seconds: float = 0.0

    @property
    def cells_computed(self) -> int:
        """How many cells (an utterance in a column) were computed, over all columns."""
        return sum(self.cells.values())

    def to_json(self) -> dict[str, Any]:
        """As a record for JSON."""
        return {**asdict(self), "cells_computed": self.cells_computed}

    def lines(self) -> list[str]:
        """What was done, and what to do next."""
        done = ", ".join(f"{name} {number}" for name, number in sorted(self.cells.items()) if number) or "nothing"
        size = f"{count(self.utterances, 'utterance')}, {self.seconds / 60:.1f} minutes"
        if self.dry_run:
            said = [
                f"would hold {size}; recordings: {self.changes}",
                f"would compute, in cells: {done}; {self.cells_present} are there already",
            ]
        else:
            said = [
                f"{self.store}: {size}; recordings: {self.changes}",
                f"  cells computed: {done}; {self.cells_present} were there before",
            ]
        if self.redone_in_fp32:
            said.append(f"  encoded in fp32 because of overflow: {count(self.redone_in_fp32, 'utterance')}")
        if self.reduced_to_bf16:
            said.append(f"  encoded in bf16, too long for the GPU in fp32: {count(self.reduced_to_bf16, 'utterance')}")
        if self.sliced_seconds:
            share = self.unused_seconds / self.sliced_seconds
            said.append(
                f"  silence that is not used: {self.unused_seconds:.1f} s of {self.sliced_seconds:.1f} s ({share:.0%})"
            )
        said += [f"  note: {note}" for note in self.notes[:SHOWN_NOTES]]
        if len(self.notes) > SHOWN_NOTES:
            where = "--json" if self.dry_run else f"{self.store}/ledger/report.json"
            said.append(f"  and {count(len(self.notes) - SHOWN_NOTES, 'note')} more, in {where}")
        if self.others:
            kinds = ", ".join(f"{number:,} {ending}" for ending, number in sorted(self.others.items()))
            said.append(f"  files of other kinds, not read: {kinds}")
        said += [f"  refused {refused}" for refused in self.refused]
        if self.dry_run:
            return [*said, "nothing was written: leave out --dry-run to do it"]
        if self.refused:
            said.append(f"{len(self.refused)} refused; also in {self.store}/ledger/report.json")
        if self.changes.removed:
            said.append(f"removed recordings are out of the corpus; svc compact {self.store} frees their space")
        return [*said, f"next: svc train --store {self.store}"]
