"""The acoustic half of a conversion: a song's segments in, their mels out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.random import NoiseStream, fork_generator
from ...pipeline import frames
from ...pipeline.diffusion.batch import Batch, collate, condition_inputs
from ...pipeline.diffusion.diffusion import Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.frames import mel_centres, mel_seconds, unit_centres
from ..features import Waveform
from .converter import ConversionPlan
from .retrieval import Retrieval
from .soft_passages import NEPERS
from .source_audio import SHARED_FRAMES, Segment
from .speaker_mix import SpeakerMix
from .stopwatch import Stopwatch

NOISE_BLOCK = 256  # mel frames


@dataclass(frozen=True)
class Voice:
    """The target voice: shares of a run's speakers, their units for retrieval, and the share `retrieve`."""

    speaker_mix: SpeakerMix
    retrievals: dict[int, Retrieval]
    retrieve: float

    def move(self, start: int, hidden: Tensor, units: Tensor) -> Tensor:
        """Units (U, D) moved towards the target's own: towards each voice's, by its share at that moment.

        Args:
            start: the mel frame of the song where they begin.
            hidden: the hidden states from which they were computed, (U, H).
            units: of the song.
        """
        if not self.retrievals or len(units) == 0:
            return units
        shares = self.speaker_mix.at(mel_seconds(start) + unit_centres(len(units)))
        moved = torch.zeros_like(units)
        for number, retrieval in self.retrievals.items():
            if (share := shares[:, number, None]).any():
                moved += torch.from_numpy(share).to(units) * retrieval.blend(hidden, units, self.retrieve)
        return moved


@dataclass(frozen=True)
class Sampling:
    """How mels are sampled: `depth` is the share of the noise schedule, 0 to 1."""

    steps: int
    method: str
    depth: float
    seed: int


@dataclass(frozen=True)
class PredictedMel:
    """A segment's mel as sampled by the model: ln magnitude, float32 (len(segment), 128)."""

    segment: Segment
    mel: NDArray[np.float32]


@dataclass(frozen=True)
class MelPredictor:
    """Encoder, units and acoustic model. `batch` segments are sampled at once."""

    content: ContentEncoder
    layer: int
    projection: nn.Module
    model: Diffusion
    device: str
    bf16: bool
    batch: int

    def predict(
        self, plan: ConversionPlan, segments: Sequence[Segment], voice: Voice, sampling: Sampling, watch: Stopwatch
    ) -> Iterator[PredictedMel]:
        """The mels of some of a plan's segments, in order."""
        model = self._started_at(sampling.depth)
        prepared = self._prepare(plan, segments, voice, watch)
        while several := list(islice(prepared, self.batch)):
            with watch("diffusion"):
                mels = self._sample(model, several, voice.speaker_mix, sampling)
            for (segment, _), mel in zip(several, mels, strict=True):
                yield PredictedMel(segment, mel - NEPERS * plan.source.segment_gain_db(segment)[:, None])

    def predict_one(
        self,
        wave: Waveform,
        segment: Segment,
        f0: NDArray[np.float32],
        loudness: NDArray[np.float32],
        voice: Voice,
        sampling: Sampling,
        watch: Stopwatch | None = None,
        skip: int = 0,
    ) -> NDArray[np.float32]:
        """The mel of one piece of sound whose features are known, ln magnitude (M - skip, 128).

        Args:
            wave: the sound, at 16 kHz at least.
            segment: its place in the song or stream, which decides its noise.
            f0: the target, Hz at mel centres, 0 = unvoiced, (M,).
            loudness: of the source, dBFS, (M,).
            voice, sampling: as of `predict`.
            watch: records how long each part takes.
            skip: mel frames at the beginning that are input of the encoder and not of the acoustic model.
        """
        watch = watch or Stopwatch()
        model = self._started_at(sampling.depth)
        condition = self._condition(wave, segment, f0, loudness, voice, watch)
        condition = {name: value if name == "units" else value[skip:] for name, value in condition.items()}
        rest = replace(segment, start=segment.start + skip)
        with watch("diffusion"):
            return self._sample(model, [(rest, condition)], voice.speaker_mix, sampling)[0]

    def _started_at(self, depth: float) -> Diffusion:
        """The model, sharing its weights, with sampling from another share of the noise steps."""
        model = copy.copy(self.model)
        model.shallow_depth = depth
        return model

    def _prepare(
        self, plan: ConversionPlan, segments: Sequence[Segment], voice: Voice, watch: Stopwatch
    ) -> Iterator[tuple[Segment, dict[str, Tensor]]]:
        """Each segment's condition, as tensors whose first axis is frames."""
        for segment, wave in plan.source.waveforms(segments, (frames.CONTENT_RATE,)):
            f0 = plan.target.f0[segment.start : segment.end]
            loudness = plan.features.segment_loudness[segment] + plan.source.segment_gain_db(segment)
            yield segment, self._condition(wave, segment, f0, loudness, voice, watch)

    def _condition(
        self,
        wave: Waveform,
        segment: Segment,
        f0: NDArray[np.float32],
        loudness: NDArray[np.float32],
        voice: Voice,
        watch: Stopwatch,
    ) -> dict[str, Tensor]:
        with watch("encoder"):
            hidden = torch.from_numpy(wave.hidden_layer(self.content, self.layer))
        with watch("units"), torch.inference_mode():
            units = voice.move(segment.start, hidden, self.projection(hidden.to(self.device)))
        return {**condition_inputs(wave.mel2ph(), f0, loudness), "units": units}

    def _sample(
        self,
        model: Diffusion,
        conditions: list[tuple[Segment, dict[str, Tensor]]],
        speaker_mix: SpeakerMix,
        sampling: Sampling,
    ) -> list[NDArray[np.float32]]:
        segments, tensors = [segment for segment, _ in conditions], [each for _, each in conditions]
        batch = {name: value.to(self.device) for name, value in collate(tensors).items()}
        longest = batch["mel2ph"].shape[1]
        noise = torch.zeros(len(segments), model.shape.bins, longest)
        for row, segment in enumerate(segments):
            noise[row, :, : len(segment)] = frame_noise(sampling.seed, segment.start, segment.end, model.shape.bins)
        precision: AbstractContextManager[Any] = (
            torch.autocast(torch.device(self.device).type, torch.bfloat16) if self.bf16 else nullcontext()
        )
        with precision:
            mels = sample(
                model,
                Batch(speaker=self._speaker(segments, longest, speaker_mix), **batch),
                fork_generator(sampling.seed, NoiseStream.SOLVER, segments[0].start),
                sampling.steps,
                sampling.method,
                noise,
            )
        return [mel[: len(segment)].float().cpu().numpy() for mel, segment in zip(mels, segments, strict=True)]

    def _speaker(self, segments: list[Segment], longest: int, speaker_mix: SpeakerMix) -> Tensor:
        if speaker_mix.single is not None:
            return torch.full((len(segments),), speaker_mix.single, device=self.device)
        times = [mel_centres(segment.start, segment.start + longest) for segment in segments]
        shares = [torch.from_numpy(speaker_mix.at(seconds)) for seconds in times]
        return torch.stack(shares if speaker_mix.changes else [share[0] for share in shares]).to(self.device)


def frame_noise(seed: int, start: int, end: int, bins: int) -> Tensor:
    """The noise that mel frames [start, end) of a song begin from: float32 (bins, end - start).

    It depends only on the seed and the frame's number: overlapping segments get nearly the same mel there, and the
    position of cuts matters little.
    """
    first = start // NOISE_BLOCK
    blocks = [
        torch.randn(NOISE_BLOCK, bins, generator=fork_generator(seed, NoiseStream.FRAME_NOISE, block))
        for block in range(first, -(-end // NOISE_BLOCK))
    ]
    return torch.cat(blocks)[start - first * NOISE_BLOCK : end - first * NOISE_BLOCK].T


def joined(predicted: Iterable[PredictedMel]) -> Iterator[NDArray[np.float32]]:
    """The mels of a phrase's segments as one, in pieces (M, bins): where segments overlap, they are cross-faded."""
    fade = np.linspace(0, 1, 2 * SHARED_FRAMES + 2, dtype=np.float32)[1:-1, None]
    tail: NDArray[np.float32] | None = None
    for one in predicted:
        mel = one.mel.copy()
        if one.segment.before:
            assert tail is not None
            mel[: len(fade)] = mel[: len(fade)] * fade + tail * (1 - fade)
        if one.segment.after:
            tail = mel[-len(fade) :]
            mel = mel[: -len(fade)]
        yield mel
