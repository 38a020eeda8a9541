"""Results are written whole or not at all: full disks of every size, links by other users, two writers at once."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.common.files import new_file_beside, write_whole
from svc.stages.rendering.claim import claimed
from svc.stages.rendering.mixer import Mixer
from svc.stages.rendering.output_buffer import OutputBuffer
from svc.stages.rendering.output_paths import STANDARD
from svc.stages.rendering.writing import SourceLength, write_output
from svc.stages.settings import OutputSettings

RATE = 44_100
SAMPLES = 60_000


def mix() -> Mixer:
    wav = (0.3 * np.sin(np.arange(SAMPLES) / 7) + 0.05 * np.random.default_rng(0).standard_normal(SAMPLES)).astype("f4")
    buffer = OutputBuffer(SAMPLES)
    buffer.put(0, wav)
    return Mixer(buffer, np.ones(len(buffer.power)))


def write(out: Path) -> None:
    write_output(mix(), out, OutputSettings(), SourceLength(SAMPLES, RATE))


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes are limited otherwise there")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_a_full_disk_is_one_sentence_whatever_its_size(tmp_path: Path, suffix: str) -> None:
    """The disk ends after each of many sizes: the error names the file and nothing is left, until it fits."""
    out = tmp_path / f"노래{suffix}"
    write(out)
    whole = out.stat().st_size
    out.unlink()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for size in sorted({0, 1, 44, 100, 4_096, *range(0, whole, max(1, whole // 40)), whole - 100, whole - 1}):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            try:
                with pytest.raises(UserError, match=f"cannot write .*노래{suffix}"):
                    write(out)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert list(tmp_path.iterdir()) == []
        write(out)
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    assert soundfile.info(out).frames >= SAMPLES


def test_links_planted_by_others_are_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    for name, make in (("a.wav", write), ("a.json", lambda path: write_whole(path, b"ours"))):
        out = tmp_path / name
        out.symlink_to(precious)
        make(out)
        assert not out.is_symlink()
        assert precious.read_bytes() == b"mine"


def test_names_of_unfinished_files_cannot_be_guessed_and_are_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_file_beside(tmp_path / "a.wav") as file:
        (first,) = (path.name for path in tmp_path.iterdir())
        with new_file_beside(tmp_path / "b.wav"):
            assert len({path.name for path in tmp_path.iterdir()}) == 2
        file.write(b"a")
    assert first not in {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr("svc.common.files.secrets.token_hex", lambda count: "0" * 2 * count)
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    (tmp_path / f".c.wav.{'0' * 16}.partial").symlink_to(precious)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "c.wav", b"ours")
    assert precious.read_bytes() == b"mine"


def test_names_of_any_length_have_an_unfinished_file(tmp_path: Path) -> None:
    """`.NAME.partial` was too long for names that are not."""
    for name in ("가" * 82 + ".a.wav", "x" * 251 + ".wav", "é" * 125 + ".wav"):
        assert len(os.fsencode(name)) <= 255
        write_whole(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


def test_the_same_samples_go_to_standard_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Stdout:
        buffer = io.BytesIO()

    monkeypatch.setattr(sys, "stdout", Stdout)
    write_output(mix(), STANDARD, OutputSettings(), SourceLength(SAMPLES, RATE), ".flac")
    write(tmp_path / "a.flac")
    assert Stdout.buffer.getvalue() == (tmp_path / "a.flac").read_bytes()


HOLD = """
import sys
from pathlib import Path
from svc.stages.rendering.claim import claimed

with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_output_is_made_by_one_process_at_a_time(tmp_path: Path) -> None:
    """In any format; when the other process ends or is killed, the output is free again."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a.wav")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for name in ("a.wav", "a.flac", "A.wav"):
            with pytest.raises(UserError, match="another svc is writing"), claimed(tmp_path / name):
                pass
        with claimed(tmp_path / "b.wav"):
            pass
        other.kill()
    with claimed(tmp_path / "a.wav"):
        pass
    assert list(tmp_path.iterdir()) == []


RACE = """
import sys
from pathlib import Path
from svc.common.errors import UserError
from svc.stages.rendering.render_file import render_file
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import RenderSettings

run, song, out, seed, ready, go = sys.argv[1:]
converter = RunConverter(Run.open(Path(run)), RenderSettings(speaker="bass", steps=1, seed=int(seed)))
Path(ready).touch()
while not Path(go).exists():
    pass
try:
    render_file(converter, Path(song), Path(out))
except UserError as error:
    print(str(error).splitlines()[0])
    sys.exit(2)
"""


def test_of_two_renders_to_one_output_one_wins(run: Path, song: Path, tmp_path: Path) -> None:
    """Both are loaded and begin at once: the description fits the sound, and the loser says so in a sentence."""
    import hashlib
    import json

    out, go = tmp_path / "out", tmp_path / "go"
    out.mkdir()
    script = [sys.executable, "-c", RACE, str(run), str(song), str(out / "a.wav")]
    ready = [tmp_path / f"ready{seed}" for seed in range(2)]
    others = [
        subprocess.Popen([*script, str(seed), str(ready[seed]), str(go)], stdout=subprocess.PIPE, text=True)
        for seed in range(2)
    ]
    while not all(path.exists() for path in ready):
        assert all(each.poll() is None for each in others)
    go.touch()
    said = [each.communicate(timeout=300)[0] for each in others]
    codes = [each.returncode for each in others]
    assert sorted(codes) == [0, 2]
    assert "another svc is writing" in said[codes.index(2)]
    description = json.loads((out / "a.json").read_text())
    assert description["result_sha256"] == hashlib.sha256((out / "a.wav").read_bytes()).hexdigest()
    assert description["settings"]["seed"] == codes.index(0)
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a.png", "a.wav"]


STOPPED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from svc.commands.group import stopped_by_sigterm
from svc.stages.rendering.writing import SourceLength, write_output
from svc.stages.settings import OutputSettings


class Endless:
    channels = 1

    def __iter__(self):
        out = Path(sys.argv[1])
        yield np.zeros((100_000, 1), np.float32)
        if list(out.parent.iterdir()):  # the second time, when it is being written
            os.kill(os.getpid(), signal.SIGTERM)
        yield np.zeros((100_000, 1), np.float32)


with stopped_by_sigterm():
    write_output(Endless(), Path(sys.argv[1]), OutputSettings(), SourceLength(200_000, 44_100))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGTERM")
def test_sigterm_while_writing_leaves_no_file(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED, str(tmp_path / "a.wav")], capture_output=True, text=True)
    assert "Terminated" in done.stderr
    assert list(tmp_path.iterdir()) == []
