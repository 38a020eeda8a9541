"""The meaning of every measure on a page, in a sentence. docs/quality.md explains them at more length."""

from __future__ import annotations

from collections.abc import Iterable

GLOSSARY = {
    # against a true result
    "MCD dB": "Mel-cepstral distortion: how far the spectrum is from that of the true result, in dB. 0 is the same.",
    "CR": "Conversion ratio, 1 - MCD / the source's MCD: 0 is a copy of the source, 1 is the true result.",
    "CTR": "Closer-to-target rate: the share of moments that are nearer to the true result than to the source.",
    "spkA": "The share of half seconds that a classifier assigns to the source's voice. It should be 0.",
    "spkB": "The share of half seconds that a classifier assigns to the target's voice. It should be 1.",
    "GV": "Global variance of the spectrum, relative to the true result. Under 1 is dull, over 1 is noisy.",
    "G1": "The gate 'it converts': CR at least .30, CTR .80, spkB .90, phones .60, f0 within 10 cents, GPE50 at most "
    ".05, V/UV at least .95.",
    "G2": "The gate 'better than every baseline without training': CR at least .52, phones .80, CTR .95, "
    "GV .85 to 1.15.",
    # melody
    "key": "Semitones by which the song was moved.",
    "f0 cents": "The median error of the pitch, in hundredths of a semitone.",
    "GPE50": "Gross pitch error: the share of voiced frames that are more than 50 cents off.",
    "V/UV": "F1 score of voiced and unvoiced frames: 1 if the voicing is everywhere correct.",
    "in tune": "Of the frames that should be voiced, the share that is voiced and within 50 cents of the target pitch.",
    "loudness": "The correlation of loudness over time: 1 if loud and soft moments are the same.",
    # voice
    "target voice": "The share of half seconds that a classifier assigns to the target. It should be 1.",
    "source voice": "The share of half seconds that a classifier assigns to the song's own singer. It should be 0.",
    "variance": "The spectrum's variance relative to the target's own recordings. Under 1 is dull, over 1 is noisy.",
    "spectrum dB": "How far the mean spectrum is from the target's, in dB, independent of level.",
    "song's spectrum dB": "The same of the song before conversion.",
    "SECS": "Speaker similarity: the cosine of speaker embeddings of the result and of the target's own recordings.",
    "song's SECS": "The same of the song before conversion: the value without conversion.",
    "target's SECS": "The same of the target's own recordings among each other: an upper bound.",
    # words and sound
    "phones": "The share of moments whose phone a classifier predicts correctly.",
    "phones kept": "The share of the song's loud moments that a classifier gives the same kind of phone in the result.",
    "vocoder alone": "The same of the song through the vocoder alone: an upper bound for conversions.",
    "by chance": "The same if the result's phones came in random order.",
    "CER": "Character error rate: the share of letters that a speech recogniser transcribes otherwise. 0 is best.",
    "median CER": "The median of it over the clips, which a single failed clip does not change.",
    "song's CER": "The same of the song before conversion, against the words in song.txt.",
    "letters right": "About how many of 100 letters are understood: 100 (1 - CER).",
    "DNSMOS": "Naturalness as a network estimates it, from 1 to 5. It was trained on speech: compare with the song's.",
    "song's DNSMOS": "The same of the song before conversion.",
    # training
    "loss": "The training loss: how far the model is from its targets.",
    "held out": "The same loss for utterances that it is not trained on. It does not say how well a voice converts.",
    "words": "Of held-out utterances in another voice: how much of their phones is kept, beside recordings.",
    "voice": "Of the same: the share of half seconds taken for the voice asked for, beside recordings.",
    "unwarped": "The share of a formant shift that is inverted: whether the model depends on the source's vocal tract.",
    "score": "The geometric mean of these. The checkpoint with the highest one is used.",
}


def glossary(names: Iterable[str]) -> dict[str, str]:
    """The entries of these names, in the glossary's order; a name may go on after ` (`, as in `CER (whisper-base)`."""
    wanted = {name.partition(" (")[0] for name in names}
    return {name: meaning for name, meaning in GLOSSARY.items() if name in wanted}
