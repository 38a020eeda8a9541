"""A run whose retrieval index is damaged is rendered without it, and the message says so."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from svc.common.errors import UserError
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.retrieval_index import read_index
from svc.stages.run import Run
from svc.stages.settings import RenderSettings
from svc.stages.ui.conversion import ConverterCache


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _units(path: Path) -> None:
    shutil.copy(path.parent / "units.safetensors", path)


@pytest.mark.parametrize("harm", [_flip, _cut, _empty, _pipe, _folder, _units])
def test_a_damaged_index_is_named_with_the_way_round_it(
    run: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    shutil.copytree(run, tmp_path / "r")
    path = tmp_path / "r" / "index.safetensors"
    harm(path)
    opened = Run.open(tmp_path / "r")
    with pytest.raises(UserError, match=rf"{path} is damaged(.|\n)*--retrieve 0(.|\n)*remove it"):
        read_index(opened, 0)
    with pytest.raises(UserError, match="--retrieve 0"):
        RunConverter(opened, RenderSettings())
    assert RunConverter(opened, RenderSettings(retrieve=0.0)).voice(RenderSettings(retrieve=0.0)).retrievals == {}
    # On the page, settings come with each take: a converter that is kept for all of them is opened nevertheless.
    kept = ConverterCache().get(tmp_path / "r")
    assert kept.voice(RenderSettings(retrieve=0.0)).retrieve == 0
    with pytest.raises(UserError, match="--retrieve 0"):
        kept.voice(RenderSettings())
