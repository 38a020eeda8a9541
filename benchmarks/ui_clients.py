"""The clients of benchmarks/ui_load.py: requests and event streams, while the worker and the server are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from ui_site import Site

CLIENTS, RATE = 20, 200.0  # RATE: requests a second, of all clients together
RANGE = 65_536  # bytes asked for at once


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


async def run_clients(site: Site, jobs: list[str], result: str, data: bytes) -> Seen:
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
