"""The page in a real browser: a newcomer's way, in both languages, wide and narrow, by keyboard, for everybody."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import pytest

from .browser import CHROMIUM, Keyboard, check_access, words

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
expect = playwright.expect
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

PAGES = ("#/", "#/voices", "#/live", "#/results")


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("width", [1280, 400])
def test_every_page_is_for_everybody(
    voice_site: Any, open_page: Callable[..., Any], song: Path, language: str, width: int
) -> None:
    voice_site.service.database.set({"language": language})
    there = voice_site.client.get("/api/v1/songs").json()
    found = there[0] if there else voice_site.add_song(song)
    voice = voice_site.client.get("/api/v1/voices").json()[0]["id"]
    page = open_page(voice_site.url, language, width)
    assert page.locator("html").get_attribute("lang") == language
    for where in (*PAGES, f"#/voices/{voice}", f"#/songs/{found['id']}"):
        for theme in ("light", "dark") if (language, width) == ("en", 1280) else ("light",):
            page.emulate_media(color_scheme=theme)
            page.goto(f"{voice_site.url}/{where}")
            page.reload()
            page.wait_for_selector("main h1")
            if "songs" in where:
                page.wait_for_selector("canvas.timeline")
            check_access(page)


def test_the_language_is_the_browsers_until_one_is_chosen(site: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(site.url, "ko")
    assert page.locator("h1").inner_text() == words("ko")["home.title"]
    page.locator("header select").select_option("en")
    page.get_by_role("heading", name=words("en")["home.title"]).wait_for()
    page.reload()
    page.get_by_role("heading", name=words("en")["home.title"]).wait_for()


def test_an_event_while_a_view_is_loading_is_not_lost(
    voice_site: Any, open_page: Callable[..., Any], song: Path
) -> None:
    """The song is analysed between the view's first question and its last: it stayed "analysing" for ever."""
    page = open_page(voice_site.url, "en")

    def ready() -> bool:
        return all(each["state"] == "ready" for each in voice_site.client.get("/api/v1/songs").json())

    def slow(route: Any) -> None:
        until = time.monotonic() + 120
        while not ready() and time.monotonic() < until:
            time.sleep(0.1)
        route.continue_()

    page.route("**/api/v1/songs/*/parts", slow, times=1)
    page.locator(".drop input[type=file]").set_input_files(song)
    page.wait_for_selector("canvas.timeline")


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("ko", 400)])
def test_from_a_song_to_an_export(
    voice_site: Any, open_page: Callable[..., Any], song: Path, language: str, width: int
) -> None:
    """Drop a song, convert it, sing a phrase again, pick, edit f0, A/B, export."""
    t = words(language)
    voice_site.service.database.set({"language": language, "last_take": None})
    page = open_page(voice_site.url, language, width, reduced_motion="reduce")
    page.locator(".drop input[type=file]").set_input_files(song)
    page.wait_for_selector("canvas.timeline")
    song_id = page.url.rpartition("/")[2]
    takes = f"/api/v1/songs/{song_id}/takes"
    page.locator("#convert").click()
    page.wait_for_selector(".lane .score")
    phrases = page.locator(".lane").count()
    expect(page.locator(".lane-head .score")).to_have_count(phrases)
    page.locator("#r-0").click()
    expect(page.locator(".takes tbody tr")).to_have_count(2)
    page.get_by_role("button", name=t["take.pick"], exact=True).click()
    expect(page.locator(".takes tbody tr").nth(1)).to_have_class("picked")
    second = [take["id"] for take in voice_site.client.get(takes).json() if take["phrase"] == 0][1]
    assert voice_site.client.get(f"/api/v1/songs/{song_id}/picks").json()["0"] == second
    page.get_by_role("button", name=t["ab.source"], exact=True).click()
    page.get_by_role("button", name=t["play"], exact=True).click()
    expect(page.locator(".time")).not_to_contain_text("0:00.0 /")
    page.get_by_role("button", name=t["ab.converted"], exact=True).click()
    page.get_by_role("button", name=t["pause"], exact=True).click()
    before = voice_site.client.get(f"/api/v1/songs/{song_id}/f0").text
    page.locator("canvas.timeline").focus()
    page.keyboard.press("Home")
    page.keyboard.press("n")
    page.keyboard.press("ArrowUp")
    page.get_by_text(t["f0.saved"]).wait_for()
    assert voice_site.client.get(f"/api/v1/songs/{song_id}/f0").text != before
    page.locator("canvas.timeline").focus()
    page.keyboard.press("Control+z")
    page.wait_for_timeout(1_500)
    assert voice_site.client.get(f"/api/v1/songs/{song_id}/f0").text == before
    page.locator("summary.button").click()
    page.locator("#format").select_option("flac")
    page.locator("#export").click()
    until = time.monotonic() + 200  # not by the page's message, which is gone after some seconds
    while not voice_site.client.get("/api/v1/results", params={"song": song_id}).json():
        assert time.monotonic() < until
        page.wait_for_timeout(200)
    page.goto(f"{voice_site.url}/#/results")
    page.wait_for_selector(".row audio")
    result = voice_site.client.get("/api/v1/results", params={"song": song_id}).json()[0]
    assert result["label"].endswith(".flac")


def test_by_keyboard_alone(voice_site: Any, open_page: Callable[..., Any], song: Path) -> None:
    """Every control is reached by Tab, shows that it has the focus, and works."""
    voice_site.service.database.set({"language": "en"})
    found = voice_site.add_song(song)
    page = open_page(f"{voice_site.url}/#/songs/{found['id']}")
    page.wait_for_selector("canvas.timeline")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "() => { const e = document.activeElement, box = e.closest('.drop, .tab-add, label.button') ?? e;"
            "return [e.id || e.dataset.name || e.className || e.tagName,"
            " getComputedStyle(box).outlineStyle !== 'none' || getComputedStyle(e).outlineStyle !== 'none']; }"
        )
        if name == "BODY":
            break
        reached.add(name)
        assert outline, name
    assert {"timeline", "play", "convert", "key", "voice", "select", "draw", "lane-0", "r-0"} <= reached
    page.locator("#convert").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".lane .score")
    page.locator("canvas.timeline").focus()
    page.keyboard.press("b")
    assert page.locator("[data-name=source]").get_attribute("aria-pressed") == "true"
    page.keyboard.press("]")
    assert page.locator(".lane.open .lane-nr").inner_text() == "2"
    page.locator("[id^=k-]").first.focus()
    page.keyboard.press("Space")
    page.wait_for_selector("[id^=k-][aria-pressed=false]")


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("ko", 400)])
def test_a_melody_of_a_midi_file_is_chosen(
    voice_site: Any, open_page: Callable[..., Any], song: Path, tmp_path: Path, language: str, width: int
) -> None:
    """A file of two melodies: the page lists them, and the one that is chosen is the f0."""
    voice_site.service.database.set({"language": language})
    file = mido.MidiFile()
    for name, number in (("Lead", 69), ("높은 소리", 72)):
        notes = [mido.Message("note_on", note=number), mido.Message("note_off", note=number, time=960)]
        file.add_track(name.encode().decode("latin-1")).extend(notes)
    file.save(tmp_path / "two.mid")
    found = voice_site.add_song(song)
    page = open_page(f"{voice_site.url}/#/songs/{found['id']}", language, width)
    t = words(language)
    page.get_by_text(t["f0.file"], exact=True).click()
    keyboard = Keyboard(page, f"midi-{language}-{width}")
    keyboard.look("menu")
    page.locator("input[type=file][accept*=mid]").set_input_files(tmp_path / "two.mid")
    page.locator("dialog[open]").wait_for()
    keyboard.look("dialog")
    page.select_option("#melody", "1")
    page.press("#melody-go", "Enter")
    page.get_by_text(t["f0.file"], exact=True).wait_for()
    expect(page.locator("dialog")).to_have_count(0)
    until = time.monotonic() + 60
    while not voice_site.client.get(f"/api/v1/songs/{found['id']}").json()["f0_edited"]:
        assert time.monotonic() < until
        page.wait_for_timeout(100)
    text = voice_site.client.get(f"/api/v1/songs/{found['id']}/f0").text
    found_hz = {round(float(line.split(",")[1]), 3) for line in text.splitlines()[1:]}
    assert found_hz == {0, 523.251}


def test_a_mix_is_compared_with_its_originals_where_it_is_made(
    voice_site: Any, open_page: Callable[..., Any], song: Path
) -> None:
    """A render of two parts is played in the card of the mix, beside the mix of the recordings, at the same moment."""
    voice_site.service.database.set({"language": "en"})
    client, found = voice_site.client, voice_site.add_song(song)
    second = client.post(f"/api/v1/songs/{found['id']}/parts/copy", json={"name": "second"}).json()
    client.patch(f"/api/v1/songs/{second['id']}", json={"role": "keep", "begins": 2, "gain_db": -6})
    page = open_page(f"{voice_site.url}/#/songs/{found['id']}")
    page.locator("#render").click()
    until = time.monotonic() + 200
    while not client.get("/api/v1/results", params={"song": found["id"]}).json():
        assert time.monotonic() < until
        page.wait_for_timeout(200)
    page.locator("#mix-play").click()
    page.wait_for_function("() => parseFloat(document.querySelector('.mixes output').textContent.slice(2)) > 0.2")
    page.locator("#mix-source").click()
    page.wait_for_selector("#mix-source[aria-pressed=true]")
    Keyboard(page, "mix-en-1280").look("playing")
    page.locator("#mix-play").click()
    page.wait_for_selector("#mix-play[aria-label=Play]")
    levels = """async ([one, two]) => {
      const { originals } = await import('./js/views/mixes.js'), rate = 44100;
      const part = async (id) => (await fetch(`api/v1/songs/${id}`)).json();
      const [lead, second] = [await part(one), await part(two)];
      const both = (await originals([lead, second])).getChannelData(0);
      const alone = (await originals([lead])).getChannelData(0);
      const error = (from, to, factor) => {
        let most = 0;
        for (let i = from * rate; i < to * rate; i++) most = Math.max(most, Math.abs(both[i] - factor * alone[i]));
        return most;
      };
      return [error(0, 1.9, 1), error(2.1, 4, 1 + 10 ** (-6 / 20))];
    }"""
    before, after = page.evaluate(levels, [found["id"], second["id"]])
    assert before < 1e-4
    assert after < 1e-4


def test_names_with_html_stay_text(site: Any, open_page: Callable[..., Any]) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    site.client.post("/api/v1/voices", json={"name": evil, "encoder": "mini", "consent": evil})
    site.client.post("/api/v1/songs", params={"name": f"{evil}.wav"}, content=b"no sound")
    page = open_page(site.url)
    page.get_by_text(evil, exact=False).first.wait_for()
    page.goto(f"{site.url}/#/voices")
    page.get_by_text(evil, exact=False).first.wait_for()
    assert page.locator("main img").count() == 0
    assert "owned" not in page.title()


def test_the_token_is_taken_from_the_address_and_forgotten_there(
    tmp_path: Path, serve: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    with serve(tmp_path / "home", token="a-token-for-the-test") as site:
        page = open_page(f"{site.url}/#token=a-token-for-the-test")
        page.locator(".drop").wait_for()
        assert "token" not in page.url
        assert page.evaluate("document.cookie") == ""  # no script can read it


@pytest.mark.parametrize("language", ["en"])
def test_from_recordings_to_a_voice(
    site: Any, open_page: Callable[..., Any], corpus: Path, encoder: Path, language: str
) -> None:
    """Make a voice, drop recordings, read the report, leave one out, train, stop, go on, listen."""
    t = words(language)
    shutil.copytree(encoder, site.service.home.path / "encoders" / "small")
    page = open_page(f"{site.url}/#/voices", language)
    page.get_by_label(t["voice.name"]).fill("가수 Anna")
    page.get_by_label(t["voice.encoder"]).select_option("small")
    page.get_by_role("button", name=t["voices.create"]).click()
    recordings = sorted(next(corpus.iterdir()).glob("*.wav"))
    page.locator(".drop input[type=file]").set_input_files(recordings)
    expect(page.locator(".compact .row")).to_have_count(len(recordings))
    page.get_by_label(t["voice.consent"]).fill("She agreed.")
    page.locator("#prepare").click()
    page.wait_for_selector(".tiles")
    page.locator(".switch input").first.uncheck()
    page.wait_for_selector(".row.off")
    page.locator("#prepare").click()
    page.wait_for_selector("#prepare[disabled]")
    page.wait_for_selector("#train:not([disabled])")
    page.locator("#steps").fill("2000")
    page.locator("#train").click()
    page.wait_for_selector("#stop")
    page.get_by_text("loss", exact=False).first.wait_for()
    page.locator("#stop").click()
    page.wait_for_selector("#train:not([disabled])")
    voice = site.client.get("/api/v1/voices").json()[0]
    assert voice["consent"] == "She agreed."
    assert len(list(site.service.home.left_out(voice["id"]).iterdir())) == 1
    page.locator("#steps").fill("60")
    check_access(page)
