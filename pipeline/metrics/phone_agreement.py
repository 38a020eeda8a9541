"""Do the words survive a conversion? Which phones a listener, who knows neither singer, hears in song and result.

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
COEFFICIENTS = 13  # fewer than a listener has who knows the voices: the finer ones tell who sings
WIDTH = 96
DROPPED = 0.3  # share of what it hears that it must do without while it learns
FILE = "listener.safetensors"  # in svc.data


def phone_groups_of(labels: Labels, names: Sequence[str]) -> Labels:
    """Group numbers, int64 (M,) in the order of PHONE_GROUPS, of phone numbers (M,), which index `names`."""
    kind = {phone: number for number, phones in enumerate(PHONE_GROUPS.values()) for phone in phones.split()}
    return np.array([kind[name] for name in names])[labels]


class PhoneGroupClassifier(nn.Module):
    """Tells the kind of phone of every mel frame, whoever sings."""

    def __init__(self) -> None:
        super().__init__()
        heard = COEFFICIENTS * len(REACH)
        self.network = nn.Sequential(
            nn.Dropout(DROPPED), nn.Linear(heard, WIDTH), nn.ReLU(), nn.Linear(WIDTH, len(PHONE_GROUPS))
        )

    @classmethod
    def load(cls) -> PhoneGroupClassifier:
        """The one that is shipped."""
        listener = cls()
        listener.load_state_dict(safetensors.torch.load((files("svc.data") / FILE).read_bytes()))
        return listener.eval()

    def forward(self, heard: Tensor) -> Tensor:
        """What `hear` gives (M, heard) -> logits of kinds (M, len(KINDS))."""
        return self.network(heard)

    @torch.no_grad()
    def tell(self, mel: Frames) -> Labels:
        """Numbers of the kinds heard in a clip's log mel (M, 128): (M,)."""
        return np.asarray(self(torch.from_numpy(phone_groups(mel))).argmax(1).numpy(), np.int64)


def phone_groups(mel: Frames) -> Frames:
    """A clip's log mel (M, 128) as the listener has it: float32 (M, COEFFICIENTS * len(REACH))."""
    mean, deviation = own_scale([mel], COEFFICIENTS)
    return beside((mel_cepstra(mel, COEFFICIENTS) - mean) / deviation, REACH)


@dataclass(frozen=True)
class PhoneAgreement:
    """How much is heard alike in a song and in a result.

    Attributes:
        phones: share of the song's loud frames at which the same kind of phone is heard in both.
        phones_copied: the same of the song through the vocoder alone: no conversion is likely to be better.
        phones_chance: what `phones` would be if what is heard in the result came at any other time.
    """

    phones: float
    phones_copied: float
    phones_chance: float


def compare(listener: PhoneGroupClassifier, song: Frames, result: Frames, copied: Frames) -> PhoneAgreement:
    """From log mels (M, 128) on one time axis; of unlike lengths the shorter counts."""
    told, said, judged = listener.tell(song), listener.tell(result), loud(song)
    return PhoneAgreement(
        phones=alike(told, said, judged),
        phones_copied=alike(told, listener.tell(copied), judged),
        phones_chance=by_chance(told, said, judged),
    )


def alike(one: Labels, other: Labels, judged: NDArray[np.bool_]) -> float:
    """Share of the judged frames (M,) at which both are told the same; NaN where there are none."""
    count = min(len(one), len(other))
    same = (one[:count] == other[:count])[judged[:count]]
    return float(same.mean()) if len(same) else float("nan")


def by_chance(one: Labels, other: Labels, judged: NDArray[np.bool_]) -> float:
    """What `alike` comes to on average over all orders of the other's judged frames (Cohen, 1960)."""
    count = min(len(one), len(other))
    if not judged[:count].any():
        return float("nan")
    shares = [np.bincount(each[:count][judged[:count]], minlength=len(PHONE_GROUPS)) for each in (one, other)]
    return float(shares[0] @ shares[1] / int(judged[:count].sum()) ** 2)
