"""The forward pass of a HuBERT over a batch of clips, in one precision on one device, as far as it is asked for.

The weights and the transformer's layers are those of a transformers `HubertModel`, which stays as it was. A clip's
result does not depend on what it is batched with, and any number of threads may pass at the same time.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..frames import CONTENT_HOP, CONTENT_PAD
from .convolutions import FrameConvolutions, PositionalConvolution

BLOCK = {"cpu": 16_000, "cuda": 1 << 20}  # samples convolved at a time


class Hubert:
    """A transformers `HubertModel` that computes in `dtype` on `device`, and shares its layers where it can.

    Norms take their statistics, and attention its softmax, in float32 whatever the dtype; a group norm in float64.
    """

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype):
        self.device, self.dtype = device, dtype
        self.convolutions = FrameConvolutions(model.feature_extractor, device, dtype, BLOCK[device.type])
        self.position = PositionalConvolution(model.encoder.pos_conv_embed, device)
        self.projection = self._here(model.feature_projection)
        self.norm = self._here(model.encoder.layer_norm)
        self.norm_is_last = bool(model.config.do_stable_layer_norm)
        self.layers = self._here(model.encoder.layers)
        # A frame's most bytes: every layer's state in `dtype` and float32, one layer's own, and the position's spectra.
        config = model.config
        frame = (8 * len(self.layers) + 64) * config.hidden_size + 8 * config.intermediate_size
        self.bytes_per_sample = frame / CONTENT_HOP

    def _here(self, module: Any) -> Any:
        if all((weight.device, weight.dtype) == (self.device, self.dtype) for weight in module.parameters()):
            return module
        return copy.deepcopy(module).to(self.device, self.dtype)

    @torch.inference_mode()
    def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of a batch of clips, computed up to the deepest layer asked for.

        Args:
            wavs: float32 [B, T] at 16 kHz on the device, zero beyond each clip's length.
            lengths: int64 [B] on the device, samples, at least 400 each.
            layers: 0 is the projected convolutions, i the output of transformer layer i.

        Returns:
            For each layer `dtype` [B, (T - 80) // 320, hidden_size]; of row b (lengths[b] - 80) // 320 are the clip's.
        """
        with full_precision():
            x = self.projection(self.convolutions(wavs, lengths))
            frames = (lengths - 2 * CONTENT_PAD) // CONTENT_HOP
            beyond = torch.arange(x.shape[1], device=self.device) >= frames[:, None]
            x = x.masked_fill(beyond[..., None], 0)
            x = x + self.position(x).to(self.dtype)
            if not self.norm_is_last:
                x = self.norm(x)
            mask = None
            if beyond.any():  # clips of one length attend faster without
                lowest = torch.finfo(self.dtype).min
                mask = torch.zeros_like(beyond, dtype=self.dtype).masked_fill(beyond, lowest)[:, None, None]
            states = {0: x}
            for number, layer in enumerate(self.layers[: max(layers)], 1):
                states[number] = x = tensor(layer(x, attention_mask=mask))
                if number - 1 not in layers:
                    del states[number - 1]
            # With stable layer norm the last state is the normed one; transformers' hidden_states[-1] may not be.
            if self.norm_is_last and len(self.layers) in states:
                states[len(self.layers)] = self.norm(x)
            return {layer: states[layer] for layer in layers}


def tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """What a layer hands on: transformers 5.0 wraps it in a tuple."""
    return output if isinstance(output, Tensor) else output[0]


_backends: Any = torch.backends
PRODUCTS = (  # what PyTorch lets a process compute in less than float32
    _backends.cuda.matmul,
    _backends.cudnn.conv,
    _backends.mkldnn.matmul,
    _backends.mkldnn.conv,
)
_lock = threading.Lock()
_inside = 0  # passes under way in any thread
_before: list[str] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 is float32 within, neither TF32 nor bfloat16, whatever the process is set to.

    The settings are the process's: the first pass to begin changes them, the last to end puts them back.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = [product.fp32_precision for product in PRODUCTS]
            for product in PRODUCTS:
                product.fp32_precision = "ieee"
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for product, precision in zip(PRODUCTS, _before, strict=True):
                    product.fp32_precision = precision
