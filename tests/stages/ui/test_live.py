"""Live conversion on the page: the stream of the same song, the web socket and its limits, and a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from svc.data.singers.harmonic import VOICES, practice, sing
from svc.pipeline.streaming.timing import StreamTiming
from svc.stages.live.live_converter import LiveSettings
from svc.stages.live.session import LiveSession
from svc.stages.settings import RenderSettings
from svc.stages.ui.live.packets import Kind
from svc.stages.ui.live.worker import Stream

from .browser import CHROMIUM, WAIT, check_access, words

websockets = pytest.importorskip("websockets", reason="the page needs websockets: pip install 'svc[ui]'")
from websockets.sync.client import connect  # noqa: E402  # after the check that it can be imported

RATE, FRAME = 44_100, 882
WIDTH = "element => parseFloat(element.style.width)"  # of a level meter's bar, percent
SETTINGS = {"speaker": None, "key": 0.0, "formants": 0.0, "retrieve": 0.0, "gate_db": None, "bypass": False}


@pytest.fixture(scope="module")
def phrase() -> NDArray[np.float32]:
    wav, _ = sing(practice(VOICES[0], 2.0, 4), VOICES[0], 4)
    return np.asarray(wav[: len(wav) // FRAME * FRAME], np.float32)


class Answers:
    """Takes the packets of a Stream in place of the server."""

    def __init__(self) -> None:
        self.sound: list[NDArray[np.float32]] = []
        self.events: list[dict[str, Any]] = []

    def send(self, kind: Kind, payload: bytes) -> None:
        assert kind == Kind.sound
        self.sound.append(np.frombuffer(payload, "<f4"))

    def tell(self, event: str, **more: Any) -> None:
        self.events.append({"event": event, **more})


def test_it_is_the_stream_of_the_song_to_the_sample(run: Path, phrase: NDArray[np.float32]) -> None:
    settings = LiveSettings(RenderSettings(precision="fp32", device="cpu", retrieve=0.0, vocoder="plain"), None)
    session = LiveSession.open(settings, StreamTiming(hop=9, context=50, lookahead=8), 0.1, lambda text: None, run)
    want = session.converter.stream().stream(phrase)
    answers = Answers()
    stream: Any = Stream(session, answers, False)  # type: ignore[arg-type]  # a stand-in

    def packets() -> Iterator[tuple[Kind, bytes]]:
        """Sound, no faster than it is converted."""
        sent, hop = 0, stream.engine.stream.timing.hop_samples
        for frame in np.append(phrase, np.zeros(RATE, np.float32)).reshape(-1, FRAME):
            while stream.engine.report.converted < sent // hop:
                time.sleep(0.002)
            yield Kind.sound, frame.astype("<f4").tobytes()
            sent += FRAME

    stream.run(packets())
    heard, delay = np.concatenate(answers.sound), stream.engine.delay
    assert not heard[: stream.engine.margin].any()
    assert np.array_equal(heard[delay : delay + len(want)], want)
    assert stream.engine.report.dropped == 0
    assert answers.events[0]["event"] == "ready"
    stream.change({**SETTINGS, "speaker": "nobody"})
    assert answers.events[-1]["event"] == "error"
    assert "nobody" in answers.events[-1]["error"]["message"]
    stream.change({**SETTINGS, "key": 3.0, "bypass": True})
    assert answers.events[-1]["event"] == "changed"
    assert (session.converter.settings.conversion.key, stream.engine.bypass) == (3.0, True)


class Caller:
    """A program that converts live through the API."""

    def __init__(self, site: Any, **headers: str):
        self.socket = connect(site.url.replace("http", "ws") + "/api/v1/live", additional_headers=headers)

    def until(self, event: str, seconds: float = 240.0) -> dict[str, Any]:
        """The next event of a kind; what comes before is left out."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.socket.recv(timeout=seconds)
            if isinstance(message, str) and json.loads(message)["event"] == event:
                found: dict[str, Any] = json.loads(message)
                return found
        raise AssertionError(f"no {event} in {seconds} s")

    def begin(self, site: Any, **more: Any) -> dict[str, Any]:
        voice = site.client.get("/api/v1/voices").json()[0]["id"]
        self.socket.send(json.dumps({**SETTINGS, "voice": voice, **more}))
        return self.until("ready")


@pytest.fixture
def call(voice_site: Any) -> Iterator[Callable[..., Caller]]:
    made: list[Caller] = []

    def make(**headers: str) -> Caller:
        made.append(Caller(voice_site, **headers))
        return made[-1]

    yield make
    for caller in made:
        caller.socket.close()


def test_sound_comes_back_as_long_as_it_went(
    voice_site: Any, call: Callable[..., Caller], phrase: NDArray[np.float32]
) -> None:
    caller = call()
    ready = caller.begin(voice_site)
    assert ready["status"]["delay_ms"] > ready["status"]["hop_ms"] > 90
    frames = np.tile(phrase, 2).reshape(-1, FRAME)[:200]
    back: list[NDArray[np.float32]] = []
    for frame in frames:
        caller.socket.send(frame.astype("<f4").tobytes())
        while not isinstance(message := caller.socket.recv(timeout=60), bytes):
            pass
        back.append(np.frombuffer(message, "<f4"))
        time.sleep(0.02)
    assert [len(each) for each in back] == [FRAME] * 200
    assert np.isfinite(np.concatenate(back)).all()
    assert np.abs(np.concatenate(back)).max() > 0.01
    # What is not a number becomes silence.
    caller.socket.send(np.full(FRAME, np.nan, "<f4").tobytes())
    caller.socket.send(json.dumps({**SETTINGS, "key": 5.0}))
    caller.until("changed")
    caller.socket.send(json.dumps({**SETTINGS, "speaker": "nobody"}))
    assert caller.until("error")["error"]["code"] == "not_changed"
    caller.socket.close()


def closing(caller: Caller) -> tuple[int, str]:
    """The code and reason that the server closes the socket with."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            caller.socket.recv(timeout=30)
    assert caller.socket.close_code is not None
    return caller.socket.close_code, caller.socket.close_reason or ""


def refusal(caller: Caller) -> tuple[str, int]:
    """The code of the error that a conversation ends with, and the socket's."""
    error = caller.until("error")["error"]
    return error["code"], closing(caller)[0]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_request"),
        ('{"voice": "0123456789ab"}', "not_found"),
        ('{"voice": "../../etc"}', "not_found"),
        ('{"voice": "0123456789ab", "key": 99}', "invalid_request"),
        ('{"voice": "0123456789ab", "device": "/dev/null"}', "invalid_request"),
        (b"\x00" * 8, "invalid_request"),
    ],
)
def test_a_beginning_that_cannot_be_is_refused(call: Callable[..., Caller], message: str | bytes, code: str) -> None:
    caller = call()
    caller.socket.send(message)
    assert refusal(caller) == (code, 1008)


def test_one_page_converts_at_a_time(voice_site: Any, call: Callable[..., Caller]) -> None:
    call().begin(voice_site)
    assert refusal(call()) == ("live_busy", 1008)


def test_sound_is_limited_in_size_and_speed(voice_site: Any, call: Callable[..., Caller]) -> None:
    caller = call()
    caller.begin(voice_site)
    with contextlib.suppress(websockets.ConnectionClosed):
        for _ in range(1_000):
            caller.socket.send(np.zeros(16_000, "<f4").tobytes())
    assert closing(caller) == (1008, "too_fast")


@pytest.mark.parametrize("size", [3, 70_000])
def test_sound_that_is_none_is_refused(voice_site: Any, call: Callable[..., Caller], size: int) -> None:
    caller = call()
    caller.begin(voice_site)
    caller.socket.send(b"\x00" * size)
    assert closing(caller)[0] == (1008 if size < 65_536 else 1009)


def test_a_killed_process_is_said(voice_site: Any, call: Callable[..., Caller]) -> None:
    caller = call()
    caller.begin(voice_site)
    os.kill(voice_site.service.live.process.pid, signal.SIGKILL)
    assert refusal(caller) == ("worker_died", 1011)
    call().begin(voice_site)  # and another one begins


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_other_sites_cannot_listen(voice_site: Any, headers: dict[str, str]) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        Caller(voice_site, **headers)
    assert refused.value.response.status_code == 403


def test_dns_rebinding_reaches_no_web_socket(voice_site: Any) -> None:
    where = urlsplit(voice_site.url)
    with (
        socket.create_connection((where.hostname, where.port)) as connection,
        pytest.raises(websockets.InvalidStatus) as refused,
    ):
        connect("ws://evil.example/api/v1/live", sock=connection)
    assert refused.value.response.status_code == 403


def test_the_token_guards_it(tmp_path: Path, serve: Callable[..., Any]) -> None:
    with serve(tmp_path / "home", token="secret") as site:
        with pytest.raises(websockets.InvalidStatus):
            Caller(site)
        caller = Caller(site, Authorization="Bearer secret")
        caller.socket.send('{"voice": "0123456789ab"}')
        assert refusal(caller)[0] == "not_found"


def test_there_is_no_other_web_socket(voice_site: Any) -> None:
    with pytest.raises(websockets.InvalidStatus):
        connect(voice_site.url.replace("http", "ws") + "/api/v1/events")


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("ko", 400)])
def test_a_browser_converts_its_microphone(
    voice_site: Any, tmp_path: Path, phrase: NDArray[np.float32], language: str, width: int
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    soundfile.write(tmp_path / "microphone.wav", phrase, RATE, "PCM_16")
    voice_site.service.database.set({"language": language})
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}",
            ],
        )
        page = browser.new_page(viewport={"width": width, "height": 860})
        page.goto(f"{voice_site.url}/#/live")
        playwright.expect.set_options(timeout=WAIT)
        status, bars = page.locator(".live-status"), page.locator(".meter-bar span")
        page.click("#live-go")
        playwright.expect(status).to_have_text(words(language)["live.on"])
        until = time.monotonic() + 120
        while bars.count() < 2 or any(float(bars.nth(i).evaluate(WIDTH)) < 10 for i in range(2)):
            assert time.monotonic() < until, "the microphone, or what was converted, is silent"
            page.wait_for_timeout(50)
        page.wait_for_selector("#live-latency")
        check_access(page)
        page.click("#live-bypass")
        page.click("#live-go")
        playwright.expect(status).to_have_text(words(language)["live.off"])
        browser.close()
