"""The page that a finished training leaves."""

from __future__ import annotations

import shutil
from pathlib import Path

from svc.stages.evaluation.training_report import SONGS, report_training


def test_the_page_has_all_validations_and_what_was_sung(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    page = report_training(copy, "cpu", "More steps would help.")
    text = page.read_text("utf-8")
    assert page == copy / "report.html"
    assert "More steps would help." in text
    assert text.count("<audio") == SONGS * 3  # as recorded, as itself, as the other
    assert text.count("data:image/png") == SONGS
    assert text.count("<tr>") == 1 + len((run / "log.jsonl").read_text().splitlines())
    assert "://" not in text
