"""One utterance's features, the same way in extract and in render."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..pipeline import audio, frames, mel, pitch
from ..pipeline.audio import Recording, SliceSettings
from ..pipeline.content import Content
from ..pipeline.pitch import PitchSettings
from ..store.schema import MEL, UNIT, Column

ALGORITHM = 1  # raise when the same settings would give other values
SIGNAL = ("mel", "loudness", "mel2ph")  # what the waveform alone tells, cheaply


def identity(slices: SliceSettings) -> dict[str, Any]:
    """What holds for a whole store: how recordings are cut, and the two frame rates."""
    return {
        "slices": asdict(slices),
        "unit_frame_rate": frames.UNIT_RATE,
        "mel_frame_rate": frames.MEL_FRAME_RATE,
        "algorithm": ALGORITHM,
    }


def columns(content: Content, layers: Iterable[int], pitch_settings: PitchSettings) -> dict[str, Column]:
    """The columns of a store, with everything that decides their values."""
    table = [
        Column(
            f"hidden/{layer}",
            UNIT,
            "float16",
            content.hidden_size,
            "1",
            {"encoder": content.describe(), "layer": layer, "algorithm": ALGORITHM},
            origin=content.origin,
        )
        for layer in layers
    ]
    signal = {**mel.SETTINGS, "algorithm": ALGORITHM}
    time = {"rule": "true time: floor(centre / 20 ms) + 1", "padding": frames.CONTENT_PAD, "algorithm": ALGORITHM}
    loudness = {"window": mel.N_FFT, "hop": frames.MEL_HOP, "floor": mel.LOUDNESS_FLOOR_DB, "algorithm": ALGORITHM}
    f0 = {**asdict(pitch_settings), "at": "mel centres", "unvoiced": 0, "algorithm": ALGORITHM}
    table += [
        Column("mel", MEL, "float16", mel.N_MELS, "ln magnitude", signal),
        Column("loudness", MEL, "float32", 0, "dBFS", loudness),
        Column("mel2ph", MEL, "int32", 0, "1-based unit frame", time),
        Column("f0", MEL, "float32", 0, "Hz", f0),
    ]
    return {column.name: column for column in table}


class Waveform:
    """One utterance's samples at both rates that features are made of."""

    def __init__(self, recording: Recording, start: int, end: int):
        self.mel_frames = end - start
        mono = audio.read(recording, start, end)
        rate = recording.sample_rate
        self.at_mel_rate = audio.resample(mono, rate, frames.MEL_RATE, self.mel_frames * frames.MEL_HOP)
        samples = frames.content_samples(self.mel_frames)
        self.at_content_rate = audio.resample(mono, rate, frames.CONTENT_RATE, samples)
        self.unit_frames = frames.unit_frames(samples)

    def signal(self) -> dict[str, NDArray[Any]]:
        """mel, loudness and mel2ph, as stored."""
        wav = torch.from_numpy(self.at_mel_rate)
        return {
            "mel": mel.log_mel(wav).numpy().astype(np.float16),
            "loudness": mel.loudness(wav).numpy(),
            "mel2ph": frames.mel2ph(self.mel_frames, self.unit_frames),
        }

    def f0(self, settings: PitchSettings) -> NDArray[np.float32]:
        return pitch.track(self.at_mel_rate, settings)

    def hidden(self, content: Content, layers: Iterable[int]) -> dict[str, NDArray[np.float16]]:
        """Hidden states by column name, as stored. Raises ArithmeticError when one does not fit float16."""
        states = content.encode(torch.from_numpy(self.at_content_rate), tuple(layers))
        stored = {f"hidden/{layer}": state.cpu().numpy().astype(np.float16) for layer, state in states.items()}
        for name, value in stored.items():
            if not np.isfinite(value).all():
                raise ArithmeticError(f"{name} is not finite, or beyond float16")
        return stored
