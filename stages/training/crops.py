"""The batch of step n of training: crops of clips, and their augmentation.

It depends on (seed, step) alone, so a run that was interrupted gets the same batches, and processes that train together
each read their own rows of the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ...common.random import ChoiceStream, CropStream, NoiseStream, fork_generator, numpy_generator
from ...pipeline.diffusion.batch import Batch, NoiseSample, collate, condition_inputs
from ...pipeline.frames import MEL_FRAME_RATE, UNIT_RATE
from ...pipeline.mel import LOG_FLOOR
from ...store import Clip
from .crop_sampler import CropSampler

HEADROOM_DB = -3.0  # no crop is made louder than this
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Augmentation:
    """How crops are varied.

    Attributes:
        pitch_shifts: columns of the mel with all frequencies moved by semitones; half of the crops take their mel from
            one of them, and f0 moves with it.
        volume_db: half of the crops are made louder or softer by up to this, never so loud that they would clip.
        formant_shifts: columns of the units' layer, computed from audio with formants moved by semitones; half of the
            crops take their units from one of them, and their mel stays what it is.
    """

    pitch_shifts: dict[int, str]
    volume_db: float
    formant_shifts: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CropSpec:
    """One row of a batch: mel frames [start, stop) of a clip, and how it is varied.

    Attributes:
        pitch_shift: semitones by which all frequencies of the mel are moved.
        gain_db: how much louder it is made.
        formant_shift: semitones by which formants were moved before the units were computed.
    """

    clip: Clip
    start: int
    stop: int
    pitch_shift: int = 0
    gain_db: float = 0.0
    formant_shift: int = 0


class Crops:
    """Random crops of clips, drawn in proportion to length; clips shorter than a crop are used whole, and padded.

    All batches have one shape.

    Args:
        clips: to draw from.
        speakers: names, in the order of their numbers.
        units: the column that units are computed from.
        frames: a crop's length in mel frames.
        size: crops in a batch.
        seed: 0 to 2**63 - 1.
        augmentation: None: crops are as stored.
        stream: another stream is another draw of the same seed.
    """

    def __init__(
        self,
        clips: list[Clip],
        speakers: Sequence[str],
        units: str,
        frames: int,
        size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        stream: CropStream = CropStream.TRAINING,
    ):
        self.clips, self.units, self.size, self.seed = clips, units, size, seed
        self.augmentation = augmentation or Augmentation({}, 0.0)
        self.speaker_ids = {name: number for number, name in enumerate(speakers)}
        lengths = [clip.row.mel_frames for clip in clips]
        self.frames = min(frames, max(lengths))
        self.draw = CropSampler(lengths, self.frames, size, seed, stream)

    def specs(self, step: int) -> list[CropSpec]:
        """The rows of step `step`'s batch."""
        pitch_shifts = sorted(self.augmentation.pitch_shifts)
        drawn = numpy_generator(self.seed, ChoiceStream.AUGMENTATION, step).random((self.size, 4))
        return [
            CropSpec(
                self.clips[crop.clip],
                crop.start,
                crop.stop,
                pitch_shifts[int(which * len(pitch_shifts))] if pitch_shifts and shifted < 0.5 else 0,
                (2 * gain - 1) * self.augmentation.volume_db if louder < 0.5 else 0.0,
                formant_shift,
            )
            for crop, (shifted, louder, which, gain), formant_shift in zip(
                self.draw.step(step), drawn, self._formant_shifts(step), strict=True
            )
        ]

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Tensors:
        """The batch of process `part` of `parts` in step `step`: `collate` of its rows, and `total_frames` (no axis).

        `total_frames` is the number of mel frames without padding in the rows of all parts.
        """
        specs = self.specs(step)
        tensors = self.collate(specs[part::parts])
        tensors["total_frames"] = torch.tensor(sum(spec.stop - spec.start for spec in specs), dtype=torch.float32)
        return tensors

    def whole(self, clip: Clip, limit: int) -> Tensors:
        """A clip from its start, at most `limit` mel frames, as a batch of one."""
        frames = min(limit, clip.row.mel_frames)
        return self.collate([CropSpec(clip, 0, frames)], frames)

    def collate(self, specs: Sequence[CropSpec], frames: int | None = None) -> Tensors:
        """Rows as a batch, padded to `frames` mel frames (by default a crop's) and the unit frames they can span.

        B rows of M mel frames and U unit frames: hidden (B, U, width) and mel (B, M, 128) in the store's dtype; mel2ph
        int64 (B, M); f0 in Hz, voiced, loudness in dBFS and mask, float32 (B, M); mel_gain in ln magnitude, speaker and
        shift in semitones, (B,).
        """
        frames = frames or self.frames
        unit_frames = int(np.ceil(frames * UNIT_RATE / MEL_FRAME_RATE)) + 1
        return collate([self.read(spec) for spec in specs], frames, unit_frames)

    def read(self, spec: CropSpec) -> Tensors:
        """One row of `collate`, not padded: (M, ...) and (U, ...). `mel_gain` is still to be added to the mel."""
        clip, span = spec.clip, slice(spec.start, spec.stop)
        mel2ph = clip.read("mel2ph", spec.start, spec.stop)
        first, last = int(mel2ph.min()) - 1, int(mel2ph.max())
        loudness = clip.read("loudness", spec.start, spec.stop)
        gain = min(spec.gain_db, max(0.0, HEADROOM_DB - float(loudness.max()))) if spec.gain_db else 0.0
        inputs = condition_inputs(mel2ph - first, clip.f0, loudness + np.float32(gain), span)
        inputs["f0"] = inputs["f0"] * float(np.float32(2 ** (spec.pitch_shift / 12)))
        hidden = self.augmentation.formant_shifts.get(spec.formant_shift, self.units)
        mel = self.augmentation.pitch_shifts.get(spec.pitch_shift, "mel")
        return {
            **inputs,
            "hidden": torch.from_numpy(clip.read(hidden, first, last)),
            "mel": torch.from_numpy(clip.read(mel, spec.start, spec.stop)),
            "mel_gain": torch.tensor(gain * np.log(10) / 20, dtype=torch.float32),
            "speaker": torch.tensor(self.speaker_ids[clip.speaker]),
            "shift": torch.tensor(spec.pitch_shift, dtype=torch.float32),
        }

    def _formant_shifts(self, step: int) -> list[int]:
        """One a row; 0 for half of them."""
        if not (formant_shifts := sorted(self.augmentation.formant_shifts)):
            return [0] * self.size
        drawn = numpy_generator(self.seed, ChoiceStream.FORMANT_SHIFT, step).random((self.size, 2))
        return [formant_shifts[int(which * len(formant_shifts))] if shifted < 0.5 else 0 for shifted, which in drawn]


def completed(tensors: Tensors, device: str) -> Tensors:
    """A collated batch on a device, in float32, with gains applied: hidden (B, U, width), mel (B, M, 128)."""
    there = {name: to_device(value, device) for name, value in tensors.items()}
    there["hidden"] = there["hidden"].float()
    gain = there.pop("mel_gain")[:, None, None]
    mel = there["mel"].float()
    mel = torch.where(gain == 0, mel, (mel + gain).clamp(min=LOG_FLOOR))
    there["mel"] = torch.where(there["mask"][..., None] > 0, mel, LOG_FLOOR)
    return there


def to_batch(tensors: Tensors, projection: nn.Module, device: str) -> Batch:
    """A collated batch as the acoustic model takes it: `completed`, with units (B, U, unit_dim) of hidden states."""
    inputs = completed(tensors, device)
    with torch.no_grad():
        units = projection(inputs.pop("hidden"))
    names = Batch.__dataclass_fields__
    return Batch(units=units, **{name: value for name, value in inputs.items() if name in names})


def add_noise(tensors: Tensors, seed: int, step: int, bins: int, part: int = 0, parts: int = 1) -> Tensors:
    """Put a NoiseSample beside the crops of process `part` of `parts`.

    Each row of the whole batch has a generator of its own: a process draws its rows alone, and a row's noise is the
    same whatever the number of processes. Noise steps are stratified over the whole batch.
    """
    rows, frames = tensors["mask"].shape
    numbers = range(part, rows * parts, parts)
    drawn = [
        NoiseSample.of(fork_generator(seed, NoiseStream.TRAINING, step, number), 1, bins, frames) for number in numbers
    ]
    uniform = (torch.tensor(numbers) + torch.cat([row.uniform for row in drawn])) / (rows * parts)
    return {**tensors, "uniform": uniform, "noise": torch.cat([row.noise for row in drawn])}


def to_noise(tensors: Tensors, device: str) -> NoiseSample:
    """The NoiseSample of `add_noise`, on a device: uniform (B,), noise (B, bins, M)."""
    return NoiseSample(to_device(tensors["uniform"], device), to_device(tensors["noise"], device))


def to_device(tensor: Tensor, device: str) -> Tensor:
    """A tensor on `device`, of the same shape. From pinned memory a GPU copies it while the host continues."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)
