"""`svc ui`."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from ..common.errors import UserError
from .group import checked_settings, say
from .options import PATH


@cloup.command(short_help="A page for voices, songs, takes and f0, and an HTTP API.")
@cloup.option("--home", type=PATH, default=Path("."), help="Folder to show and to write in.  [default: this one]")
@cloup.option("--port", type=click.IntRange(0, 65_535), default=8765, show_default=True, help="0 takes a free one.")
@cloup.option("--host", default="127.0.0.1", show_default=True, help="Another one opens it to other machines.")
@cloup.option("--allow-host", multiple=True, metavar="NAME", help="A name by which other machines reach it.")
@cloup.option("--max-upload", default=1024, show_default=True, metavar="MIB", help="Largest file that is taken.")
@cloup.option("--max-minutes", default=30.0, show_default=True, metavar="N", help="Longest song that is taken.")
@cloup.option("--max-memory", default=8.0, show_default=True, metavar="GIB", help="Memory of a worker process.")
@cloup.option("--browser/--no-browser", default=True, help="Open the page.  [default: yes]")
def ui(
    home: Path,
    port: int,
    host: str,
    allow_host: tuple[str, ...],
    max_upload: int,
    max_minutes: float,
    max_memory: float,
    browser: bool,
) -> None:
    """Serve a page in the browser: make voices, convert songs phrase by phrase, edit f0, compare takes, export.

    Only this machine can open it. With another --host a token is needed, which is printed as a part of the address.
    """
    try:
        from ..stages.ui.home import Home
        from ..stages.ui.server import serve
        from ..stages.ui.settings import ServerSettings
    except ImportError as error:
        raise UserError(f"svc ui needs {error.name}", "install it with: pip install 'svc[ui]'") from error
    loopback = host in ("127.0.0.1", "localhost", "::1")
    with checked_settings():
        settings = ServerSettings(
            home=home,
            host=host,
            port=port,
            token=None if loopback else Home.open(home).token(),
            allowed_hosts=tuple(name.lower() for name in allow_host),
            upload_bytes=max_upload * 2**20,
            song_seconds=60 * max_minutes,
            worker_bytes=int(max_memory * 2**30),
        )
    serve(settings, say, browser)
