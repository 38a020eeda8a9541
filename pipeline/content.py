"""What is being said, whoever says it: the hidden states of a frozen HuBERT (Hsu et al., 2021, arXiv 2106.07447).

The encoder is a Hugging Face `HubertModel` of any size. A clip's features do not depend on what it was batched
with: padded samples are masked in attention, and the group norm of the first convolution, whose statistics run
over time, counts only the clip's own frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import Encoder, EncoderError, load_encoder
from .frames import CONTENT_HOP, CONTENT_PAD, CONTENT_RATE, unit_frames


class MaskedGroupNorm(nn.Module):
    """GroupNorm with one group a channel, over each clip's own frames only.

    `valid` (B,) is set before every pass: how many frames of each row are the clip's. [B, C, T] -> [B, C, T].
    """

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.valid: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        assert self.valid is not None, "set `valid` before every pass"
        mask = (torch.arange(x.shape[-1], device=x.device) < self.valid[:, None])[:, None]
        count = self.valid[:, None, None].to(x.dtype)
        mean = (x * mask).sum(-1, keepdim=True) / count
        variance = ((x - mean).square() * mask).sum(-1, keepdim=True) / count
        y = (x - mean) * torch.rsqrt(variance + self.eps)
        return (y * self.weight[:, None] + self.bias[:, None]) * mask


class Content(nn.Module):
    """A frozen HuBERT: waveforms in, hidden states out.

    `name` is how the user called it, `fingerprint` the sha256 of its weights whatever file they came from,
    `hidden_size` the width of a hidden state and `layers` how many transformer layers there are.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        model = encoder.model
        self.name, self.origin, self.normalize = encoder.name, encoder.origin, encoder.normalize
        self.fingerprint = weights_hash(model)
        self.hidden_size = int(model.config.hidden_size)
        self.layers = int(model.config.num_hidden_layers)
        self.model = model.eval().requires_grad_(False)
        self.group_norm: MaskedGroupNorm | None = None
        if model.config.feat_extract_norm == "group":
            first = model.feature_extractor.conv_layers[0]
            first.layer_norm = self.group_norm = MaskedGroupNorm(first.layer_norm)

    @classmethod
    def load(cls, name: str, device: str | torch.device = "cpu") -> Content:
        """The encoder of that short name, hub id or path. Raises EncoderError as `load_encoder` does."""
        return cls(load_encoder(name)).to(device)

    def hidden(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of a batch of clips.

        Args:
            wavs: float32 [B, T] at 16 kHz, each row zero beyond its length.
            lengths: int64 [B], samples, at least 320 each.
            layers: 0 is the projected convolutions, i the output of transformer layer i.

        Returns:
            For each layer float32 [B, max(lengths) // 320, hidden_size]. Row b is valid for lengths[b] // 320 frames.
        """
        self.check_layers(layers)
        device = next(self.model.parameters()).device
        wavs, lengths = wavs.to(device), lengths.to(device)
        valid = torch.arange(wavs.shape[1], device=device) < lengths[:, None]
        if self.normalize:
            # transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm, over the clip's own samples
            count = lengths[:, None].to(wavs.dtype)
            centred = (wavs - (wavs * valid).sum(1, keepdim=True) / count) * valid
            wavs = centred / torch.sqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)
        wavs = F.pad(wavs * valid, (CONTENT_PAD, CONTENT_PAD))
        padded = lengths + 2 * CONTENT_PAD
        mask = torch.arange(wavs.shape[1], device=device) < padded[:, None]
        if self.group_norm is not None:
            kernel, stride = self.model.config.conv_kernel[0], self.model.config.conv_stride[0]
            self.group_norm.valid = (padded - kernel) // stride + 1
        with torch.inference_mode():
            # One clip alone needs no attention mask, and attends faster without.
            attention_mask = mask.long() if len(wavs) > 1 else None
            out = self.model(wavs, attention_mask=attention_mask, output_hidden_states=True)
        # For stable layer norm, whether hidden_states[-1] is normed differs between releases of transformers.
        return {k: out.last_hidden_state if k == self.layers else out.hidden_states[k] for k in layers}

    def encode(self, wav: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of one clip. float32 (T,) at 16 kHz -> for each layer float32 (T // 320, hidden_size)."""
        hidden = self.hidden(wav[None], torch.tensor([len(wav)]), layers)
        assert all(h.shape[1] == unit_frames(len(wav)) for h in hidden.values())
        return {layer: states[0] for layer, states in hidden.items()}

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
