"""Probes: how much of a label can be predicted from a feature, by a small network trained on other utterances."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 128
STEPS, FRAMES = 400, 1_024


def probe_accuracy(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], classes: int, seed: int = 0) -> float:
    """The share of test frames whose label a network with one hidden layer predicts from the feature.

    Args:
        train: features, float (N, D), and labels, int64 (N,).
        test: the same of other utterances.
        classes: how many labels there are.
        seed: of the network's first weights and of the batches.
    """
    features, labels = train
    mean, deviation = features.mean(0), features.std(0).clamp(min=1e-4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(features.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))
        network.to(features.device)
        optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
        for _ in range(STEPS):
            chosen = torch.randint(0, len(features), (FRAMES,)).to(features.device)
            loss = F.cross_entropy(network((features[chosen] - mean) / deviation), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        right = network((test[0] - mean) / deviation).argmax(-1) == test[1]
    return right.float().mean().item()


def purity(codes: Tensor, labels: Tensor) -> float:
    """Phone purity, the share of frames that have the commonest label of their code.

    Hsu et al., 2021, arXiv 2106.07447, section 4.5.

    Args:
        codes, labels: int64 (N,).
    """
    table = torch.zeros(int(codes.max()) + 1, int(labels.max()) + 1, dtype=torch.int64)
    table.index_put_((codes.cpu(), labels.cpu()), torch.ones(len(codes), dtype=torch.int64), accumulate=True)
    return table.max(1).values.sum().item() / len(codes)
