"""The page's server under load and failures: its answers, their speed, and whether anything is lost.

    python benchmarks/ui_load.py RUN SONG            all parts; RUN is a trained voice, SONG a recording of singing
    python benchmarks/ui_load.py RUN SONG --only load first

`load`: 20 clients, each with a stream of events open, request parts of a result, results and jobs, 200 times a second
together, while 4 jobs run; meanwhile the worker is killed, then the server, which is started again. Every byte of a
result is compared; in the end every requested take must exist once.
`disk`: a disk (tmpfs, needs root) that is full in the midst of a job. `uploads`: 1,000 uploads that stop half-way.
`first`: from a song of three minutes to its first phrase.

On a shared machine processor seconds are more reliable than seconds: both are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

CLIENTS, RATE, JOBS, TAKES = 20, 200.0, 4, 4
RANGE = 65_536  # bytes asked for at once
HALF_OPEN = 1_000
DISK_MIB = 420
PARTS = ("load", "disk", "uploads", "first")


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


@dataclass
class Seen:
    """The clients' results: seconds of each answer, wrong answers, and takes by the stream that reported them."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    dropped: int = 0  # requests that the killed server did not answer
    down: float = 0.0  # seconds from its end to its first answer
    cpu: float = 0.0  # processor seconds of the restarted server when it first answered
    counted: int = 0  # requests until then
    events: int = 0
    takes: dict[int, set[str]] = field(default_factory=dict)


async def ask(port: int, path: str, headers: str = "") -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            raise OSError("the connection ended within an answer")
        return int(head.split(b" ", 2)[1]), body
    finally:
        writer.close()


async def requests(number: int, site: Site, result: str, data: bytes, seen: Seen, ends: Callable[[], bool]) -> None:
    """A client's requests, RATE / CLIENTS a second."""
    rng, due = np.random.default_rng(number), time.monotonic()
    while not ends():
        due += CLIENTS / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        begun, kind = time.monotonic(), rng.integers(4)
        try:
            if kind < 2:
                first = int(rng.integers(max(1, len(data) - RANGE)))
                asked = f"Range: bytes={first}-{first + RANGE - 1}\r\n"
                status, body = await ask(site.port, f"/api/v1/results/{result}/file", asked)
                if (status, body) != (206, data[first : first + RANGE]):
                    seen.wrong.append(f"range {status}")
            else:
                status, body = await ask(site.port, "/api/v1/results" if kind == 2 else "/api/v1/jobs")
                if status != 200 or not json.loads(body):
                    seen.wrong.append(f"list {status}")
            seen.seconds.append(time.monotonic() - begun)
        except (OSError, IndexError, ValueError):
            seen.dropped += 1


async def stream(number: int, site: Site, seen: Seen, ends: Callable[[], bool]) -> None:
    """A client's stream of events, opened again when it ends; then it requests missed takes, as the page does."""
    mine = seen.takes.setdefault(number, set())
    while not ends():
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n\r\n".encode())
            for song in json.loads((await ask(site.port, "/api/v1/songs"))[1]):
                mine |= {
                    take["id"] for take in json.loads((await ask(site.port, f"/api/v1/songs/{song['id']}/takes"))[1])
                }
            while not ends():
                with suppress(TimeoutError):
                    line = await asyncio.wait_for(reader.readline(), 1.0)
                    if not line:
                        break
                    if line.startswith(b"data: "):
                        seen.events += 1
                        event = json.loads(line[6:])
                        mine |= {event["data"]["id"]} if event["kind"] == "take" else set()
            writer.close()
        await asyncio.sleep(0.5)


def load(run: Path, song: Path, home: Path) -> None:
    """Requests and streams while jobs are worked on, a worker and the server are killed."""
    with served(run, home) as site:
        found = site.add_song(song)
        site.wait(site.convert(found["id"]))
        assert site.wait(site.post(f"/songs/{found['id']}/export", json={})["id"])["state"] == "done"
        result = site.get("/results")[0]["id"]
        data = site.client.get(f"/api/v1/results/{result}/file").content
        songs = [site.add_song(song)["id"] for _ in range(JOBS)]
        site.client.put("/api/v1/settings", json={"values": {"language": "ko"}})
        begun = time.monotonic()
        jobs = [site.convert(each, takes=TAKES) for each in songs]
        seen = asyncio.run(_watch(site, jobs, result, data))
        wall = time.monotonic() - begun
        missing = doubled = 0
        for each in songs:
            made = [(take["phrase"], take["settings"]["seed"]) for take in site.get(f"/songs/{each}/takes")]
            missing += TAKES * len(found["phrases"]) - len(set(made))
            doubled += len(made) - len(set(made))
        everything = {take["id"] for each in site.get("/songs") for take in site.get(f"/songs/{each['id']}/takes")}
        untold = sum(len(everything - takes) for takes in seen.takes.values())
        p50, p95, p99 = 1_000 * np.percentile(seen.seconds, [50, 95, 99])
        count, up = len(seen.seconds), wall - seen.down
        row("requests", f"{count} in {up:.0f} s ({count / up:.0f}/s), {len(seen.wrong)} wrong {set(seen.wrong) or ''}")
        each = 1_000 * (site.cpu(workers=False) - seen.cpu) / (count - seen.counted)
        row("processor of the server for a request, events included", f"{each:.1f} ms")
        row("time to answer", f"median {p50:.0f} ms, 95 % {p95:.0f} ms, 99 % {p99:.0f} ms")
        row("killed, until it answers again", f"{seen.down:.0f} s, {seen.dropped} requests not answered")
        row("events", f"{seen.events} on {CLIENTS} streams; {untold} takes not told")
        row(f"{JOBS} jobs of {TAKES} takes", f"done; {missing} takes missing, {doubled} doubled")
        row("settings after the restart", site.get("/settings")["values"]["language"])


async def _watch(site: Site, jobs: list[str], result: str, data: bytes) -> Seen:
    """Run the clients until the jobs are done; kill the worker after a fifth of the takes, the server after half."""
    seen, over = Seen(), asyncio.Event()
    clients = [
        asyncio.create_task(work)
        for number in range(CLIENTS)
        for work in (
            requests(number, site, result, data, seen, over.is_set),
            stream(number, site, seen, over.is_set),
        )
    ]
    killed = 0
    while not over.is_set():
        await asyncio.sleep(0.5)
        with suppress(OSError, IndexError, ValueError):
            states = [json.loads((await ask(site.port, f"/api/v1/jobs/{job}"))[1])["state"] for job in jobs]
            done = states.count("done")
            assert "failed" not in states, states
            if killed == 0 and done >= 1 and (workers := site.workers()):
                os.kill(workers[0], signal.SIGKILL)
                killed = 1
            elif killed == 1 and done >= 2:
                seen.down = -time.monotonic()
                await asyncio.to_thread(site.kill)
                await asyncio.to_thread(site.start)
                seen.down += time.monotonic()
                seen.cpu, seen.counted = site.cpu(workers=False), len(seen.seconds)
                killed = 2
            if done == len(jobs):
                await asyncio.sleep(3)
                over.set()
    assert killed == 2
    await asyncio.gather(*clients)
    return seen


def disk(run: Path, song: Path, home: Path) -> None:
    """A disk that fills up in the midst of a job, and is freed again."""
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", home], stderr=-3).returncode:
        row("a full disk", "not tried: mount needs root")
        return
    try:
        with served(run, home) as site:
            found = site.add_song(song)
            job = site.convert(found["id"], takes=TAKES)
            while not site.get(f"/songs/{found['id']}/takes"):
                time.sleep(0.02)
            with suppress(OSError), (home / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(65_536)):
                    pass
            failed = site.wait(job)
            row("a job on a full disk", f"{failed['state']}: {(failed['error'] or {}).get('code')}")
            upload = site.client.post("/api/v1/songs", params={"name": "a.wav"}, content=song.read_bytes())
            row("an upload to it", f"{upload.status_code} {upload.json()['code']}")
            kept = {take["id"] for take in site.get(f"/songs/{found['id']}/takes")}
            (home / "filler").unlink()
            if failed["state"] != "done":
                site.post(f"/jobs/{job}/retry")
            again = site.wait(job)
            state = again["state"] if again["state"] == "done" else f"{again['state']}, {again['error']}"
            takes = site.get(f"/songs/{found['id']}/takes")
            made = [(take["phrase"], take["settings"]["seed"]) for take in takes]
            missing = TAKES * len(found["phrases"]) - len(set(made))
            lost = len(kept - {take["id"] for take in takes})
            sounds = [site.client.get(f"/api/v1/songs/{found['id']}/takes/{take['id']}/audio") for take in takes]
            broken = sum(answer.status_code != 200 or answer.content[:4] != b"fLaC" for answer in sounds)
            doubled = len(made) - len(set(made))
            row(
                "the job again, with room",
                f"{state}; {missing} missing, {doubled} doubled, {lost} lost, {broken} broken",
            )
    finally:
        subprocess.run(["umount", "-l", home], check=False)


def uploads(run: Path, song: Path, home: Path) -> None:
    """Uploads that stop half-way."""
    with served(run, home) as site:
        held, begun = [], time.monotonic()
        for number in range(HALF_OPEN):
            raw = socket.create_connection(("127.0.0.1", site.port), timeout=60)
            head = (
                f"POST /api/v1/songs?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nContent-Length: 1000000\r\n"
            )
            raw.sendall((head + ("\r\nxxxx" if number % 2 else "")).encode())  # half of them stop within their headers
            held.append(raw)
        opened, waits = time.monotonic() - begun, []
        for _ in range(20):
            asked = time.monotonic()
            site.get("/songs")
            waits.append(time.monotonic() - asked)
        row(
            f"{HALF_OPEN} half-open uploads",
            f"opened in {opened:.1f} s; others are answered in {1e3 * max(waits):.0f} ms",
        )
        asked = time.monotonic()
        while site.client.post("/api/v1/songs", params={"name": song.name}, content=song.read_bytes()).is_error:
            time.sleep(0.2)
        row("until an upload is taken again", f"{time.monotonic() - asked:.1f} s")
        for raw in held:
            raw.close()
        time.sleep(1)
        row("left of them", f"{len(list((home / 'songs').glob('*/.*.partial')))} files")


def first(run: Path, song: Path, home: Path) -> None:
    """From dropping a song of three minutes to its first phrase, and from asking for it."""
    wav, rate = soundfile.read(song, dtype="float32", always_2d=True)
    long = home.with_suffix(".flac")
    soundfile.write(long, np.tile(wav, (-(-180 * rate // len(wav)), 1))[: 180 * rate], rate)
    with served(run, home) as site:
        site.wait(site.convert(site.add_song(song)["id"]))  # warm: libraries and the voice are loaded
        watch = Watch(site)
        found = site.add_song(long)
        row("a song of 3 min, dropped until it is shown", watch.text())
        site.wait(site.get(f"/jobs?subject={found['id']}")[0]["id"])
        watch = Watch(site)
        job = site.convert(found["id"])
        while not site.get(f"/songs/{found['id']}/takes"):
            time.sleep(0.02)
        phrase = found["phrases"][0]
        row(f"Convert until the first phrase ({phrase['end'] - phrase['start']:.1f} s)", watch.text())
        assert site.wait(job)["state"] == "done"
        row("Convert until the whole song", watch.text())


def main() -> None:
    """Parse the command line, and run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("song", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    print("| what | found |\n|---|---|")
    works = {"load": load, "disk": disk, "uploads": uploads, "first": first}
    with tempfile.TemporaryDirectory() as folder:
        for part in asked.only:
            works[part](asked.run, asked.song, Path(folder) / part)


if __name__ == "__main__":
    main()
