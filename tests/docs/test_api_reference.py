"""The API reference that `make docs` builds from the docstrings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def modules() -> set[str]:
    """What `make docs` gives to pdoc."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    said = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if "/pdoc " in line]
    return set(re.findall(r"\bsvc\.[\w.]+", line))


def test_every_module_is_in_it(modules: set[str]) -> None:
    """pdoc follows a package to its modules, unless the package has __all__."""
    layers = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {f"svc.{layer}" for layer in layers} <= modules
    for package in ROOT.glob("[a-z]*/**/__init__.py"):
        if "__all__" in package.read_text("utf-8"):
            paths = [path.relative_to(ROOT) for path in package.parent.glob("[a-z]*.py")]
            assert {"svc." + ".".join(path.with_suffix("").parts) for path in paths} <= modules


def test_it_is_built_from_the_docstrings(modules: set[str], tmp_path: Path) -> None:
    """One layer, for time: a page for each module, with its functions' words."""
    store = sorted(name for name in modules if name.startswith("svc.store"))
    command = [sys.executable, "-m", "pdoc", "--docformat", "google", "-o", str(tmp_path), *store]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "Warn" not in done.stderr
    pages = {path.stem for path in tmp_path.rglob("*.html")}
    assert pages >= {path.stem for path in (ROOT / "store").glob("[a-z]*.py")}
    (reader,) = tmp_path.rglob("reader.html")
    assert "Hidden states of a layer" in reader.read_text("utf-8")
