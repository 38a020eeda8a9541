"""k-means over more points than fit in memory (Lloyd, 1982), on any device: the points come as a stream.

Each epoch sums the points nearest to each centroid and then moves the centroids, so the result is that of plain k-means
and does not depend on the stream's pieces. It begins with k-means++ (Arthur and Vassilvitskii, 2007) on a sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """The nearest centroid of each point: (..., D), (K, D) -> int64 (...)."""
    # |x - c|^2 without the |x|^2 that all centroids share
    return (centroids.square().sum(-1) - 2 * points @ centroids.T).argmin(-1)


def plus_plus(sample: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` of the sample's points (N, D), each drawn in proportion to its squared distance from those before.

    Of several drawn, the one that leaves the least distance is taken (the greedy variant of the paper's section 5).
    """
    tries = 2 + int(math.log(count))
    first = int(torch.randint(len(sample), (1,), generator=generator))
    chosen = [first]
    distance = (sample - sample[first]).square().sum(-1)
    for _ in range(count - 1):
        reach = distance.double().cumsum(0)
        at = torch.rand(tries, generator=generator, dtype=torch.float64).to(reach.device) * reach[-1]
        drawn = torch.searchsorted(reach, at).clamp(max=len(sample) - 1)
        left = torch.minimum(distance, torch.cdist(sample[drawn], sample).square())
        best = int(left.sum(1).argmin())
        chosen.append(int(drawn[best]))
        distance = left[best]
    return sample[chosen].clone()


def epoch(centroids: Tensor, stream: Iterable[Tensor]) -> tuple[Tensor, float]:
    """Move the centroids (K, D) to the means of the points nearest to them; those without any stay.

    Args:
        centroids: float32 (K, D).
        stream: pieces of the points, float32 (n, D) each.

    Returns:
        The moved centroids, and the mean squared distance of a point to the nearest centroid before.
    """
    sums = torch.zeros(centroids.shape, dtype=torch.float64, device=centroids.device)
    counts = torch.zeros(len(centroids), dtype=torch.float64, device=centroids.device)
    distance, points = 0.0, 0
    for piece in stream:
        codes = nearest(piece, centroids)
        sums.index_add_(0, codes, piece.double())
        counts += torch.bincount(codes, minlength=len(centroids))
        distance += float((piece - centroids[codes]).square().sum())
        points += len(piece)
    means = (sums / counts.clamp(min=1)[:, None]).to(centroids.dtype)
    return torch.where(counts[:, None] > 0, means, centroids), distance / max(points, 1)
