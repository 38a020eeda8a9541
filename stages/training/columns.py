"""Reading whole columns of clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...store import Clip


def frames(clips: Sequence[Clip], column: str, device: str) -> Tensor:
    """All frames of a column in some clips: float32 (frames, width)."""
    return torch.from_numpy(np.concatenate([clip.read(column) for clip in clips])).to(device).float()
