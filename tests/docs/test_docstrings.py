"""Every public name has a docstring, and functions over arrays give shapes: the API reference is made of these.

An overriding method needs none of its own where its base class has one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("common", "pipeline", "store", "stages", "commands", "data")
ARRAYS = re.compile(r"(?<!str, )\b(Tensor|NDArray|ndarray|Samples|Frames|F0|Embedding|Labels|Complex|Array)\b")
SHAPE = re.compile(r"[(\[](?:\.\.\.|\w[\w+*/ .-]*),|\bshapes?\b|\bscalars?\b")


@dataclass(frozen=True)
class Name:
    """A public function, method or class. `owner`: the class that a method is of."""

    where: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    owner: ast.ClassDef | None

    @property
    def docs(self) -> str:
        return ast.get_docstring(self.node) or ""


def modules(layer: str) -> dict[Path, ast.Module]:
    paths = sorted((ROOT / layer).rglob("*.py"))
    return {path: ast.parse(path.read_text("utf-8")) for path in paths}


def names(path: Path, body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[Name]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            name = f"{owner.name}.{node.name}" if owner else node.name
            yield Name(f"{path.relative_to(ROOT)}:{node.lineno} {name}", node, owner)
            if isinstance(node, ast.ClassDef):
                yield from names(path, node.body, node)


CLASSES = {
    node.name: node
    for layer in LAYERS
    for tree in modules(layer).values()
    for node in tree.body
    if isinstance(node, ast.ClassDef)
}


def inherited(name: Name) -> str:
    """The docstring of the method of a base class that this one overrides; empty without one."""
    bases = [ast.unparse(base).split(".")[-1].partition("[")[0] for base in name.owner.bases] if name.owner else []
    for base in (CLASSES[each] for each in bases if each in CLASSES):
        for method in base.body:
            if isinstance(method, ast.FunctionDef) and method.name == name.node.name:
                return ast.get_docstring(method) or inherited(Name(name.where, method, base))
        if found := inherited(Name(name.where, name.node, base)):
            return found
    return ""


def over_arrays(name: Name) -> bool:
    """Whether an argument or the result is an array."""
    if isinstance(name.node, ast.ClassDef):
        return False
    arguments = name.node.args
    annotations = [each.annotation for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return any(ARRAYS.search(ast.unparse(each)) for each in (*annotations, name.node.returns) if each)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_public_name_has_a_docstring(layer: str) -> None:
    trees = modules(layer)
    missing = [str(path.relative_to(ROOT)) for path, tree in trees.items() if not ast.get_docstring(tree)]
    found = [name for path, tree in trees.items() for name in names(path, tree.body)]
    missing += [name.where for name in found if not name.docs and not inherited(name)]
    assert not missing, f"{len(missing)} have no docstring:\n" + "\n".join(missing)


@pytest.mark.parametrize("layer", ["pipeline", "store", "stages", "data"])
def test_every_function_over_arrays_gives_a_shape(layer: str) -> None:
    found = [name for path, tree in modules(layer).items() for name in names(path, tree.body) if over_arrays(name)]
    missing = [
        name.where
        for name in found
        if not SHAPE.search(name.docs)
        and not SHAPE.search(inherited(name))
        and not (name.owner and SHAPE.search(ast.get_docstring(name.owner) or ""))
    ]
    assert not missing, f"{len(missing)} of {len(found)} give no shape, such as (B, T):\n" + "\n".join(missing)
