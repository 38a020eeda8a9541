"""The gates, on systems without training and on an oracle."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from svc.data.singers import sing
from svc.pipeline.metrics import phone_agreement
from svc.pipeline.metrics.audio_features import AudioFeatures
from svc.pipeline.metrics.phone_agreement import PhoneGroupClassifier
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.stages.evaluation.scores import ORACLE, ParallelSong, References, Scores, misses, table
from svc.stages.parallel_singers import ParallelSingers

System = Callable[[ParallelSong], NDArray[np.float32]]


@pytest.fixture(scope="module")
def truth() -> References:
    return References(ParallelSingers(phrases=10, seconds=6.0, songs=("arirang", "drawn-1")))


@pytest.fixture(scope="module")
def songs(truth: References) -> list[ParallelSong]:
    return [truth.song(name) for name in truth.singers.songs]


def scored(truth: References, songs: list[ParallelSong], system: System) -> Scores:
    return Scores.mean([truth.score(system(song), song) for song in songs])


@pytest.fixture(scope="module")
def results(truth: References, songs: list[ParallelSong]) -> dict[str, list[np.ndarray]]:
    """The result of each system without training for each song."""
    return {name: [system(song) for song in songs] for name, system in truth.trivial().items()}


@pytest.fixture(scope="module")
def rows(truth: References, songs: list[ParallelSong], results: dict[str, list[np.ndarray]]) -> dict[str, Scores]:
    return {
        name: Scores.mean([truth.score(wav, song) for wav, song in zip(wavs, songs, strict=True)])
        for name, wavs in results.items()
    }


@pytest.mark.parametrize("system", ["copy of the source", "global EQ"])
def test_what_is_no_conversion_does_not_pass(rows: dict[str, Scores], system: str) -> None:
    assert misses(rows[system], "G1")


def test_nothing_trivial_passes_the_second_gate(rows: dict[str, Scores]) -> None:
    for system in ("copy of the source", "global EQ", "nearest neighbour + warp"):
        assert misses(rows[system], "G2"), system


def test_a_constant_mean_spectrum_does_not_pass_for_want_of_words(truth: References, songs: list[ParallelSong]) -> None:
    mean = np.concatenate(truth.mels[truth.target.name]).mean(0)

    def wordless(song: ParallelSong) -> np.ndarray:
        loud = song.source_features.mel.max(axis=1)
        return PulseNoise()((mean[None] + (loud - mean.max())[:, None]).astype(np.float32), song.f0)

    row = scored(truth, songs, wordless)
    assert row.phones < 0.3
    assert any("phones" in missed for missed in misses(row, "G1"))


def test_the_answer_itself_passes_both(rows: dict[str, Scores]) -> None:
    assert not misses(rows["the reference itself"], "G1")
    assert not misses(rows["the reference itself"], "G2")
    assert rows["the reference itself"].mcd == 0
    assert not misses(rows["reference through the vocoder"], "G1")


def test_the_oracle_passes_both(rows: dict[str, Scores]) -> None:
    """The gates can be passed with the source's song, the target's corpus and WORLD."""
    assert not misses(rows[ORACLE], "G1")
    assert not misses(rows[ORACLE], "G2")


def test_an_octave_too_low_is_noticed(truth: References, songs: list[ParallelSong]) -> None:
    row = scored(truth, songs, lambda song: sing(song.score.transposed(-12), truth.target))
    assert row.gpe50 > 0.9
    assert any("GPE50" in missed for missed in misses(row, "G1"))


def test_leakage_is_the_source_s_share(rows: dict[str, Scores]) -> None:
    assert rows["copy of the source"].spk_source > 0.9
    assert rows["the reference itself"].spk_source < 0.05


def test_phone_groups_order_systems_as_the_true_phones_do(
    rows: dict[str, Scores], results: dict[str, list[np.ndarray]], songs: list[ParallelSong]
) -> None:
    """The phone group classifier, trained on neither singer, on songs whose true result is known.

    A copy and an EQ keep all words, in the wrong voice.
    """
    classifier = PhoneGroupClassifier.load()
    kept = {
        name: np.mean([kept_in(classifier, song, wav) for song, wav in zip(songs, wavs, strict=True)])
        for name, wavs in results.items()
    }
    wrong = np.mean([kept_in(classifier, song, other.target) for song, other in zip(songs, songs[::-1], strict=True)])
    assert kept["copy of the source"] == 1
    assert kept["global EQ"] > 0.8
    order = ("the reference itself", "reference through the vocoder", "nearest neighbour + warp")
    by_phones = [rows[name].phones for name in order]
    by_groups = [kept[name] for name in order]
    assert by_phones == sorted(by_phones, reverse=True)
    assert by_groups == sorted(by_groups, reverse=True)
    assert kept["nearest neighbour + warp"] > wrong + 0.3
    assert min(by_groups[0], kept[ORACLE]) > 0.6


def kept_in(classifier: PhoneGroupClassifier, song: ParallelSong, wav: np.ndarray) -> float:
    mel = song.source_features.mel
    return phone_agreement.compare(classifier, mel, AudioFeatures(wav).mel, mel).phones


def test_a_table_has_a_line_a_system(rows: dict[str, Scores]) -> None:
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    broken = dataclasses.replace(next(iter(rows.values())), cents=float("nan"))
    assert "|  |" in table({"x": broken})
