"""The API reference that `make docs` builds from the docstrings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_is_built_from_the_docstrings(tmp_path: Path) -> None:
    """One layer, for time: a page for each module, with its functions' words."""
    command = [sys.executable, "-m", "pdoc", "--docformat", "google", "-o", str(tmp_path), "svc.store"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "Warn" not in done.stderr
    pages = {path.stem for path in (tmp_path / "svc" / "store").glob("*.html")}
    assert pages >= {path.stem for path in (ROOT / "store").glob("*.py") if not path.stem.startswith("__")}
    assert "Hidden states of a layer" in (tmp_path / "svc" / "store" / "reader.html").read_text("utf-8")


def test_make_docs_names_every_layer() -> None:
    (recipe,) = re.findall(r"pdoc .*", (ROOT / "Makefile").read_text("utf-8"))
    layers = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {f"svc.{layer}" for layer in layers} == set(re.findall(r"svc\.\w+", recipe))
