"""Unit retrieval: what was said, in units that the target has said before.

Each unit is blended with those of the target's frames that sound most alike, which takes what is left of the source's
voice out of it (the "index" of so-vits-svc and RVC). Alike are hidden states, by the cosine between them (Baas, van
Niekerk and Kamper, 2023, arXiv 2305.18975), once each clip's own mean and deviation are taken out, which tell who sings
rather than what; units, taught on codes, have forgotten some of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.errors import UserError
from ...store import Clip, StoreError, open_store
from ..features import SOFT

NEIGHBOURS = 4
DEFAULT_AMOUNT = 0.5  # of real voices 1 loses twice as many letters (docs/quality.md)
MOST_FRAMES = 30_000  # of the target's, 10 minutes; of more, whole utterances are taken, spread evenly
COMMON = 50  # frames, 1 s: how much the target's average counts in a clip's mean and deviation; short ones have no own
ROWS = 256  # frames that are looked up at a time


class Retrieval:
    """What some speakers of some stores have said.

    Args:
        stores: where they lie.
        speakers: whose utterances to take.
        column: the column that units are made of, such as `hidden/12`.
        projection: makes units of hidden states.

    Raises:
        UserError: a store is gone, or has nothing of them.
    """

    def __init__(self, stores: Sequence[str | Path], speakers: Sequence[str], column: str, projection: nn.Module):
        self._by_units = column == SOFT  # the store holds units alone, not what they were made of
        device = next((parameter.device for parameter in projection.parameters()), torch.device("cpu"))
        clips = _spread(_clips(stores, speakers))
        frames = [torch.from_numpy(clip.read(column).astype(np.float32)).to(device) for clip in clips]
        if sum(map(len, frames)) < NEIGHBOURS:
            raise UserError(f"{', '.join(map(str, stores))} holds too little of {', '.join(speakers)} to retrieve from")
        together = torch.cat(frames)
        self._mean, self._square = together.mean(0), together.square().mean(0)
        self.keys = torch.cat([self._key(each) for each in frames])
        with torch.inference_mode():
            self.units = together if self._by_units else projection(together)

    @property
    def by_units(self) -> bool:
        """Whether units themselves are compared, because the store holds no hidden states."""
        return self._by_units

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What `blend` computes with: `keys` (K, H), `units` (K, D), and `mean` and `square` (H,) of all frames."""
        named = {"keys": self.keys, "units": self.units, "mean": self._mean, "square": self._square}
        return {name: value.float().cpu().numpy() for name, value in named.items()}

    def blend(self, hidden: Tensor, units: Tensor, amount: float) -> Tensor:
        """A clip's units (U, D), made of its hidden states (U, H), moved towards their neighbours' by `amount` 0..1."""
        if len(units) == 0:
            return units
        found = []
        for key in self._key(units if self._by_units else hidden.to(self.keys.device)).split(ROWS):
            weight, which = nearest(key, self.keys)
            found.append((weight[..., None] * self.units[which]).sum(1))
        return torch.lerp(units, torch.cat(found).to(units), amount)

    def _key(self, frames: Tensor) -> Tensor:
        """Frames (U, H) of a clip by which they are found: of length 1."""
        share = len(frames) / (len(frames) + COMMON)
        mean = torch.lerp(self._mean, frames.mean(0), share)
        square = torch.lerp(self._square, frames.square().mean(0), share)
        return F.normalize((frames - mean) / (square - mean.square()).clamp(min=1e-6).sqrt(), dim=1)


def nearest(wanted: Tensor, keys: Tensor, count: int = NEIGHBOURS) -> tuple[Tensor, Tensor]:
    """The `count` of `keys` (K, D) most alike to each that is wanted (U, D), all of length 1.

    Returns their weights, which sum to 1, and which they are: (U, count) each.
    """
    likeness, which = (wanted @ keys.T).topk(count)
    weight = 1 / (1 - likeness).clamp(min=1e-6)
    return weight / weight.sum(1, keepdim=True), which


def _clips(stores: Sequence[str | Path], speakers: Sequence[str]) -> list[Clip]:
    clips: list[Clip] = []
    for path in stores:
        try:
            store = open_store(path)
        except StoreError as error:
            raise UserError(
                f"retrieval looks units up in the store that the run was trained on, and that cannot be opened: "
                f"{error}\nPut it back, or sing with --retrieve 0"
            ) from error
        clips += [clip for clip in store if clip.speaker in speakers and not clip.missing()]
    return clips


def _spread(clips: list[Clip]) -> list[Clip]:
    """As many of them as MOST_FRAMES hold, evenly from all."""
    total = sum(clip.row.unit_frames for clip in clips)
    return clips if total <= MOST_FRAMES else clips[:: -(-total // MOST_FRAMES)]
