"""A server of benchmarks/ui_load.py: `svc ui` in a process of its own, and its processor seconds."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx


def row(what: str, found: str) -> None:
    """Print a line of the table."""
    print(f"| {what} | {found} |", flush=True)


class Site:
    """`svc ui` on a home folder, in a process of its own."""

    def __init__(self, home: Path):
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [sys.executable, "-m", "svc.cli", "ui", "--home", str(self.home), "--port", str(self.port)]
        self.process = subprocess.Popen([*command, "--no-browser"], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                self.client.get("/api/v1/health")
                return
            time.sleep(0.05)
        raise SystemExit("svc ui did not start")

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError, ValueError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"svc.stages.ui.worker" in (path / "cmdline").read_bytes():
                    pids.append(int(path.name))
        return pids

    def cpu(self, workers: bool = True) -> float:
        """Processor seconds of the server, and of its workers, so far."""
        ticks = 0
        for pid in [self.process.pid, *(self.workers() if workers else [])]:
            with suppress(OSError):
                ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def get(self, path: str) -> Any:
        """The JSON answer of a path of the API."""
        return self.client.get(f"/api/v1{path}").raise_for_status().json()

    def post(self, path: str, **more: Any) -> Any:
        """The JSON answer to a POST."""
        return self.client.post(f"/api/v1{path}", **more).raise_for_status().json()

    def add_song(self, song: Path) -> dict[str, Any]:
        """A song that was looked into."""
        found = self.post("/songs", params={"name": song.name}, content=song.read_bytes())
        while (found := self.get(f"/songs/{found['id']}"))["state"] == "analysing":
            time.sleep(0.02)
        assert found["state"] == "ready", found["error"]
        return dict(found)

    def wait(self, job: str) -> dict[str, Any]:
        """A job once it has ended."""
        while (found := self.get(f"/jobs/{job}"))["state"] in ("queued", "running"):
            time.sleep(0.05)
        return dict(found)

    def convert(self, song: str, **asked: Any) -> str:
        """The id of a job that converts a song with the first voice."""
        voice = self.get("/voices")[0]["id"]
        return str(self.post(f"/songs/{song}/convert", json={"settings": {"voice": voice}, **asked})["id"])


class Watch:
    """Seconds, and processor seconds of a server, since it was made."""

    def __init__(self, site: Site):
        self.site, self.cpu, self.begun = site, site.cpu(), time.monotonic()

    def text(self) -> str:
        """Both, as text for a table."""
        return f"{time.monotonic() - self.begun:.1f} s, {self.site.cpu() - self.cpu:.1f} s of processor"


@contextmanager
def served(run: Path, home: Path) -> Iterator[Site]:
    """A server of a new home folder that holds a voice."""
    shutil.copytree(run, home / "runs" / "voice")
    site = Site(home)
    try:
        yield site
    finally:
        site.client.close()
        site.process.terminate()
        site.process.wait(30)
