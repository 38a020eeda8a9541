"""HTML pages with players, pictures and tables: one file that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light dark; --text: #222; --back: #fff; --line: #ddd; --warn: #a30; --soft: #666; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --back: #181818; --line: #444; --warn: #fa6; --soft: #999; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; color: var(--text);
  background: var(--back); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem; }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; margin: 0; color: var(--soft); }
.facts div { display: flex; gap: .4rem; } .facts dt::after { content: ":"; }
.facts dd { margin: 0; color: var(--text); }
.verdict { font-size: 1.1rem; } .note { color: var(--soft); } .warning { color: var(--warn); }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .5rem 1rem; }
figure { margin: 0; min-width: 0; } audio { width: 100%; } img { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .5rem 0 .2rem; }
td, th { padding: .2rem .3rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: bottom;
  overflow-wrap: normal; }
td:first-child, th:first-child { text-align: left; overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); } tr.marked td { font-weight: 600; }
abbr { text-decoration: underline dotted; text-underline-offset: .2em; }
dl.glossary { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; }
dl.glossary dt { font-weight: 600; } dl.glossary dd { margin: 0; }
@media (max-width: 68rem) {
  dl.glossary { display: block; } dl.glossary dd { margin-bottom: .4rem; }
  table, caption, tbody, tr { display: block; } thead { display: none; }
  tr { padding: .4rem 0; border-bottom: 1px solid var(--line); }
  td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .05rem 0; }
  td:empty { display: none; }
  td::before { content: attr(data-label); color: var(--soft); font-weight: 400; text-align: left; }
  td:first-child { font-weight: 600; } td:first-child::before { content: none; }
}
"""


@dataclass(frozen=True)
class Table:
    """Cells in rows under headings. `marked` is the number of the row to be printed in bold, if any."""

    caption: str
    headings: list[str]
    rows: list[list[str]]
    marked: int | None = None

    def markdown(self) -> list[str]:
        """The lines of it as a Markdown table, without the caption."""
        lines = ["| " + " | ".join(self.headings) + " |", "|" + "---|" * len(self.headings)]
        return lines + ["| " + " | ".join(row) + " |" for row in self.rows]

    def html(self, glossary: Mapping[str, str] | None = None) -> str:
        """The table; headings that the glossary explains show its sentence under the pointer.

        On a narrow screen each row becomes a list of headings and cells.
        """
        known = glossary or {}
        head = "".join(f"<th>{_heading(name, known)}</th>" for name in self.headings)
        body = "".join(
            f"<tr{' class=marked' if number == self.marked else ''}>"
            + "".join(
                f'<td data-label="{escape(name)}">{escape(cell)}</td>'
                for name, cell in zip(self.headings, row, strict=True)
            )
            + "</tr>"
            for number, row in enumerate(self.rows)
        )
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def page(title: str, body: str, mark: str = "") -> bytes:
    """The whole file. `body` is HTML; `mark` is a comment by which the program recognises its own files."""
    return (
        f'<!doctype html>{mark}<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    ).encode()


def facts(values: Mapping[str, str]) -> str:
    """Names and values in a line, such as run, step and vocoder."""
    pairs = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return f'<dl class="facts">{pairs}</dl>'


def paragraphs(sentences: Iterable[str], kind: str = "") -> str:
    """A paragraph each; `kind` is `verdict`, `note`, `warning` or nothing."""
    opened = f'<p class="{kind}">' if kind else "<p>"
    return "".join(f"{opened}{escape(sentence)}</p>" for sentence in sentences)


def explained(glossary: Mapping[str, str]) -> str:
    """The meaning of the measures of a page: a sentence each."""
    if not glossary:
        return ""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in glossary.items())
    return f'<h2>What the measures mean</h2><dl class="glossary">{pairs}</dl>'


def players(sounds: Mapping[str, bytes]) -> str:
    """A player for each sound, the bytes of an MP3, by its caption."""
    return f'<div class="players">{"".join(player(name, mp3) for name, mp3 in sounds.items())}</div>'


def player(caption: str, mp3: bytes) -> str:
    """One sound with its caption."""
    source = f"data:audio/mpeg;base64,{base64.b64encode(mp3).decode()}"
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<audio controls preload="none" src="{source}"></audio></figure>'
    )


def picture(alt: str, png: bytes) -> str:
    """A picture; `alt` is its text for those who cannot see it."""
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _heading(name: str, glossary: Mapping[str, str]) -> str:
    meaning = glossary.get(name.partition(" (")[0])
    return f'<abbr title="{escape(meaning)}">{escape(name)}</abbr>' if meaning else escape(name)
