"""A preset's settings with the user's changes."""

from dataclasses import replace
from typing import Any

import pytest
from svc.stages.settings import PRESETS, VOCODER_PRESETS, chosen_training, chosen_vocoder

NOTHING = dict.fromkeys(("steps", "units", "unit_dim", "unit_layer", "codes", "code_layer", "k_step", "learning_rate"))


@pytest.mark.parametrize("preset", PRESETS)
def test_what_nobody_asks_for_is_the_presets(preset: str) -> None:
    assert chosen_training(preset, NOTHING) == PRESETS[preset]


def test_what_is_asked_for_is_changed_and_nothing_else() -> None:
    asked = {**NOTHING, "codes": 200, "code_layer": 7, "unit_layer": 9, "k_step": 300, "learning_rate": 1e-4}
    expected = replace(PRESETS["base"], codes=200, code_layer=7, unit_layer=9, shallow_depth=0.3, learning_rate=1e-4)
    assert chosen_training("base", asked) == expected
    assert chosen_training("diff-svc", {"k_step": 1000}) == PRESETS["diff-svc"]
    assert chosen_vocoder("base", {"steps": 7, "codes": None}) == replace(VOCODER_PRESETS["base"], steps=7)


@pytest.mark.parametrize(
    ("preset", "asked", "why"),
    [
        ("huge", {}, "preset 'huge' is not known; choose tiny, base, large, diff-svc, diffusion-svc"),
        ("tiny", {"codes": 0}, "codes must be at least 1"),
        ("tiny", {"units": "hidden", "unit_dim": 512}, "have a fixed width"),
        ("tiny", {"units": "hubert-soft", "unit_layer": 9}, "come with the encoder"),
        ("diff-svc", {"k_step": 100}, "preset diff-svc has no decoder"),
        ("tiny", {"batch": 1_000_000_000}, "batch"),
    ],
)
def test_what_cannot_be_is_said(preset: str, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        chosen_training(preset, asked)


@pytest.mark.parametrize(
    ("preset", "asked", "why"),
    [
        ("diff-svc", {}, "choose tiny, base, large$"),
        ("tiny", {"unit_layer": 9}, "--unit-layer is not an option of the vocoder"),
        ("tiny", {"learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_a_vocoder_has_settings_of_its_own(preset: str, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        chosen_vocoder(preset, asked)
