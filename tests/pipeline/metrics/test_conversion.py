"""Metrics against known values."""

from __future__ import annotations

import numpy as np
import pytest
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline.metrics import conversion


def cosine(m: int, height: float, frames: int = 3) -> np.ndarray:
    """Envelopes whose only cepstrum is c[m] = height."""
    place = (np.arange(conversion.POINTS) + 0.5) / conversion.POINTS
    return np.tile(height * np.cos(np.pi * m * place), (frames, 1))


def test_cepstra_of_a_cosine_are_its_height() -> None:
    c = conversion.cepstra(cosine(5, 0.3))
    np.testing.assert_allclose(c[:, 5], 0.3)
    np.testing.assert_allclose(np.delete(c, 5, axis=1), 0, atol=1e-12)


def test_distortion_of_one_coefficient_has_a_closed_form() -> None:
    """A difference of d in one coefficient is 10 / ln 10 sqrt(2) d dB, the RMS difference of the spectra; one of
    loudness does not count.
    """
    a, b = conversion.cepstra(cosine(3, 0.5)), conversion.cepstra(cosine(3, 0.2) + 1.7)
    rms_db = 20 / np.log(10) * (cosine(3, 0.5) - cosine(3, 0.2)).std(axis=1)
    np.testing.assert_allclose(conversion.distances(a, b), rms_db)
    np.testing.assert_allclose(conversion.distances(a, b), 10 / np.log(10) * np.sqrt(2) * 0.3)


def test_a_copy_has_gone_nowhere_and_the_reference_all_the_way() -> None:
    generator = np.random.default_rng(0)
    source, reference = generator.normal(size=(2, 400, 25))
    judged = np.ones(400, bool)
    copy = conversion.timbre(source, source, reference, judged)
    assert copy.cr == pytest.approx(0)
    assert copy.ctr == 0
    whole = conversion.timbre(reference, source, reference, judged)
    assert whole == conversion.Timbre(mcd=0.0, cr=1.0, ctr=1.0, gv=1.0)
    half = conversion.timbre((source + reference) / 2, source, reference, judged)
    assert half.cr == pytest.approx(0.5)


def test_frames_that_are_not_judged_do_not_count() -> None:
    source, reference = np.random.default_rng(0).normal(size=(2, 10, 25))
    result = reference.copy()
    result[5:] = 99
    assert conversion.timbre(result, source, reference, np.arange(10) < 5).mcd == 0


def test_variance_of_half_the_movement_is_a_quarter() -> None:
    reference = np.random.default_rng(0).normal(size=(500, 25))
    assert conversion.variance_ratio(0.5 * reference, reference) == pytest.approx(0.25)


def test_pitch_errors_are_counted_in_cents() -> None:
    truth = np.full(100, 220, np.float32)
    truth[:10] = 0
    found = truth * np.float32(2 ** (10 / 1200))
    found[50:59] *= 2
    found[90:] = 0
    got = conversion.pitch(found, truth)
    assert got.cents == pytest.approx(10, abs=0.01)
    assert got.gpe50 == pytest.approx(9 / 80)
    assert got.vuv_f1 == pytest.approx(2 * 80 / (80 + 90))
    assert conversion.pitch(np.zeros(5, np.float32), np.full(5, 200, np.float32)).gpe50 == 1.0


def test_loudness_follows_or_does_not() -> None:
    reference = np.linspace(-40, -10, 50).astype(np.float32)
    judged = np.ones(50, bool)
    assert conversion.loudness_correlation(reference - 6, reference, judged) == pytest.approx(1)
    assert conversion.loudness_correlation(-reference, reference, judged) == pytest.approx(-1)
    assert np.isnan(conversion.loudness_correlation(np.zeros(50, np.float32), reference, judged))


def test_a_ceiling_of_the_mel_costs_little() -> None:
    """Nothing above 16 kHz, as out of a mel vocoder, is not a dB away; another singer is several."""
    score = draw_score("en", 4.0, 1, midi=57)
    truth = score.mel_f0()
    wav, other = (sing(score, draw_voice(seed, high)) for seed, high in ((1, True), (2, False)))
    spectrum = np.fft.rfft(wav)
    spectrum[np.fft.rfftfreq(len(wav), 1 / 44_100) > 16_000] = 0
    dull = np.fft.irfft(spectrum, len(wav)).astype(np.float32)
    c, cut, far = (conversion.cepstra(conversion.envelopes(w, truth)) for w in (wav, dull, other))
    judged = conversion.audible(wav, len(truth))
    assert 0.5 < judged.mean() < 1
    assert conversion.distances(c, cut)[judged].mean() < 0.5
    assert conversion.distances(c, far)[judged].mean() > 4


def test_envelopes_are_blind_to_level_but_for_c0_and_see_short_sound_as_silence() -> None:
    score = draw_score("ko", 2.0, 1)
    wav = sing(score, draw_voice(3))
    truth = score.mel_f0()
    loud, soft = (conversion.cepstra(conversion.envelopes(w, truth)) for w in (wav, 0.5 * wav))
    judged = conversion.audible(wav, len(truth))
    assert np.abs(conversion.distances(loud, soft)[judged]).max() < 0.1
    assert conversion.envelopes(wav[:1000], truth).shape == (len(truth), conversion.POINTS)


def test_in_tune_counts_all_frames_that_were_asked_voiced() -> None:
    """Half of them are unvoiced in the result: GPE50, which counts only voiced frames, does not detect it."""
    asked = np.full(100, 220, np.float32)
    asked[80:] = 0
    found = asked.copy()
    found[:40] = 0
    found[40:44] *= 2
    got = conversion.pitch(found, asked)
    assert got.gpe50 == pytest.approx(0.1)
    assert got.in_tune == pytest.approx(36 / 80)
    assert np.isnan(conversion.pitch(found, np.zeros(100, np.float32)).in_tune)
