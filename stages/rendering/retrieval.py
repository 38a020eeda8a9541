"""Unit retrieval: what was said, in units that the target has said before.

Each unit is blended with its nearest neighbours among the target's own, which takes what is left of the source's voice
out of them (so-vits-svc's and RVC's "index"; neighbours weighted by 1 / distance^2, as in RVC).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from ...store import StoreError, open_store
from ..errors import UserError

NEIGHBOURS = 8
MOST_FRAMES = 60_000  # of the target's units, 20 minutes; more are drawn from evenly


class Retrieval:
    """The units of some speakers of some stores.

    Args:
        stores: where they lie.
        speakers: whose units to take.
        column: the column that units are made of, such as `hidden/12`.
        projection: makes units of it.

    Raises:
        UserError: a store is gone, or has nothing of them.
    """

    def __init__(self, stores: Sequence[str | Path], speakers: Sequence[str], column: str, projection: nn.Module):
        clips = []
        for path in stores:
            try:
                store = open_store(path)
            except StoreError as error:
                raise UserError(
                    f"retrieval looks units up in the store that the run was trained on, and that cannot be opened: "
                    f"{error}\nPut it back, or sing without --retrieve"
                ) from error
            clips += [clip for clip in store if clip.speaker in speakers and not clip.missing()]
        total = sum(clip.row.unit_frames for clip in clips)
        if total < NEIGHBOURS:
            raise UserError(f"{', '.join(map(str, stores))} holds too little of {', '.join(speakers)} to retrieve from")
        stride = max(1, -(-total // MOST_FRAMES))
        device = next((parameter.device for parameter in projection.parameters()), torch.device("cpu"))
        frames = (torch.from_numpy(clip.read(column)[::stride].astype(np.float32)) for clip in clips)
        with torch.inference_mode():
            kept = [projection(some.to(device)).cpu() for some in frames]
        self.units: NDArray[np.float32] = torch.cat(kept).numpy()
        self._index = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(self.units)

    def blend(self, units: Tensor, amount: float) -> Tensor:
        """Units (U, D) moved towards their neighbours' mean by `amount` 0..1."""
        if len(units) == 0:
            return units
        distance, which = self._index.kneighbors(units.float().cpu().numpy())
        weight = 1 / np.maximum(distance, 1e-6) ** 2
        near = np.einsum("uk,ukd->ud", weight / weight.sum(1, keepdims=True), self.units[which])
        return torch.lerp(units, torch.from_numpy(near.astype(np.float32)).to(units), amount)
