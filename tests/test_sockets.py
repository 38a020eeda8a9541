"""The statements of CONTRIBUTING.md on vocoders and commands: each is added in this file, and named in one place.

Encoders are added in pipeline/encoder/log_spectrum.py, features in stages/extraction/test_feature_socket.py,
objectives in pipeline/diffusion/test_objective.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cloup
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from svc import cli
from svc.commands.group import DONE, WRONG, say
from svc.common.errors import SvcError
from svc.pipeline.frames import MEL_HOP, MEL_RATE
from svc.pipeline.vocoder.vocoder import Vocoder, VocoderError, stream_with_context
from svc.stages.rendering import vocoders
from svc.stages.run import Run

ROOT = Path(__file__).parents[1]
Frames = NDArray[np.float32]


class Hum(Vocoder):
    """A sine at f0."""

    name = "hum"

    def generate(self, mels: Iterable[Frames], f0: Frames) -> Iterator[Frames]:
        phase = np.cumsum(np.repeat(f0, MEL_HOP) / MEL_RATE, dtype=np.float64)
        wav = (0.1 * np.sin(2 * np.pi * phase)).astype(np.float32)

        def sing(mel: Frames, start: int) -> Frames:
            return wav[start * MEL_HOP : (start + len(mel)) * MEL_HOP]

        return stream_with_context(mels, len(f0), 0, sing)


def test_a_new_vocoder_is_one_class_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = cast(Run, SimpleNamespace(path=tmp_path, vocoder=tmp_path / "absent"))
    with pytest.raises(VocoderError, match=r"no vocoder 'hum': it is own .* plain or world"):
        vocoders.load_vocoder("hum", run, "cpu")
    monkeypatch.setitem(vocoders.WITHOUT_WEIGHTS, "hum", Hum)
    vocoder = vocoders.load_vocoder("hum", run, "cpu")
    mel, f0 = np.zeros((20, 128), np.float32), np.full(20, 441, np.float32)
    whole = vocoder(mel, f0)
    assert whole.shape == (20 * MEL_HOP,)
    assert whole.dtype == np.float32
    pieces = np.concatenate(list(vocoder.stream([mel[:7], mel[7:]], f0)))
    np.testing.assert_array_equal(pieces, whole)
    crossings = np.flatnonzero((whole[:-1] < 0) & (whole[1:] >= 0))
    assert np.median(np.diff(crossings)) == MEL_RATE / 441
    with pytest.raises(VocoderError, match="plain or world or hum"):
        vocoders.load_vocoder("hmu", run, "cpu")


@cloup.command(short_help="Count the words of a text.")
@cloup.argument("text")
def count_words(text: str) -> None:
    """Count the words of TEXT."""
    if not text:
        raise SvcError("the text is empty", "give a word")
    say(f"{len(text.split())} words")


def test_a_new_command_is_one_function_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.main.commands, "count-words", count_words)
    done = CliRunner().invoke(cli.main, ["count-words", "a b c"])
    assert (done.exit_code, done.output) == (DONE, "3 words\n")
    wrong = CliRunner().invoke(cli.main, ["count-words", ""])
    assert wrong.exit_code == WRONG
    assert "svc: the text is empty" in wrong.output
    assert "give a word" in wrong.output


def test_every_command_is_a_file_and_a_name_in_cli() -> None:
    source = (ROOT / "cli.py").read_text("utf-8")
    for name in cli.main.commands:
        assert (ROOT / "commands" / f"{name}.py").exists(), name
        assert f"from .commands.{name} import {name}" in source


def test_contributing_names_what_is_there() -> None:
    """Of each row: the folder or file to write in, the name in the registry's file, the example in the test's file."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines() if line.startswith("| a")]
    assert [re.findall(r"\*\*([\w ]+)\*\*", row)[0] for row in rows] == [
        "content encoder", "feature", "objective", "vocoder", "command",
    ]  # fmt: skip
    for row in rows:
        for name, file in re.findall(r"`([\w.]+)` in `([\w/.]+\.py)`", row):
            assert name in (ROOT / file).read_text("utf-8"), (name, file)
        assert len(re.findall(r"` in `[\w/.]+\.py`", row)) == 2, row
