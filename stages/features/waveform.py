"""The audio of one utterance, and its features. Extract and render both use this class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.column_names import hidden_column, mel_column
from ...pipeline import audio, formant_shift, frames, mel
from ...pipeline.audio import Recording
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.full_precision import full_precision
from ...pipeline.pitch import pitch
from ...pipeline.pitch.settings import PitchSettings

CPU = torch.device("cpu")


class Waveform:
    """One utterance's samples, at the rates that features are computed from.

    Attributes:
        mel_frames: its length in mel frames, 44100 / 512 a second.
        unit_frames: its length in unit frames, 50 a second.
    """

    def __init__(
        self,
        mono: NDArray[np.float32],
        sample_rate: int,
        mel_frames: int,
        rates: Iterable[int] = (frames.MEL_RATE, frames.CONTENT_RATE),
    ):
        """`mono`: float32 (T,) at `sample_rate` Hz, from a mel frame's start to a mel frame's end.

        `rates`: the sample rates in Hz that it is resampled to and kept at.
        """
        self.mel_frames = mel_frames
        self.unit_frames = frames.unit_frames(frames.content_samples(mel_frames))
        length = mel_frames * frames.MEL_HOP
        self._at = {
            rate: audio.resample(mono, sample_rate, rate, frames.resampled_length(length, frames.MEL_RATE, rate))
            for rate in rates
        }

    @classmethod
    def read(cls, recording: Recording, start: int, end: int) -> Waveform:
        """Mel frames [start, end) of a recording. Raises AudioError where it cannot be decoded."""
        return cls(audio.read(recording, start, end), recording.sample_rate, end - start)

    def at(self, rate: int) -> NDArray[np.float32]:
        """float32 (samples,) at `rate` Hz, one of the rates that were asked for."""
        return self._at[rate]

    def log_mel(self, pitch_shift: int = 0, device: torch.device = CPU) -> NDArray[np.float16]:
        """float16 (mel_frames, 128), ln magnitude, with all frequencies moved by `pitch_shift` semitones."""
        with full_precision():
            found = mel.log_mel(self._tensor(frames.MEL_RATE).to(device), pitch_shift)
        return found.to(torch.float16).cpu().numpy()

    def loudness(self, device: torch.device = CPU) -> NDArray[np.float32]:
        """float32 (mel_frames,), dBFS."""
        return mel.loudness(self._tensor(frames.MEL_RATE).to(device)).cpu().numpy()

    def mel2ph(self) -> NDArray[np.int32]:
        """int32 (mel_frames,), the 1-based unit frame at each mel frame's centre."""
        return frames.mel2ph(self.mel_frames, self.unit_frames)

    def signal(self) -> dict[str, NDArray[Any]]:
        """mel, loudness and mel2ph, as stored."""
        return {mel_column(): self.log_mel(), "loudness": self.loudness(), "mel2ph": self.mel2ph()}

    def f0(self, settings: PitchSettings, device: torch.device = CPU) -> NDArray[np.float32]:
        """float32 (mel_frames,), Hz at mel centres, 0 where unvoiced."""
        return pitch.track(self.at(frames.MEL_RATE), settings, device)

    def shift_formants(self, semitones: int) -> Waveform:
        """Move the formants of the encoder's input, in place, by that many semitones. Returns itself."""
        if semitones:
            moved = formant_shift.shift_formants_of_audio(
                self._tensor(frames.CONTENT_RATE), frames.CONTENT_RATE, semitones
            )
            self._at[frames.CONTENT_RATE] = moved.numpy()
        return self

    def hidden(self, content: ContentEncoder, layers: Iterable[int]) -> dict[str, NDArray[np.float16]]:
        """Hidden states by column name: float16 (unit_frames, width), as stored.

        Raises ArithmeticError when one does not fit float16.
        """
        states = content.encode(self._tensor(frames.CONTENT_RATE), tuple(layers))
        return {name: as_float16(name, state) for layer, state in states.items() if (name := hidden_column(layer))}

    def hidden_layer(self, content: ContentEncoder, layer: int) -> NDArray[np.float32]:
        """Hidden states of one layer, rounded as they are stored: float32 (unit_frames, width). Raises as `hidden`."""
        return self.hidden(content, [layer])[hidden_column(layer)].astype(np.float32)

    def _tensor(self, rate: int) -> Tensor:
        return torch.from_numpy(self.at(rate))


def as_float16(name: str, values: Tensor) -> NDArray[np.float16]:
    """A tensor as it is stored: float16 of the same shape, on the CPU.

    Raises ArithmeticError when a value is not finite, or too large.

    `name` is the column's, for the message.
    """
    stored: NDArray[np.float16] = values.cpu().numpy().astype(np.float16, copy=False)
    if not np.isfinite(stored).all():
        raise ArithmeticError(f"{name} is not finite, or beyond float16")
    return stored
