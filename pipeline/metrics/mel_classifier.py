"""A classifier of a mel's content and voice, trained on recordings and used on what a model generates.

One network predicts the k-means code of every frame, which stands for the phone; the other the speaker. Their only
input is the mel: the units, which the model was given, cannot influence them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 96


class MelClassifier(nn.Module):
    """Two convolutional networks over a mel, each of which sees 9 frames (100 ms).

    Args:
        bins: of the mel, normalised to deviation 1.
        codes, voices: how many classes there are.
    """

    def __init__(self, bins: int, codes: int, voices: int):
        super().__init__()
        self.sound = self._features(bins)
        self.voice = self._features(bins)
        self.to_code, self.to_voice = nn.Conv1d(WIDTH, codes, 1), nn.Conv1d(WIDTH, voices, 1)

    @staticmethod
    def _features(bins: int) -> nn.Sequential:
        first, second = nn.Conv1d(bins, WIDTH, 5, padding=2), nn.Conv1d(WIDTH, WIDTH, 5, padding=2)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised mel (B, bins, M) -> logits of codes (B, codes, M) and of voices (B, voices, M)."""
        return self.to_code(self.sound(x)), self.to_voice(self.voice(x))

    def loss(self, x: Tensor, codes: Tensor, voice: Tensor, mask: Tensor) -> Tensor:
        """Mean cross-entropy of both over the frames of mask, float (B, M): codes int64 (B, M), voice int64 (B,)."""
        code_logits, voice_logits = self(x)
        voices = voice[:, None].expand_as(codes)
        error = F.cross_entropy(code_logits, codes, reduction="none")
        error = error + F.cross_entropy(voice_logits, voices, reduction="none")
        return (error * mask).sum() / mask.sum()
