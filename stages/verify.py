"""`svc verify`: read every byte of a store against its checksums."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..common.progress import Progress
from ..common.text import count
from ..store.verify import Finding, verify_at
from .stores import check_store


@dataclass(frozen=True)
class VerifyReport:
    """The damaged and missing parts of a store; no findings if every byte is as it was written."""

    store: str
    findings: list[Finding]

    def to_json(self) -> list[dict[str, Any]]:
        """As records for JSON, one for each finding."""
        return [asdict(finding) for finding in self.findings]

    def lines(self) -> list[str]:
        """A line a finding, and what to do next."""
        said = []
        for finding in self.findings:
            whose = f" of {', '.join(finding.utterances)}" if finding.utterances else ""
            said.append(f"{finding.kind} {finding.column}{whose}: {finding.reason}")
        found = count(len(self.findings), "finding")
        if said:
            return [
                *said,
                f"{self.store}: {found}; svc extract CORPUS --check computes damaged and missing cells again",
            ]
        return [f"{self.store}: every byte is as it was written"]


def verify(location: str | Path, progress: Progress | None = None, resume: Path | None = None) -> VerifyReport:
    """Compare all bytes with their checksums. Raises StoreError when there is no store.

    `resume` is a file that records whole cells: a stopped check continues with the same file.
    """
    check_store(location)
    progress = progress or Progress()
    with progress.bar("verifying", 1, "store") as bar:
        shown = 0.0

        def advance(done: int, total: int) -> None:
            nonlocal shown
            bar.advance(done / max(1, total) - shown)
            shown = done / max(1, total)

        return VerifyReport(str(location), verify_at(location, advance, resume))
