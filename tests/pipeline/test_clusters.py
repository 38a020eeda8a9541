"""k-means compared with scikit-learn's, and with known clusters."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from svc.pipeline.clusters import epoch, nearest, plus_plus


@pytest.fixture(scope="module")
def points() -> torch.Tensor:
    """Twelve blobs in 16 dimensions, 100 points each, in no order."""
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(12, 16, generator=generator)
    return (centres[torch.arange(1200) % 12] + torch.randn(1200, 16, generator=generator)).contiguous()


@pytest.mark.parametrize("pieces", [1, 7])
def test_epochs_are_lloyds_algorithm_however_the_points_come(points: torch.Tensor, pieces: int) -> None:
    start = plus_plus(points, 10, torch.Generator().manual_seed(1))
    theirs = KMeans(10, init=start.numpy(), n_init=1, max_iter=5, tol=0, algorithm="lloyd").fit(points.numpy())
    ours = start
    for _ in range(theirs.n_iter_):
        ours, _ = epoch(ours, points.chunk(pieces))
    # scikit-learn assigns once more after its last move
    _, distance = epoch(ours, points.chunk(pieces))
    assert distance == pytest.approx(theirs.inertia_ / len(points), rel=0.01)


def test_from_a_good_beginning_it_finds_what_scikit_learn_finds(points: torch.Tensor) -> None:
    centroids = plus_plus(points, 12, torch.Generator().manual_seed(2))
    distances = []
    for _ in range(20):
        centroids, distance = epoch(centroids, points.chunk(5))
        distances.append(distance)
    assert distances == sorted(distances, reverse=True)
    best = KMeans(12, n_init=10, random_state=0).fit(points.numpy()).inertia_ / len(points)
    assert distances[-1] < 1.02 * best


def test_nearest_is_the_nearest(points: torch.Tensor) -> None:
    centroids = points[:23]
    truth = np.linalg.norm(points[:, None].numpy() - centroids[None].numpy(), axis=-1).argmin(1)
    np.testing.assert_array_equal(nearest(points, centroids).numpy(), truth)


def test_the_first_centroids_are_points_far_apart(points: torch.Tensor) -> None:
    """Of 12 blobs, twelve points at random miss a third; k-means++ misses few."""
    chosen = plus_plus(points, 12, torch.Generator().manual_seed(3))
    assert all((points == row).all(1).any() for row in chosen)
    blobs = {int((points == row).all(1).nonzero()[0, 0]) % 12 for row in chosen}
    assert len(blobs) >= 10


def test_a_centroid_without_points_stays(points: torch.Tensor) -> None:
    far = torch.cat([points[:3], torch.full((1, 16), 1e4)])
    moved, _ = epoch(far, [points])
    assert torch.equal(moved[3], far[3])


def test_as_many_clusters_as_different_points_or_more() -> None:
    same = torch.ones(5, 3)
    assert plus_plus(same, 4, torch.Generator().manual_seed(0)).shape == (4, 3)
