"""The files, pages, commands and tests that the documentation names exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from svc.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "data").glob("**/*.md"))]

KOREAN = [page for page in PAGES if page.name.endswith(".ko.md")]
ENGLISH_ONLY = {"store.md"}  # for developers

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose_and_code(page: Path) -> tuple[str, list[str]]:
    """The text without fenced blocks, and the lines in them."""
    parts = re.split(r"^```.*$", page.read_text("utf-8"), flags=re.MULTILINE)
    return "\n".join(parts[::2]), [line for block in parts[1::2] for line in block.splitlines()]


def anchors(page: Path) -> set[str]:
    """Of each heading, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose_and_code(page)[0], flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_and_code(page)[0]):
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert "://" in target or there.exists(), target
        assert "://" in target or not anchor or anchor in anchors(there), target


@each_page
def test_named_files_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:common|commands|pipeline|stages|store|tests|benchmarks|data|notebooks|docs)/[\w./-]+\.\w+)",
        page.read_text("utf-8"),
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


@each_page
def test_commands_have_the_options_they_are_given(page: Path) -> None:
    """Every `svc ...`, in prose and in code."""
    prose, code = prose_and_code(page)
    found = [re.search(r'(?<!["\w.-])svc [a-z]+\b.*', line) for line in code]
    for line in [*re.findall(r"`(svc [a-z][^`]*)`", prose), *(match[0] for match in found if match)]:
        plain = re.sub(r"[\[\]]|\.\.\.|──.*|\(.*", " ", line.split(" #")[0])
        _, name, *words = shlex.split(plain)
        assert name in main.commands, line
        try:
            main.commands[name].make_parser(click.Context(main.commands[name])).parse_args(words)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


@each_page
def test_named_options_exist(page: Path) -> None:
    known = {name for command in main.commands.values() for option in command.params for name in option.opts}
    programs = "".join(
        path.read_text("utf-8") for name in ("benchmarks", "data") for path in (ROOT / name).glob("*.py")
    )
    for name in re.findall(r"`(--[a-z][\w-]*)", prose_and_code(page)[0]):
        assert name in known or f'"{name}"' in programs or name == "--resources", name  # which is dask's


def english_of(page: Path) -> Path:
    return page.with_name(page.name.replace(".ko.md", ".md"))


def test_every_page_for_users_is_there_in_korean_too() -> None:
    english = {page.name for page in (ROOT / "docs").glob("*.md") if page not in KOREAN}
    assert english - {english_of(page).name for page in KOREAN} == ENGLISH_ONLY


@pytest.mark.parametrize("page", KOREAN, ids=lambda page: page.name)
def test_a_korean_page_and_its_english_one_link_to_each_other(page: Path) -> None:
    english = english_of(page)
    assert f"]({english.name})" in page.read_text("utf-8").split("\n## ")[0]
    assert f"]({page.name})" in english.read_text("utf-8").split("\n## ")[0]


@pytest.mark.parametrize("page", KOREAN, ids=lambda page: page.name)
def test_figures_and_commands_of_a_korean_page_are_those_of_the_english_one(page: Path) -> None:
    """A table or command that was changed in one only is found. A Korean page may be shorter."""
    korean, english = (each.read_text("utf-8") for each in (page, english_of(page)))
    cells = {cell.strip("* `") for line in korean.splitlines() if line.startswith("|") for cell in line.split("|")}
    figures = {cell for cell in cells if re.fullmatch(r"[+-]?[\d.,]+ ?%?", cell)}
    assert {figure for figure in figures if figure not in english} == set()
    commands = {line.split(" #")[0].strip() for line in prose_and_code(page)[1] if line.strip().startswith("svc ")}
    assert {command for command in commands if command not in english} == set()
