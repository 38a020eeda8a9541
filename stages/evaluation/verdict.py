"""An evaluation's figures in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...common.text import listed
from .speech_scores import SpeechScores

GOOD, FAIR = 0.9, 0.7  # shares from which a property counts as kept, and as mostly kept


def gate_verdicts(missed: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each gate, from the conditions that are not met.

    Args:
        missed: of G1 and G2, as `scores.misses`.
    """
    meanings = {
        "G1": ("It converts", "It does not convert yet"),
        "G2": (
            "It is better than every baseline without training",
            "It is not better than every baseline without training",
        ),
    }
    out = []
    for gate, conditions in missed.items():
        passed, failed = meanings[gate]
        out.append(
            f"{failed} ({gate} not passed): {listed(list(conditions))}." if conditions else f"{passed} ({gate} passed)."
        )
    return out


def song_verdict(figures: Mapping[str, float], speech: SpeechScores, target: str) -> list[str]:
    """Sentences on melody, words, voice and naturalness of a conversion without a true result.

    Args:
        figures: those of SourceScores and PhoneAgreement, by name; means where there are several songs.
        speech: of the models of speech, if any.
        target: the voice's name.
    """
    return [
        _melody(figures["in_tune"]),
        *(_words(speech) or [_phones(figures["phones"], figures["phones_copied"], figures["phones_chance"])]),
        _voice(figures["target_share"], figures["source_share"], speech, target),
        *_naturalness(speech),
    ]


def _melody(in_tune: float) -> str:
    if in_tune != in_tune:
        return "Melody: nothing in it is voiced."
    word = "kept" if in_tune >= GOOD else "mostly kept" if in_tune >= FAIR else "often lost"
    return f"The melody is {word}: {in_tune:.0%} of the sung moments are in tune, within 50 cents."


def _words(speech: SpeechScores) -> list[str]:
    return [
        f"About {each.letters_right:.0f} of 100 letters are transcribed correctly by {each.model}."
        for each in speech.words
        if each.cer == each.cer
    ]


def _phones(kept: float, copied: float, chance: float) -> str:
    if kept != kept or copied - chance < 0.05:
        return "Words: the song is too short or too unclear for the phone classifier."
    share = min(1.0, max(0.0, (kept - chance) / (copied - chance)))
    return (
        f"About {100 * share:.0f} of 100 phones that the vocoder alone keeps are kept, by a classifier trained on "
        f"synthetic singers; a speech recogniser says more (--whisper)."
    )


def _voice(target: float, source: float, speech: SpeechScores, name: str) -> str:
    said = f"{target:.0%} of it is taken for {name}, {source:.0%} for the song's own singer"
    if speech.secs == speech.secs:
        said += (
            f"; similarity to {name} is {speech.secs:.2f}, where the song itself has {speech.source_secs:.2f} and "
            f"{name}'s own recordings have {speech.own_secs:.2f}"
        )
    return f"Voice: {said}."


def _naturalness(speech: SpeechScores) -> list[str]:
    if speech.dnsmos != speech.dnsmos:
        return []
    return [f"Naturalness is {speech.dnsmos:.1f} of 5, where the song itself has {speech.source_dnsmos:.1f}."]
