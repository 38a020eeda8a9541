"""The acoustic half of singing: a song's windows in, their mels out, drawn by the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.random import fork_generator
from ...pipeline.diffusion.diffusion import Batch, Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.frames import mel_centres, mel_seconds, unit_centres
from ...pipeline.pitch import pitch
from .retrieval import Retrieval
from .source_audio import SHARED_FRAMES, Segment, SourceAudio
from .speaker_mix import SpeakerMix
from .stopwatch import Stopwatch

NOISE_BLOCK = 256  # mel frames


@dataclass(frozen=True)
class PredictedMel:
    """A window's mel as the model draws it, and the source's ln mel and loudness, float32 (frames, ...)."""

    window: Segment
    mel: NDArray[np.float32]
    source_mel: NDArray[np.float32]
    loudness: NDArray[np.float32]


@dataclass(frozen=True)
class MelPredictor:
    """What draws mels: encoder, units, model, whose voice, what each voice has said, and the sampler's settings."""

    content: ContentEncoder
    layer: int
    projection: nn.Module
    model: Diffusion
    speaker_mix: SpeakerMix
    retrievals: dict[int, Retrieval]
    retrieve: float
    steps: int
    method: str
    seed: int
    device: str
    bf16: bool
    batch: int

    def draw(self, song: SourceAudio, asked: NDArray[np.float32], watch: Stopwatch) -> Iterator[PredictedMel]:
        """The mels of a song's windows, in order, `batch` of them at a time. `asked` is the f0 to sing."""
        prepared = self._prepare(song, asked, watch)
        while windows := list(islice(prepared, self.batch)):
            with watch("diffusion"):
                mels = self._sample([tensors for _, tensors, _ in windows], [window for window, _, _ in windows])
            for (window, _, signal), mel in zip(windows, mels, strict=True):
                yield PredictedMel(window, mel, signal["mel"].astype(np.float32), signal["loudness"])

    def _prepare(
        self, song: SourceAudio, asked: NDArray[np.float32], watch: Stopwatch
    ) -> Iterator[tuple[Segment, dict[str, Tensor], dict[str, NDArray[Any]]]]:
        """Each window's tensors (frames first), and the source's signal features."""
        for window, wave in song.waveforms():
            with watch("mel and loudness"):
                signal = wave.signal()
            with watch("encoder"):
                name = f"hidden/{self.layer}"
                hidden = torch.from_numpy(wave.hidden(self.content, [self.layer])[name].astype(np.float32))
            with watch("units"), torch.inference_mode():
                units = self.projection(hidden.to(self.device))
                units = self._retrieved(window, hidden, units)
            f0 = asked[window.start : window.end]
            tensors = {
                "units": units,
                "mel2ph": torch.from_numpy(signal["mel2ph"].astype(np.int64)),
                "f0": torch.from_numpy(pitch.continuous(f0)),
                "voiced": torch.from_numpy((f0 > 0).astype(np.float32)),
                "loudness": torch.from_numpy(signal["loudness"]),
                "mask": torch.ones(len(f0)),
            }
            yield window, tensors, signal

    def _retrieved(self, window: Segment, hidden: Tensor, units: Tensor) -> Tensor:
        """A window's units, moved towards those of who sings: at each moment every voice's own, by its share."""
        if not self.retrievals or len(units) == 0:
            return units
        shares = self.speaker_mix.at(mel_seconds(window.start) + unit_centres(len(units)))
        moved = torch.zeros_like(units)
        for number, retrieval in self.retrievals.items():
            if (share := shares[:, number, None]).any():
                moved += torch.from_numpy(share).to(units) * retrieval.blend(hidden, units, self.retrieve)
        return moved

    def _sample(self, tensors: list[dict[str, Tensor]], windows: list[Segment]) -> list[NDArray[np.float32]]:
        padding = {"f0": 200.0, "loudness": -100.0}
        batch = {
            name: nn.utils.rnn.pad_sequence([t[name] for t in tensors], True, padding.get(name, 0.0)).to(self.device)
            for name in tensors[0]
        }
        longest = batch["mel2ph"].shape[1]
        noise = torch.zeros(len(windows), self.model.shape.bins, longest)
        for row, window in enumerate(windows):
            noise[row, :, : len(window)] = frame_noise(self.seed, window.start, window.end, self.model.shape.bins)
        precision: AbstractContextManager[Any] = (
            torch.autocast(torch.device(self.device).type, torch.bfloat16) if self.bf16 else nullcontext()
        )
        generator = fork_generator(self.seed, 1, windows[0].start)
        with precision:
            mels = sample(
                self.model,
                Batch(speaker=self._speaker(windows, longest), **batch),
                generator,
                self.steps,
                self.method,
                noise,
            )
        return [mel[: len(window)].float().cpu().numpy() for mel, window in zip(mels, windows, strict=True)]

    def _speaker(self, windows: list[Segment], longest: int) -> Tensor:
        if self.speaker_mix.single is not None:
            return torch.full((len(windows),), self.speaker_mix.single, device=self.device)
        times = [mel_centres(window.start, window.start + longest) for window in windows]
        shares = [torch.from_numpy(self.speaker_mix.at(seconds)) for seconds in times]
        return torch.stack(shares if self.speaker_mix.changes else [share[0] for share in shares]).to(self.device)


def frame_noise(seed: int, start: int, end: int, bins: int) -> Tensor:
    """The noise that mel frames [start, end) of a song begin from: float32 (bins, end - start).

    It belongs to the frame: windows that overlap draw nearly the same there, and how a song is cut matters little.
    """
    first = start // NOISE_BLOCK
    blocks = [
        torch.randn(NOISE_BLOCK, bins, generator=fork_generator(seed, 0, block))
        for block in range(first, -(-end // NOISE_BLOCK))
    ]
    return torch.cat(blocks)[start - first * NOISE_BLOCK : end - first * NOISE_BLOCK].T


def joined(drawn: Iterable[PredictedMel]) -> Iterator[NDArray[np.float32]]:
    """The mels of a region's windows as one, piece by piece: where windows overlap one fades into the next."""
    fade = np.linspace(0, 1, 2 * SHARED_FRAMES + 2, dtype=np.float32)[1:-1, None]
    tail: NDArray[np.float32] | None = None
    for one in drawn:
        mel = one.mel.copy()
        if one.window.before:
            assert tail is not None
            mel[: len(fade)] = mel[: len(fade)] * fade + tail * (1 - fade)
        if one.window.after:
            tail = mel[-len(fade) :]
            mel = mel[: -len(fade)]
        yield mel
