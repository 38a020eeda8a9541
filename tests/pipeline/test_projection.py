"""Codes, soft units and their gathering, against the reference head and plain loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from svc.pipeline.projection import Codebook, SoftProjection, gather, soft_loss


def test_soft_projection_is_that_of_hubert_soft(shared: Path) -> None:
    with np.load(shared / "fixtures" / "soft_head" / "case.npz") as case:
        golden = {key: torch.from_numpy(case[key]) for key in case}
    projection = SoftProjection(768, 256, 100)
    projection.load_state_dict(
        {
            "proj.weight": golden["proj_weight"],
            "proj.bias": golden["proj_bias"],
            "label_embedding.weight": golden["label_embedding"],
        }
    )
    units = projection(golden["hidden"])
    torch.testing.assert_close(units, golden["units"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(projection.logits(units), golden["logits"], rtol=1e-4, atol=1e-4)


def test_soft_loss_is_the_cross_entropy_of_the_cosines_over_a_tenth() -> None:
    torch.manual_seed(0)
    projection, hidden, codes = SoftProjection(12, 7, 5), torch.randn(9, 12), torch.arange(9) % 5
    with torch.no_grad():
        got = soft_loss(projection, hidden, codes)
        total = 0.0
        for x, code in zip(hidden, codes, strict=True):
            unit = projection.proj.weight @ x + projection.proj.bias
            cosines = torch.stack([F.cosine_similarity(unit, e, dim=0) for e in projection.label_embedding.weight])
            total -= float((cosines / 0.1).softmax(0)[code].log())
    assert float(got) == pytest.approx(total / 9, rel=1e-5)


@pytest.mark.parametrize("shape", [(40,), (3, 17)])
def test_codebook_finds_the_nearest_centroid(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    centroids, points = rng.normal(size=(23, 8)) + 3, rng.normal(size=(*shape, 8)) + 3
    codes = Codebook(torch.from_numpy(centroids).float())(torch.from_numpy(points).float())
    truth = np.array([np.argmin([np.linalg.norm(p - c) for c in centroids]) for p in points.reshape(-1, 8)])
    assert codes.dtype == torch.int64
    np.testing.assert_array_equal(codes.numpy(), truth.reshape(shape))


def test_codebook_gives_a_centroid_its_own_code() -> None:
    centroids = torch.randn(50, 32, generator=torch.Generator().manual_seed(1))
    assert Codebook(centroids)(centroids).tolist() == list(range(50))


def test_gather_takes_the_unit_named_and_zeros_for_padding() -> None:
    generator = torch.Generator().manual_seed(2)
    units = torch.randn(2, 4, 3, generator=generator)
    mel2ph = torch.tensor([[0, 1, 1, 2, 4, 0], [3, 3, 4, 1, 0, 0]])
    got = gather(units, mel2ph)
    assert got.shape == (2, 6, 3)
    for b in range(2):
        for m in range(6):
            unit = int(mel2ph[b, m])
            assert torch.equal(got[b, m], units[b, unit - 1] if unit else torch.zeros(3))


def test_a_soft_projection_learns_separable_clusters() -> None:
    """Ten clusters far apart: chance is 10 %, and nearly all held-out points must be predicted."""
    generator = torch.Generator().manual_seed(3)
    centres = 3 * torch.randn(10, 24, generator=generator)
    labels = torch.arange(400) % 10
    points = centres[labels] + torch.randn(400, 24, generator=generator)
    torch.manual_seed(0)
    projection = SoftProjection(24, 16, 10)
    optimizer = torch.optim.Adam(projection.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        soft_loss(projection, points[:200], labels[:200]).backward()
        optimizer.step()
    with torch.no_grad():
        guessed = projection.logits(projection(points[200:])).argmax(-1)
    assert (guessed == labels[200:]).float().mean() > 0.9
