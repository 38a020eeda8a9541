"""Hours of song in a memory that does not grow with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.pipeline import frames

# A process of its own, since a peak is a process's. It tells its peak in MiB, and what the result lasts.
SING = """
import resource, sys
from pathlib import Path
import soundfile
from svc.stages.rendering.render_file import render_file
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import RenderSettings

run, song, out = map(Path, sys.argv[1:])
render_file(RunConverter(Run.open(run), RenderSettings(speaker="bass", key=-12, steps=1)), song, out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, soundfile.info(out).frames)
"""
HOURS, MINUTES = 2, 4


def sung(run: Path, song: np.ndarray, rate: int, seconds: int, folder: Path) -> float:
    """The peak in MiB of rendering a repeated song of that length. The result lasts as long."""
    path, result = folder / f"{seconds}.flac", folder / f"{seconds}.sung.wav"
    times = seconds * rate // len(song)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(times):
            file.write(song)
    script = [sys.executable, "-c", SING, str(run), str(path), str(result)]
    peak, samples = subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()
    assert int(samples) == frames.resampled_length(times * len(song), rate, frames.MEL_RATE)
    path.unlink()
    result.unlink()
    return float(peak)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rests", [False, True])
def test_hours_need_no_more_memory_than_minutes(run: Path, song: Path, tmp_path: Path, rests: bool) -> None:
    """Two hours, with rests and as one sound without any, against four minutes of the same.

    What grows with the length is what is known of each frame (f0, loudness, level), and f0 as text: some MB an hour.
    """
    wav, rate = soundfile.read(song, dtype="float32")
    whole = np.concatenate([wav, np.zeros(rate * 2, np.float32)]) if rests else wav[rate : 2 * rate]
    short, long = (sung(run, whole, rate, seconds, tmp_path) for seconds in (MINUTES * 60, HOURS * 3600))
    print(f"rests {rests}: {short:.0f} MiB for {MINUTES} minutes, {long:.0f} MiB for {HOURS} hours")
    assert long < short + 250
