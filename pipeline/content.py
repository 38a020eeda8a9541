"""What is being said, whoever says it: the hidden states of a frozen HuBERT (Hsu et al., 2021, arXiv 2106.07447).

The encoder is a Hugging Face `HubertModel` of any size. A clip's features do not depend on what it was batched
with: padded samples are masked in attention, and the group norm of the first convolution, whose statistics run
over time, counts only the clip's own frames.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .frames import CONTENT_HOP, CONTENT_PAD, CONTENT_RATE, unit_frames

HUB_NAMES = {
    "en": "facebook/hubert-base-ls960",
    "en-large": "facebook/hubert-large-ll60k",
    "ko": "team-lucid/hubert-base-korean",
    "ja": "rinna/japanese-hubert-base",
    "zh": "TencentGameMate/chinese-hubert-base",
    "contentvec": "lengyue233/content-vec-best",
}


class EncoderError(ValueError):
    """An encoder cannot be loaded, or is not what was expected. The message says what to do."""


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

    def __init__(self, model: Any, name: str, normalize: bool):
        super().__init__()
        self.name = name
        self.normalize = normalize
        self.fingerprint = weights_hash(model)
        self.hidden_size = int(model.config.hidden_size)
        self.layers = int(model.config.num_hidden_layers)
        self.model = model.eval().requires_grad_(False)
        self.group_norm: MaskedGroupNorm | None = None
        if model.config.feat_extract_norm == "group":
            first = model.feature_extractor.conv_layers[0]
            first.layer_norm = self.group_norm = MaskedGroupNorm(first.layer_norm)

    @property
    def origin(self) -> str:
        """Where to find it again, from any folder: a hub id, or an absolute path."""
        return str(Path(self.name).absolute()) if Path(self.name).is_dir() else HUB_NAMES.get(self.name, self.name)

    @classmethod
    def load(cls, name: str, device: str | torch.device = "cpu") -> Content:
        """Load by short name (`HUB_NAMES`), hub id or folder.

        Raises:
            EncoderError: it is not there, incomplete, or no HuBERT with a 20 ms hop.
        """
        from transformers import HubertConfig, HubertModel
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        source = HUB_NAMES.get(name, name)
        if name not in HUB_NAMES and looks_like_path(name) and not (Path(name) / "config.json").is_file():
            raise EncoderError(
                f"no encoder in {name}: expected a folder with config.json and model.safetensors, as a hub download "
                f"or save_pretrained makes it; or give a name ({', '.join(HUB_NAMES)}) or a hub id"
            )
        try:
            offline = Path(source).is_dir() or not _hub_is_reachable()
            config_dict, _ = HubertConfig.get_config_dict(source, local_files_only=offline)
            if config_dict.get("model_type") != "hubert":
                raise EncoderError(f"{name} is a {config_dict.get('model_type')!r} model; a 'hubert' model is needed")
            loaded: Any = HubertModel.from_pretrained(
                source, output_loading_info=True, dtype=torch.float32, local_files_only=offline
            )
        except EncoderError:
            raise
        except Exception as error:
            raise EncoderError(_why_missing(name, source, error)) from error
        model, info = loaded
        if missing := [key for key in info["missing_keys"] if key != "masked_spec_embed"]:
            raise EncoderError(f"the weights of {name} lack {len(missing)} tensors, {missing[0]} among them")
        if _hop(model.config) != CONTENT_HOP:
            raise EncoderError(f"{name} makes a frame every {_hop(model.config)} samples; {CONTENT_HOP} are expected")
        return cls(model, name, _normalizes(source, offline)).to(device)

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


def looks_like_path(name: str) -> bool:
    """Whether an encoder's name means a folder rather than a hub id such as `facebook/hubert-base-ls960`."""
    return os.path.sep * 2 in name or name.startswith((".", "/", "~")) or name.count("/") != 1 or Path(name).exists()


def _hop(config: Any) -> int:
    hop = 1
    for stride in config.conv_stride:
        hop *= stride
    return hop


def _hub_is_reachable() -> bool:
    """Asked first, because without a network the hub's client tries again for half a minute before it says so."""
    from huggingface_hub.constants import ENDPOINT

    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


def _normalizes(source: str, offline: bool) -> bool:
    """Whether the model was trained on clips of zero mean and unit variance: its preprocessor's do_normalize."""
    from transformers.utils.hub import cached_file

    found = cached_file(
        source,
        "preprocessor_config.json",
        local_files_only=offline,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return bool(json.loads(Path(found).read_text("utf-8")).get("do_normalize", True)) if found else True


def _why_missing(name: str, source: str, error: Exception) -> str:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if Path(source).exists():
        return f"the encoder in {name} cannot be loaded: {reason}"
    called = source if name == source else f"{name!r} ({source})"
    return (
        f"encoder {called} is not on this machine and could not be downloaded: {reason}\n"
        f"Where there is internet, fetch it with `hf download {source} --local-dir ENCODER`, "
        f"copy that folder here and give its path: --encoder ENCODER"
    )
