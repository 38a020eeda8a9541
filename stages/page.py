"""A page to listen to and look at, with everything in it: no other file, no network."""

from __future__ import annotations

import base64
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem; overflow-wrap: anywhere; }
.players { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: .5rem 1rem; }
figure { margin: 0; } audio, img { width: 100%; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem .15rem 0; text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; } tbody tr:first-of-type td { font-weight: 600; }
.note { color: #a40; } @media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } }
"""


def page(title: str, body: str, mark: str = "") -> bytes:
    """The whole file: `body` is HTML, `mark` a comment by which its writer knows it again."""
    return (
        f'<!doctype html>{mark}<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    ).encode()


def player(caption: str, mp3: bytes) -> str:
    """Something to listen to."""
    source = f"data:audio/mpeg;base64,{base64.b64encode(mp3).decode()}"
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<audio controls preload="none" src="{source}"></audio></figure>'
    )


def picture(alt: str, png: bytes) -> str:
    """Something to look at; `alt` says what it is."""
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
