"""What HTML pages are made of."""

from __future__ import annotations

import re

from svc.stages.page import Table, explained, facts, page, paragraphs


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
