"""What the pages point at is there: links, files, commands and their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from svc.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = {"--resources"}  # options of other programs: dask's
FOLDERS = "pipeline|store|stages|data|docs|tests|benchmarks|notebooks"

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
    for target in re.findall(r"\]\(([^)]+)\)", prose_and_code(page)[0]):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", prose_and_code(page)[0]):
        assert (ROOT / name).exists(), name


def commands(page: Path) -> list[str]:
    """Every `svc ...` of the page, in prose and in code."""
    prose, code = prose_and_code(page)
    lines = [line[found.start() :] for line in code if (found := re.search(r'(?<!["\w.-])svc [a-z]+\b', line))]
    return [*re.findall(r"`(svc [a-z][^`]*)`", prose), *lines]


@each_page
def test_commands_have_the_options_they_are_given(page: Path) -> None:
    assert isinstance(main, click.Group)
    for line in commands(page):
        plain = re.sub(r"[\[\]]|\.\.\.|──.*|\(.*", " ", line.split(" #")[0])
        _, name, *words = shlex.split(plain)
        assert name in main.commands, line
        try:
            main.commands[name].make_parser(click.Context(main.commands[name])).parse_args(words)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


@each_page
def test_options_that_are_named_exist(page: Path) -> None:
    assert isinstance(main, click.Group)
    ours = {word for command in main.commands.values() for option in command.params for word in option.opts}
    programs = "\n".join(path.read_text("utf-8") for path in (*ROOT.glob("benchmarks/*.py"), *ROOT.glob("data/*.py")))
    for name in re.findall(r"`(--[a-z][\w-]*)", prose_and_code(page)[0]):
        assert name in ours or f'"{name}"' in programs or name in OTHERS, name
