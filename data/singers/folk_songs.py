"""Songs in the public domain, melodies and words, in three languages; Arirang and Sakura begin as they are sung."""

from __future__ import annotations

from .languages import parse
from .score import Note, Score, compose

# (semitones above the key note or None, beats, phones), a syllable each
TWINKLE = (  # "Ah! vous dirai-je, maman" (1761), words by Jane Taylor (1806)
    "0 1 tʰ w ɪ ŋ|0 1 k l̩|7 1 tʰ w ɪ ŋ|7 1 k l̩|9 1 l ɪ|9 1 t l̩|7 2 s t ɑ ɹ|"
    "5 1 h ɑ w|5 1 ɑ j|4 1 w ʌ n|4 1 d ɝ|2 1 w ʌ t|2 1 j u|0 2 ɑ ɹ|- 1|"
    "7 1 ʌ p|7 1 ʌ|5 1 b ʌ v|5 1 ð ʌ|4 1 w ɝ l d|4 1 s o w|2 2 h ɑ j|"
    "7 1 l ɑ j k|7 1 ʌ|5 1 d ɑ j|5 1 m ʌ n d|4 1 ɪ n|4 1 ð ʌ|2 2 s k ɑ j"
)
ARIRANG = (  # traditional, Korea
    "0 1.5 a|2 .5 ɾ i|0 .5 ɾ a ŋ|2 .5 -|5 1.5 a|7 .5 ɾ i|5 .5 ɾ a ŋ|7 .5 -|9 1 a|"
    "7 .5 ɾ a|9 .5 -|5 .5 ɾ i|2 .5 -|0 1.5 j o|- 1|"
    "2 1.5 a|5 .5 ɾ i|2 .5 ɾ a ŋ|5 .5 -|5 1 k o|5 .5 ɡ e|2 .5 -|0 1 ɾ o|2 .5 n ʌ|5 .5 m ʌ|5 1 ɡ a n|2 .5 d a|0 2 -"
)
SAKURA = (  # traditional, Japan
    "9 1 s a|9 1 k ɯ|11 2 ɾ a|9 1 s a|9 1 k ɯ|11 2 ɾ a|- .5|"
    "9 1 j a|11 1 j o|12 1 i|11 1 n o|9 1 s o|11 .5 ɾ a|9 .5 -|5 2 w a|- .5|"
    "4 1 m i|0 1 w a|4 1 t a|5 1 s ɯ|4 1 k a|4 .5 ɡ i|0 .5 -|-1 2 ɾ i"
)
SONGS = {"twinkle": ("en", TWINKLE, 0.42), "arirang": ("ko", ARIRANG, 0.5), "sakura": ("ja", SAKURA, 0.42)}


def notes_of(text: str, key: float, beat: float) -> list[Note]:
    """Notes with `key` as the MIDI pitch of 0. `-` for a pitch is a rest, `-` for phones holds the vowel before."""
    notes = [Note(None, 0.4)]
    for syllable in text.split("|"):
        step, beats, *phones = syllable.split()
        seconds = float(beats) * beat
        if step == "-":
            notes.append(Note(None, seconds))
            continue
        sounds = " ".join(phones).replace("l̩", "ʊ l")
        if sounds == "-":
            # The syllable goes on over another note: what ends it is sung there.
            held = notes[-1].syllable
            assert held is not None
            notes[-1] = Note(notes[-1].midi, notes[-1].seconds, parse(" ".join([*held.onset, held.vowel])))
            sounds = " ".join([held.vowel, *held.coda])
        notes.append(Note(key + float(step), seconds, parse(sounds)))
    return [*notes, Note(None, 0.4)]


def song(name: str, key: float, seed: int = 0) -> Score:
    """One of `SONGS`, its key note at the MIDI pitch `key`."""
    _, text, beat = SONGS[name]
    return compose(notes_of(text, key, beat), seed)
