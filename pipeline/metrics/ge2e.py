"""Speaker embeddings by GE2E (Wan et al., 2018, arXiv 1710.10467), with the weights of the Resemblyzer package.

Resemblyzer (Apache-2.0) carries the weights of CorentinJ's encoder. Its code needs librosa, and a webrtcvad that is
compiled when it is installed; so this module computes the same over torch: three LSTM layers over a 40-band mel, the
last state through a linear layer and a ReLU, scaled to length 1. Before that silence is cut out by WebRTC's voice
activity detection (from the package webrtcvad-wheels).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from ...common.errors import SvcError
from ..audio import resample
from ..checkpoints.torch_file import read_checkpoint_file

RATE = 16_000  # Hz
BANDS, WINDOW, HOP = 40, 400, 160  # mel bands; samples
WIDTH, LAYERS = 256, 3
PARTIAL, PARTIAL_STEP = 160, 77  # mel frames of a partial utterance (1.6 s), and from one to the next (1.3 a second)
COVERAGE = 0.75  # of the last partial utterance that must lie within the signal
LEVEL_DBFS = -30.0  # softer recordings are amplified to this

VAD_WINDOW = 480  # samples, 30 ms
VAD_MODE = 3  # WebRTC's strictest
VAD_SMOOTHED, VAD_KEPT = 8, 7  # windows that a decision is averaged over, and that speech is extended to

Samples = NDArray[np.float32]


class LstmEncoder(nn.Module):
    """Resemblyzer's network: mel power (B, 160, 40) -> embeddings (B, 256), non-negative, of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, mels: Tensor) -> Tensor:
        """Mel power (B, 160, 40) -> embeddings (B, 256) of length 1."""
        hidden: Tensor = self.lstm(mels)[1][0][-1]
        return nn.functional.normalize(self.linear(hidden).relu(), dim=1)


class GE2E:
    """The speaker encoder of Resemblyzer.

    Args:
        weights: its `pretrained.pt`; None finds that of the installed package.

    Raises:
        SvcError: no weights are there, the file holds others, or voice activity detection is missing.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu"):
        if (path := weights or packaged_weights()) is None:
            raise SvcError(
                "speaker similarity needs the weights in the package Resemblyzer, which is not installed",
                "pip install --no-deps Resemblyzer (what else it would install is not needed)",
            )
        if find_spec("webrtcvad") is None:
            raise SvcError("speaker similarity needs voice activity detection", "pip install webrtcvad-wheels")
        self.source, self.device, self.network = "Resemblyzer", device, LstmEncoder()
        try:
            tensors = read_checkpoint_file(path)["model_state"]
            self.network.load_state_dict({name: tensors[name] for name in self.network.state_dict()})
        except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
            raise SvcError(f"{path} does not hold the weights of Resemblyzer: {error}") from error
        self.network.to(device).eval().requires_grad_(False)

    def embed(self, wav: Samples, rate: int) -> NDArray[np.float64]:
        """The embedding of one utterance, float32 (T,) at `rate` Hz: (256,), of length 1.

        The same as Resemblyzer's `embed_utterance(preprocess_wav(wav))`: softer recordings are amplified to LEVEL_DBFS,
        silence is cut out, and the embeddings of the partial utterances are averaged.
        """
        signal = without_silence(amplified(resample(wav, rate, RATE)))
        starts = partial_starts(len(signal))
        signal = np.pad(signal, (0, max(0, (starts[-1] + PARTIAL) * HOP - len(signal))))
        mels = mel_power(torch.from_numpy(signal))
        with torch.inference_mode():
            parts = self.network(torch.stack([mels[start : start + PARTIAL] for start in starts]).to(self.device))
        mean = parts.double().mean(0).cpu().numpy()
        return np.asarray(mean / np.linalg.norm(mean))


def packaged_weights() -> Path | None:
    """`pretrained.pt` of the installed Resemblyzer, found without importing it; None where it is not installed."""
    found = find_spec("resemblyzer")
    folders = found.submodule_search_locations if found else None
    paths = [Path(folder) / "pretrained.pt" for folder in folders or ()]
    return next((path for path in paths if path.is_file()), None)


def mel_power(wav: Tensor) -> Tensor:
    """Mel power spectrogram as librosa's defaults have it: float32 (T,) at 16 kHz -> float32 (T // 160 + 1, 40).

    Periodic Hann window of 400 samples, frames centred at multiples of 160, zeros beyond both ends, Slaney scale and
    norm, 0 to 8000 Hz.
    """
    spectrum = torch.stft(wav, WINDOW, HOP, window=torch.hann_window(WINDOW), pad_mode="constant", return_complex=True)
    filters = melscale_fbanks(WINDOW // 2 + 1, 0.0, RATE / 2, BANDS, RATE, norm="slaney", mel_scale="slaney")
    return spectrum.abs().square().T @ filters


def partial_starts(samples: int) -> list[int]:
    """The mel frames at which the partial utterances of a signal of that many samples begin; at least one.

    They are PARTIAL_STEP apart; the last is left out if less than COVERAGE of it lies within the signal.
    """
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - PARTIAL + PARTIAL_STEP + 1), PARTIAL_STEP))
    covered = (samples - starts[-1] * HOP) / (PARTIAL * HOP)
    return starts[:-1] if covered < COVERAGE and len(starts) > 1 else starts


def amplified(wav: Samples) -> Samples:
    """The signal (T,), at an RMS of at least LEVEL_DBFS."""
    level = 10 * np.log10(float(np.mean(np.square(wav, dtype=np.float64))) + 1e-12)
    return np.asarray(wav * 10 ** (max(0.0, LEVEL_DBFS - level) / 20), np.float32)


def without_silence(wav: Samples) -> Samples:
    """The signal (T,) at 16 kHz without the parts that WebRTC's detector classifies as no speech; all of it if nothing
    is speech.

    A decision is made every 30 ms, averaged over 8 of them, and speech is extended to 7.
    """
    import webrtcvad

    whole = wav[: len(wav) - len(wav) % VAD_WINDOW]
    windows = np.round(np.clip(whole, -1, 1) * 32_767).astype(np.int16).reshape(-1, VAD_WINDOW)
    detector = webrtcvad.Vad(VAD_MODE)
    speech = np.array([detector.is_speech(window.tobytes(), RATE) for window in windows], float)
    padded = np.pad(speech, ((VAD_SMOOTHED - 1) // 2, VAD_SMOOTHED // 2))
    mean = np.convolve(padded, np.ones(VAD_SMOOTHED) / VAD_SMOOTHED, "valid") if len(speech) else speech
    kept = binary_dilation(np.round(mean).astype(bool), np.ones(VAD_KEPT))
    return whole[np.repeat(kept, VAD_WINDOW)] if kept.any() else wav
