"""Whisper's encoder (Radford et al., 2022, arXiv 2212.04356): trained on transcripts, so it keeps words well.

Whisper was trained on windows of exactly 30 s, the rest of a window being silence, and encodes absolute positions.
Most of a window's cost is silence for the clips of a few seconds that singing is cut into, so a clip here is followed
by `SILENCE_SECONDS` of silence only. docs/encoders.md has the effect, and the reason for the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.config_fields import Check, activation, whole
from ..checkpoints.model_folder import ModelFolder
from ..frames import CONTENT_HOP, CONTENT_RATE, UNIT_RATE
from ..full_precision import full_precision
from .convolutions import placed
from .network import EncoderSettings, Network
from .transformers_encoder import MOST_LAYERS, MOST_WIDTH, TransformersEncoder
from .waveform_transformer import Beyond, first

SILENCE_SECONDS = 2.0
FFT, MEL_HOP = 400, 160  # samples at 16 kHz; two mel frames make one frame of the encoder
LOWEST_LOG10, RANGE_LOG10 = -10.0, 8.0  # of the power in a mel band: the floor, and how far below the loudest is kept


class Whisper(TransformersEncoder):
    """The encoder of a Whisper of any size. Layer 0 is the convolutions with positions; the last one is normed."""

    model_type = "whisper"
    short_names: ClassVar[Mapping[str, str]] = {
        "whisper": "openai/whisper-base",
        "whisper-tiny": "openai/whisper-tiny",
        "whisper-small": "openai/whisper-small",
        "whisper-medium": "openai/whisper-medium",
        "whisper-large": "openai/whisper-large-v3",
    }
    selected_default: ClassVar[int] = -1
    fields: ClassVar[Mapping[str, Check]] = {
        "d_model": whole(1, MOST_WIDTH),
        "encoder_layers": whole(1, MOST_LAYERS),
        "encoder_attention_heads": whole(1, MOST_WIDTH),
        "encoder_ffn_dim": whole(1, MOST_WIDTH),
        "num_mel_bins": whole(1, 1024),
        "max_source_positions": whole(1, MOST_WIDTH),
        "activation_function": activation,
    }
    prefixes: ClassVar[tuple[str, ...]] = ("model.", "encoder.")

    def __init__(self, model: Any, settings: EncoderSettings, silence: int = round(SILENCE_SECONDS * UNIT_RATE)):
        """`model` is a transformers `WhisperEncoder`, `silence` the frames of silence after a clip."""
        self.silence = silence
        config = model.config
        super().__init__(model, settings, hidden_size=int(config.d_model), layers=int(config.encoder_layers), head=None)

    @classmethod
    def classes(cls) -> tuple[type[Any], type[Any]]:
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperConfig, WhisperEncoder

    @classmethod
    def from_folder(cls, folder: ModelFolder, settings: EncoderSettings) -> Self:
        return cls(cls.read_model(folder), settings)

    @classmethod
    def default_layers(cls, count: int) -> tuple[int, ...]:
        """Layers at a half and at two thirds: 3 and 4 of Whisper base's 6. Later ones depend on the position in the
        window, and keep fewer words (docs/encoders.md).
        """
        return tuple(sorted({max(1, round(count / 2)), max(1, round(count * 2 / 3))}))

    @property
    def most_samples(self) -> int:  # samples at the end without a frame do not count
        return int(self.model.config.max_source_positions + 1) * CONTENT_HOP - 1

    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        return WhisperNetwork(self.model, self.silence, device, dtype)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "silence": self.silence}


class WhisperNetwork:
    """A transformers `WhisperEncoder` that computes in `dtype` on `device`, on windows as long as each clip needs."""

    def __init__(self, model: Any, silence: int, device: torch.device, dtype: torch.dtype):
        from transformers.audio_utils import mel_filter_bank

        config = model.config
        self.silence, self.most, self.device, self.dtype = silence, int(config.max_source_positions), device, dtype
        self.model = placed(model, device, dtype)
        bank = mel_filter_bank(FFT // 2 + 1, config.num_mel_bins, 0.0, 8000.0, CONTENT_RATE, "slaney", "slaney")
        self.bank = torch.from_numpy(bank).to(device, torch.float32)  # [FFT / 2 + 1, mel]
        self.window = torch.hann_window(FFT, device=device)
        # A frame's most bytes, of a window twice as long as the clip: states, one layer's own, and the spectra.
        frame = (8 * config.encoder_layers + 64) * config.d_model + 8 * config.encoder_ffn_dim + 32 * FFT
        self.bytes_per_sample = 2 * frame / CONTENT_HOP

    @torch.inference_mode()
    def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """As `Network` says."""
        frames = (lengths // CONTENT_HOP + self.silence).clamp(max=self.most)
        most = min(wavs.shape[1] // CONTENT_HOP + self.silence, self.most)
        mask = Beyond(frames, most, self.device).attention_mask(self.dtype)
        with full_precision():
            x = self.convolved(*self.log_mel(wavs, 2 * frames.to(self.device, non_blocking=True), 2 * most))
            x = x + self.model.embed_positions.weight[:most]
            states = {0: x}
            for number, layer in enumerate(self.model.layers[: max(layers)], 1):
                states[number] = first(layer(states[number - 1], attention_mask=mask))
                if number - 1 not in layers:
                    del states[number - 1]
            if (last := len(self.model.layers)) in states:
                states[last] = self.model.layer_norm(states[last])
        return {layer: states[layer] for layer in layers}

    def log_mel(self, wavs: Tensor, frames: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """transformers' WhisperFeatureExtractor, with mel frame j centred at (j + 1) * 160 samples.

        Two mel frames make a frame of the encoder, centred on the first of them; starting one hop late puts frame i at
        (i + 0.5) * 20 ms.

        Args:
            wavs: float32 [B, T], zero beyond each clip.
            frames: int64 [B], mel frames of each window.
            most: mel frames of the longest.

        Returns:
            float32 [B, mel, most], zero beyond each window, and bool [B, 1, most], set within.
        """
        before = FFT // 2 - MEL_HOP
        wavs = F.pad(wavs, (before, max(0, (most - 1) * MEL_HOP + FFT - before - wavs.shape[1])))
        spectrum = torch.stft(wavs, FFT, MEL_HOP, window=self.window, center=False, return_complex=True)
        power = spectrum[..., :most].abs().square()
        log = (power.mT @ self.bank).clamp(min=10**LOWEST_LOG10).log10().mT
        own = (torch.arange(most, device=self.device) < frames[:, None])[:, None]
        loudest = log.masked_fill(~own, LOWEST_LOG10).amax((1, 2), keepdim=True)
        return (torch.maximum(log, loudest - RANGE_LOG10) + 4) / 4 * own, own

    def convolved(self, mel: Tensor, own: Tensor) -> Tensor:
        """The two convolutions: float32 [B, mel, 2 U], zero where bool [B, 1, 2 U] is not set -> `dtype` [B, U, C]."""
        x = F.gelu(self.model.conv1(mel.to(self.dtype))) * own
        return F.gelu(self.model.conv2(x)).mT
