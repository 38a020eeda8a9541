"""Speakers, mixtures, and mixtures that change."""

import numpy as np
import pytest
from svc.common.errors import UserError
from svc.pipeline.pitch.melody import Range
from svc.stages.rendering.speaker_mix import SpeakerMix

SPEAKERS = ["alto", "bass", "a:b, c;d=e", "노래"]


def test_a_name_is_a_name_whatever_signs_it_has() -> None:
    for number, name in enumerate(SPEAKERS):
        speaker_mix = SpeakerMix.parse(name, SPEAKERS)
        assert (speaker_mix.single, speaker_mix.changes, speaker_mix.name) == (number, False, name)


def test_shares_sum_to_one() -> None:
    speaker_mix = SpeakerMix.parse("alto:3, bass:1", SPEAKERS)
    assert speaker_mix.single is None
    np.testing.assert_allclose(speaker_mix.whole(), [0.75, 0.25, 0, 0])
    np.testing.assert_allclose(speaker_mix.at(np.array([5.0, 7.0])), [[0.75, 0.25, 0, 0]] * 2)
    assert SpeakerMix.parse("alto:0.5,bass:0", SPEAKERS).single == 0
    np.testing.assert_allclose(SpeakerMix.parse("alto,노래", SPEAKERS).whole(), [0.5, 0, 0, 0.5])


def test_one_voice_turns_into_another_between_moments() -> None:
    speaker_mix = SpeakerMix.parse("0:10=alto; 0:20=bass", SPEAKERS)
    shares = speaker_mix.at(np.array([0, 5, 15, 20, 60.0]))[:, :2]
    np.testing.assert_array_equal(shares, [[1, 0], [1, 0], [0.5, 0.5], [0, 1], [0, 1]])
    assert (speaker_mix.single, speaker_mix.changes) == (None, True)


def test_a_mixtures_range_lies_between() -> None:
    speaker_mix = SpeakerMix.parse("alto:0.5,bass:0.5", ["alto", "bass"])
    between = speaker_mix.range([Range(200, 300, 400), Range(50, 75, 100)])
    assert between is not None
    np.testing.assert_allclose([between.low, between.middle, between.high], [100, 150, 200])
    assert speaker_mix.range([Range(200, 300, 400), None]) is None
    assert SpeakerMix.parse("alto", ["alto", "bass"]).range([Range(200, 300, 400), None]) is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tenor", "no speaker 'tenor'; there are alto, bass"),
        ("alto:0.5,tenor:0.5", "no speaker 'tenor'"),
        ("alto:x,bass:1", "'x' in speaker 'alto:x,bass:1' is no number"),
        ("alto:0", "must be positive"),
        ("alto:2,bass:-1", "must be positive"),
        ("alto:nan", "must be positive"),
        ("0=alto;bass", "has no time"),
        ("5=alto;3=bass", "do not rise"),
        ("x=alto", "'x' in speaker 'x=alto' is no time"),
    ],
)
def test_what_is_no_mixture_is_said(text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        SpeakerMix.parse(text, SPEAKERS)
