"""What each checkpoint of a run says about itself, as typed records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .settings import VocoderSettings


@dataclass(frozen=True)
class UnitsRecord:
    """units.safetensors: how well the soft projection predicts the codes of held-out utterances.

    Attributes:
        codes: number of k-means clusters.
        accuracy, loss: share of held-out frames whose code is predicted, and the cross-entropy; None for units that are
            not trained on codes.
        chance: the accuracy of always predicting the commonest code.
        seconds: that training took.
    """

    codes: int
    accuracy: float | None
    loss: float | None
    chance: float
    seconds: float


@dataclass(frozen=True)
class BestRecord:
    """best.safetensors: the step of the weights, their conversion score, and their loss on held-out crops."""

    step: int = 0
    score: float = -1.0
    loss: float | None = None


@dataclass(frozen=True)
class LastRecord:
    """last.safetensors: the step that training has reached, and the best checkpoint so far."""

    step: int
    best: BestRecord = field(default_factory=BestRecord)


@dataclass(frozen=True)
class VocoderRecord:
    """vocoder.safetensors and vocoder-last.safetensors.

    Attributes:
        settings: of the training.
        mel: settings of the mel that it was trained on.
        step: that training has reached.
        mel_error, untrained_mel_error: mean |difference| in ln mel on held-out crops, now and before training.
    """

    kind: Literal["svc own vocoder"]
    settings: VocoderSettings
    mel: dict[str, Any]
    step: int
    mel_error: float | None = None
    untrained_mel_error: float | None = None


@dataclass(frozen=True)
class NoRecord:
    """A checkpoint that says nothing about itself."""
