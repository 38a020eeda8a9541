"""The installed package and its dependencies."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from svc.common.errors import UserError
from svc.stages.extraction import extract as extract_module
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings

ROOT = Path(__file__).parents[1]

MODULES = {
    "google_crc32c": "google-crc32c",
    "sklearn": "scikit-learn",
    "swift_f0": "swift-f0",
    "webrtcvad": "webrtcvad-wheels",
}


def requirements() -> dict[str, set[str]]:
    """Names of the packages that are always installed (`""`), and of those of each extra."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    lines = {extra: [line for line in text.splitlines() if line and line[0] != "#"] for extra, text in lists.items()}
    return {extra: {re.split(r"[\[ ~<>=]", line)[0] for line in each} for extra, each in lines.items()}


def test_what_an_extra_brings_is_imported_only_when_it_is_used() -> None:
    """So `pip install svc` is enough for the README's commands, and a missing extra breaks nothing else."""
    installed = requirements()[""]
    early = []
    for layer in ("common", "pipeline", "store", "stages", "commands", "data"):
        for path in (ROOT / layer).rglob("*.py"):
            if "ui" in path.parts or path.name.startswith("make_") or path.name == "sing.py":  # run elsewhere
                continue
            for node in ast.parse(path.read_text("utf-8")).body:  # not what is in functions or behind TYPE_CHECKING
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                for name in {name.split(".")[0] for name in names} - {"svc", *sys.stdlib_module_names}:
                    if MODULES.get(name, name) not in installed:
                        early.append(f"{path.relative_to(ROOT)}: {name}")
    assert not early


def test_dev_has_every_extra_but_those_that_are_large_or_licensed_otherwise() -> None:
    extras = requirements()
    wanted = set().union(*(extras[name] for name in ("cluster", "train", "ears", "words", "ui", "s3")))
    assert wanted <= extras["dev"]


def test_workers_without_dask_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"(?s)dask\.distributed.*pip install 'svc\[cluster\]'"):
        extract([tmp_path / "absent"], tmp_path / "s.zarr", ExtractSettings(workers=2))


@pytest.mark.long
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    # From a copy: setuptools leaves a build folder behind, from which later wheels would take deleted modules.
    copy = tmp_path / "copy"
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={copy}/"], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, copy], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    inside = ("cli.py", "__init__.py", "py.typed", "commands/", "common/", "pipeline/", "store/", "stages/", "data/")
    assert names == {f"svc/{name}" for name in tracked if name.startswith(inside)}
