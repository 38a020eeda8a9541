"""The parts of an encoder: its settings, its network on one device, and the error of loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...common.errors import SvcError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class EncoderError(SvcError, ValueError):
    """An encoder cannot be loaded, or is not what was expected. The message says what to do."""


@dataclass(frozen=True)
class Recommended:
    """The defaults that an encoder recommends: `svc_recommended` in its config.json.

    Attributes:
        layer: the layer whose states are compared if nothing is trained; None: the middle one.
        retrieve: share of each unit that is taken from the target's own units, 0 to 1.
        real_voices: whether it is accurate enough for recordings of people.
    """

    layer: int | None = None
    retrieve: float = 0.5
    real_voices: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.retrieve <= 1:
            raise ValueError(f"retrieve must lie in 0..1, not {self.retrieve}")


@dataclass(frozen=True)
class EncoderSettings:
    """How an encoder is called and where it computes.

    Attributes:
        name: as the user called it.
        origin: where to find it again from any folder: a hub id, a short name, or an absolute path.
        device: where its networks compute.
        precision: in which arithmetic: fp32, bf16 or fp16.
        recommended: how it is best used.
    """

    name: str
    origin: str
    device: str | torch.device = "cpu"
    precision: str = "fp32"
    recommended: Recommended = Recommended()


class Network(Protocol):
    """An encoder's network on one device in one dtype.

    `bytes_per_sample` bounds the memory that it needs for a sample of a batch, beside its weights.
    """

    bytes_per_sample: float

    def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of a batch. The result for a clip must not depend on the other clips of the batch.

        Args:
            wavs: float32 [B, T] at 16 kHz on the network's device, zero beyond each clip's length.
            lengths: int64 [B] on the CPU, samples, at least 320 each, so that decisions by length do not wait for the
                device.
            layers: at least one; 0 is the transformer's input, i the output of its layer i.

        Returns:
            For each layer [B, >= max(lengths) // 320, hidden_size] in the network's dtype. Of row b the first
            lengths[b] // 320 frames are the clip's.
        """
        ...
