"""f0 as a file: written, read back to the bit, sung; refused where it is none."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from svc.cli import main
from svc.common.errors import UserError
from svc.pipeline.frames import mel_centres
from svc.stages.rendering import f0_file
from svc.stages.rendering.songs import check_f0_file


def test_what_is_written_is_read_to_the_bit(tmp_path: Path) -> None:
    f0 = np.random.default_rng(0).uniform(60, 1_100, 500).astype(np.float32)
    f0[100:150] = 0
    f0_file.write(tmp_path / "a.csv", f0)
    assert np.array_equal(f0_file.read(tmp_path / "a.csv", 500), f0)
    assert f0_file.dumps(f0).startswith("seconds,hz\n0.005805,")


def test_another_grid_is_read_at_the_nearest_time() -> None:
    text = "time;f0\n" + "\n".join(f"{at:.3f};{220 + at:.3f}" for at in np.arange(0, 1, 0.005))
    f0 = f0_file.loads(text.encode(), 120)
    centres = mel_centres(0, 120)
    inside = centres < 1.0
    assert np.abs(f0[inside] - 220 - centres[inside]).max() < 0.01
    assert (f0[centres > 1.06] == 0).all()


@pytest.mark.parametrize(
    "text", ["", "seconds,hz\n", "a,b,c\n1,2\nx,3\n", "0,100\n0,100\n", "0,-1\n", "0,1e6\n", "nan,1\n"]
)
def test_what_is_no_f0_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"expected (.|\n)*found"):
        f0_file.loads(text.encode(), 10)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "0,220\n1,230\n0.5,220\n",
            r"a.csv is no f0 file: line 3: expected times that are numbers and rise, found '0.5,220'",
        ),
        ("seconds,hz\n0,nan\n", "line 2: expected 0 to 4000 Hz, found '0,nan'"),
        ("0,1e300\n", "line 1: expected 0 to 4000 Hz"),
        ("0,220\nla la\n", "line 2: expected `seconds,hz`, found 'la la'"),
        ("hello\n", "expected lines of `seconds,hz`, found none"),
    ],
)
def test_the_file_and_the_line_are_named_before_a_model_is_loaded(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "song.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=f"a.csv is no f0 file(.|\n)*{re.escape(says.split('file: ')[-1])}"):
        check_f0_file(tmp_path / "a.csv", 1)


def test_a_pipe_is_no_f0_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"a.csv is no file"):
        check_f0_file(tmp_path / "a.csv", 1)


def test_render_writes_and_sings_f0_files(tmp_path: Path, run: Path, song: Path) -> None:
    """What --f0-only writes gives the same bytes as no file; an octave up in the file is the key of 12."""
    curve = tmp_path / "curve.f0.csv"

    def svc(*words: str) -> None:
        found = CliRunner().invoke(main, ["render", str(song), "-m", str(run), *words])
        assert found.exit_code == 0, found.output

    svc("--f0-only", "-o", str(curve))
    svc("-o", str(tmp_path / "plain.wav"))
    svc("-o", str(tmp_path / "file.wav"), "--f0-file", str(curve))
    assert (tmp_path / "plain.wav").read_bytes() == (tmp_path / "file.wav").read_bytes()
    lines = [line.split(",") for line in curve.read_text().splitlines()]
    up = tmp_path / "up.csv"
    up.write_text("\n".join(["seconds,hz", *(f"{at},{2 * float(hz):.9g}" for at, hz in lines[1:])]))
    svc("-o", str(tmp_path / "up.wav"), "--f0-file", str(up))
    svc("-o", str(tmp_path / "key.wav"), "-k", "12")
    one, two = (soundfile.read(tmp_path / name)[0] for name in ("up.wav", "key.wav"))
    assert np.array_equal(one, two)
    assert len(json.loads((tmp_path / "up.json").read_text())["f0_file_sha256"]) == 64


def test_a_file_of_something_else_is_not_written_over(tmp_path: Path, run: Path, song: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    words = ["render", str(song), "-m", str(run), "--f0-only", "-o", str(tmp_path / "mine.csv")]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 2
    assert (tmp_path / "mine.csv").read_text() == "mine"
