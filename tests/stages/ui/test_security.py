"""The attacks of docs/ui-security.md, each tried."""

from __future__ import annotations

import http.client
import json
import re
import socket
import stat
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from svc.stages.ui.settings import ServerSettings


def ask(site: Any, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
    """A request as it is given, Host included: (status, headers, body)."""
    where = urlsplit(site.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": where.netloc, "Content-Length": str(len(body)), **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = (answer.status, dict(answer.getheaders()), answer.read())
    connection.close()
    return found


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """A second of a tone."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(44_100) * 2 * np.pi * 220 / 44_100), 44_100)
    return path


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/js/..%5c..%5c..%5cetc%5cpasswd",
        "//etc/passwd",
        "/js/../../app.py",
        "/api/v1/results/..%2f..%2fstate.sqlite/file",
        "/api/v1/songs/..%2f..%2f.svc-ui/audio",
        "/api/v1/voices/x/recordings/..%2f..%2f/audio",
        "/api/v1/voices/..%2f/examples/..%2f..%2fstate.sqlite",
        "/api/v1/songs/%00/audio",
    ],
)
def test_no_path_leaves_the_folders(site: Any, path: str) -> None:
    status, _, body = ask(site, "GET", path)
    assert status in (404, 405, 422)
    assert b"root:" not in body
    assert b"import" not in body
    assert b"SQLite" not in body


def test_names_of_uploads_are_only_names(site: Any, wav: Path) -> None:
    for name in (
        "../../../../tmp/evil.wav",
        "..\\..\\evil.wav",
        "/etc/cron.d/evil.wav",
        "a\x00b\r\nX: y.wav",
        "." * 300 + ".wav",
    ):
        answer = site.client.post("/api/v1/songs", params={"name": name}, content=wav.read_bytes())
        assert answer.status_code == 201
        assert "/" not in answer.json()["name"]
        assert "\\" not in answer.json()["name"]
    home = site.service.home.path
    assert list(home.parent.rglob("*evil*")) == []
    assert all(path.name.partition(".")[0].isalnum() for path in (home / "songs").glob("*/*.wav"))


def test_html_in_names_is_text_in_json_and_never_a_page(site: Any, wav: Path) -> None:
    name = "<img src=x onerror=alert(1)>.wav"
    answer = site.client.post("/api/v1/songs", params={"name": name}, content=wav.read_bytes())
    assert answer.json()["name"] == name
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    voice = site.client.post("/api/v1/voices", json={"name": "<script>alert(1)</script>", "encoder": "mini"}).json()
    folders = [path.name for path in site.service.home.voice(voice["id"]).joinpath("corpus").iterdir()]
    assert folders == ["script-alert-1-script"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::2]"])
def test_dns_rebinding_is_refused_by_the_host(site: Any, host: str) -> None:
    for path in ("/", "/api/v1/songs"):
        status, _, body = ask(site, "GET", path, {"Host": host})
        assert status in (400, 421)
        assert b"<html" not in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_change_and_read_nothing(site: Any, wav: Path, headers: dict[str, str]) -> None:
    status, _, body = ask(site, "POST", "/api/v1/songs?name=a.wav", headers, wav.read_bytes())
    assert status == 403
    assert json.loads(body)["code"] == "cross_origin"
    assert ask(site, "POST", "/voiceChangeModel", headers)[0] == 403
    assert ask(site, "DELETE", "/api/v1/songs/0123456789ab", headers)[0] == 403
    assert ask(site, "GET", "/api/v1/songs", headers)[0] == 403
    assert site.client.get("/api/v1/songs").json() == []


def test_preflights_are_not_answered_and_nothing_is_shared(site: Any) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    status, headers, _ = ask(site, "OPTIONS", "/api/v1/settings", asked)
    assert status in (403, 405)
    assert not any(name.lower().startswith("access-control") for name in headers)


def test_each_threat_of_the_document_has_its_tests() -> None:
    here = Path(__file__).parent
    docs = here.parents[2] / "docs"
    english, korean = (
        [line.split("|") for line in (docs / name).read_text("utf-8").splitlines() if line.startswith("|")][2:]
        for name in ("ui-security.md", "ui-security.ko.md")
    )
    assert len(english) >= 11
    assert [line[3] for line in english] == [line[3] for line in korean]
    for line in english:
        file = "test_security.py"
        named = re.findall(r"`(\w+\.py)?::(\w+)`", line[3])
        assert named, line
        for given, name in named:
            file = given or file
            assert f"def {name}(" in (here / file).read_text("utf-8"), f"{file}::{name}"


def test_every_answer_has_the_headers(site: Any) -> None:
    for path in ("/", "/js/main.js", "/api/v1/songs", "/nothing"):
        headers = {name.lower(): value for name, value in ask(site, "GET", path)[1].items()}
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_the_page_has_no_inline_script_or_style() -> None:
    from svc.stages.ui.app import STATIC

    page = (STATIC / "index.html").read_text("utf-8")
    assert "<style" not in page
    assert " style=" not in page
    assert re.findall(r"\son\w+=", page) == []
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    for file in STATIC.rglob("*.js"):
        text = file.read_text("utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "http://",
            "https://",
        ):
            assert word not in text.replace("http://www.w3.org/2000/svg", ""), f"{word} in {file.name}"


def test_another_host_needs_a_token() -> None:
    with pytest.raises(ValueError, match="token"):
        ServerSettings(Path("."), host="0.0.0.0")


@pytest.fixture
def guarded(tmp_path: Path, serve: Callable[..., Any]) -> Iterator[Any]:
    with serve(tmp_path / "home", token="right-token-of-some-length") as made:
        yield made


def test_the_token_guards_the_whole_api(guarded: Any) -> None:
    document = guarded.client.get(
        "/api/v1/openapi.json", headers={"Authorization": "Bearer right-token-of-some-length"}
    )
    paths = [path for path in document.json()["paths"] if path != "/api/v1/session"]
    assert len(paths) > 25
    for path in paths:
        for method in document.json()["paths"][path]:
            answer = guarded.client.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, (method, path)
    assert guarded.client.get("/api/v1/openapi.json").status_code == 401
    assert guarded.client.get("/").status_code == 200  # the page itself holds nothing


@pytest.mark.parametrize("given", ["wrong", "right-token-of-some-lengtX", "right-token-of-some-length-", "x", "ü"])
def test_wrong_tokens_are_refused(guarded: Any, given: str) -> None:
    header = {"Authorization": f"Bearer {given}".encode()}
    assert guarded.client.get("/api/v1/songs", headers=header).status_code == 401
    assert guarded.client.get("/api/v1/songs", headers={"Cookie": f"svc_token={given}".encode()}).status_code == 401
    assert guarded.client.post("/api/v1/session", json={"token": given}).status_code == 401


def test_a_token_opens_a_session(guarded: Any) -> None:
    answer = guarded.client.post("/api/v1/session", json={"token": "right-token-of-some-length"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert guarded.client.get("/api/v1/songs").status_code == 200  # by the cookie
    assert guarded.client.post("/api/v1/songs?name=a.wav", headers={"Origin": "http://evil.example"}).status_code == 403


def test_the_token_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    from svc.stages.ui.home import Home

    token = Home.open(tmp_path).token()
    assert len(token) > 40
    assert token == Home.open(tmp_path).token()
    assert stat.S_IMODE((tmp_path / ".svc-ui" / "token").stat().st_mode) == 0o600


def test_oversize_is_refused_before_and_while_it_comes(tmp_path: Path, serve: Callable[..., Any]) -> None:
    with serve(tmp_path / "home", upload_bytes=100_000, form_bytes=10_000) as small:
        where = urlsplit(small.url)
        with socket.create_connection((where.hostname, where.port)) as raw:
            head = f"POST /api/v1/songs?name=a.wav HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {10**12}"
            raw.sendall(f"{head}\r\n\r\n".encode())
            assert b" 413 " in raw.recv(400)

        def endless() -> Iterator[bytes]:
            for _ in range(400):
                yield b"x" * 1_000

        answer = small.client.post("/api/v1/songs?name=a.wav", content=endless())
        assert answer.status_code == 413
        assert answer.json()["code"] == "too_large"
        assert small.client.put("/api/v1/settings", json={"values": {"a": "x" * 20_000}}).status_code == 413
        assert list((tmp_path / "home" / "songs").glob("*/*")) == []
        assert small.client.get("/api/v1/songs").json() == []


def test_settings_are_bounded(site: Any) -> None:
    assert site.client.put("/api/v1/settings", json={"values": {"a": "x" * 100_000}}).status_code == 413
    for start in range(0, 600, 100):
        answer = site.client.put("/api/v1/settings", json={"values": {str(n): n for n in range(start, start + 100)}})
    assert answer.status_code == 409


def flac_that_claims(samples: int) -> bytes:
    """A FLAC header of so many samples, and nothing behind it."""
    packed = (44_100 << 44) | (0 << 41) | (15 << 36) | samples
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0x80, 0, 0, 34]) + info


def test_bombs_end_in_the_worker_with_a_sentence(tmp_path: Path, serve: Callable[..., Any]) -> None:
    hours = tmp_path / "hours.flac"
    with soundfile.SoundFile(hours, "w", 8_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(8_000 * 60, np.int16))
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.wav", bytes(50_000_000))
    assert hours.stat().st_size < 300_000
    with serve(tmp_path / "home", song_seconds=120.0, worker_bytes=3 * 2**30) as site:
        cases = {
            "claims.flac": flac_that_claims(2**35),
            "hours.flac": hours.read_bytes(),
            "zip.wav": archive.read_bytes(),
            "html.mp3": b"<html><script>alert(1)</script>",
            "pickle.wav": b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.",
            "empty.ogg": b"\x00",
        }
        songs = [
            site.client.post("/api/v1/songs", params={"name": n}, content=c).json()["id"] for n, c in cases.items()
        ]
        until = time.monotonic() + 200
        for song in songs:
            while (found := site.client.get(f"/api/v1/songs/{song}").json())["state"] == "analysing":
                assert time.monotonic() < until
                time.sleep(0.1)
            assert found["state"] == "failed", found
            assert found["error"]["code"] == "audio"
            assert len(found["error"]["message"]) > 10
        assert site.client.post("/api/v1/songs?name=a.zip", content=archive.read_bytes()).status_code == 415
        assert site.client.post("/api/v1/songs?name=a.pth", content=b"x").status_code == 415
        assert not Path("/tmp/owned").exists()


def test_a_thousand_half_open_uploads(tmp_path: Path, serve: Callable[..., Any], wav: Path) -> None:
    """The page answers while they hang, uploads work again after their time, and nothing of them is left."""
    count = 1_000
    with serve(tmp_path / "home", idle_seconds=3.0) as site:
        where = urlsplit(site.url)
        held = []
        for number in range(count):
            raw = socket.create_connection((where.hostname, where.port), timeout=30)
            head = f"POST /api/v1/songs?name=a.wav HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 1000000\r\n"
            raw.sendall((head + ("\r\nxxxx" if number % 2 else "")).encode())  # half stop within their headers
            held.append(raw)
        begun = time.monotonic()
        assert site.client.get("/api/v1/songs").status_code == 200
        assert time.monotonic() - begun < 5
        until = time.monotonic() + 30
        while (answer := site.client.post("/api/v1/songs?name=b.wav", content=wav.read_bytes())).status_code == 429:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert answer.status_code == 201
        for raw in held:
            raw.close()
        time.sleep(0.5)
        assert list((tmp_path / "home" / "songs").glob("*/.*.partial")) == []
        assert len(list((tmp_path / "home" / "songs").iterdir())) == 1


def test_jobs_are_limited_in_number(tmp_path: Path, serve: Callable[..., Any], wav: Path) -> None:
    with serve(tmp_path / "home", jobs=3) as site:
        codes = [
            site.client.post("/api/v1/songs", params={"name": "a.wav"}, content=wav.read_bytes()).status_code
            for _ in range(8)
        ]
        assert codes.count(429) >= 1
        assert codes[0] == 201


def test_a_worker_that_needs_too_much_memory_is_ended(tmp_path: Path, serve: Callable[..., Any], wav: Path) -> None:
    with serve(tmp_path / "home", worker_bytes=30 * 2**20) as site:
        song = site.client.post("/api/v1/songs", params={"name": "a.wav"}, content=wav.read_bytes()).json()["id"]
        until = time.monotonic() + 60
        while (found := site.client.get(f"/api/v1/songs/{song}").json())["state"] == "analysing":
            assert time.monotonic() < until
            time.sleep(0.1)
        assert found["error"]["code"] == "memory"


def test_only_named_encoders_are_loaded(site: Any) -> None:
    for name in ("/etc/passwd", "../evil.pt", "http://evil.example/x", "somebody/model", "hubert.pt"):
        assert site.client.post("/api/v1/voices", json={"name": "a", "encoder": name}).status_code == 422
    # Unknown fields are refused: no vocoder or path comes in that way.
    answer = site.client.post("/api/v1/voices", json={"name": "a", "encoder": "mini", "path": "/etc"})
    assert answer.status_code == 422


def test_links_in_the_home_folder_are_not_followed(site: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "run.json").write_text("{}")
    (site.service.home.path / "link").symlink_to(tmp_path / "secret")
    assert site.service.home.found_runs() == {}
