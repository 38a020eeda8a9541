"""The phonotactics of English, Korean and Japanese: sequences of syllables.

English: onsets and codas with their clusters (Giegerich, *English Phonology*, 1992). Korean: C G V C with three series
of stops, seven codas, and lenis stops voiced between voiced sounds (Sohn, *The Korean Language*, 1999). Japanese: moras
with palatalised and assibilated onsets, the moraic nasal and geminates (Vance, *The Sounds of Japanese*, 2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .phones import PHONES


@dataclass(frozen=True)
class Syllable:
    """Phones before the vowel, the vowel, and phones after it."""

    onset: tuple[str, ...]
    vowel: str
    coda: tuple[str, ...] = ()

    @property
    def phones(self) -> tuple[str, ...]:
        """Its phones in order."""
        return (*self.onset, self.vowel, *self.coda)


def parse(text: str) -> Syllable:
    """A syllable from its phones, such as `t w i ŋ`. Raises ValueError unless just one of them is a vowel."""
    phones = text.split()
    if unknown := [name for name in phones if name not in PHONES]:
        raise ValueError(f"no phone {unknown[0]!r}; known are {' '.join(PHONES)}")
    vowels = [place for place, name in enumerate(phones) if PHONES[name].is_vowel]
    if len(vowels) != 1:
        raise ValueError(f"a syllable has one vowel; {text!r} has {len(vowels)}")
    return Syllable(tuple(phones[: vowels[0]]), phones[vowels[0]], tuple(phones[vowels[0] + 1 :]))


def draw(language: str, count: int, generator: np.random.Generator) -> list[Syllable]:
    """`count` syllables that follow each other in a language: `en`, `ko` or `ja`."""
    syllables: list[Syllable] = []
    for _ in range(count):
        syllables.append(LANGUAGES[language](generator, syllables[-1] if syllables else None))
    return syllables


def _pick(generator: np.random.Generator, choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(choices[int(generator.integers(len(choices)))].split())


def _all(text: str) -> tuple[str, ...]:
    return tuple(text.split())


EN_ONSETS = _all("pʰ tʰ kʰ b d ɡ m n f v θ ð s z ʃ tʃ dʒ h l ɹ w j")
EN_CLUSTERS = ("pʰ l", "pʰ ɹ", "b l", "b ɹ", "tʰ ɹ", "d ɹ", "kʰ l", "kʰ ɹ", "ɡ l", "ɡ ɹ", "f l", "f ɹ", "s l", "s w",
               "s m", "s n", "s p", "s t", "s k", "tʰ w", "kʰ w", "s t ɹ", "s p l")  # fmt: skip
EN_VOWELS = _all("i ɪ ɛ æ ɑ ɔ ʊ u ʌ ɝ")
EN_DIPHTHONGS = ("e j", "ɑ j", "ɔ j", "o w", "ɑ w")
EN_CODAS = _all("p t k b d ɡ m n ŋ f v θ s z ʃ tʃ dʒ l ɹ")
EN_CODA_CLUSTERS = ("n d", "n t", "s t", "k s", "m p", "ŋ k", "l d", "n z", "t s")


def _english(generator: np.random.Generator, _: Syllable | None) -> Syllable:
    kind, end = generator.random(2)
    onset = () if kind < 0.1 else _pick(generator, EN_ONSETS if kind < 0.75 else EN_CLUSTERS)
    vowel, *glide = _pick(generator, EN_VOWELS if generator.random() < 0.7 else EN_DIPHTHONGS)
    if glide:
        return Syllable(
            onset, vowel, (*glide, *(_pick(generator, ("n", "m", "s", "z", "t", "k")) if end > 0.7 else ()))
        )
    return Syllable(onset, vowel, () if end < 0.4 else _pick(generator, EN_CODAS if end < 0.85 else EN_CODA_CLUSTERS))


KO_ONSETS = _all("k kk kʰ n t tt tʰ ɾ m p pp pʰ s ss tɕ ttɕ tɕʰ h")
KO_VOWELS = _all("a ʌ o u ɯ i e")
KO_CODAS = _all("k̚ n t̚ l m p̚ ŋ")
KO_VOICED = {"k": "ɡ", "t": "d", "p": "b", "tɕ": "dʒ"}  # between voiced sounds
KO_GLIDES = {"j": "a ʌ o u e", "w": "a ʌ i e"}


def _korean(generator: np.random.Generator, before: Syllable | None) -> Syllable:
    start, middle, end = generator.random(3)
    onset = () if start < 0.2 else _pick(generator, KO_ONSETS)
    vowel = _pick(generator, KO_VOWELS)[0]
    glides = [glide for glide, vowels in KO_GLIDES.items() if vowel in vowels.split()]
    if glides and middle < 0.2 and not (onset and onset[0][-1] in "ɾɕʰ"):
        glide: tuple[str, ...] = (glides[int(generator.integers(len(glides)))],)
    else:
        glide = ()
    last = before.phones[-1] if before else None
    if onset and onset[0] in KO_VOICED and last and PHONES[last].voice > 0:
        onset = (KO_VOICED[onset[0]],)
    elif onset and onset[0] in ("k", "t", "p", "s", "tɕ") and last and PHONES[last].closure == 1.0:
        onset = ({"k": "kk", "t": "tt", "p": "pp", "s": "ss", "tɕ": "ttɕ"}[onset[0]],)  # tensed after an obstruent
    if onset == ("s",) and (vowel == "i" or glide == ("j",)):
        onset = ("ɕ",)
    return Syllable((*onset, *glide), vowel, _pick(generator, KO_CODAS) if end < 0.4 else ())


JA_ONSETS = _all("k s t n h m ɾ ɡ z d b p j w")
JA_VOWELS = _all("a i ɯ e o")
JA_BEFORE = {  # onsets before i and ɯ
    ("s", "i"): "ɕ", ("z", "i"): "dʒ", ("t", "i"): "tɕ", ("d", "i"): "dʒ", ("h", "i"): "ç",
    ("t", "ɯ"): "ts", ("d", "ɯ"): "z", ("h", "ɯ"): "ɸ",
}  # fmt: skip
JA_GEMINATES = {"k": "kk", "t": "tt", "p": "pp", "s": "ss"}


def _japanese(generator: np.random.Generator, before: Syllable | None) -> Syllable:
    start, middle, end = generator.random(3)
    onset = () if start < 0.15 else _pick(generator, JA_ONSETS)
    vowel = _pick(generator, JA_VOWELS)[0]
    if onset == ("w",):
        vowel = "a"
    elif onset == ("j",):
        vowel = ("a", "ɯ", "o")[int(generator.integers(3))]
    elif onset:
        onset = (JA_BEFORE.get((onset[0], vowel), onset[0]),)
        if before is not None and middle < 0.08 and not before.coda:
            onset = (JA_GEMINATES.get(onset[0], onset[0]),)
        elif middle > 0.88 and vowel in ("a", "ɯ", "o") and onset[0] in ("k", "n", "m", "ɾ", "ɡ", "b", "p"):
            onset = (*onset, "j")
    return Syllable(onset, vowel, ("n",) if end < 0.12 else ())


LANGUAGES: dict[str, Callable[[np.random.Generator, Syllable | None], Syllable]] = {
    "en": _english,
    "ko": _korean,
    "ja": _japanese,
}
