"""Unit retrieval: units of the source are blended with units of the target (the "index" of so-vits-svc and RVC).

That removes the remaining speaker information of the source from its units. Neighbours are searched by cosine
similarity between hidden states (Baas, van Niekerk and Kamper, 2023, arXiv 2305.18975), after subtracting each clip's
mean and dividing by
its standard deviation: that removes speaker information. Units are not used for the search because the projection
discards detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.errors import UserError
from ...pipeline.unit_selection import normalise
from ...store import Clip, Store
from ..features import SOFT
from ..retrieval_index import read_index
from ..run import Run
from ..run_stores import open_stores

NEIGHBOURS = 4
MOST_FRAMES = 30_000  # of the target's, 10 minutes; from more, whole utterances are chosen, spread evenly
ROWS = 256  # frames that are searched for at a time


class Retrieval:
    """The units of some speakers, and the search in them by hidden states.

    Args:
        clips: hidden states of whole utterances, (U, H) each.
        projection: makes units of hidden states.
        by_units: whether `clips` are units themselves, and the search is by units (a HuBERT-soft's column).

    Raises:
        UserError: there are too few frames.
    """

    def __init__(self, clips: Sequence[Tensor], projection: nn.Module, by_units: bool = False):
        self._by_units = by_units
        device = next((parameter.device for parameter in projection.parameters()), torch.device("cpu"))
        frames = [clip.to(device, torch.float32) for clip in clips]
        if sum(map(len, frames)) < NEIGHBOURS:
            raise UserError(f"too little of the target to retrieve from: fewer than {NEIGHBOURS} frames")
        together = torch.cat(frames)
        self._mean, self._square = together.mean(0), together.square().mean(0)
        self.keys = torch.cat([self._key(each) for each in frames])
        with torch.inference_mode():
            self.units = together if by_units else projection(together)

    @classmethod
    def of_run(cls, run: Run, number: int, projection: nn.Module, stores: Sequence[str] = ()) -> Retrieval:
        """The units of speaker `number` of a run for retrieval: from the named stores, the run's index, or its recorded
        stores.

        Raises UserError when there is nothing to read, or too little of the speaker.
        """
        column = run.config.unit_column.name
        if run.index.exists() and not stores:
            return cls(read_index(run, number), projection, column == SOFT)
        return cls.of_stores(open_stores(run, stores), [run.speakers[number]], column, projection)

    @classmethod
    def of_stores(
        cls, stores: Sequence[Store], speakers: Sequence[str], column: str, projection: nn.Module
    ) -> Retrieval:
        """The units of some speakers in stores. They are computed from `column`, such as `hidden/12`.

        Raises UserError when the stores have too little of them.
        """
        clips = _spread([clip for store in stores for clip in store if clip.speaker in speakers and not clip.missing()])
        try:
            return cls([torch.from_numpy(clip.read(column)) for clip in clips], projection, column == SOFT)
        except UserError as error:
            where = ", ".join(store.location for store in stores)
            raise UserError(f"{where} holds too little of {', '.join(speakers)} to retrieve from") from error

    @property
    def by_units(self) -> bool:
        """Whether units themselves are compared, because the store holds no hidden states."""
        return self._by_units

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The arrays that `blend` uses: `keys` (K, H), `units` (K, D), and `mean` and `square` (H,) of all frames."""
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
        """Frames (U, H) of a clip as search keys: of length 1."""
        return F.normalize(normalise(frames, self._mean, self._square), dim=1)


def nearest(wanted: Tensor, keys: Tensor, count: int = NEIGHBOURS) -> tuple[Tensor, Tensor]:
    """The `count` rows of `keys` (K, D) with the highest cosine similarity to each query (U, D), all of length 1.
    Returns their weights, which sum to 1, and their numbers: (U, count) each.
    """
    likeness, which = (wanted @ keys.T).topk(count)
    weight = 1 / (1 - likeness).clamp(min=1e-6)
    return weight / weight.sum(1, keepdim=True), which


def _spread(clips: list[Clip]) -> list[Clip]:
    """At most MOST_FRAMES of them, evenly from all; as svc 0.1 chose them for runs without an index."""
    total = sum(clip.row.unit_frames for clip in clips)
    return clips if total <= MOST_FRAMES else clips[:: -(-total // MOST_FRAMES)]
