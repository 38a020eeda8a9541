"""The page's texts: the same keys in every language, and no used key is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "stages" / "ui" / "static"
LANGUAGES = {path.stem: json.loads(path.read_text("utf-8")) for path in (STATIC / "i18n").glob("*.json")}


def test_all_languages_have_the_same_keys_and_places() -> None:
    english = LANGUAGES["en"]
    for language, words in LANGUAGES.items():
        assert words.keys() == english.keys(), language
        for key, value in words.items():
            texts = list(value.values()) if isinstance(value, dict) else [value]
            wanted = english[key]
            places = set(re.findall(r"\{\w+\}", wanted["other"] if isinstance(wanted, dict) else wanted))
            assert all(text.strip() for text in texts), key
            assert set(re.findall(r"\{\w+\}", texts[-1])) == places, (language, key)


def test_every_key_that_the_page_names_is_there() -> None:
    for file in STATIC.rglob("*.js"):
        text = file.read_text("utf-8")
        named = set(re.findall(r"""(?<!\w)t\("([\w.]+)"[,)]""", text))
        assert named <= LANGUAGES["en"].keys(), (file.name, named - LANGUAGES["en"].keys())


def test_every_language_is_offered() -> None:
    offered = re.search(r"LANGUAGES = \{(.*?)\}", (STATIC / "js" / "i18n.js").read_text("utf-8"))
    assert offered
    assert set(re.findall(r"(\w+):", offered[1])) == LANGUAGES.keys()


def test_every_fault_of_a_corpus_has_words() -> None:
    from svc.stages import corpus_report

    source = Path(corpus_report.__file__).read_text("utf-8")
    faults = re.findall(r'said\["(\w+)"\]', source)
    assert len(faults) == 7
    assert {f"fault.{fault}" for fault in faults} <= LANGUAGES["en"].keys()


def test_every_error_and_verdict_and_encoder_has_words() -> None:
    """An error whose message is a text of its own (a UserError's, say) is shown with that message: `error.other`."""
    from svc.pipeline.encoder.registry import short_names
    from svc.stages import ui
    from svc.stages.training.verdict import Trend
    from svc.stages.ui.errors import NAMES

    source = "".join(path.read_text("utf-8") for path in Path(ui.__file__).parent.rglob("*.py"))
    codes = set(re.findall(r'(?:ApiError\(\s*\d{3}, |body\()"(\w+)"', source)) | set(NAMES.values())
    assert len(codes) > 25
    words = LANGUAGES["en"].keys()
    assert {f"error.{code}" for code in codes - {"user"}} | {"error.other", "error.memory"} <= words
    assert {f"verdict.{trend}" for trend in Trend} <= words
    assert {f"encoder.{name}" for name in short_names()} <= words


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here: the f0 editor is tested by the page alone")
def test_the_f0_editor() -> None:
    """Every edit does what it says, and undo brings back what was, to the bit."""
    script = Path(__file__).parent / "editor_test.mjs"
    found = subprocess.run(["node", str(script), str(STATIC / "js" / "editor.js")], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
