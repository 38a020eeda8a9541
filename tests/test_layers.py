"""cli -> commands -> stages -> {data, pipeline, store} -> common: read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("common", "pipeline", "store", "data", "stages", "commands", "cli")
MAY_IMPORT = {
    "common": {"common"},
    "pipeline": {"common", "pipeline"},
    "store": {"common", "store"},
    "data": {"common", "pipeline", "data"},
    "stages": {"common", "pipeline", "store", "data", "stages"},
    "commands": {"common", "stages", "commands"},
    "cli": {"commands", "cli"},
}


def imports(path: Path) -> set[str]:
    """Absolute names of the svc modules that a file imports, anywhere in it."""
    package = ["svc", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "svc"}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.split(".")[0] == "svc":
                found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def layer(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else None


def sources() -> list[Path]:
    return [ROOT / "cli.py", *(p for top in LAYERS[:-1] for p in sorted((ROOT / top).rglob("*.py")))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_lies_below_it(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts[0]
    upward = {name for name in imports(path) if (to := layer(name)) and to not in MAY_IMPORT[own]}
    assert not upward


def test_no_import_cycle() -> None:
    modules = {
        ".".join(["svc", *(p.relative_to(ROOT).with_suffix("").parts)]).removesuffix(".__init__"): imports(p)
        for p in sources()
    }

    def module_of(imported: str) -> str:
        """The module that a name comes from: the longest that it begins with."""
        return max((m for m in modules if imported == m or imported.startswith(m + ".")), key=len, default="")

    graph = {
        name: {module_of(imported) for imported in found} & modules.keys() - {name}
        for name, found in modules.items()
        if name.count(".") > 1 or name == "svc.cli"  # packages' faces only hand names on
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name in done:
            return
        for below in graph.get(name, ()):
            visit(below, (*above, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("svc.store", "torch"),
        ("svc.store", "zarr"),
        ("svc.store", "svc.pipeline"),
        ("svc.cli", "torch"),
        ("svc", "numpy"),
    ],
)
def test_a_light_import_stays_light(package: str, never: str) -> None:
    code = f"import {package}, sys; sys.exit({never!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_package_lies_at_the_root() -> None:
    """Any other .py file there would be shipped as a part of it."""
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "cli.py"}
