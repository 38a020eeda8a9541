"""A mix separated into its voice and the rest, by demucs, an optional extra.

demucs (Rouard et al., 2023, arXiv 2211.08553; MIT) brings its own weights, which the user's machine downloads once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline import frames
from ...pipeline.sample_buffer import SampleBuffer

MODEL = "htdemucs"
VOICE = "vocals"
MISSING = (
    "separating a voice needs demucs, which is not installed",
    "Install it: pip install 'svc[separate]'. Or separate the voice with another program, and render that",
)
BLOCK_SECONDS, OVERLAP_SECONDS = 60, 2
# stereo float32 (2, T) at 44.1 kHz -> its voice, the same shape
Separator = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Stems:
    """Two recordings at 44.1 kHz, stereo, which together are the mix."""

    voice: SampleBuffer
    backing: SampleBuffer

    def close(self) -> None:
        """Free both."""
        self.voice.close()
        self.backing.close()


def separate(
    song: SampleBuffer, folder: Path | None, device: str, progress: Progress, separator: Separator | None = None
) -> Stems:
    """Separate a song. Samples that do not fit into memory are kept in unnamed files in `folder`.

    Raises:
        UserError: demucs is not installed, or its weights cannot be downloaded.
    """
    separator = separator or load_demucs(device)
    stems = Stems(*(SampleBuffer(frames.MEL_RATE, 2, folder) for _ in range(2)))
    seconds = len(song) / song.sample_rate
    try:
        with progress.bar("separating the voice", round(seconds, 1), "s") as bar:
            for mix, voice in _blocks(song, separator):
                stems.voice.append(voice.T)
                stems.backing.append((mix - voice).T)  # the mix minus the voice: nothing is lost
                bar.advance(mix.shape[1] / frames.MEL_RATE)
    except BaseException:
        stems.close()
        raise
    return stems


def load_demucs(device: str) -> Separator:
    """Raises UserError with what to do where it is not installed or has no weights."""
    try:
        from demucs.apply import apply_model
        from demucs.pretrained import get_model
    except ImportError as error:
        raise UserError(*MISSING) from error
    import torch

    try:
        model = get_model(MODEL)
    except Exception as error:  # it names no exceptions of its own for a missing network
        raise UserError(
            f"demucs is installed, but its model {MODEL} could not be loaded: {str(error).splitlines()[0]}. "
            f"It is downloaded once: run `demucs -n {MODEL} SONG` where there is internet"
        ) from error
    index = model.sources.index(VOICE)

    def apply(mix: NDArray[np.float32]) -> NDArray[np.float32]:
        wav = torch.from_numpy(mix)
        mean, scale = wav.mean(), wav.std().clamp(min=1e-6)
        with torch.no_grad():  # shifts=0: no random shift, so that the same song gives the same bytes
            found = apply_model(model, ((wav - mean) / scale)[None], shifts=0, split=True, overlap=0.25, device=device)
        voice: NDArray[np.float32] = (found[0, index] * scale + mean).cpu().numpy()
        return voice

    return apply


def _blocks(song: SampleBuffer, separator: Separator) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Mix and voice (2, n), block by block: blocks overlap, and their voices are cross-faded there."""
    block, overlap = BLOCK_SECONDS * frames.MEL_RATE, OVERLAP_SECONDS * frames.MEL_RATE
    fade = np.linspace(0, 1, overlap, dtype=np.float32)
    held = np.zeros((2, 0), np.float32)
    tail = np.zeros((2, 0), np.float32)
    for piece, last in stereo_blocks(song):
        held = np.concatenate([held, piece], axis=1)
        while held.shape[1] >= block + overlap or (last and held.shape[1]):
            whole = last and held.shape[1] < block + overlap
            mix = held if whole else held[:, : block + overlap]
            voice = np.array(separator(mix), np.float32)
            shared = min(tail.shape[1], voice.shape[1])
            voice[:, :shared] = voice[:, :shared] * fade[:shared] + tail[:, :shared] * (1 - fade[:shared])
            count = mix.shape[1] if whole else block
            yield mix[:, :count], voice[:, :count]
            tail, held = voice[:, count:], held[:, count:]


def stereo_blocks(song: SampleBuffer) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """A song as stereo at 44.1 kHz in blocks (2, n), and whether it is the last."""
    stream = soxr.ResampleStream(song.sample_rate, frames.MEL_RATE, 2, dtype="float32", quality="HQ")
    for block in song.blocks(song.sample_rate * 10):
        clean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        pair = clean[:, :2] if clean.shape[1] >= 2 else np.repeat(clean, 2, axis=1)
        yield stream.resample_chunk(np.ascontiguousarray(pair)).T, False
    yield stream.resample_chunk(np.zeros((0, 2), np.float32), last=True).T, True
