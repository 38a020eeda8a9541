"""The settings of a store: different ones are refused by name, and values of different settings are never mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from svc.store import SettingsError, StoreError, open_store
from svc.store.checksummed_json import add_checksum, check_checksum
from svc.store.columns import read_columns
from svc.store.folder import Folder
from svc.store.schema import MEL, Column, PackSize
from svc.store.writer import open_writer

if TYPE_CHECKING:
    from .conftest import Sample

Run = Callable[..., None]
Tree = Callable[[Path | Folder], dict[str, bytes]]

SIZE = PackSize(unit=1024, mel=1920)
IDENTITY: dict[str, Any] = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 20.0}}
F0 = Column("f0", MEL, "float32", 0, "Hz", {"method": "harvest", "limits": {"floor": 65.0, "ceiling": 1100.0}})


def change(column: Column, **settings: Any) -> Column:
    return replace(column, settings={**column.settings, **settings})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (change(F0, method="dio"), ["method: harvest in the store, dio asked for"]),
        (
            change(F0, limits={"floor": 50.0, "ceiling": 1100.0}),
            ["limits.floor: 65.0 in the store, 50.0 asked for"],
        ),
        (
            change(F0, limits={"floor": 65.0, "ceiling": 1100.0, "by": {"voice": {"bass": 1}}}),
            ["limits.by: nothing in the store"],
        ),
        (change(F0, version=2), ["version: nothing in the store, 2 asked for"]),
        (replace(F0, settings={"method": "harvest"}), ["limits:", "in the store, nothing asked for"]),
        (
            change(F0, method="dio", version=2),
            ["method: harvest in the store, dio asked for", "version: nothing in the store, 2 asked for"],
        ),
        (change(F0, method=None), ["method: harvest in the store, None asked for"]),
    ],
)
def test_other_settings_are_refused_and_told(tmp_path: Path, tree: Tree, asked: Column, told: list[str]) -> None:
    root = tmp_path / "a"
    with open_writer(root, SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
    before = tree(root)
    with open_writer(root, SIZE, IDENTITY) as writer, pytest.raises(SettingsError) as caught:
        writer.set_columns([replace(F0, name="other"), asked])
    for line in ["column f0", *told]:
        assert line in str(caught.value)
    for same in {"method", "floor", "ceiling"} - {word for line in told for word in line.replace(":", ".").split(".")}:
        assert f"{same}:" not in str(caught.value)
    assert tree(root) == before


def test_differing_setting_is_named_by_its_whole_path(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", SIZE, {"a": {"b": {"c": {"d": 1, "e": 2}}}}):
        pass
    with pytest.raises(SettingsError, match=r"\n  a\.b\.c\.e: 2 in the store, 3 asked for\n"):
        open_writer(tmp_path / "a", SIZE, {"a": {"b": {"c": {"d": 1, "e": 3}}}}).__enter__()


def test_same_settings_in_another_order_are_the_same(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
        writer.set_columns([replace(F0, settings=dict(reversed(F0.settings.items())))])


def test_setting_that_is_none_is_told_from_one_that_is_absent(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
        with pytest.raises(SettingsError) as caught:
            writer.set_columns([change(F0, version=None)])
    assert "version" in str(caught.value)


OTHERS = [replace(F0, dtype="float16"), replace(F0, width=2), replace(F0, axis="unit")]


@pytest.mark.parametrize("asked", OTHERS, ids=["dtype", "width", "axis"])
def test_same_settings_but_another_kind_of_array_is_refused(tmp_path: Path, asked: Column, extract: Run) -> None:
    with open_writer(tmp_path / "a", SIZE, IDENTITY) as writer:
        writer.set_columns([F0])
        with pytest.raises(StoreError):
            writer.set_columns([asked])


def test_where_a_column_came_from_decides_nothing(copy: Sample) -> None:
    column = copy.columns[0]
    with open_writer(copy.root, SIZE, IDENTITY) as writer:
        writer.set_columns([replace(column, origin="/elsewhere")])
        assert writer.missing(column) == []
    assert read_columns(copy.layout)[column.name].origin == "/elsewhere"


def test_store_of_another_identity_is_refused_and_told(copy: Sample, tree: Tree) -> None:
    before = tree(copy.root)
    asked = {"mel_frame_rate": 44100 / 512, "slicing": {"longest": 12.5}}
    with pytest.raises(SettingsError, match=r"slicing\.longest: 20\.0 in the store, 12\.5 asked for"):
        open_writer(copy.root, SIZE, asked).__enter__()
    assert tree(copy.root) == before


def test_old_store_keeps_its_pack_size(copy: Sample) -> None:
    with open_writer(copy.root, PackSize(2048, 3840), IDENTITY) as writer:
        assert writer.size == SIZE
    assert open_store(copy.root).size == SIZE


def test_store_of_another_version_is_refused(copy: Sample) -> None:
    description = check_checksum(copy.at.description.read_bytes(), "")
    copy.at.description.write_bytes(add_checksum({**description, "version": 999}))
    with pytest.raises(StoreError, match="999"):
        open_writer(copy.root, SIZE, IDENTITY).__enter__()
    with pytest.raises(StoreError, match="999"):
        open_store(copy.root)
