"""What the documentation points at is there: files, pages, and the tests that hold its promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "data").glob("**/*.md"))]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8"))
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []


@each_page
def test_named_files_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:pipeline|stages|store|tests|benchmarks|data|notebooks|docs)/[\w./-]+\.\w+)", page.read_text("utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@each_page
def test_named_tests_exist(page: Path) -> None:
    """`test_x.py::test_y`, wherever the file lies, and `::test_y` of the file named before."""
    file = ""
    missing = []
    for name, test in re.findall(r"`(?:[\w./]*?(test_\w+\.py))?(?:::(\w+))?`", page.read_text("utf-8")):
        if not name and not test:
            continue
        file = name or file
        found = list((ROOT / "tests").rglob(file))
        if not found or (test and not any(f"def {test}(" in path.read_text("utf-8") for path in found)):
            missing.append(f"{file}::{test}")
    assert missing == []
