"""Clips of randomly drawn singers, whose phones are known, and real recordings, both at 16 kHz.

`mini` is trained on them (mini_training), and encoders are measured on them (probe_mini).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.fft import dct
from torchaudio.functional import melscale_fbanks

from ..pipeline import audio
from ..pipeline.frames import CONTENT_HOP, CONTENT_RATE, MEL_RATE, UNIT_RATE
from .singers import Score, Voice, draw_score, draw_voice, sing

LANGUAGES = ("en", "ko", "ja")
FIRST_PROBE_SEED = 900_000  # voices from here on are never trained on

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """Samples at 16 kHz, int16 (T,), and the phone of each frame, 50 a second, int64 (T // 320,)."""

    wav: NDArray[np.int16]
    labels: NDArray[np.int64]


def drawn(seed: int, seconds: float) -> tuple[Samples, Score]:
    """A drawn singer with a drawn phrase, sung or as quick and flat as speech, in any language and register.

    Returns:
        float32 (T,) at 44.1 kHz, and its score.
    """
    generator = np.random.default_rng([seed, 11])
    spoken = bool(generator.random() < 0.5)
    return draw_phrase(draw_voice(seed), spoken, seconds, seed, generator)


def draw_phrase(
    voice: Voice, spoken: bool, seconds: float, seed: int, generator: np.random.Generator
) -> tuple[Samples, Score]:
    """A drawn phrase by a voice, in any language and register, sung or as quick and flat as speech.

    Returns:
        float32 (T,) at 44.1 kHz, and its score.
    """
    score = draw_score(
        LANGUAGES[int(generator.integers(3))],
        seconds,
        seed,
        midi=voice.midi + generator.uniform(-7, 5) - 4 * spoken,
        reach=generator.uniform(1.5, 3) if spoken else generator.uniform(4, 9),
        pace=generator.uniform(0.13, 0.22) if spoken else generator.uniform(0.25, 0.55),
    )
    return sing(score, voice), score


def sing_clip(seed: int, seconds: float) -> Clip:
    """The clip of a drawn singer."""
    wav, score = drawn(seed, seconds)
    return Clip(_int16(at_16k(wav, MEL_RATE)), _labels(score))


def _labels(score: Score) -> NDArray[np.int64]:
    return score.unit_labels(int(score.samples / MEL_RATE * UNIT_RATE))


def at_16k(wav: Samples, rate: int) -> Samples:
    """float32 (T,) at `rate` Hz, at 16 kHz."""
    return np.asarray(soxr.resample(wav, rate, CONTENT_RATE), np.float32)


def read(path: Path) -> Samples:
    """A recording at 16 kHz: float32 (T,). Raises AudioError where it cannot be used."""
    found = audio.scan(path)
    return at_16k(audio.read(found, 0, found.frames), found.sample_rate)


def _int16(wav: Samples) -> NDArray[np.int16]:
    return (np.clip(wav, -1, 1) * 32767).astype(np.int16)


def mfcc(wav: Samples) -> Samples:
    """13 MFCCs with two differences of a clip at 16 kHz: float32 (T // 320, 39), frames as HuBERT's."""
    padded = F.pad(torch.from_numpy(wav), ((512 - CONTENT_HOP) // 2,) * 2)
    power = torch.stft(padded, 512, CONTENT_HOP, 400, torch.hann_window(400), center=False, return_complex=True)
    mel = melscale_fbanks(257, 20.0, 8000.0, 40, CONTENT_RATE).T @ power.abs().square()
    still = dct(mel.clamp(min=1e-8).log().T.numpy(), norm="ortho")[:, :13]
    first = np.gradient(still, axis=0)
    return np.concatenate([still, first, np.gradient(first, axis=0)], axis=1).astype(np.float32)
