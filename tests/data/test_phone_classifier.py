"""The script that trains the phone group classifier reproduces the shipped one."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch
from svc.data.make_phone_classifier import FIRST_SEED, same_words, train, training_examples
from svc.pipeline.metrics.phone_agreement import FILE, PhoneGroupClassifier


def test_it_is_small() -> None:
    assert len((files("svc.data") / FILE).read_bytes()) < 100_000


def test_the_same_arguments_give_the_same_classifier() -> None:
    clips = list(training_examples(FIRST_SEED, 3))
    one, again = (train(clips, 0).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], again[name]) for name in one)


def test_one_clip_twice_is_the_same_words() -> None:
    ((mel, _),) = training_examples(FIRST_SEED + 5000, 1)
    same, chance = same_words(PhoneGroupClassifier.load(), [mel[:200], mel[:200]])
    assert same == 1
    assert chance < 0.5


@pytest.mark.long
def test_the_shipped_classifier_is_made_again() -> None:
    """With equal bits on the machine that made it; on others the last bits of sums and few predictions differ."""
    made, shipped = train(list(training_examples(FIRST_SEED, 400)), 0), PhoneGroupClassifier.load()
    predicted = [
        [classifier.predict(mel) for mel, _ in training_examples(FIRST_SEED + 5000, 10)]
        for classifier in (made, shipped)
    ]
    assert np.mean(np.concatenate(predicted[0]) == np.concatenate(predicted[1])) > 0.97
