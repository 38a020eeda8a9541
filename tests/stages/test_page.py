"""The parts of HTML pages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from svc.stages.evaluation.glossary import GLOSSARY
from svc.stages.page import Table, explained, facts, page, paragraphs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_a_table_labels_its_cells_for_narrow_screens_and_marks_one_row() -> None:
    table = Table("Means", ["system", "CR", "CER (a)"], [["<copy>", "0.1", ""], ["run", "0.5", "0.2"]], marked=1)
    html = table.html({"CR": 'How "far".', "CER": "Letters."})
    assert html.count("<tr") == 3
    assert '<td data-label="CR">0.1</td>' in html
    assert '<abbr title="How &quot;far&quot;.">CR</abbr>' in html
    assert '<abbr title="Letters.">CER (a)</abbr>' in html
    assert "&lt;copy&gt;" in html
    assert re.search(r'<tr class=marked><td data-label="system">run', html)
    assert table.markdown() == [
        "| system | CR | CER (a) |",
        "|---|---|---|",
        "| <copy> | 0.1 |  |",
        "| run | 0.5 | 0.2 |",
    ]


def test_a_page_needs_no_network_and_escapes_what_it_is_given() -> None:
    body = facts({"run": "<b>"}) + paragraphs(["a < b"], "note") + explained({"CR": "<i>"})
    html = page("<script>", body).decode()
    assert "://" not in html
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "width=device-width" in html
    assert explained({}) == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.parametrize("width", [400, 800, 1100, 1200])
def test_tables_are_not_cut_at_the_side(width: int, tmp_path: Path) -> None:
    """Of every measure that a page can have in a table, in a window of this many pixels."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    headings = ["song", *(name for name in GLOSSARY if name not in ("G1", "G2"))]
    parts = [["song", *headings[first : first + 12]] for first in range(1, len(headings), 12)]
    rows = [["a_song_with_a_long_name_and_no_spaces_in_it_" * 2, *("1,234.567" for _ in range(12))]]
    tables = [Table("Songs", part, [row[: len(part)] for row in rows]).html(GLOSSARY) for part in parts]
    body = facts({"run": "runs/" + "very-long-name-" * 8}) + "".join(tables) + explained(GLOSSARY)
    (tmp_path / "page.html").write_bytes(page("Evaluation of a run", body))
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": width, "height": 800})
        shown.goto((tmp_path / "page.html").as_uri())
        beyond = shown.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
            ".map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"
        )
        scrolled = shown.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert beyond == []
    assert scrolled <= width
