"""The inputs of the acoustic model: one function from features to a batch, for training and for rendering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..mel import LOG_FLOOR, LOUDNESS_FLOOR_DB
from ..pitch import pitch

# Values on padding, where the mask is 0; all others are 0 there.
PADDING = {"f0": pitch.NEVER_VOICED_HZ, "loudness": LOUDNESS_FLOOR_DB, "mel": LOG_FLOOR}


@dataclass
class Batch:
    """Utterances or crops of them, padded to one length.

    Attributes:
        units: float (B, U, unit_dim).
        mel2ph: int64 (B, M): the unit frame that sounds in each mel frame, 1-based; 0 on padding.
        f0: Hz, with unvoiced gaps bridged, float (B, M).
        voiced: 0 or 1, float (B, M).
        loudness: dBFS, float (B, M).
        mask: 0 on padding, else 1, float (B, M).
        speaker: int64 (B,), or float (B, speakers) for a mixture, or (B, M, speakers) for one that changes.
        shift: semitones by which all frequencies of the mel are moved, as a longer or shorter vocal tract would,
            float (B,); None: by none.
        mel: ln magnitude, float (B, M, bins), when training.
    """

    units: Tensor
    mel2ph: Tensor
    f0: Tensor
    voiced: Tensor
    loudness: Tensor
    mask: Tensor
    speaker: Tensor
    shift: Tensor | None = None
    mel: Tensor | None = None


def condition_inputs(
    mel2ph: NDArray[Any], f0: NDArray[np.float32], loudness: NDArray[np.float32], span: slice = slice(None)
) -> dict[str, Tensor]:
    """The inputs that are a value a mel frame, from measured features.

    Args:
        mel2ph: 1-based unit frames of the utterance or crop, (M,).
        f0: Hz, 0 where unvoiced, of the whole utterance: its gaps are bridged before `span` is cut out.
        loudness: dBFS, (M,).
        span: the mel frames of the utterance that the crop has.

    Returns:
        mel2ph int64, f0, voiced and loudness float32: (M,) each.
    """
    return {
        "mel2ph": torch.from_numpy(mel2ph.astype(np.int64)),
        "f0": torch.from_numpy(pitch.continuous(f0)[span]),
        "voiced": torch.from_numpy((f0[span] > 0).astype(np.float32)),
        "loudness": torch.from_numpy(loudness),
    }


def collate(
    items: Sequence[Mapping[str, Tensor]], frames: int | None = None, unit_frames: int | None = None
) -> dict[str, Tensor]:
    """Pad items of unlike lengths to one.

    Args:
        items: tensors by name. `units` or `hidden` (U, width) run along unit frames, numbers (no axis) belong to the
            whole item, and all others run along mel frames.
        frames, unit_frames: lengths to pad to; by default those of the longest item.

    Returns:
        Tensors with one more axis in front, and `mask`, float32 (B, frames): 1 where there is no padding.
    """
    lengths = [len(item["mel2ph"]) for item in items]
    frames = frames or max(lengths)
    out: dict[str, Tensor] = {}
    for name, first in items[0].items():
        rows = [item[name] for item in items]
        if first.dim() == 0:
            out[name] = torch.stack(rows)
            continue
        along_units = name in ("units", "hidden")
        length = frames if not along_units else unit_frames or max(map(len, rows))
        out[name] = first.new_full((len(rows), length, *first.shape[1:]), PADDING.get(name, 0))
        for padded, row in zip(out[name], rows, strict=True):
            padded[: len(row)] = row
    out["mask"] = (torch.arange(frames) < torch.tensor(lengths)[:, None]).float()
    return out


@dataclass
class NoiseSample:
    """The random numbers of a step: `uniform` (B,) in 0..1 for the noise steps, `noise` normal (B, bins, M)."""

    uniform: Tensor
    noise: Tensor

    @classmethod
    def of(cls, generator: torch.Generator, size: int, bins: int, frames: int) -> NoiseSample:
        """`generator` is on the CPU, so that every device gets the same numbers."""
        noise = torch.randn((size, bins, frames), generator=generator)
        # Stratified over the batch: every step of training has early and late noise steps.
        return cls((torch.arange(size) + torch.rand(size, generator=generator)) / size, noise)
