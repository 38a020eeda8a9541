"""What is being said, whoever says it: the hidden states of a frozen HuBERT (Hsu et al., 2021, arXiv 2106.07447).

The encoder is a Hugging Face `HubertModel` of any size. A clip's features do not depend on what it was batched
with, and any number of threads may ask for them at the same time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..frames import CONTENT_HOP, CONTENT_PAD, CONTENT_RATE, unit_frames
from .encoders import Encoder, EncoderError, load_encoder
from .hubert import Hubert

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_BUDGET = 12 * CONTENT_RATE  # samples; a larger batch costs a CPU more in padding than it saves in reading weights
CUDA_BUDGET = 20 * 60 * CONTENT_RATE  # samples; beyond that a GPU is busy, and results are only longer in coming
CUDA_SHARE = 0.6  # of the memory that is free

_lock = threading.Lock()  # for what every Content changes: its networks, and its count of clips redone


class ContentEncoder:
    """A frozen HuBERT: waveforms in, hidden states out.

    `name` is how the user called it, `fingerprint` the sha256 of its weights whatever file they came from,
    `hidden_size` the width of a hidden state and `layers` how many transformer layers there are. `model` has the
    weights, in float32 on the CPU; `head` is the soft projection that came with them, on `device` in float32. The
    network computes on `device` in `precision`. `budget` is how many samples of padded clips it is best given at a
    time, and `redone` how many clips were beyond the precision and were computed again in float32.
    """

    def __init__(self, encoder: Encoder, device: str | torch.device = "cpu", precision: str = "fp32"):
        """Raises ValueError for a precision that is none of `PRECISIONS`, EncoderError for a variant not known."""
        if precision not in PRECISIONS:
            raise ValueError(f"no precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
        if encoder.model.config.conv_pos_batch_norm:
            raise EncoderError(f"{encoder.name} has a batch norm (conv_pos_batch_norm), which is not supported")
        self.name, self.origin, self.normalize = encoder.name, encoder.origin, encoder.normalize
        self.device, self.precision = torch.device(device), precision
        self.model = encoder.model.eval().requires_grad_(False)
        self.fingerprint = weights_hash(self.model)
        self.hidden_size = int(self.model.config.hidden_size)
        self.layers = int(self.model.config.num_hidden_layers)
        self.head = None if encoder.head is None else encoder.head.to(self.device, torch.float32)
        self.redone = 0
        self._networks: dict[tuple[torch.device, torch.dtype], Hubert] = {}
        self.budget = self._budget()

    @classmethod
    def load(cls, name: str, device: str | torch.device = "cpu", precision: str = "fp32") -> ContentEncoder:
        """The encoder of that short name, hub id or path, to run on `device` in `precision`: fp32, bf16 or fp16.

        Raises EncoderError as `load_encoder` does, and ValueError for another precision.
        """
        return cls(load_encoder(name), device, precision)

    def hidden(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of a batch of clips.

        Args:
            wavs: float32 [B, T] at 16 kHz, whatever beyond each row's length.
            lengths: int64 [B], samples, at least 320 each.
            layers: 0 is the projected convolutions, i the output of transformer layer i.

        Returns:
            For each layer float32 [B, T // 320, hidden_size], on the device. Row b is valid for lengths[b] // 320
            frames.

        Raises:
            EncoderError: there is no such layer.
            torch.OutOfMemoryError: the batch is too large for the GPU.
        """
        return self._hidden(wavs, lengths, layers, self.device, PRECISIONS[self.precision])

    def encode_batch(self, wavs: Sequence[Tensor], layers: Sequence[int]) -> list[dict[int, Tensor]]:
        """Hidden states of clips, computed together: each exactly as if it were alone.

        A batch too large for the GPU is halved until it fits. A clip too long for the GPU is encoded on the CPU.

        Args:
            wavs: float32 (T,) each, at 16 kHz, at least 320 samples.
            layers: as in `hidden`.

        Returns:
            For each clip and layer float32 (T // 320, hidden_size), on the CPU.
        """
        if not wavs:
            return []
        try:
            return self._encode(wavs, layers, self.device, PRECISIONS[self.precision])
        except torch.OutOfMemoryError:
            pass  # and the failed pass's tensors are let go, which the exception held
        torch.cuda.empty_cache()
        if len(wavs) == 1:
            return self._encode(wavs, layers, torch.device("cpu"), torch.float32)
        half = len(wavs) // 2
        return self.encode_batch(wavs[:half], layers) + self.encode_batch(wavs[half:], layers)

    def encode(self, wav: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of one clip. float32 (T,) at 16 kHz -> for each layer float32 (T // 320, hidden_size)."""
        return self.encode_batch([wav], layers)[0]

    def _encode(
        self, wavs: Sequence[Tensor], layers: Sequence[int], device: torch.device, dtype: torch.dtype
    ) -> list[dict[int, Tensor]]:
        lengths = [len(wav) for wav in wavs]
        batch = torch.zeros(len(wavs), max(lengths), pin_memory=device.type == "cuda")
        for row, wav in zip(batch, wavs, strict=True):
            row[: len(wav)] = wav
        states = self._hidden(batch, torch.tensor(lengths), layers, device, dtype)
        here = {layer: state.cpu() for layer, state in states.items()}
        return [
            {layer: state[row, : unit_frames(length)] for layer, state in here.items()}
            for row, length in enumerate(lengths)
        ]

    @torch.inference_mode()
    def _hidden(
        self, wavs: Tensor, lengths: Tensor, layers: Sequence[int], device: torch.device, dtype: torch.dtype
    ) -> dict[int, Tensor]:
        self.check_layers(layers)
        if not layers:
            return {}
        wavs, lengths = wavs.to(device, non_blocking=True), lengths.to(device)
        own = torch.arange(wavs.shape[1], device=device) < lengths[:, None]
        wavs = wavs.masked_fill(~own, 0)
        if self.normalize:
            # transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm, over the clip's own samples
            count = lengths[:, None].to(wavs.dtype)
            centred = (wavs - wavs.sum(1, keepdim=True) / count) * own
            wavs = centred / torch.sqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)
        wavs = F.pad(wavs, (CONTENT_PAD, CONTENT_PAD))
        lengths = lengths + 2 * CONTENT_PAD
        states = self.network(device, dtype)(wavs, lengths, layers)
        if dtype == torch.float32:
            return states
        states = {layer: state.float() for layer, state in states.items()}
        finite = torch.stack([state.isfinite().flatten(1).all(1) for state in states.values()]).all(0)
        if len(beyond := (~finite).nonzero()[:, 0]):
            exact = self.network(device, torch.float32)(wavs[beyond], lengths[beyond], layers)
            for layer, state in states.items():
                state[beyond] = exact[layer]
            with _lock:
                self.redone += len(beyond)
        return states

    def network(self, device: torch.device, dtype: torch.dtype) -> Hubert:
        """The network there, in that precision; made when it is first asked for."""
        with _lock:
            if (device, dtype) not in self._networks:
                self._networks[device, dtype] = Hubert(self.model, device, dtype)
            return self._networks[device, dtype]

    def _budget(self) -> int:
        if self.device.type != "cuda":
            return CPU_BUDGET
        network = self.network(self.device, PRECISIONS[self.precision])
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(CPU_BUDGET, min(CUDA_BUDGET, int(CUDA_SHARE * free / network.bytes_per_sample)))

    def __getstate__(self) -> dict[str, Any]:
        # A copy makes its own networks, of its own weights. A weight norm cannot be pickled, but its state can.
        model = (type(self.model), self.model.config, self.model.state_dict())
        return {**self.__dict__, "model": model, "_networks": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kind, config, weights = state["model"]
        with torch.device("meta"):
            model = kind(config)
        model.load_state_dict(weights, assign=True)
        self.__dict__.update(state, model=model.eval().requires_grad_(False))

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raises EncoderError unless every layer exists."""
        if wrong := [layer for layer in layers if not 0 <= layer <= self.layers]:
            raise EncoderError(f"{self.name} has no layer {wrong[0]}: it has layers 0 to {self.layers}")

    def describe(self) -> dict[str, Any]:
        """What a store keeps of it, so that a render can check that it has the same."""
        return {
            "kind": "hubert",
            "sha256": self.fingerprint,
            "hidden_size": self.hidden_size,
            "layers": self.layers,
            "normalize": self.normalize,
            "sample_rate": CONTENT_RATE,
            "hop": CONTENT_HOP,
            "pad": CONTENT_PAD,
        }


def weights_hash(model: nn.Module) -> str:
    """sha256 over all weights in the model's own order, blind to their names and to the file they came from."""
    digests = []
    for tensor in model.state_dict().values():
        array = tensor.detach().cpu().contiguous()
        header = f"{array.dtype}{tuple(array.shape)}".encode()
        digests.append(hashlib.sha256(header + array.numpy().tobytes()).digest())
    return hashlib.sha256(b"".join(digests)).hexdigest()
