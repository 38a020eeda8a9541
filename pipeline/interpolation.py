"""Linear interpolation between columns."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", np.float32, np.float64)


def columns_at(rows: NDArray[F], place: NDArray[np.float64]) -> NDArray[F]:
    """Rows (N, K) at fractional column numbers `place` (P,), each within 0..K - 1: (N, P), of the rows' dtype."""
    low = np.minimum(place.astype(int), max(0, rows.shape[1] - 2))
    part = (place - low).astype(rows.dtype)
    return rows[:, low] * (1 - part) + rows[:, np.minimum(low + 1, rows.shape[1] - 1)] * part
