"""The page of a finished training."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from svc.stages import checkpoint
from svc.stages.evaluation.training_report import EXAMPLES, report_training


def test_the_page_has_all_validations_and_examples(run: Path, store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    page = report_training(copy, "cpu", "More steps would help.", [str(store)])
    text = page.read_text("utf-8")
    assert page == copy / "report.html"
    assert "More steps would help." in text
    assert text.count("<audio") == EXAMPLES * 3  # as recorded, as itself, as the other
    assert text.count("data:image/png") == EXAMPLES
    validations = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert text.count("<tr") == 1 + len(validations)
    (marked,) = re.findall(r"<tr class=marked><td[^>]*>(\d+)<", text)  # the step that is used
    assert int(marked) == checkpoint.load(run / "best.safetensors")[1]["step"]
    assert "://" not in text
