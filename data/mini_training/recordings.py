"""Real recordings: FLAC or WAV files of a folder or of a bare git repository, as a corpus at 16 kHz.

    python -m svc.data.mini_training.recordings --out DATA --name kerstin --source REPOSITORY_OR_FOLDER --under verified

The licences of the recordings used are in README.md. Silence before and after the speech is cut to 0.15 s, the level of
a whole clip is brought to a common one.
"""

from __future__ import annotations

import argparse
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from ..singer_clips import at_16k
from .corpus import RATE, CorpusWriter, Samples

ENDINGS = (".flac", ".wav", ".ogg", ".opus")
SILENCE = 0.02  # of the clip's loud level: what is below at either end is cut
MARGIN = int(0.15 * RATE)
LEVEL = 0.08  # RMS of the loud half of a clip


def files(source: Path, under: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each recording in a folder, or in the newest commit of a bare git repository."""
    if not (source / "HEAD").is_file():
        for path in sorted((source / under).rglob("*")):
            if path.suffix.lower() in ENDINGS:
                yield str(path.relative_to(source)), path.read_bytes()
        return
    git = ["git", "--git-dir", str(source)]
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", "-z", "HEAD", under], capture_output=True, check=True
    )
    for name in sorted(listed.stdout.decode().split("\0")):
        if name.lower().endswith(ENDINGS):
            shown = subprocess.run([*git, "cat-file", "blob", f"HEAD:{name}"], capture_output=True, check=True)
            yield name, shown.stdout


def decode(content: bytes) -> Samples:
    """An audio file's bytes -> the mean of its channels, float32 (T,) at 16 kHz."""
    wav, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    return at_16k(wav.mean(1), rate)


def trimmed(wav: Samples) -> Samples:
    """A clip (T,) at 16 kHz without silence at its ends, at the common level: float32 (at most T,)."""
    power = np.sqrt(np.convolve(wav**2, np.ones(800) / 800, "same"))
    loud = np.sqrt(np.mean(power[power >= np.median(power)] ** 2)) + 1e-9
    above = np.flatnonzero(power > SILENCE * loud)
    wav = wav[max(0, above[0] - MARGIN) : above[-1] + MARGIN] * (LEVEL / loud)
    peak = np.abs(wav).max()
    return np.asarray(wav * min(1.0, 0.99 / peak), np.float32)


def main() -> None:
    """The command line: appends the recordings that the corpus lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--source", type=Path, required=True, help="a folder, or a git directory without work tree")
    parser.add_argument("--under", default=".", help="a folder inside the source")
    options = parser.parse_args()
    writer = CorpusWriter(options.out, options.name)
    for name, content in files(options.source, options.under):
        if name not in writer.done:
            wav = decode(content)
            if len(wav) > RATE and np.abs(wav).max() > 1e-3:
                writer.add(name, trimmed(wav))
    print(f"{options.name}: {len(writer.done)} clips, {writer.end / RATE / 3600:.2f} hours")


if __name__ == "__main__":
    main()
