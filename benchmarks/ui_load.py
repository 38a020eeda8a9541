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
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from ui_clients import CLIENTS, run_clients
from ui_site import Watch, row, served

JOBS, TAKES = 4, 4
HALF_OPEN = 1_000
DISK_MIB = 420
PARTS = ("load", "disk", "uploads", "first")


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
        seen = asyncio.run(run_clients(site, jobs, result, data))
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
