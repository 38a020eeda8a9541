"""An inventory of phones, with their acoustics.

Formants are an average man's. English vowels: Peterson and Barney (1952, table II); Korean vowels are near those of
Yang (1996), Japanese ones near those of Hirahara and Akahane-Yamada (2004), rounded. Loci of stops, spectra of
fricatives and anti-resonances of nasals follow Stevens, *Acoustic Phonetics* (1998, chapters 7 to 9), and voice onset
times Lisker and Abramson (1964).
"""

from __future__ import annotations

from dataclasses import dataclass

Friction = tuple[float, float, float]  # Hz of the noise's peak, Hz of its width, level beside a vowel's voice

SILENCE = "-"


@dataclass(frozen=True)
class Phone:
    """A speech sound.

    Attributes:
        name: in IPA; a doubled letter is a Korean fortis, `̚` an unreleased stop.
        formants: Hz, three. Stops have their loci.
        seconds: its usual length; a vowel lasts for the rest of its note.
        voice: the voice's amplitude, a vowel's being 1.
        closure: share of it, from its start, during which the mouth is closed.
        bar: the voice's amplitude during the closure (voice bar).
        burst: the noise of an opening closure.
        friction: noise at a constriction, after the closure.
        breath: noise at the glottis, through the whole tract, after the closure.
        zero: Hz of a nasal's anti-resonance; 0 has none.
    """

    name: str
    formants: tuple[float, float, float]
    seconds: float = 0.08
    voice: float = 0.0
    closure: float = 0.0
    bar: float = 0.0
    burst: Friction | None = None
    friction: Friction | None = None
    breath: float = 0.0
    zero: float = 0.0

    @property
    def is_vowel(self) -> bool:
        """Whether it is fully voiced, as vowels are."""
        return self.voice == 1.0


def _vowel(name: str, *formants: float) -> Phone:
    return Phone(name, (formants[0], formants[1], formants[2]), 0.12, voice=1.0)


LABIAL, ALVEOLAR, PALATAL, VELAR = (250, 900, 2300), (250, 1750, 2700), (250, 2000, 2750), (250, 1900, 2400)
POP, TICK, CLACK = (900.0, 1600.0, 0.25), (4200.0, 2500.0, 0.40), (1900.0, 900.0, 0.40)
HISS, HUSH, WHISPER = (6500.0, 3000.0, 0.35), (3300.0, 1800.0, 0.40), (4200.0, 1500.0, 0.35)

_ALL = (
    Phone(SILENCE, (500, 1500, 2500), 0.2),
    # vowels
    _vowel("i", 280, 2270, 3010),
    _vowel("ɪ", 390, 1990, 2550),
    _vowel("e", 480, 1960, 2600),
    _vowel("ɛ", 540, 1820, 2480),
    _vowel("æ", 660, 1720, 2410),
    _vowel("a", 730, 1330, 2500),
    _vowel("ɑ", 730, 1090, 2440),
    _vowel("ɔ", 570, 840, 2410),
    _vowel("o", 460, 880, 2500),
    _vowel("ʊ", 440, 1020, 2240),
    _vowel("u", 310, 870, 2240),
    _vowel("ʌ", 640, 1190, 2390),
    _vowel("ɝ", 490, 1350, 1690),
    _vowel("ɯ", 390, 1400, 2400),
    # glides and liquids
    Phone("j", (270, 2200, 3000), 0.07, voice=0.7),
    Phone("w", (300, 650, 2200), 0.07, voice=0.6),
    Phone("l", (360, 1100, 2800), 0.08, voice=0.5, zero=2100),
    Phone("ɹ", (330, 1150, 1550), 0.08, voice=0.55),
    Phone("ɾ", (350, 1600, 2600), 0.04, voice=0.3),
    # nasals
    Phone("m", (270, 1000, 2200), 0.08, voice=0.4, zero=1000),
    Phone("n", (270, 1500, 2500), 0.08, voice=0.4, zero=1700),
    Phone("ŋ", (270, 2000, 2600), 0.09, voice=0.4, zero=3200),
    # fricatives
    Phone("s", ALVEOLAR, 0.12, friction=HISS),
    Phone("ss", ALVEOLAR, 0.15, friction=(7000, 2600, 0.45)),
    Phone("ʃ", PALATAL, 0.12, friction=HUSH),
    Phone("ɕ", PALATAL, 0.11, friction=WHISPER),
    Phone("ç", (280, 2300, 3000), 0.10, friction=(3600, 1300, 0.22), breath=0.05),
    Phone("ɸ", (300, 900, 2300), 0.09, friction=(1500, 2500, 0.14)),
    Phone("f", LABIAL, 0.10, friction=(8000, 9000, 0.13)),
    Phone("θ", (280, 1400, 2600), 0.10, friction=(6000, 7000, 0.09)),
    Phone("h", (500, 1500, 2500), 0.07, breath=0.30),
    Phone("v", LABIAL, 0.07, voice=0.30, friction=(8000, 9000, 0.05)),
    Phone("ð", (280, 1400, 2600), 0.06, voice=0.35, friction=(6000, 7000, 0.04)),
    Phone("z", ALVEOLAR, 0.09, voice=0.25, friction=(6500, 3000, 0.20)),
    # stops: voiceless ones by their voice onset time, and voiced
    Phone("pʰ", LABIAL, 0.13, closure=0.45, burst=POP, breath=0.22),
    Phone("tʰ", ALVEOLAR, 0.13, closure=0.45, burst=TICK, breath=0.22),
    Phone("kʰ", VELAR, 0.14, closure=0.40, burst=CLACK, breath=0.22),
    Phone("p", LABIAL, 0.10, closure=0.70, burst=POP, breath=0.10),
    Phone("t", ALVEOLAR, 0.10, closure=0.70, burst=TICK, breath=0.10),
    Phone("k", VELAR, 0.11, closure=0.65, burst=CLACK, breath=0.10),
    Phone("pp", LABIAL, 0.13, closure=0.92, burst=POP),
    Phone("tt", ALVEOLAR, 0.13, closure=0.92, burst=TICK),
    Phone("kk", VELAR, 0.13, closure=0.90, burst=CLACK),
    Phone("p̚", LABIAL, 0.10, closure=1.0),
    Phone("t̚", ALVEOLAR, 0.10, closure=1.0),
    Phone("k̚", VELAR, 0.10, closure=1.0),
    Phone("b", LABIAL, 0.07, voice=0.5, closure=0.8, bar=0.14, burst=POP),
    Phone("d", ALVEOLAR, 0.07, voice=0.5, closure=0.8, bar=0.14, burst=TICK),
    Phone("ɡ", VELAR, 0.08, voice=0.5, closure=0.8, bar=0.14, burst=CLACK),
    # affricates
    Phone("ts", ALVEOLAR, 0.12, closure=0.45, burst=TICK, friction=HISS),
    Phone("tʃ", PALATAL, 0.13, closure=0.45, burst=TICK, friction=HUSH),
    Phone("dʒ", PALATAL, 0.10, voice=0.25, closure=0.45, bar=0.14, burst=TICK, friction=(3300, 1800, 0.20)),
    Phone("tɕ", PALATAL, 0.11, closure=0.55, burst=TICK, friction=WHISPER),
    Phone("tɕʰ", PALATAL, 0.15, closure=0.40, burst=TICK, friction=WHISPER, breath=0.15),
    Phone("ttɕ", PALATAL, 0.14, closure=0.75, burst=TICK, friction=WHISPER),
)

PHONES = {phone.name: phone for phone in _ALL}
NAMES = tuple(PHONES)  # a phone's number in labels is its index here; 0 is silence
NUMBERS = {name: number for number, name in enumerate(NAMES)}
