"""From hidden states to soft units (van Niekerk et al., 2022, arXiv 2111.02392).

Codes are k-means clusters of a middle layer. The soft projection is one linear layer on a later one, trained so that
the cosine between its output and a code's embedding, over 0.1, predicts the code. The units are the output of that
linear layer, without softmax or activation. The paper fine-tunes the encoder as well; here it is frozen.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .clusters import nearest

TEMPERATURE = 0.1


class Codebook(nn.Module):
    """k-means centroids of a layer: float32 (codes, hidden)."""

    centroids: Tensor

    def __init__(self, centroids: Tensor):
        super().__init__()
        self.register_buffer("centroids", centroids)

    def forward(self, hidden: Tensor) -> Tensor:
        """The nearest centroid of each frame: (..., hidden) -> int64 (...)."""
        return nearest(hidden, self.centroids)


class SoftProjection(nn.Module):
    """The "FC layer" and the code embeddings of its training loss.

    `proj` is Linear(hidden, unit_dim), `label_embedding` (codes, unit_dim): the names of bshall/hubert.
    """

    def __init__(self, hidden_size: int, unit_dim: int = 256, codes: int = 100):
        super().__init__()
        self.proj = nn.Linear(hidden_size, unit_dim)
        self.label_embedding = nn.Embedding(codes, unit_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """Soft units: (..., hidden) -> (..., unit_dim)."""
        return self.proj(hidden)

    def logits(self, units: Tensor) -> Tensor:
        """Cosine similarity to every code, over the temperature: (..., unit_dim) -> (..., codes)."""
        return F.normalize(units, dim=-1) @ F.normalize(self.label_embedding.weight, dim=-1).T / TEMPERATURE


class SoftHead(nn.Module):
    """A soft projection that came with its encoder, frozen: both outputs of the paper from a last hidden state."""

    def __init__(self, projection: SoftProjection):
        super().__init__()
        self.projection = projection.eval().requires_grad_(False)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, label_embedding: Tensor) -> SoftHead:
        """From the tensors of a checkpoint, whose shapes give its sizes.

        Args:
            weight: float (unit_dim, hidden).
            bias: float (unit_dim,).
            label_embedding: float (codes, unit_dim).

        Raises:
            ValueError: they do not fit one another.
        """
        if weight.dim() != 2 or bias.shape != weight.shape[:1] or label_embedding.shape[1:] != bias.shape:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (weight, bias, label_embedding))
            raise ValueError(f"expected a head of (unit_dim, hidden), (unit_dim,), (codes, unit_dim); found {shapes}")
        projection = SoftProjection(weight.shape[1], weight.shape[0], label_embedding.shape[0])
        state = {"proj.weight": weight, "proj.bias": bias, "label_embedding.weight": label_embedding}
        projection.load_state_dict(state)
        return cls(projection)

    @property
    def unit_dim(self) -> int:
        """Width of the soft units."""
        return self.projection.proj.out_features

    @property
    def codes(self) -> int:
        """How many k-means codes it predicts."""
        return self.projection.label_embedding.num_embeddings

    def units(self, hidden: Tensor) -> Tensor:
        """Soft units: (..., hidden) -> (..., unit_dim)."""
        units: Tensor = self.projection(hidden)
        return units

    def logits(self, hidden: Tensor) -> Tensor:
        """Cosine similarity of the units to every code, over the temperature: (..., hidden) -> (..., codes)."""
        return self.projection.logits(self.units(hidden))


def soft_loss(projection: SoftProjection, hidden: Tensor, codes: Tensor) -> Tensor:
    """Cross-entropy of the codes (N,) given hidden states (N, hidden): the softmax of "soft" is used only here."""
    return F.cross_entropy(projection.logits(projection(hidden)), codes)


def gather(units: Tensor, mel2ph: Tensor) -> Tensor:
    """Units at mel frames: (B, U, D), int64 (B, M) 1-based -> (B, M, D); zeros where mel2ph is 0."""
    padded = F.pad(units, (0, 0, 1, 0))
    return torch.gather(padded, 1, mel2ph[..., None].expand(-1, -1, units.shape[-1]))
