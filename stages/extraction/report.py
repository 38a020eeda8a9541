"""What a run of `svc extract` did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ...common.text import count
from .plan import Changes
from .recordings import Refused


@dataclass
class ExtractReport:
    """What a run of extract did, or with `dry_run` would do: then nothing was written.

    Attributes:
        cells: how many were computed, by column.
        cells_present: how many were there before.
        redone_in_fp32: utterances that were beyond the range of the precision.
        refused: inputs that were not used.
        notes: what was repaired or left out, by recording.
    """

    store: str
    dry_run: bool = False
    utterances: int = 0
    seconds: float = 0.0
    changes: Changes = field(default_factory=Changes)
    cells: dict[str, int] = field(default_factory=dict)
    cells_present: int = 0
    redone_in_fp32: int = 0
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def cells_computed(self) -> int:
        return sum(self.cells.values())

    def to_json(self) -> dict[str, Any]:
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
        said += [f"  note: {note}" for note in self.notes]
        said += [f"  refused {refused}" for refused in self.refused]
        if self.dry_run:
            return [*said, "nothing was written: leave out --dry-run to do it"]
        if self.refused:
            said.append(f"{len(self.refused)} refused; also in {self.store}/ledger/report.json")
        if self.changes.removed:
            said.append(f"removed recordings are out of the corpus; svc compact {self.store} frees their room")
        return [*said, f"next: svc train --store {self.store}"]
