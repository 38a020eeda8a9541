"""Synthetic singers: any number of voices, each from a seed, and scores for them to sing.

`sing(score, voice)` synthesises sound. Two voices that sing one score are parallel: they have the same f0 and the same
phones at the same times.
"""

from .folk_songs import SONGS, song
from .phones import NAMES, PHONES, SILENCE
from .score import Note, Score, compose, draw_score
from .synthesis import sing
from .vocal_tract import Voice, draw_voice

__all__ = [
    "NAMES",
    "PHONES",
    "SILENCE",
    "SONGS",
    "Note",
    "Score",
    "Voice",
    "compose",
    "draw_score",
    "draw_voice",
    "sing",
    "song",
]
