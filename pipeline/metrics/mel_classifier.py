"""Who sings what, told from the mel alone: judges for what a model makes, trained on what was recorded.

Both look at a short stretch of the mel. One tells the k-means code at every frame, which stands for the sound sung; the
other the voice. They never see units, so a model cannot please them but by its mel.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 96


class MelClassifier(nn.Module):
    """Codes and voices of a mel.

    Args:
        bins: of the mel, normalised to deviation 1.
        codes, voices: how many there are.
    """

    def __init__(self, bins: int, codes: int, voices: int):
        super().__init__()
        self.sound = self._ears(bins)
        self.voice = self._ears(bins)
        self.to_code, self.to_voice = nn.Conv1d(WIDTH, codes, 1), nn.Conv1d(WIDTH, voices, 1)

    @staticmethod
    def _ears(bins: int) -> nn.Sequential:
        """Sees 9 frames, 100 ms."""
        first, second = nn.Conv1d(bins, WIDTH, 5, padding=2), nn.Conv1d(WIDTH, WIDTH, 5, padding=2)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised mel (B, bins, M) -> logits of codes (B, codes, M) and of voices (B, voices, M)."""
        return self.to_code(self.sound(x)), self.to_voice(self.voice(x))

    def loss(self, x: Tensor, codes: Tensor, voice: Tensor, mask: Tensor) -> Tensor:
        """Cross-entropy of both over the frames of mask (B, M): codes int64 (B, M), voice int64 (B,)."""
        said, who = self(x)
        voices = voice[:, None].expand_as(codes)
        error = F.cross_entropy(said, codes, reduction="none") + F.cross_entropy(who, voices, reduction="none")
        return (error * mask).sum() / mask.sum()
