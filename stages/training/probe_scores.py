"""Scores of converted mels without a recording of the true result."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pipeline.griffin_lim import griffin_lim
from ...pipeline.metrics.cepstra import cepstrum
from ...pipeline.pitch import pitch
from ...pipeline.pitch.settings import PitchSettings
from ...store import Clip
from .conversion_tasks import FRAMES

NEAR_CENTS = 50
PIECE_FRAMES = 43  # mel frames that are classified together, 0.5 s
VARIANCE_CLIPS = 20  # of a speaker, for its variance, at most


@dataclass(frozen=True)
class ProbeScores:
    """Results of the conversion probe, each a share in 0..1.

    Attributes:
        content: of frames that are classified as the source's k-means code.
        speaker: of half-second pieces that are classified as the target speaker.
        pitch: of the frames with a target f0 whose f0 is within 50 cents of it.
        variance: the smaller over the larger of the mel-cepstra's variance over time and that of the speaker's
            recordings.
    """

    content: float
    speaker: float
    pitch: float
    variance: float

    def relative_to(self, recorded: ProbeScores) -> ProbeScores:
        """As shares of what recordings score, at most 1."""
        pairs = zip(asdict(self).values(), asdict(recorded).values(), strict=True)
        return ProbeScores(*(min(1.0, own / max(theirs, 1e-3)) for own, theirs in pairs))

    @property
    def score(self) -> float:
        """The geometric mean."""
        return float(np.prod([max(value, 1e-6) for value in asdict(self).values()]) ** 0.25)


def content_share(logits: Tensor, codes: Tensor, mask: Tensor) -> float:
    """Share of frames whose likeliest code is right: logits (B, codes, M), codes int64 (B, M), mask bool (B, M)."""
    return float((logits.argmax(1) == codes)[mask].float().mean())


def speaker_pieces(logits: Tensor, speaker: int) -> list[float]:
    """1 for each half-second piece whose likeliest speaker is `speaker`, else 0: logits (speakers, M)."""
    pieces = logits.log_softmax(0).split(PIECE_FRAMES, dim=1)
    return [float(piece.sum(1).argmax() == speaker) for piece in pieces if piece.shape[1] == PIECE_FRAMES]


def pitch_matches(mel: NDArray[np.float32], f0: NDArray[np.float32], settings: PitchSettings) -> tuple[int, int]:
    """How many frames of a mel (M, bins) are within 50 cents of f0 (M,), and how many have a target f0."""
    found = pitch.track(griffin_lim(torch.from_numpy(mel)).numpy(), settings)
    return int((pitch.cents_off(found, f0) <= NEAR_CENTS).sum()), int((f0 > 0).sum())


def variance_ratio(mel: NDArray[np.float32], recorded: Tensor) -> float:
    """The smaller over the larger of a mel's cepstral variances (M, bins) and a speaker's, as a geometric mean."""
    ratio = float((cepstrum(torch.from_numpy(mel)).var(0) / recorded).log().mean().exp())
    return min(ratio, 1 / ratio)


def recorded_variance(clips: list[Clip]) -> Tensor:
    """The mean variance over time of the mel-cepstra of recordings: (24,)."""
    mels = [torch.from_numpy(clip.mel.astype(np.float32)) for clip in clips[:VARIANCE_CLIPS] if clip.row.mel_frames > 1]
    pieces = [part for mel in mels for part in mel.split(FRAMES) if len(part) > FRAMES // 2 or len(mel) < FRAMES]
    return torch.stack([cepstrum(part).var(0) for part in pieces]).mean(0).clamp(min=1e-6)
