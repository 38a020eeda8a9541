"""The teacher's targets: hidden states of Whisper's encoder for every frame of a corpus.

    python -m svc.data.mini_training.teacher --whisper FOLDER --data DATA --names kerstin nathalie

For each layer `NAME.layerK.f16` holds float16 (frames, width). Clips are packed into windows of 30 s, the length of the
encoder's input. Whisper's frame i is centred at sample 320 i of what it is given, the student's at 320 i + 160: the
first 160 samples of a window are dropped. The states depend on the position in the window; the mean state at each
position, over all windows, is written to `NAME.layerK.position.npz` (sum and count) so that it can be subtracted, and
`NAME.place.u16` holds each frame's position.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .corpus import HOP, RATE, Clip, Corpus

WINDOW = 30 * RATE
GAP = 15 * HOP  # silence between the clips of a window
LAYERS = (2, 4, 5, 6)

Placed = list[tuple[Clip, int]]  # clips, and where they begin in a window


def packed(clips: list[Clip]) -> Iterator[Placed]:
    """Clips in order, as many to a window as fit; a longer clip is left out of the targets."""
    window: Placed = []
    end = 0
    for clip in clips:
        if clip.samples > WINDOW - HOP:
            continue
        if end + clip.samples > WINDOW - HOP:
            yield window
            window, end = [], 0
        window.append((clip, end))
        end += clip.samples + GAP
    if window:
        yield window


class Teacher:
    """Whisper's encoder, from a transformers folder."""

    def __init__(self, folder: Path):
        from transformers import WhisperFeatureExtractor, WhisperModel

        self.extractor: Any = WhisperFeatureExtractor.from_pretrained(str(folder))
        self.encoder: Any = WhisperModel.from_pretrained(str(folder), dtype=torch.float32).encoder.eval()

    @torch.inference_mode()
    def __call__(self, window: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """A window (480000,) at 16 kHz -> every layer's states, float32 (1500, width) each."""
        mel = self.extractor(window[HOP // 2 :], sampling_rate=RATE, return_tensors="pt").input_features
        found = self.encoder(mel, output_hidden_states=True).hidden_states
        return [state[0].numpy() for state in found]


def window_of(corpus: Corpus, window: Placed) -> NDArray[np.float32]:
    """The samples of a window's clips, with silence between them: float32 (480000,) at 16 kHz."""
    wav = np.zeros(WINDOW, np.float32)
    for clip, start in window:
        wav[start : start + clip.samples] = corpus.samples(clip)
    return wav


def frame_file(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A file of frames, mapped, as long as asked for; what it held is kept."""
    path.touch()
    with path.open("r+b") as file:
        file.truncate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return np.memmap(path, dtype, "r+", shape=shape)


def targets(teacher: Teacher, corpus: Corpus, layers: tuple[int, ...]) -> None:
    """Write the states of all clips that have none yet. A corpus that grew is continued."""
    width = teacher.encoder.config.d_model
    files, written = {}, corpus.file("targets.txt")
    done = int(written.read_text()) if written.exists() else 0  # clips
    for layer in layers:
        files[layer] = frame_file(corpus.file(f"layer{layer}.f16"), np.float16, (corpus.frames, width))
    places = frame_file(corpus.file("place.u16"), np.uint16, (corpus.frames,))
    kinds = {layer: corpus.file(f"layer{layer}.position.npz") for layer in layers}
    totals = {layer: np.zeros((WINDOW // HOP, width), np.float64) for layer in layers}
    counts = np.zeros((WINDOW // HOP, 1))
    if done:
        for layer, path in kinds.items():
            with np.load(path) as kept:
                totals[layer], counts = kept["total"], kept["count"]
    last = {clip.name: number for number, clip in enumerate(corpus.clips)}
    for number, window in enumerate(packed(corpus.clips[done:])):
        states = teacher(window_of(corpus, window))
        for clip, start in window:
            first, count = start // HOP, clip.samples // HOP
            counts[first : first + count] += 1
            places[clip.frames] = np.arange(first, first + count)
            for layer, file in files.items():
                part = states[layer][first : first + count]
                file[clip.frames] = part
                totals[layer][first : first + count] += part
        done = last[window[-1][0].name] + 1
        if number % 20 == 19 or done == len(corpus.clips):
            for layer, path in kinds.items():
                files[layer].flush()
                places.flush()
                np.savez(path, total=totals[layer], count=counts)
            written.write_text(str(done))
            print(f"{corpus.name}: {done} of {len(corpus.clips)} clips", flush=True)


def main() -> None:
    """The command line: writes the states of the clips that have none yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whisper", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--layers", type=int, nargs="+", default=LAYERS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = Teacher(options.whisper)
    for name in options.names:
        targets(teacher, Corpus(options.data, name), tuple(options.layers))


if __name__ == "__main__":
    main()
