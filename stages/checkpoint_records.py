"""The metadata of each checkpoint of a run, as typed records."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from . import checkpoint
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
    """best.safetensors: the step of the weights, their conversion score, and their loss on held-out crops.

    `highest` is the highest score of any step until then: svc 0.1 did not record it, and used the weights with the
    highest score.
    """

    step: int = 0
    score: float = -1.0
    loss: float | None = None
    highest: float = -1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "highest", max(self.highest, self.score))


@dataclass(frozen=True)
class LastRecord:
    """last.safetensors and vocoder-last.safetensors: the state from which training continues.

    Attributes:
        step: that training has reached.
        best: the best weights so far.
        validated: the step of the last validation; None: `step` (svc 0.1 wrote checkpoints after validations only).
        line: the results of that validation, if it was at `step`.
        task: the description of the trained task.
    """

    step: int
    best: BestRecord = field(default_factory=BestRecord)
    validated: int | None = None
    line: dict[str, float] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VocoderRecord:
    """vocoder.safetensors; of svc 0.1 also vocoder-last.safetensors.

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


def read_last(path: Path) -> tuple[dict[str, Tensor], LastRecord]:
    """Read a checkpoint to resume from, also a vocoder's of svc 0.1. Raises UserError as `checkpoint.load_record`."""
    if "kind" not in checkpoint.load(path)[1]:
        return checkpoint.load_record(path, LastRecord)
    tensors, old = checkpoint.load_record(path, VocoderRecord)
    task = {"settings": asdict(old.settings), "untrained_mel_error": old.untrained_mel_error}
    return tensors, LastRecord(old.step, BestRecord(old.step, 0.0, old.mel_error), task=task)
