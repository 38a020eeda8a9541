"""The batch of step n of a vocoder's training: crops of recordings with their mel, f0 and excitation."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.random import ChoiceStream, numpy_generator
from ...pipeline.frames import MEL_HOP, seconds_to_mel_frames
from ...pipeline.mel import LOG_FLOOR
from ...pipeline.pitch import pitch
from ...pipeline.vocoder.excitation import Excitation
from ..settings import VocoderSettings
from .waveforms import Recordings

LN_GAINS = (-1.0, 0.7)  # songs are louder and softer than the corpus


class VocoderCrops:
    """Random crops of recordings, drawn in proportion to length; they follow from (seed, step) alone."""

    def __init__(self, recordings: Recordings, settings: VocoderSettings):
        self.recordings, self.settings = recordings, settings
        self.frames = seconds_to_mel_frames(settings.crop_seconds)
        lengths = np.array([clip.row.mel_frames for clip in recordings.clips], float)
        self.weights = lengths / lengths.sum()

    def batch(self, step: int, part: int = 0, parts: int = 1, gains: bool = True) -> dict[str, Tensor]:
        """The batch of process `part` of `parts` in a step: float32 tensors.

        mel (B, M, 128) in ln magnitude, f0 (B, M) in Hz with 0 = unvoiced, pulses, noise and wav (B, 512 M).
        """
        generator = numpy_generator(self.settings.seed, ChoiceStream.VOCODER, step)
        chosen = generator.choice(len(self.weights), self.settings.batch, p=self.weights)
        crops = [self._crop(int(number), generator, gains) for number in chosen]
        return {name: torch.from_numpy(np.stack([crop[name] for crop in crops[part::parts]])) for name in crops[0]}

    def _crop(self, number: int, generator: np.random.Generator, gains: bool) -> dict[str, NDArray[np.float32]]:
        clip = self.recordings.clips[number]
        start = int(generator.integers(0, max(0, clip.row.mel_frames - self.frames) + 1))
        stop = min(start + self.frames, clip.row.mel_frames)
        missing = self.frames - (stop - start)
        mel = np.pad(clip.read("mel", start, stop).astype(np.float32), [(0, missing), (0, 0)], mode="edge")
        wav = np.pad(self.recordings.read(number, start, stop), (0, missing * MEL_HOP))
        if missing:
            mel[-missing:] = LOG_FLOOR
        f0 = np.pad(pitch.repair(clip.f0)[start:stop], (0, missing))
        gain = float(np.exp(generator.uniform(*LN_GAINS))) if gains else 1.0
        mel = np.maximum(mel + np.float32(math.log(gain)), np.float32(LOG_FLOOR))
        pulses, noise = Excitation(f0, int(generator.integers(2**31)))(0, self.frames)
        return {"mel": mel, "f0": f0, "pulses": pulses, "noise": noise, "wav": wav * np.float32(gain)}
