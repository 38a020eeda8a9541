"""A store as material for training: which utterances, which are held out, and what step n sees.

What a step sees depends on (seed, step) alone, so a run that was interrupted sees what it would have seen, and
processes that train together each read their own rows of the same batch.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...common import text as words
from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline.diffusion.diffusion import Batch, NoiseSample
from ...pipeline.frames import MEL_FRAME_RATE, UNIT_RATE
from ...pipeline.mel import FLOOR
from ...pipeline.pitch import pitch
from ...store import Clip, Store
from ..features import formant_shift_of, hidden_column, pitch_shift_of
from .crop_sampler import CropSampler

HELD_OUT = 0.05  # of each speaker's utterances, at least one
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Corpus:
    """The clips of one or more stores that have every column, split in two for good."""

    train: list[Clip]
    held_out: list[Clip]
    speakers: list[str]

    @property
    def clips(self) -> list[Clip]:
        """All utterances, the held-out ones last."""
        return [*self.train, *self.held_out]

    @property
    def digest(self) -> str:
        """Names the data: the same clips, split the same way, have the same."""
        lines = [
            f"{clip.row.audio} {clip.row.start} {clip.row.end} {clip.speaker} {clips is self.held_out}"
            for clips in (self.train, self.held_out)
            for clip in clips
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    @property
    def pitch_shifts(self) -> dict[int, str]:
        """The columns that hold the mel moved by so many semitones."""
        return {shift: name for name in self.train[0].store.columns if (shift := pitch_shift_of(name))}

    def formant_shifts(self, column: str) -> dict[int, str]:
        """The columns that hold `column`, a hidden layer, as heard of another throat: formants moved by semitones."""
        found = {
            name: formant_shift for name in self.train[0].store.columns if (formant_shift := formant_shift_of(name))
        }
        return {semitones: name for name, (semitones, layer) in found.items() if column == hidden_column(layer)}


def gather_corpus(stores: list[Store], progress: Progress) -> Corpus:
    """Collect the usable clips of stores made with the same settings.

    An utterance is held out by a hash of its recording, so that what is held out stays so when a corpus grows.

    Raises:
        UserError: the stores differ, or have no usable clip.
    """
    first = stores[0]
    for other in stores[1:]:
        for name, column in first.columns.items():
            theirs = other.columns.get(name)
            if theirs is None or theirs.made_by != column.made_by:
                raise UserError(
                    f"{other.location} has no column {name} made as in {first.location}; "
                    f"stores that are trained on together must be extracted with the same settings"
                )
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    unusable = 0
    for store in stores:
        for clip in store:
            if clip.missing():
                unusable += 1
            else:
                by_speaker[clip.speaker].append(clip)
    if unusable:
        progress.warn(
            f"left out, for want of columns: {words.count(unusable, 'utterance')}; svc extract again computes them"
        )
    if not by_speaker:
        raise UserError(
            f"{', '.join(s.location for s in stores)} holds no complete utterance to train on; "
            f"run `svc extract` again, and look at what it refused"
        )
    train: list[Clip] = []
    held_out: list[Clip] = []
    for clips in by_speaker.values():
        ranked = sorted(clips, key=lambda clip: (clip.row.audio, clip.row.start))
        # One alone must be trained on; validation then has to make do with it.
        count = max(1, round(HELD_OUT * len(ranked))) if len(ranked) > 1 else 0
        held_out += ranked[:count]
        train += ranked[count:]
    if not held_out:
        progress.warn("there is one utterance a speaker: nothing can be held out, so validation is on what is learnt")
        held_out = list(train)
    return Corpus(train, held_out, sorted(by_speaker))


def numpy_generator(seed: int, *keys: int) -> np.random.Generator:
    """A generator of its own for every (seed, keys)."""
    return np.random.default_rng([seed, *keys])


@dataclass(frozen=True)
class Augmentation:
    """How crops are varied.

    Attributes:
        shifts: columns of the mel moved by semitones; half of the crops take one of them, and f0 moves with it.
        volume_db: half of the crops are made louder or softer by up to this, never so loud that they would clip.
        warps: columns of the units' layer as heard of voices with formants moved by semitones; half of the crops take
            their units from one of them, and their mel stays what it is.
    """

    pitch_shifts: dict[int, str]
    volume_db: float
    formant_shifts: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CropSpec:
    """One row of a batch: frames [start, stop) of a clip, its mel moved by `shift` semitones, `gain_db` louder, its
    units heard with formants moved by `warp` semitones.
    """

    clip: Clip
    start: int
    stop: int
    shift: int = 0
    gain_db: float = 0.0
    formant_shift: int = 0


class Crops:
    """Random crops of clips, drawn in proportion to length; clips shorter than a crop are used whole, and padded.

    All batches have one shape, whatever is in them.
    """

    def __init__(
        self,
        clips: list[Clip],
        speakers: list[str],
        units: str,
        frames: int,
        size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        stream: int = 0,
    ):
        """`units` is the column that units are made of, `frames` a crop's length in mel frames, `size` a batch's.
        Another `stream` is another draw of the same seed.
        """
        self.clips, self.units, self.size, self.seed = clips, units, size, seed
        self.augmentation = augmentation or Augmentation({}, 0.0)
        self.speaker_ids = {name: number for number, name in enumerate(speakers)}
        lengths = [clip.row.mel_frames for clip in clips]
        self.frames = min(frames, max(lengths))
        self.draw = CropSampler(lengths, self.frames, size, seed, stream)

    def cuts(self, step: int) -> list[CropSpec]:
        """The rows of step `step`'s batch."""
        pitch_shifts, chances = (
            sorted(self.augmentation.pitch_shifts),
            numpy_generator(self.seed, 1, step).random((self.size, 4)),
        )
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
                self.draw.step(step), chances, self._formant_shifts(step), strict=True
            )
        ]

    def _formant_shifts(self, step: int) -> list[int]:
        """One a row; 0 for half of them."""
        if not (formant_shifts := sorted(self.augmentation.formant_shifts)):
            return [0] * self.size
        drawn = numpy_generator(self.seed, 3, step).random((self.size, 2))
        return [
            formant_shifts[int(which * len(formant_shifts))] if formant_shifted < 0.5 else 0
            for formant_shifted, which in drawn
        ]

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Arrays:
        """What process `part` of `parts` sees in step `step`; `to_batch` makes tensors of it.

        `total_frames` is how many frames of all parts' rows are no padding.
        """
        cuts = self.cuts(step)
        arrays = collate([self.read(cut) for cut in cuts[part::parts]], self.frames)
        arrays["total_frames"] = np.array(sum(cut.stop - cut.start for cut in cuts), np.float32)
        return arrays

    def whole(self, clip: Clip, limit: int) -> Arrays:
        """A clip from its start, at most `limit` mel frames, as a batch of one."""
        frames = min(limit, clip.row.mel_frames)
        return collate([self.read(CropSpec(clip, 0, frames))], frames)

    def read(self, cut: CropSpec) -> Arrays:
        """One row, not padded."""
        clip, span = cut.clip, slice(cut.start, cut.stop)
        mel2ph = clip.read("mel2ph", cut.start, cut.stop).astype(np.int64)
        first, last = int(mel2ph.min()) - 1, int(mel2ph.max())
        # f0 is bridged over the whole clip, so that a crop's edges know their neighbours.
        f0 = clip.f0
        loudness = clip.read("loudness", cut.start, cut.stop)
        mel = clip.read(self.augmentation.pitch_shifts.get(cut.shift, "mel"), cut.start, cut.stop).astype(np.float32)
        if cut.gain_db:
            gain = min(cut.gain_db, max(0.0, -3.0 - float(loudness.max())))
            loudness = loudness + np.float32(gain)
            mel = np.maximum(mel + np.float32(gain * np.log(10) / 20), np.float32(np.log(FLOOR)))
        return {
            "hidden": clip.read(
                self.augmentation.formant_shifts.get(cut.formant_shift, self.units), first, last
            ).astype(np.float32),
            "mel2ph": mel2ph - first,
            "f0": pitch.continuous(f0)[span] * np.float32(2 ** (cut.shift / 12)),
            "voiced": (f0[span] > 0).astype(np.float32),
            "loudness": loudness,
            "mel": mel,
            "speaker": np.array(self.speaker_ids[clip.speaker], np.int64),
            "shift": np.array(cut.shift, np.float32),
        }


PADDING = {"f0": 200.0, "mel": float(np.log(FLOOR)), "loudness": -100.0}


def collate(crops: list[Arrays], frames: int) -> Arrays:
    """Pad crops to `frames` mel frames and as many unit frames as could sound in them; `mask` is 1 where they are."""
    units = int(np.ceil(frames * UNIT_RATE / MEL_FRAME_RATE)) + 1
    out: Arrays = {}
    for name in crops[0]:
        rows = [crop[name] for crop in crops]
        if rows[0].ndim:
            length = units if name == "hidden" else frames
            filled = np.full((len(rows), length, *rows[0].shape[1:]), PADDING.get(name, 0), rows[0].dtype)
            for row, values in zip(filled, rows, strict=True):
                row[: len(values)] = values
            out[name] = filled
        else:
            out[name] = np.stack(rows)
    out["mask"] = np.stack([np.arange(frames) < len(crop["mel2ph"]) for crop in crops]).astype(np.float32)
    return out


def add_noise(arrays: Arrays, generator: torch.Generator, bins: int, part: int = 0, parts: int = 1) -> Arrays:
    """Put this part's rows of the whole batch's Chance beside its crops."""
    rows, frames = arrays["mask"].shape
    chance = NoiseSample.of(generator, rows * parts, bins, frames)
    return {**arrays, "uniform": chance.uniform[part::parts].numpy(), "noise": chance.noise[part::parts].numpy()}


def to_batch(arrays: Arrays, projection: torch.nn.Module, device: str) -> Batch:
    """Tensors on the device, hidden states projected to units."""
    names = {"hidden", *Batch.__dataclass_fields__}
    tensors = {name: _to(value, device) for name, value in arrays.items() if name in names}
    with torch.no_grad():
        units = projection(tensors.pop("hidden"))
    return Batch(units=units, **tensors)


def to_noise(arrays: Arrays, device: str) -> NoiseSample:
    """The Chance that `add_chance` put there."""
    return NoiseSample(_to(arrays["uniform"], device), _to(arrays["noise"], device))


def _to(value: NDArray[Any], device: str) -> torch.Tensor:
    tensor = torch.from_numpy(np.asarray(value))
    # From pinned memory a GPU fetches while the host goes on.
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)
