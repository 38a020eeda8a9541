"""Whether a conversion keeps the words: a classifier of phone groups is run on the song and on the result.

A small network labels every frame of both recordings with a group of phones (vowels by place, nasals, sibilants, ...)
rather than with a phone, because groups generalise better to unknown voices. It is trained on many synthetic singers
(data/make_phone_classifier.py). Its input is mel cepstra from which each clip's mean and deviation are removed, so that
voice and recording channel matter little. It uses no encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .cepstra import Frames, beside, loud, mel_cepstra, own_scale
from .classifiers import REACH, Labels

PHONE_GROUPS = {
    "silence": "-",
    "close front": "i ɪ j",
    "mid front": "e ɛ æ",
    "open": "a ɑ ʌ",
    "mid back": "ɔ o",
    "close back": "ʊ u w",
    "central": "ɝ ɯ",
    "liquid": "l ɹ ɾ",
    "nasal": "m n ŋ",
    "sibilant": "s ss ʃ ɕ z ts tʃ dʒ tɕ tɕʰ ttɕ",
    "breath": "f θ h ç ɸ v ð",
    "stop": "pʰ tʰ kʰ p t k pp tt kk p̚ t̚ k̚ b d ɡ",
}
COEFFICIENTS = 13  # fewer than PhoneClassifier uses, which is trained on the voices: higher ones describe the voice
WIDTH = 96
DROPPED = 0.3  # dropout of the input
FILE = "phone_groups.safetensors"  # in svc.data


def phone_groups_of(labels: Labels, names: Sequence[str]) -> Labels:
    """Group numbers, int64 (M,) in the order of PHONE_GROUPS, of phone numbers (M,), which index `names`."""
    group = {phone: number for number, phones in enumerate(PHONE_GROUPS.values()) for phone in phones.split()}
    return np.array([group[name] for name in names])[labels]


class PhoneGroupClassifier(nn.Module):
    """The phone group of every mel frame, for any voice."""

    def __init__(self) -> None:
        super().__init__()
        inputs = COEFFICIENTS * len(REACH)
        self.network = nn.Sequential(
            nn.Dropout(DROPPED), nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, len(PHONE_GROUPS))
        )

    @classmethod
    def load(cls) -> PhoneGroupClassifier:
        """The classifier that ships with svc."""
        classifier = cls()
        classifier.load_state_dict(safetensors.torch.load((files("svc.data") / FILE).read_bytes()))
        return classifier.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Rows of `classifier_inputs`, float32 (M, C) -> logits of the groups (M, len(PHONE_GROUPS))."""
        return self.network(inputs)

    @torch.no_grad()
    def predict(self, mel: Frames) -> Labels:
        """The phone group of every frame of a log mel (M, 128): int64 (M,), in the order of PHONE_GROUPS."""
        return np.asarray(self(torch.from_numpy(classifier_inputs(mel))).argmax(1).numpy(), np.int64)


def classifier_inputs(mel: Frames) -> Frames:
    """Normalised cepstra of a log mel (M, 128) with their neighbours: float32 (M, COEFFICIENTS * len(REACH))."""
    mean, deviation = own_scale([mel], COEFFICIENTS)
    return beside((mel_cepstra(mel, COEFFICIENTS) - mean) / deviation, REACH)


@dataclass(frozen=True)
class PhoneAgreement:
    """The share of frames that have the same phone group in a song and in its conversion.

    Attributes:
        phones: the share, over the song's loud frames.
        phones_copied: the same share for the song through the vocoder alone: an upper bound on what to expect.
        phones_chance: the same share if the result's groups came in random order.
    """

    phones: float
    phones_copied: float
    phones_chance: float


def compare(classifier: PhoneGroupClassifier, song: Frames, result: Frames, copied: Frames) -> PhoneAgreement:
    """From log mels (M, 128) of song, result, and song through the vocoder; of unlike lengths the first frames."""
    expected, found, counted = classifier.predict(song), classifier.predict(result), loud(song)
    return PhoneAgreement(
        phones=agreement(expected, found, counted),
        phones_copied=agreement(expected, classifier.predict(copied), counted),
        phones_chance=chance_agreement(expected, found, counted),
    )


def agreement(one: Labels, other: Labels, counted: NDArray[np.bool_]) -> float:
    """The share of frames with the same label in both (M,), where `counted` (M,) is true; NaN without any."""
    count = min(len(one), len(other))
    same = (one[:count] == other[:count])[counted[:count]]
    return float(same.mean()) if len(same) else float("nan")


def chance_agreement(one: Labels, other: Labels, counted: NDArray[np.bool_]) -> float:
    """The mean of `agreement` over all orders of the other's counted frames (Cohen, 1960)."""
    count = min(len(one), len(other))
    if not counted[:count].any():
        return float("nan")
    shares = [np.bincount(each[:count][counted[:count]], minlength=len(PHONE_GROUPS)) for each in (one, other)]
    return float(shares[0] @ shares[1] / int(counted[:count].sum()) ** 2)
