"""The singers compared with closed forms, and with independent trackers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from svc.data.singers import NAMES, Note, Voice, compose, draw_score, draw_voice, sing
from svc.data.singers.languages import parse
from svc.data.singers.score import STEP, Score
from svc.pipeline.pitch.pitch import track
from svc.pipeline.pitch.settings import PitchSettings

RATE = 44_100


def steady(phone: str, hertz: float, seconds: float = 1.5) -> Score:
    """One phone at one pitch."""
    score = compose([Note(57, seconds, parse(phone))], 0, vibrato=False)
    flat = np.full_like(score.f0, hertz)
    return Score(score.phones, score.bounds, flat, np.zeros_like(flat), np.ones_like(flat))


def test_the_same_seed_gives_the_same_samples_and_another_does_not() -> None:
    score = draw_score("ko", 2.0, 0)
    first, again, other = (sing(score, draw_voice(3), seed) for seed in (0, 0, 1))
    assert hashlib.sha256(first.tobytes()).digest() == hashlib.sha256(again.tobytes()).digest()
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert len(first) == score.samples
    assert draw_voice(3) == draw_voice(3) != draw_voice(4)


@pytest.mark.parametrize("language", ["en", "ko", "ja"])
def test_two_voices_sing_a_score_in_parallel(language: str) -> None:
    """Trackers find one f0, the score's, in both; and two timbres."""
    score = draw_score(language, 8.0, 5, midi=57)
    truth = score.mel_f0()
    sound = [sing(score, draw_voice(seed, high)) for seed, high in ((1, True), (2, False))]
    for wav in sound:
        found = track(wav, PitchSettings())
        both = (found > 0) & (truth > 0)
        assert np.median(np.abs(1200 * np.log2(found[both] / truth[both]))) < 8
        assert 2 * both.sum() / ((found > 0).sum() + (truth > 0).sum()) > 0.95
    spectra = [np.abs(np.fft.rfft(wav)) ** 2 for wav in sound]
    bands = [10 * np.log10(s[: len(s) // 256 * 256].reshape(256, -1).mean(1)) for s in spectra]
    assert np.std((bands[0] - bands[1])[:60]) > 2


def test_a_steady_vowel_has_the_harmonics_of_source_times_tract() -> None:
    """Without jitter, breath and the rest, harmonic k is |source(k f0)| |tract(k f0)|, to a tenth of a dB."""
    voice = Voice("plain", 0, habit=0.0, breath=0.0, jitter=0.0, shimmer=0.0)
    f0 = 150.0
    wav = sing(steady("ɑ", f0), voice).astype(float)[RATE // 4 : RATE // 4 + RATE]
    heard = np.abs(np.fft.rfft(wav * np.hanning(len(wav))))[(np.arange(1, 21) * f0).astype(int)]
    hertz = np.arange(1, 21) * f0

    def resonance(centre: float, width: float) -> np.ndarray:
        return np.abs(1 / (1 - (hertz / centre) ** 2 + 1j * width * hertz / centre**2))

    glottal = f0 / 1.2
    tract = resonance(730, 75) * resonance(1090, 95) * resonance(2440, 140)
    for centre, width in ((3416, 200), (4302, 260), (5390, 350), (6500, 450), (7500, 600), (8500, 800)):
        tract *= resonance(centre, width)
    tract *= resonance(4500, 900) / resonance(4500, 300)
    source = hertz / glottal * resonance(glottal, 1.2 * glottal) / np.abs(1 + 1j * hertz / voice.tilt_hz)
    difference = 20 * np.log10(heard / (source * tract))
    assert np.abs(difference - difference.mean()).max() < 0.1


def test_jitter_does_not_drift() -> None:
    """With any jitter, cycles follow f0: a long note is in tune to a cent."""
    wav = sing(steady("a", 200.0, 4.0), draw_voice(1))
    found = track(wav, PitchSettings("harvest"))
    assert np.median(found[20:-20]) == pytest.approx(200.0, rel=6e-4)


def test_consonants_sound_where_they_are_written() -> None:
    """Above 5 kHz an s is louder than a vowel by far; a stop's closure is softer by more."""
    notes = [Note(None, 0.3), Note(57, 0.6, parse("s a")), Note(57, 0.6, parse("tt a"))]
    score = compose(notes, 0)
    wav = sing(score, draw_voice(2)).astype(float)
    spectra = np.abs(np.fft.rfft(wav[: len(wav) // 512 * 512].reshape(-1, 512) * np.hanning(512), axis=1)) ** 2
    high, all_of_it = spectra[:, 58:].sum(1), spectra.sum(1)
    names = np.array(NAMES)[score.mel_labels()]
    assert 10 * np.log10(np.median(high[names == "s"]) / np.median(high[names == "a"])) > 10
    closed = np.flatnonzero(names == "tt")[3:6]
    assert 10 * np.log10(all_of_it[closed].max() / np.median(all_of_it[names == "a"])) < -25


def test_levels_are_those_of_speech_and_nothing_clips() -> None:
    for seed in range(6):
        score = draw_score("en", 4.0, seed, midi=draw_voice(seed).midi)
        wav = sing(score, draw_voice(seed))
        assert np.abs(wav).max() <= 0.98
        sung = wav[np.repeat(score.voice > 0.5, STEP)]
        assert -26 < 10 * np.log10(np.mean(sung.astype(float) ** 2)) < -21
