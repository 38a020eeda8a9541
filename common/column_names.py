"""Names of a store's columns, built and parsed only here.

| column | holds |
|---|---|
| `hidden/12` | hidden states of layer 12 |
| `hidden_up4/12`, `hidden_down3/12` | the same, of the utterance with its formants moved by 4 or -3 semitones |
| `soft` | the units of an encoder that comes with a soft head |
| `mel` | log mel spectrogram |
| `mel_up/4`, `mel_down/3` | the same, with all frequencies moved by 4 or -3 semitones |

The number behind the slash is a layer in `hidden...`, and semitones in `mel_...`.
"""

from __future__ import annotations

import re

SOFT = "soft"

_HIDDEN = re.compile(r"hidden(?:_(up|down)([1-9]\d*))?/(\d+)")
_MEL = re.compile(r"mel_(up|down)/([1-9]\d*)")


def hidden_column(layer: int, formant_shift: int = 0) -> str:
    """The column of a layer's hidden states; `formant_shift` is in semitones."""
    return f"hidden{_direction(formant_shift, '')}/{layer}"


def parse_hidden(name: str) -> tuple[int, int] | None:
    """Layer and formant shift in semitones: (12, 0) of `hidden/12`, (12, 4) of `hidden_up4/12`; None of others."""
    match = _HIDDEN.fullmatch(name)
    return None if match is None else (int(match[3]), _signed(match[1], match[2]))


def mel_column(pitch_shift: int = 0) -> str:
    """The column of the log mel whose frequencies are moved by `pitch_shift` semitones."""
    return f"mel{_direction(pitch_shift, '/')}"


def parse_mel(name: str) -> int | None:
    """Pitch shift in semitones: 0 of `mel`, 4 of `mel_up/4`, -3 of `mel_down/3`; None of other columns."""
    match = _MEL.fullmatch(name)
    return (0 if name == "mel" else None) if match is None else _signed(match[1], match[2])


def _direction(semitones: int, between: str) -> str:
    return "" if semitones == 0 else f"_{'up' if semitones > 0 else 'down'}{between}{abs(semitones)}"


def _signed(direction: str | None, semitones: str | None) -> int:
    return int(semitones or 0) * (-1 if direction == "down" else 1)
