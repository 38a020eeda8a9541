"""The messages of `svc live` and `svc export` if something is missing, before a run is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from svc.cli import main


def svc(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_export_without_onnx_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = svc("export", tmp_path / "no-run", tmp_path / "out")
    assert done.exit_code == 2
    assert "pip install 'svc[onnx]'" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--list",), (), ("--measure",)])
def test_live_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = svc("live", "-m", "no-run", *words)
    assert done.exit_code == 2
    assert "pip install 'svc[live]'" in done.output
    assert "--file song.wav" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--simulate",), "--simulate belongs to --measure"),
        (("--measure", "--cpu-time"), "--cpu-time to --simulate"),
        (("--hop", "0"), "hop must be 12 ms to 5 s"),
        (("--lookahead", "0"), "lookahead must be 35 ms"),
        (("--gate", "3"), "a gate lies between -120 and 0"),
        (("--gate", "loud"), "loud"),
        (("--key", "99"), "beyond four octaves"),
    ],
)
def test_live_refuses_what_cannot_be(words: tuple[str, ...], message: str) -> None:
    done = svc("live", *words)
    assert done.exit_code == 2
    assert message in done.output
