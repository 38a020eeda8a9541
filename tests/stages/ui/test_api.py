"""The whole API: a song in, takes, choices, f0, parts, files out; and recovery from failures."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from svc.stages.rendering import provenance


def voice_of(site: Any) -> str:
    return str(site.client.get("/api/v1/voices").json()[0]["id"])


def convert(site: Any, song: str, **asked: Any) -> dict[str, Any]:
    settings = {"voice": voice_of(site), **asked.pop("settings", {})}
    answer = site.client.post(f"/api/v1/songs/{song}/convert", json={"settings": settings, **asked})
    assert answer.status_code == 202, answer.text
    job = site.wait(answer.json()["id"])
    assert job["state"] == "done", job["error"]
    return job


def test_a_song_all_the_way(voice_site: Any, song: Path, tmp_path: Path) -> None:
    client = voice_site.client
    found = voice_site.add_song(song, "노래 song.flac")
    assert found["state"] == "ready"
    assert found["seconds"] == pytest.approx(soundfile.info(song).duration, abs=1e-3)
    assert found["phrases"]
    assert all(a["end"] <= b["start"] + 1e-6 for a, b in zip(found["phrases"], found["phrases"][1:], strict=False))
    base = f"/api/v1/songs/{found['id']}"
    convert(voice_site, found["id"], settings={"key": "auto"})
    takes = client.get(f"{base}/takes").json()
    assert {take["phrase"] for take in takes} == set(range(len(found["phrases"])))
    assert all(0 <= take["scores"]["overall"] <= 1 for take in takes)
    convert(voice_site, found["id"], phrases=[0], takes=2, settings={"seed": 5})
    mine = [take for take in client.get(f"{base}/takes").json() if take["phrase"] == 0]
    assert len(mine) == 3
    assert [t["scores"]["overall"] for t in mine] == sorted((t["scores"]["overall"] for t in mine), reverse=True)
    picks = client.get(f"{base}/picks").json()
    assert picks["0"] == mine[0]["id"]  # the best by default
    assert client.put(f"{base}/picks", json={"picks": {"0": mine[2]["id"]}}).json()["0"] == mine[2]["id"]
    assert client.put(f"{base}/picks", json={"picks": {"1": mine[0]["id"]}}).status_code == 404
    for what, suffix in (
        ("whole", "wav"),
        ("whole", "flac"),
        ("whole", "mp3"),
        ("whole", "ogg"),
        ("stems", "wav"),
        ("takes", "wav"),
    ):
        job = client.post(f"{base}/export", json={"what": what, "format": suffix}).json()
        assert voice_site.wait(job["id"])["state"] == "done"
        result = client.get("/api/v1/results").json()[0]
        data = client.get(f"/api/v1/results/{result['id']}/file").content
        if what == "whole":
            path = tmp_path / f"out.{suffix}"
            path.write_bytes(data)
            said = provenance.read(path)
            assert said["synthetic"] is True, suffix
            assert said["voices"][0]["run"] == "choir"
            assert soundfile.info(path).duration == pytest.approx(found["seconds"], abs=0.1)
        else:
            names = zipfile.ZipFile(io.BytesIO(data)).namelist()
            assert len(names) == (1 if what == "stems" else len(takes) + 2)


def test_the_comp_is_what_was_picked(voice_site: Any, song: Path) -> None:
    found = voice_site.add_song(song)
    base = f"/api/v1/songs/{found['id']}"
    convert(voice_site, found["id"])
    voice_site.client.put(f"{base}/picks", json={"picks": {"0": None}})
    job = voice_site.client.post(f"{base}/export", json={"what": "whole", "format": "wav"}).json()
    voice_site.wait(job["id"])
    result = voice_site.client.get("/api/v1/results", params={"song": found["id"]}).json()[0]
    wav, rate = soundfile.read(io.BytesIO(voice_site.client.get(f"/api/v1/results/{result['id']}/file").content))
    first = found["phrases"][0]
    last = found["phrases"][-1]
    assert np.abs(wav[int(first["start"] * rate) : int((first["end"] - 0.3) * rate)]).max() == 0
    if last["index"]:
        assert np.abs(wav[int((last["start"] + 0.3) * rate) : int(last["end"] * rate)]).max() > 0.01


def test_f0_that_is_drawn_is_sung_and_repeats_bit_for_bit(voice_site: Any, song: Path) -> None:
    client = voice_site.client
    found = voice_site.add_song(song)
    base = f"/api/v1/songs/{found['id']}"
    text = client.get(f"{base}/f0").text
    lines = text.splitlines()
    assert lines[0] == "seconds,hz"
    assert len(lines) == found["frames"] + 1
    hz = np.array([float(line.split(",")[1]) for line in lines[1:]], np.float32)
    moved = "\n".join(
        [
            lines[0],
            *(f"{line.split(',')[0]},{float(v):.9g}" for line, v in zip(lines[1:], hz * np.float32(1.5), strict=True)),
        ]
    )
    changed = client.put(f"{base}/f0", content=moved).json()
    assert changed["f0_edited"]
    assert changed["f0_times"]
    again = client.get(f"{base}/f0").text
    assert client.put(f"{base}/f0", content=again).status_code == 200
    assert client.get(f"{base}/f0").text == again
    convert(voice_site, found["id"], phrases=[0])
    convert(voice_site, found["id"], phrases=[0])
    one, two = [t for t in client.get(f"{base}/takes").json() if t["phrase"] == 0]
    audio = [client.get(f"{base}/takes/{take['id']}/audio").content for take in (one, two)]
    sounds = [soundfile.read(io.BytesIO(data))[0] for data in audio]
    assert np.array_equal(*sounds)
    assert one["f0_sha256"] == two["f0_sha256"]
    assert one["scores"]["in_tune"] is not None
    assert client.delete(f"{base}/f0").json()["f0_edited"] is False
    assert client.get(f"{base}/f0").text == text
    for wrong in (
        "",
        "seconds,hz\n1,x\n",
        "seconds,hz\n1,100\n0.5,100\n",
        "seconds,hz\n0,1e9\n",
        "seconds,hz\n0,-5\n",
        "seconds,hz\nnan,5\n",
    ):
        answer = client.put(f"{base}/f0", content=wrong)
        assert answer.status_code == 422, wrong
        assert set(answer.json()) == {"code", "message", "detail"}


def test_parts_are_mixed(voice_site: Any, song: Path) -> None:
    client = voice_site.client
    found = voice_site.add_song(song)
    convert(voice_site, found["id"])
    part = client.post(
        f"/api/v1/songs/{found['id']}/parts", params={"name": "band.flac"}, content=song.read_bytes()
    ).json()
    while client.get(f"/api/v1/songs/{part['id']}").json()["state"] == "analysing":
        time.sleep(0.1)
    client.patch(f"/api/v1/songs/{part['id']}", json={"role": "keep", "gain_db": -6})
    assert [p["id"] for p in client.get(f"/api/v1/songs/{found['id']}/parts").json()] == [found["id"], part["id"]]
    assert part["id"] not in [s["id"] for s in client.get("/api/v1/songs").json()]
    job = client.post(f"/api/v1/songs/{found['id']}/export", json={"what": "stems", "format": "wav"}).json()
    voice_site.wait(job["id"])
    result = client.get("/api/v1/results", params={"song": found["id"]}).json()[0]
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"/api/v1/results/{result['id']}/file").content))
    assert archive.namelist() == ["01-voice.wav", "02-backing.wav"]
    kept, rate = soundfile.read(io.BytesIO(archive.read("02-backing.wav")))
    source, source_rate = soundfile.read(song)
    assert len(kept) / rate == pytest.approx(len(source) / source_rate, abs=0.01)
    assert np.abs(kept).max() == pytest.approx(np.abs(source).max() * 10 ** (-6 / 20), rel=0.1)


def test_breaths_are_a_setting_of_a_take(voice_site: Any, tmp_path: Path) -> None:
    """Kept breaths are the song's own sound; left out, they are silent; the sung voice is the same in all three."""
    rate, tone = 44_100, 0.3 * np.sin(2 * np.pi * 220 * np.arange(66_150) / 44_100)
    noise = np.random.default_rng(1).normal(0, 0.02, 22_050)
    gap = np.zeros(2_205)
    file = tmp_path / "breath.wav"
    soundfile.write(file, np.concatenate([gap, tone, gap, noise, gap, tone, gap]), rate)
    found = voice_site.add_song(file, "breath.wav")
    sounds: dict[Any, np.ndarray[Any, Any]] = {}
    for breaths in ("sing", "keep", 0.0):
        convert(voice_site, found["id"], settings={"breaths": breaths}, phrases=[0])
    for take in voice_site.client.get(f"/api/v1/songs/{found['id']}/takes").json():
        data = voice_site.client.get(f"/api/v1/songs/{found['id']}/takes/{take['id']}/audio").content
        sounds[take["settings"]["breaths"]] = np.pad(
            soundfile.read(io.BytesIO(data))[0], (round(take["start"] * rate), 0)
        )
    inside = slice(2_205 + 66_150 + 2_205 + 6_000, 2_205 + 66_150 + 2_205 + 16_000)
    voice = slice(10_000, 60_000)
    assert len(found["phrases"]) == 1
    assert np.array_equal(sounds["sing"][voice], sounds["keep"][voice])
    assert np.array_equal(sounds["sing"][voice], sounds[0.0][voice])
    own = soundfile.read(file)[0][inside]
    assert np.corrcoef(sounds["keep"][inside], own)[0, 1] > 0.99
    assert np.abs(sounds[0.0][inside]).max() < 1e-6
    for wrong in ("loud", 1.5, -0.1):
        settings = {"voice": voice_of(voice_site), "breaths": wrong}
        answer = voice_site.client.post(f"/api/v1/songs/{found['id']}/convert", json={"settings": settings})
        assert answer.status_code == 422


def test_errors_say_what_was_expected_and_what_was_found(site: Any) -> None:
    """Code, a sentence that names the thing, and what to do: wrong paths, files, settings; of jobs too."""
    client = site.client

    def refused(method: str, path: str, **sent: Any) -> tuple[str, str]:
        answer = client.request(method, path, **sent)
        assert answer.status_code >= 400
        assert answer.json().keys() == {"code", "message", "detail"}
        return answer.json()["code"], answer.json()["message"]

    listed = "/api/v1/openapi.json lists what there is"
    assert refused("GET", "/api/v1/nothing") == ("not_found", f"there is no GET /api/v1/nothing; {listed}")
    assert refused("DELETE", "/api/v1/health")[1] == f"there is no DELETE /api/v1/health; {listed}"
    wrong = client.post("/api/v1/songs", params={"name": "notes.txt"}, content=b"hello")
    assert wrong.json()["message"] == "expected an audio file, found 'notes.txt'; convert it to FLAC or WAV"
    code, message = refused("POST", "/api/v1/voices", json={"name": "a", "language": "ko"})
    assert (code, "body.language" in message) == ("invalid_request", True)
    code, message = refused("POST", "/api/v1/voices", json={"name": "a", "encoder": "hubert"})
    assert code == "unknown_encoder"
    assert message.endswith("found 'hubert'")
    song = site.add_song(Path(__file__), "my song.wav")
    assert song["error"]["code"] == "audio"
    assert song["error"]["message"].startswith("my song.wav is no audio that can be decoded")


def test_two_voices_in_one_render_are_those_of_the_command_line(voice_site: Any, song: Path, tmp_path: Path) -> None:
    """A render of parts is the same, sample for sample, as `svc render --parts` of the same parts."""
    client, home = voice_site.client, voice_site.service.home
    found = voice_site.add_song(song)
    base = f"/api/v1/songs/{found['id']}"
    second = client.post(f"{base}/parts/copy", json={"name": "second"}).json()
    assert second["parent"] == found["id"]
    assert second["phrases"] == found["phrases"]
    band = client.post(f"{base}/parts", params={"name": "band.flac"}, content=song.read_bytes()).json()
    while client.get(f"/api/v1/songs/{band['id']}").json()["state"] == "analysing":
        time.sleep(0.1)
    half = round(found["seconds"] / 2, 2)
    client.patch(f"/api/v1/songs/{band['id']}", json={"role": "keep", "gain_db": -12})
    client.patch(f"/api/v1/songs/{second['id']}", json={"begins": half})
    client.patch(base, json={"ends": half})
    f0 = client.get(f"/api/v1/songs/{second['id']}/f0").text.replace(",0\n", ",0.0\n")
    client.put(f"/api/v1/songs/{second['id']}/f0", content=f0)
    voice = voice_of(voice_site)
    speaker = client.get("/api/v1/voices").json()[0]["speakers"][-1]["name"]
    lead = {"voice": voice, "key": 2.0, "breaths": "keep"}
    settings = {found["id"]: lead, second["id"]: {"voice": voice, "speaker": speaker, "key": -3.0, "seed": 4}}
    job = client.post(f"{base}/render", json={"settings": settings, "format": "wav"})
    assert job.status_code == 202, job.text
    ended = voice_site.wait(job.json()["id"])
    assert ended["state"] == "done", ended["error"]
    result = client.get("/api/v1/results", params={"song": found["id"]}).json()[0]
    assert [made["run"] for made in result["about"]["voices"]] == ["choir"]
    assert result["label"] == f"{Path(found['name']).stem}.mix.wav"
    made = home.results / result["file"]
    assert provenance.read(made)["synthetic"] is True
    source, drawn = home.song(found["id"]) / found["file"], tmp_path / "drawn.csv"
    drawn.write_text(f0)
    parts = [
        {"song": str(source), "key": 2, "breaths": "keep", "end": half},
        {"song": str(source), "speaker": speaker, "key": -3, "seed": 4, "start": half, "f0_file": str(drawn)},
        {"song": str(home.song(band["id"]) / band["file"]), "sing": False, "gain_db": -12},
    ]
    (tmp_path / "parts.json").write_text(json.dumps({"parts": parts}))
    command = [sys.executable, "-m", "svc.cli", "render", "--parts", "parts.json", "--bit-depth", "24"]
    command += ["--model", str(home.path / "runs" / "choir"), "-o", "out.wav"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert np.array_equal(soundfile.read(made)[0], soundfile.read(tmp_path / "out.wav")[0])
    assert client.delete(f"/api/v1/results/{result['id']}").status_code == 204
    assert list(home.results.glob(f"{made.stem}*")) == []


def test_a_render_of_parts_needs_a_voice_for_each(voice_site: Any, song: Path) -> None:
    client = voice_site.client
    found = voice_site.add_song(song)
    base = f"/api/v1/songs/{found['id']}"
    second = client.post(f"{base}/parts/copy", json={"name": "second"}).json()
    lead = {"voice": voice_of(voice_site)}
    for settings, status, code in [
        ({found["id"]: lead}, 422, "no_voice"),
        ({found["id"]: lead, "0123456789ab": lead}, 404, "not_found"),
        ({found["id"]: {"voice": "0123456789ab"}, second["id"]: lead}, 404, "not_found"),
    ]:
        answer = client.post(f"{base}/render", json={"settings": settings})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert client.patch(base, json={"begins": 2.0, "ends": 1.0}).status_code == 422
    assert client.patch(base, json={"ends": 1.0}).json()["ends"] == 1.0
    assert client.patch(base, json={"ends": 0}).json()["ends"] is None
    for part in (found, second):
        client.patch(f"/api/v1/songs/{part['id']}", json={"role": "keep"})
    assert client.post(f"{base}/render", json={"settings": {}}).json()["code"] == "nothing_to_convert"


def test_range_requests(voice_site: Any, song: Path) -> None:
    found = voice_site.add_song(song)
    path = f"/api/v1/songs/{found['id']}/audio"
    whole = voice_site.client.get(path)
    part = voice_site.client.get(path, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert voice_site.client.get(path, headers={"Range": "bytes=-10"}).content == whole.content[-10:]
    assert voice_site.client.get(path, headers={"Range": f"bytes={10**9}-"}).status_code == 416


def test_the_synchronous_calls(voice_site: Any, song: Path) -> None:
    name = voice_site.client.get("/api/v1/voices").json()[0]
    answer = voice_site.client.post(
        "/v1/audio/voice-conversions",
        files={"audio": ("a.flac", song.read_bytes())},
        data={"voice": name["name"], "key": "2", "seed": "1"},
        timeout=200,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    wav, rate = soundfile.read(io.BytesIO(answer.content))
    assert len(wav) / rate == pytest.approx(soundfile.info(song).duration, abs=0.01)
    old = voice_site.client.post(
        "/voiceChangeModel",
        files={"sample": ("sample.wav", song.read_bytes())},
        data={"fPitchChange": "0", "sampleRate": "48000", "sSpeakId": "1"},
        timeout=200,
    )
    assert old.status_code == 200, old.text
    assert soundfile.info(io.BytesIO(old.content)).samplerate == 48_000
    bad = voice_site.client.post("/v1/audio/voice-conversions", files={"audio": ("a.wav", b"no sound")}, timeout=200)
    assert bad.status_code == 422
    assert bad.json()["code"] == "audio"
    assert list((voice_site.service.home.state / "single").glob("*")) == []


def test_events_tell_of_takes_as_they_come(voice_site: Any, song: Path) -> None:
    found = voice_site.add_song(song)
    kinds: list[str] = []
    with httpx.stream("GET", f"{voice_site.url}/api/v1/events", params={"subject": found["id"]}, timeout=120) as stream:
        settings = {"voice": voice_of(voice_site)}
        voice_site.client.post(f"/api/v1/songs/{found['id']}/convert", json={"settings": settings, "phrases": [0]})
        for line in stream.iter_lines():
            if line.startswith("data:"):
                event = json.loads(line[5:])
                kinds.append(event["kind"])
                if event["kind"] == "job" and event["data"]["state"] == "done":
                    break
    assert "take" in kinds
    assert kinds.index("take") < len(kinds) - 1


def test_errors_are_of_one_form(voice_site: Any) -> None:
    asked: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("GET", "/api/v1/songs/0123456789ab", {}, 404, "not_found"),
        ("GET", "/api/v1/nothing", {}, 404, "not_found"),
        ("POST", "/api/v1/health", {}, 405, "method_not_allowed"),
        ("POST", "/api/v1/voices", {"json": {"name": ""}}, 422, "invalid_request"),
        ("POST", "/api/v1/voices", {"content": b"{"}, 422, "invalid_request"),
        ("POST", f"/api/v1/voices/{voice_of(voice_site)}/train", {"json": {}}, 404, "not_found"),
        ("POST", "/api/v1/jobs/0123456789ab/retry", {}, 404, "not_found"),
    ]
    for method, path, more, status, code in asked:
        answer = voice_site.client.request(method, path, **more)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
        assert set(answer.json()) == {"code", "message", "detail"}


def test_a_killed_worker_costs_nothing(voice_site: Any, song: Path) -> None:
    found = voice_site.add_song(song)
    settings = {"voice": voice_of(voice_site)}
    job = voice_site.client.post(
        f"/api/v1/songs/{found['id']}/convert", json={"settings": settings, "takes": 3}
    ).json()["id"]
    lane = voice_site.service.jobs.lanes[0]
    while not voice_site.client.get(f"/api/v1/songs/{found['id']}/takes").json():
        time.sleep(0.02)
    os.kill(lane.worker.pid, signal.SIGKILL)
    ended = voice_site.wait(job)
    assert ended["state"] == "done"
    takes = voice_site.client.get(f"/api/v1/songs/{found['id']}/takes").json()
    made = {(take["phrase"], take["settings"]["seed"]) for take in takes}
    assert made == {(phrase["index"], seed) for phrase in found["phrases"] for seed in range(3)}


def test_a_job_can_be_cancelled_and_tried_again(voice_site: Any, song: Path) -> None:
    found = voice_site.add_song(song)
    settings = {"voice": voice_of(voice_site), "steps": 200}
    first = voice_site.client.post(
        f"/api/v1/songs/{found['id']}/convert", json={"settings": settings, "takes": 16}
    ).json()
    second = voice_site.client.post(f"/api/v1/songs/{found['id']}/convert", json={"settings": settings}).json()
    assert voice_site.client.post(f"/api/v1/jobs/{second['id']}/cancel").json()["state"] == "cancelled"
    voice_site.client.post(f"/api/v1/jobs/{first['id']}/cancel")
    assert voice_site.wait(first["id"], 60)["state"] == "cancelled"
    assert voice_site.client.post(f"/api/v1/jobs/{second['id']}/retry").json()["state"] in ("queued", "running")
    assert voice_site.wait(second["id"])["state"] == "done"
    assert voice_site.client.post(f"/api/v1/jobs/{second['id']}/retry").status_code == 409


def test_a_killed_server_loses_nothing(tmp_path: Path, run: Path, song: Path) -> None:
    """kill -9 in the midst of a job; the next start goes on, and settings are there."""
    home = tmp_path / "home"
    shutil.copytree(run, home / "runs" / "choir")
    command = [sys.executable, "-m", "svc.cli", "ui", "--home", str(home), "--port", "0", "--no-browser"]

    def start() -> tuple[subprocess.Popen[str], httpx.Client]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert process.stdout is not None
        url = process.stdout.readline().split(": ", 1)[1].split(" ")[0]
        return process, httpx.Client(base_url=url, timeout=60)

    def asked(client: httpx.Client, path: str) -> Any:
        return client.get(f"/api/v1{path}").json()

    process, client = start()
    try:
        client.put("/api/v1/settings", json={"values": {"language": "ko"}})
        found = client.post("/api/v1/songs", params={"name": "a.flac"}, content=song.read_bytes()).json()["id"]
        while asked(client, f"/songs/{found}")["state"] == "analysing":
            time.sleep(0.1)
        settings = {"voice": asked(client, "/voices")[0]["id"]}
        job = client.post(f"/api/v1/songs/{found}/convert", json={"settings": settings, "takes": 2}).json()["id"]
        while not asked(client, f"/songs/{found}/takes"):
            time.sleep(0.02)
        process.kill()
        process.wait()
        process, client = start()
        assert asked(client, "/settings")["values"]["language"] == "ko"
        until = time.monotonic() + 200
        while (state := asked(client, f"/jobs/{job}"))["state"] != "done":
            assert state["state"] in ("queued", "running"), state
            assert time.monotonic() < until
            time.sleep(0.2)
        takes = asked(client, f"/songs/{found}/takes")
        phrases = asked(client, f"/songs/{found}")["phrases"]
        made = sorted((take["phrase"], take["settings"]["seed"]) for take in takes)
        assert made == sorted((phrase["index"], seed) for phrase in phrases for seed in range(2))
    finally:
        process.kill()
        process.wait()


def test_a_full_disk_is_said_and_survived(tmp_path: Path, serve: Callable[..., Any], song: Path) -> None:
    home = tmp_path / "home"
    with serve(home, spare_bytes=2**60) as site:
        answer = site.client.post("/api/v1/songs", params={"name": "a.flac"}, content=song.read_bytes())
        assert answer.status_code == 507
        assert answer.json()["code"] == "disk_full"
        assert site.client.get("/api/v1/songs").json() == []
        assert not any(path.is_file() for path in (home / "songs").rglob("*"))
    with serve(home) as site:
        assert site.add_song(song)["state"] == "ready"


def test_a_disk_that_fills_up_ends_one_job_and_no_lane(
    tmp_path: Path, serve: Callable[..., Any], run: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database takes nothing while a job ends: it fails in words, and goes on when there is room again."""
    home = tmp_path / "home"
    shutil.copytree(run, home / "runs" / "choir")
    with serve(home) as site:
        found = site.add_song(song)
        put = site.service.database.put

        def full(kind: str, *more: Any) -> None:
            if kind in ("take", "job"):
                raise sqlite3.OperationalError("database or disk is full")
            put(kind, *more)

        settings = {"voice": voice_of(site)}
        job = site.client.post(f"/api/v1/songs/{found['id']}/convert", json={"settings": settings}).json()["id"]
        monkeypatch.setattr(site.service.database, "put", full)
        ended = site.wait(job)
        assert (ended["state"], ended["error"]["code"]) == ("failed", "disk_full")
        answer = site.client.post(f"/api/v1/jobs/{job}/retry")
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        monkeypatch.setattr(site.service.database, "put", put)
        if site.client.get(f"/api/v1/jobs/{job}").json()["state"] == "failed":
            assert site.client.post(f"/api/v1/jobs/{job}/retry").status_code == 200
        assert site.wait(job)["state"] == "done"
        takes = site.client.get(f"/api/v1/songs/{found['id']}/takes").json()
        assert sorted(take["phrase"] for take in takes) == [phrase["index"] for phrase in found["phrases"]]
