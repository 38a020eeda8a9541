"""A real browser for tests: pages in a language and of a width, axe-core, and a user who has a keyboard alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

WAIT = 300_000  # ms, for a busy machine
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parent / "axe" / "axe.min.js"
STATIC = Path(__file__).parents[3] / "stages" / "ui" / "static"
MOST_TABS = 250
FOCUSED = """() => {
  const e = document.activeElement, box = e.closest('.drop, label.button') ?? e;
  const own = e.tagName === 'AUDIO'; // the controls within it show the focus themselves
  const outlined = own || [box, e].some((each) => getComputedStyle(each).outlineStyle !== 'none');
  const at = box.getBoundingClientRect();
  return [e.tagName, outlined, at.width > 0 && at.height > 0];
}"""


def words(language: str) -> dict[str, Any]:
    """The page's words in a language."""
    found: dict[str, Any] = json.loads((STATIC / "i18n" / f"{language}.json").read_text("utf-8"))
    return found


def check_access(page: Any) -> None:
    """axe-core finds nothing serious, and nothing is wider than the screen."""
    page.evaluate("() => new Promise(requestAnimationFrame)")
    session = page.context.new_cdp_session(page)  # past the page's own policy, which runs no script from elsewhere
    session.send("Runtime.evaluate", {"expression": AXE.read_text("utf-8")})
    answer = session.send(
        "Runtime.evaluate",
        {"expression": "axe.run().then(r => JSON.stringify(r.violations))", "awaitPromise": True},
    )
    serious = [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]])
        for fault in json.loads(answer["result"]["value"])
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


class Keyboard:
    """A user without a pointer. Pictures of what they see go to the folder SVC_SCREENSHOTS, where it is set."""

    def __init__(self, page: Any, name: str):
        self.page, self.name, self._shots = page, name, os.environ.get("SVC_SCREENSHOTS")
        self._dialogs: list[Any] = []
        page.on("filechooser", lambda dialog: self._dialogs.append(dialog))  # expect_file_chooser listens too late

    def go(self, selector: str) -> Any:
        """Press Tab until what `selector` names has the focus; every stop on the way shows that it has it."""
        target = self.page.locator(selector).first
        target.wait_for(state="attached")
        for _ in range(MOST_TABS):
            if target.evaluate("e => e === document.activeElement"):
                return target
            self.page.keyboard.press("Tab")
            tag, outlined, seen = self.page.evaluate(FOCUSED)
            assert tag == "BODY" or (outlined and seen), self.page.evaluate("document.activeElement.outerHTML")[:200]
        raise AssertionError(f"{selector} cannot be reached by Tab")

    def press(self, selector: str, key: str = "Enter") -> None:
        """Go to an element and press a key on it."""
        self.go(selector)
        self.page.keyboard.press(key)

    def type(self, selector: str, text: str) -> None:
        """Replace what is in a field, and leave the field."""
        self.go(selector)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Tab")

    def choose(self, selector: str, value: str) -> None:
        """Choose an option by the arrow keys."""
        target = self.go(selector)
        options = target.evaluate("e => [...e.options].map(o => o.value)")
        at = options.index(target.evaluate("e => e.value"))
        steps = options.index(value) - at
        for _ in range(abs(steps)):
            self.page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
        assert target.evaluate("e => e.value") == value

    def pick_files(self, selector: str, files: list[Path]) -> None:
        """Open the file dialog of a field and choose files."""
        self.press(selector)
        while not self._dialogs:
            self.page.wait_for_timeout(50)
        self._dialogs.pop().set_files(files)

    def look(self, what: str) -> None:
        """Check the page's accessibility, and keep a picture of it."""
        check_access(self.page)
        if self._shots:
            Path(self._shots).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(self._shots) / f"{self.name}-{what}.png")
