"""A newcomer's way by keyboard alone: recordings, a voice, a song, takes, a second voice, files to take away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .browser import CHROMIUM, Keyboard, words

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
expect = playwright.expect
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


def test_from_a_song_to_files_by_keyboard_alone(voice_site: Any, open_page: Callable[..., Any], song: Path) -> None:
    """The second half of the way below, in Korean on a narrow screen."""
    voice_site.service.database.set({"language": "ko"})
    keyboard = Keyboard(open_page(voice_site.url, "ko", 400, reduced_motion="reduce"), "song-ko-400")
    song_to_files(keyboard, voice_site, "ko", song)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_from_recordings_to_files_by_keyboard_alone(
    site: Any, open_page: Callable[..., Any], corpus: Path, encoder: Path, song: Path, language: str, width: int
) -> None:
    shutil.copytree(encoder, site.service.home.path / "encoders" / "small")
    page = open_page(site.url, language, width, reduced_motion="reduce")
    keyboard = Keyboard(page, f"{language}-{width}")
    keyboard.look("01-home")
    voice = make_voice(keyboard, site, language, sorted(next(corpus.iterdir()).glob("*.wav")))
    keyboard.press(".voice-head a.button.primary")
    found = song_to_files(keyboard, site, language, song)
    assert [made["voice"] for made in results(site, found)[0]["about"]["voices"]] == ["Anna"]
    assert voice["consent"] == "Anna agreed."


def song_to_files(keyboard: Keyboard, site: Any, language: str, song: Path) -> str:
    """Add a song, and make two files of it; its id."""
    keyboard.pick_files(".drop input[type=file]", [song])
    keyboard.page.wait_for_selector("canvas.timeline")
    keyboard.look("07-song")
    found = str(keyboard.page.url.rpartition("/")[2])
    convert(keyboard, site, language, found)
    edit_f0(keyboard, site, language, found)
    second_voice(keyboard, site, found)
    export(keyboard, site, found)
    keyboard.press("#nav a[href='#/results']")
    keyboard.page.locator(".row audio").nth(1).wait_for()
    keyboard.look("13-results")
    return found


def make_voice(keyboard: Keyboard, site: Any, language: str, recordings: list[Path]) -> dict[str, Any]:
    """Name a voice, add recordings, read the report, leave one out, train, listen."""
    page = keyboard.page
    keyboard.press(".steps a")
    page.wait_for_selector("form.card")
    keyboard.type("form.card input", "Anna")
    keyboard.choose("form.card select", "small")
    keyboard.look("02-new-voice")
    keyboard.press("form.card button")
    keyboard.pick_files(".drop input[type=file]", recordings)
    expect(page.locator(".compact .row")).to_have_count(len(recordings))
    keyboard.type("#consent", "Anna agreed.")
    keyboard.look("03-recordings")
    keyboard.press("#prepare")
    page.wait_for_selector(".tiles")
    keyboard.look("04-report")
    keyboard.press(".switch input", "Space")
    page.wait_for_selector(".row.off")
    keyboard.press("#prepare")
    page.wait_for_selector("#prepare[disabled]")
    page.wait_for_selector("#train:not([disabled])")
    keyboard.type("#steps", "30")
    keyboard.press("#train")
    page.wait_for_selector("#stop")
    keyboard.look("05-training")
    page.get_by_text(words(language)["train.more"], exact=True).wait_for()
    page.locator("audio[src*=examples]").first.wait_for()
    keyboard.look("06-trained")
    made: dict[str, Any] = site.client.get("/api/v1/voices").json()[0]
    assert made["state"] == "ready"
    return made


def convert(keyboard: Keyboard, site: Any, language: str, song: str) -> None:
    """Convert the song, sing the first phrase again, once without breaths, and pick the last of its takes."""
    page, t = keyboard.page, words(language)
    keyboard.press("#convert")
    expect(page.locator(".lane-head .score")).to_have_count(page.locator(".lane").count())
    keyboard.press("#r-0")
    expect(page.locator(".takes tbody tr")).to_have_count(2)
    keyboard.press("#other-0")
    keyboard.press(f'.lane.open .two button:has-text("{t["retake.breaths_none"]}")')
    expect(page.locator(".takes tbody tr")).to_have_count(3)
    keyboard.look("08-takes")
    last = page.locator(".takes [id^=k-]").last.get_attribute("id")
    keyboard.press(f"#{last}", "Space")
    page.wait_for_selector(f"#{last}[aria-pressed=true]")
    assert f"k-{site.client.get(f'/api/v1/songs/{song}/picks').json()['0']}" == last
    takes = site.client.get(f"/api/v1/songs/{song}/takes").json()
    assert {take["settings"]["breaths"] for take in takes if take["phrase"] == 0} == {"sing", 0.0}


def edit_f0(keyboard: Keyboard, site: Any, language: str, song: str) -> None:
    """Move a note up and take that back; hear the song beside what was converted."""
    page, path = keyboard.page, f"/api/v1/songs/{song}/f0"
    before = site.client.get(path).text
    keyboard.go("canvas.timeline")
    for key in ("Home", "n", "ArrowUp"):
        page.keyboard.press(key)
    page.get_by_text(words(language)["f0.saved"]).wait_for()
    assert site.client.get(path).text != before
    keyboard.look("09-note-moved")
    keyboard.go("canvas.timeline")
    page.keyboard.press("Control+z")
    until = time.monotonic() + 60
    while site.client.get(path).text != before:
        assert time.monotonic() < until
        time.sleep(0.2)
    keyboard.press("[data-name=source]")
    page.wait_for_selector("[data-name=source][aria-pressed=true]")


def second_voice(keyboard: Keyboard, site: Any, song: str) -> None:
    """A second part from the same recording, from the third second on, and a render of both."""
    page = keyboard.page
    keyboard.press("#add-part")
    keyboard.look("10-add-part")
    keyboard.press("#add-same")
    page.wait_for_selector(".mix-part.now [id^=begins-]")
    part = page.url.rpartition("/")[2]
    assert part != song
    keyboard.type(f"#begins-{part}", "3")
    until = time.monotonic() + 60
    while site.client.get(f"/api/v1/songs/{part}").json()["begins"] != 3.0:
        assert time.monotonic() < until
        time.sleep(0.1)
    keyboard.look("11-mix")
    keyboard.press("#render")
    wait_for_results(site, song, 1)


def export(keyboard: Keyboard, site: Any, song: str) -> None:
    """The picked takes as FLAC."""
    keyboard.press(".head-line summary")
    keyboard.choose("#format", "flac")
    keyboard.look("12-export")
    keyboard.press("#export")
    wait_for_results(site, song, 2)
    assert results(site, song)[0]["label"].endswith(".flac")


def results(site: Any, song: str) -> list[dict[str, Any]]:
    """The exported files of a song, the newest first."""
    found: list[dict[str, Any]] = site.client.get("/api/v1/results", params={"song": song}).json()
    return found


def wait_for_results(site: Any, song: str, count: int) -> None:
    """Until so many files were exported of a song."""
    until = time.monotonic() + 300
    while len(results(site, song)) < count:
        assert time.monotonic() < until
        time.sleep(0.2)
