"""Helpers of extraction tests that read its report and a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from svc.stages.extraction.report import ExtractReport

Tree = Callable[[Path], dict[str, str]]


def counted(report: ExtractReport) -> dict[str, int]:
    return {name: count for name, count in report.cells.items() if count}
