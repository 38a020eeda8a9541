"""The shipped classifier of phone groups, on singers that it was not trained on and on wrong words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from svc.data.make_phone_classifier import FIRST_SEED, accuracy, training_examples
from svc.data.singer_clips import FIRST_PROBE_SEED
from svc.data.singers import NAMES, PHONES, Score, draw_score, draw_voice, sing
from svc.pipeline.metrics import phone_agreement
from svc.pipeline.metrics.audio_features import AudioFeatures
from svc.pipeline.metrics.phone_agreement import (
    PHONE_GROUPS,
    PhoneGroupClassifier,
    agreement,
    chance_agreement,
    phone_groups_of,
)

WRONG = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of exchanged phones


@pytest.fixture(scope="module")
def classifier() -> PhoneGroupClassifier:
    return PhoneGroupClassifier.load()


def test_every_phone_is_of_one_kind() -> None:
    assert sorted(" ".join(PHONE_GROUPS.values()).split()) == sorted(NAMES)
    assert phone_groups_of(np.array([NAMES.index("-"), NAMES.index("ŋ")]), NAMES).tolist() == [
        0,
        list(PHONE_GROUPS).index("nasal"),
    ]


def test_groups_are_predicted_for_singers_not_trained_on(classifier: PhoneGroupClassifier) -> None:
    assert FIRST_SEED + 1000 < FIRST_PROBE_SEED
    clips = list(training_examples(FIRST_PROBE_SEED + 100, 10))
    assert accuracy(classifier, clips) > 0.8
    shifted = [(mel, np.roll(labels, len(labels) // 2)) for mel, labels in clips]
    assert accuracy(classifier, shifted) < 0.3


def test_neither_level_nor_a_filter_changes_the_prediction(classifier: PhoneGroupClassifier) -> None:
    ((mel, _),) = training_examples(FIRST_PROBE_SEED + 200, 1)
    filtered = mel + np.linspace(2.0, -2.0, 128, dtype=np.float32) - 1.0  # nepers
    assert np.mean(classifier.predict(mel) == classifier.predict(filtered)) > 0.9


def wrong(score: Score, share: float, seed: int) -> Score:
    """The same tune and times; about that share of the phones is exchanged, vowels for vowels."""
    generator = np.random.default_rng(seed)
    phones = list(score.phones)
    for place, name in enumerate(phones):
        if name != "-" and generator.random() < share:
            kind = phone_groups_of(np.array([NAMES.index(name)]), NAMES)[0]
            others = [
                other
                for number, other in enumerate(NAMES)
                if number
                and PHONES[other].is_vowel == PHONES[name].is_vowel
                and phone_groups_of(np.array([number]), NAMES)[0] != kind
            ]
            phones[place] = others[int(generator.integers(len(others)))]
    return replace(score, phones=tuple(phones))


def test_the_figure_follows_the_share_of_right_phones(classifier: PhoneGroupClassifier) -> None:
    """Another singer with a known share of the phones: none is as good as the song itself, all wrong is chance."""
    found = np.zeros((2, len(WRONG)))
    truth, chance = np.zeros_like(found), np.zeros_like(found)
    for pair, language in enumerate(("ko", "en")):
        score = draw_score(language, 8.0, 60 + pair, midi=55)
        song = AudioFeatures(sing(score, draw_voice(FIRST_PROBE_SEED + 300 + pair, True))).mel
        voice = draw_voice(FIRST_PROBE_SEED + 310 + pair, False)
        for place, share in enumerate(WRONG):
            other = wrong(score, share, pair)
            kept = phone_agreement.compare(classifier, song, AudioFeatures(sing(other, voice)).mel, song)
            truth[pair, place] = agreement(score.mel_labels(), other.mel_labels(), score.mel_labels() > 0)
            found[pair, place], chance[pair, place] = kept.phones, kept.phones_chance
            assert kept.phones_copied == 1
    assert (np.diff(found, axis=1) < 0).all()
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.97
    assert found[:, 0].min() > 0.65
    assert (found[:, -1] < chance[:, -1] + 0.05).all()


def test_chance_is_the_mean_over_all_orders() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 4, (2, 400))
    judged = generator.random(400) < 0.7
    orders = [agreement(one, _shuffled(other, judged, generator), judged) for _ in range(400)]
    assert chance_agreement(one, other, judged) == pytest.approx(np.mean(orders), abs=0.005)
    assert chance_agreement(np.zeros(9, np.int64), np.zeros(9, np.int64), np.ones(9, bool)) == 1
    assert np.isnan(chance_agreement(one, other[:0], judged))
    assert np.isnan(agreement(one, other[:0], judged))


def _shuffled(labels: np.ndarray, judged: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    out = labels.copy()
    out[judged] = generator.permutation(labels[judged])
    return out


def test_of_unlike_lengths_the_shorter_counts(classifier: PhoneGroupClassifier) -> None:
    ((mel, _),) = training_examples(FIRST_PROBE_SEED + 200, 1)
    longer = np.concatenate([mel, np.full((30, 128), mel.min(), np.float32)])
    assert phone_agreement.compare(classifier, mel, longer, longer).phones > 0.95
    assert phone_agreement.compare(classifier, longer, mel, mel).phones > 0.95
