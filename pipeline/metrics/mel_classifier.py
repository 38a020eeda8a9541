"""A classifier of content and speaker from the mel alone, to measure what an acoustic model generates.

It is trained on recordings. The input of both networks is a short part of the mel: one predicts the k-means code of
every frame, which stands for the sound; the other predicts the speaker. Units are no input of either, so the score
depends on the mel only.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 96
OLD_STATE_NAMES = {"sound": "content", "voice": "speaker", "to_code": "to_code", "to_voice": "to_speaker"}  # svc 0.1


class MelClassifier(nn.Module):
    """Predicts codes and speakers from mels.

    Args:
        bins: mel bins, each normalised to deviation 1.
        codes, speakers: numbers of classes.
    """

    def __init__(self, bins: int, codes: int, speakers: int):
        super().__init__()
        self.content = self._body(bins)
        self.speaker = self._body(bins)
        self.to_code, self.to_speaker = nn.Conv1d(WIDTH, codes, 1), nn.Conv1d(WIDTH, speakers, 1)

    @staticmethod
    def _body(bins: int) -> nn.Sequential:
        """Spans 9 frames, 100 ms."""
        first, second = nn.Conv1d(bins, WIDTH, 5, padding=2), nn.Conv1d(WIDTH, WIDTH, 5, padding=2)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised mel (B, bins, M) -> logits of codes (B, codes, M) and of speakers (B, speakers, M)."""
        return self.to_code(self.content(x)), self.to_speaker(self.speaker(x))

    def loss(self, x: Tensor, codes: Tensor, speaker: Tensor, mask: Tensor) -> Tensor:
        """The sum of both cross-entropies, averaged over the frames of the mask: a scalar.

        x float (B, bins, M), codes int64 (B, M), speaker int64 (B,), mask float (B, M).
        """
        code_logits, speaker_logits = self(x)
        speakers = speaker[:, None].expand_as(codes)
        error = F.cross_entropy(code_logits, codes, reduction="none")
        error = error + F.cross_entropy(speaker_logits, speakers, reduction="none")
        return (error * mask).sum() / mask.sum()
