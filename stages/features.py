"""One utterance's features, the same way in extract and in render."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..pipeline import audio, formant_shift, frames, mel
from ..pipeline.audio import Recording
from ..pipeline.encoder.content import ContentEncoder, weights_hash
from ..pipeline.pitch import pitch
from ..pipeline.pitch.pitch import PitchSettings
from ..pipeline.slicing import SliceSettings
from ..store.schema import MEL, UNIT, Column

ALGORITHM = 1  # raise when the same settings would give other values
SOFT = "soft"  # the units of an encoder that comes with a soft head
SIGNAL = ("mel", "loudness", "mel2ph")  # what the waveform alone tells, cheaply


def identity(slices: SliceSettings) -> dict[str, Any]:
    """What holds for a whole store: how recordings are cut, and the two frame rates."""
    return {
        "slices": asdict(slices),
        "unit_frame_rate": frames.UNIT_RATE,
        "mel_frame_rate": frames.MEL_FRAME_RATE,
        "algorithm": ALGORITHM,
    }


def content_columns(
    encoder: dict[str, Any],
    origin: str,
    precision: str,
    layers: Iterable[int],
    head: dict[str, Any] | None,
    formant_shifted: Iterable[tuple[int, int]] = (),
) -> list[Column]:
    """The encoder's columns: its hidden layers, its units where it has a soft head, and layers of warped voices.

    `encoder` is what `Content.describe` says, `head` what `describe_head` does; `warped` are (semitones, layer).
    """
    made_by = {"encoder": encoder, "precision": precision, "algorithm": ALGORITHM}
    table = [
        Column(f"hidden/{layer}", UNIT, "float16", encoder["hidden_size"], "1", {**made_by, "layer": layer}, origin)
        for layer in layers
    ]
    for semitones, layer in sorted(formant_shifted):
        settings = {**made_by, "layer": layer, "formants": {**formant_shift.SETTINGS, "semitones": semitones}}
        name = hidden_column(layer, semitones)
        table.append(Column(name, UNIT, "float16", encoder["hidden_size"], "1", settings, origin))
    if head is not None:
        table.append(Column(SOFT, UNIT, "float16", head["width"], "1", {**made_by, "head": head}, origin))
    return table


def describe_head(content: ContentEncoder) -> dict[str, Any] | None:
    """What a store keeps of an encoder's soft head, if it has one."""
    if content.head is None:
        return None
    return {"kind": "hubert-soft", "sha256": weights_hash(content.head), "width": content.head.unit_dim}


FORMANT_SHIFTED = re.compile(r"hidden_(up|down)(\d+)/(\d+)")


def hidden_column(layer: int, semitones: int = 0) -> str:
    """Of a layer's column, heard of the utterance with its formants moved: `hidden/12`, `hidden_up4/12`."""
    return f"hidden{'' if semitones == 0 else f'_up{semitones}' if semitones > 0 else f'_down{-semitones}'}/{layer}"


def formant_shift_of(name: str) -> tuple[int, int] | None:
    """Semitones and layer of a warped voice's column: (4, 12) of `hidden_up4/12`; None of other columns."""
    match = FORMANT_SHIFTED.fullmatch(name)
    return None if match is None else (int(match[2]) * (1 if match[1] == "up" else -1), int(match[3]))


def formant_shift_or_zero(name: str) -> int:
    """By how many semitones formants were moved before a column was computed: 0 of all but warped voices'."""
    return found[0] if (found := formant_shift_of(name)) else 0


PITCH_SHIFTED = re.compile(r"mel_(up|down)/(\d+)")


def pitch_shift_of(name: str) -> int | None:
    """By how many semitones a column's mel is moved: 4 of `mel_up/4`, -3 of `mel_down/3`, None of other columns."""
    match = PITCH_SHIFTED.fullmatch(name)
    return None if match is None else int(match[2]) * (1 if match[1] == "up" else -1)


def pitch_shift_columns(pitch_shifts: Iterable[int]) -> list[Column]:
    """The mel as it would be of a voice with all frequencies `shift` semitones higher, to augment training with."""
    settings = {**mel.SETTINGS, "algorithm": ALGORITHM}
    return [
        Column(
            f"mel_{'up' if shift > 0 else 'down'}/{abs(shift)}",
            MEL,
            "float16",
            mel.N_MELS,
            "ln magnitude",
            {**settings, "semitones": shift},
        )
        for shift in sorted(pitch_shifts)
    ]


def signal_columns(pitch_settings: PitchSettings) -> list[Column]:
    """The columns that need no encoder."""
    signal = {**mel.SETTINGS, "algorithm": ALGORITHM}
    time = {"rule": "true time: floor(centre / 20 ms) + 1", "padding": frames.CONTENT_PAD, "algorithm": ALGORITHM}
    loudness = {"window": mel.N_FFT, "hop": frames.MEL_HOP, "floor": mel.LOUDNESS_FLOOR_DB, "algorithm": ALGORITHM}
    f0 = {**asdict(pitch_settings), **pitch.made_by(pitch_settings), "unvoiced": 0, "algorithm": ALGORITHM}
    return [
        Column("mel", MEL, "float16", mel.N_MELS, "ln magnitude", signal),
        Column("loudness", MEL, "float32", 0, "dBFS", loudness),
        Column("mel2ph", MEL, "int32", 0, "1-based unit frame", time),
        Column("f0", MEL, "float32", 0, "Hz", f0),
    ]


class Waveform:
    """One utterance's samples, at the rates that features are made of.

    `mono` is float32 at `sample_rate`, from the start of a mel frame to the end of one; `rates` are those to keep.
    """

    def __init__(
        self,
        mono: NDArray[np.float32],
        sample_rate: int,
        mel_frames: int,
        rates: Iterable[int] = (frames.MEL_RATE, frames.CONTENT_RATE),
    ):
        self.mel_frames = mel_frames
        samples = {
            frames.MEL_RATE: mel_frames * frames.MEL_HOP,
            frames.CONTENT_RATE: frames.content_samples(mel_frames),
        }
        self.unit_frames = frames.unit_frames(samples[frames.CONTENT_RATE])
        self._at = {rate: audio.resample(mono, sample_rate, rate, samples[rate]) for rate in rates}

    @classmethod
    def read(cls, recording: Recording, start: int, end: int) -> Waveform:
        """Mel frames [start, end) of a recording."""
        return cls(audio.read(recording, start, end), recording.sample_rate, end - start)

    def at(self, rate: int) -> NDArray[np.float32]:
        """float32 (samples,) at 44.1 or 16 kHz."""
        return self._at[rate]

    def signal(self) -> dict[str, NDArray[Any]]:
        """mel, loudness and mel2ph, as stored."""
        wav = torch.from_numpy(self.at(frames.MEL_RATE))
        return {
            "mel": mel.log_mel(wav).numpy().astype(np.float16),
            "loudness": mel.loudness(wav).numpy(),
            "mel2ph": frames.mel2ph(self.mel_frames, self.unit_frames),
        }

    def shifted(self, semitones: int) -> NDArray[np.float16]:
        """The mel with all frequencies that much higher, as stored."""
        wav = torch.from_numpy(self.at(frames.MEL_RATE))
        return mel.log_mel(wav, semitones).numpy().astype(np.float16)

    def f0(self, settings: PitchSettings) -> NDArray[np.float32]:
        return pitch.track(self.at(frames.MEL_RATE), settings)

    def shift_formants(self, semitones: int) -> Waveform:
        """Have the encoder hear another throat: its samples' formants are moved up by that much. Returns itself."""
        if semitones:
            wav = torch.from_numpy(self.at(frames.CONTENT_RATE))
            self._at[frames.CONTENT_RATE] = formant_shift.shift_formants_of_audio(
                wav, frames.CONTENT_RATE, semitones
            ).numpy()
        return self

    def hidden(self, content: ContentEncoder, layers: Iterable[int]) -> dict[str, NDArray[np.float16]]:
        """Hidden states by column name, as stored. Raises ArithmeticError when one does not fit float16."""
        states = content.encode(torch.from_numpy(self.at(frames.CONTENT_RATE)), tuple(layers))
        return of_content(content, states, {f"hidden/{layer}" for layer in layers})


def is_content(name: str) -> bool:
    """Whether a column is the encoder's."""
    return name == SOFT or name.startswith("hidden/") or formant_shift_of(name) is not None


def of_content(
    content: ContentEncoder, states: Mapping[int, Tensor], names: Collection[str], semitones: int = 0
) -> dict[str, NDArray[np.float16]]:
    """What one clip's hidden states give for the columns `names`, as stored: float16 (unit frames, width).

    `semitones` is how its formants were moved before.

    Raises:
        ArithmeticError: a value is not finite, or beyond float16.
    """
    kept = {hidden_column(layer, semitones): state for layer, state in states.items()}
    if SOFT in names and content.head is not None:
        kept[SOFT] = content.head.units(states[content.layers])
    values = {name: kept[name].cpu().numpy().astype(np.float16) for name in names}
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise ArithmeticError(f"{name} is not finite, or beyond float16")
    return values
