"""Any corpus size in bounded memory: `pytest -m long tests/stages/extraction/test_scale.py -s`, half an hour."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.store import open_store
from svc.store.verify import verify

RATE = 16_000  # Hz
LIMIT = 3 * 2**30  # bytes

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]


def extracted(corpus: Path, store: Path, encoder: Path) -> int:
    """Run `svc extract`; the most memory that it had, in bytes."""
    code = "from svc.cli import main; main()"
    command = [sys.executable, "-c", code, "extract", str(corpus), "--store", str(store), "--encoder", str(encoder)]
    begun = time.monotonic()
    process = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"\n{corpus.name}: {time.monotonic() - begun:.0f} s, {peak / 2**30:.2f} GiB at most")
    return peak


def voice(seconds: float, seed: int) -> np.ndarray:
    """Something voiced with pauses in it: float32 at 16 kHz, another one for every seed."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(generator.uniform(110, 300) * 2 ** (np.sin(time) / 6)) / RATE
    loud = np.clip(np.sin(2 * np.pi * time / 7.3) + 0.6, 0, 1)
    wav = loud * sum(np.sin(phase * k) / k for k in range(1, 6)) * 0.1
    return (wav + 0.001 * generator.standard_normal(len(wav))).astype(np.float32)


def test_ten_hours_in_one_file(tmp_path: Path, encoder: Path) -> None:
    corpus = tmp_path / "long"
    corpus.mkdir()
    with soundfile.SoundFile(corpus / "ten_hours.flac", "w", RATE, 1) as file:
        for minute in range(600):
            file.write(voice(60, minute))
    assert extracted(corpus, tmp_path / "s.zarr", encoder) < LIMIT
    store = open_store(tmp_path / "s.zarr")
    assert sum(clip.seconds for clip in store) > 0.6 * 36_000
    assert max(clip.seconds for clip in store) <= 15.1
    assert verify(store) == []


def test_a_hundred_thousand_tiny_files(tmp_path: Path, encoder: Path) -> None:
    corpus = tmp_path / "tiny"
    for folder in range(100):
        (corpus / "one" / f"{folder:02d}").mkdir(parents=True)
    source = voice(600, 0)
    source[np.abs(source) < 0.02] += 0.02
    generator = np.random.default_rng(0)
    for number in range(100_000):
        start = int(generator.integers(0, len(source) - RATE))
        wav = source[start : start + int(generator.uniform(0.12, 0.3) * RATE)]
        soundfile.write(corpus / "one" / f"{number % 100:02d}" / f"{number:06d}.wav", wav, RATE)
    assert extracted(corpus, tmp_path / "s.zarr", encoder) < LIMIT
    store = open_store(tmp_path / "s.zarr")
    assert len(store) == 100_000
    assert verify(store) == []
