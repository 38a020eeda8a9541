"""A server of a home folder of its own, and clients of it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the page needs fastapi: pip install 'svc[ui]'")
httpx = pytest.importorskip("httpx")

from svc.stages.ui.server import open_server  # noqa: E402  # after the check that it can be imported
from svc.stages.ui.service import Service  # noqa: E402
from svc.stages.ui.settings import ServerSettings  # noqa: E402

from .browser import CHROMIUM, WAIT  # noqa: E402

MIB = 2**20


@dataclass
class Site:
    """A running server."""

    url: str
    client: Any
    service: Service

    def wait(self, job: str, seconds: float = 240.0) -> dict[str, Any]:
        """A job once it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.client.get(f"/api/v1/jobs/{job}").json()
            if found["state"] not in ("queued", "running"):
                return found
            time.sleep(0.1)
        raise AssertionError(f"the job did not end in {seconds} s: {found}")

    def add_song(self, path: Path, name: str = "song.flac") -> dict[str, Any]:
        """A song that was looked into."""
        answer = self.client.post("/api/v1/songs", params={"name": name}, content=path.read_bytes())
        assert answer.status_code == 201, answer.text
        song = answer.json()["id"]
        until = time.monotonic() + 240
        while (found := self.client.get(f"/api/v1/songs/{song}").json())["state"] == "analysing":
            assert time.monotonic() < until
            time.sleep(0.1)
        return found


@contextmanager
def serving(home: Path, **changes: Any) -> Iterator[Site]:
    """A server in a thread of this process; its workers are processes."""
    served = open_server(ServerSettings(home, port=0, **{"spare_bytes": MIB, "warm": False, **changes}))
    url = served.url.partition("#")[0].rstrip("/")
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not served.server.started and time.monotonic() < until:
        time.sleep(0.02)
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            app: Any = served.server.config.app
            yield Site(url, client, app.state.service)
    finally:
        served.server.should_exit = True
        thread.join(20)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server of an empty home folder."""
    with serving(tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def voice_home(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """A home folder that holds a trained run."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(run, home / "runs" / "choir")
    return home


@pytest.fixture(scope="module")
def voice_site(voice_home: Path) -> Iterator[Site]:
    """A server of it."""
    with serving(voice_home) as made:
        yield made


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[Site]]:
    """Starts servers with settings of their own."""
    return serving


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    playwright.expect.set_options(timeout=WAIT)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page in a language and of a width; whatever it logs as an error fails the test."""
    contexts, faults = [], []

    def make(url: str, language: str = "en", width: int = 1280, **more: Any) -> Any:
        context = chromium.new_context(
            locale={"en": "en-US", "ko": "ko-KR"}[language], viewport={"width": width, "height": 860}, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" and "resource" not in m.text else None)
        page.goto(url)
        page.wait_for_selector("main h1")
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []
