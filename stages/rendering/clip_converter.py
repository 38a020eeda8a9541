"""The Converter of a few recordings, without training: the song is made of their frames, by unit selection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline import audio, frames
from ...pipeline.audio import AudioError
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.registry import load_encoder
from ...pipeline.interpolation import columns_at
from ...pipeline.pitch.melody import Range
from ...pipeline.unit_selection import UnitFrames, UnitSelection, loudness_percentiles
from ...pipeline.vocoder.pulse_noise import LevelsPulseNoise, PulseNoise
from ..devices import pick_device, pick_precision
from ..settings import ConversionSettings, RenderSettings
from .converter import AudioChunk, ConversionPlan, Converter, audio_chunks
from .inputs import find_songs
from .mel_predictor import PredictedMel, joined
from .soft_passages import NEPERS
from .source_audio import Phrase, Segment, SourceAudio
from .stopwatch import Stopwatch

ENCODER = "mini"  # ships with svc; another one must be named
LEAST_SECONDS, USUAL_SECONDS, MOST_SECONDS = 3.0, 10.0, 600.0  # of the voice's sound; below USUAL, a warning

Levels = NDArray[np.float32]  # ln gains of pulses and noise, (frames, n_fft // 2 + 1)


class ClipConverter(Converter):
    """Converts to the voice of some recordings. Every frame of the result has the spectral envelope of one of theirs.

    Args:
        clips: recordings of one voice, or folders of them.
        settings: of every call without its own; encoder, device and precision are used at once.
        progress: gets a bar.

    Raises:
        AudioError: a recording cannot be used.
        UserError: the recordings are too short or too long together, or the vocoder is another than `plain`.
        EncoderError: the encoder is not there.
    """

    def __init__(self, clips: Sequence[Path], settings: RenderSettings, progress: Progress | None = None):
        self.settings = settings
        self.clips = check_clips(clips, None, settings)
        self.name = self.clips[0].stem
        self.device = pick_device(settings.device)
        self.vocoder = LevelsPulseNoise()
        self.content = _load_encoder(settings, self.device)
        self.layer = self.content.selection_layer
        self._read(progress or Progress())
        self.hashes = [audio.file_hash(clip) for clip in self.clips]

    def headline(self) -> str:
        clips = count(len(self.clips), "clip")
        return (
            f"voice {self.name} ({clips}, {self.seconds:.0f} s, no training), encoder {self.content.name} "
            f"layer {self.layer}, vocoder {self.vocoder.name}, on {self.device}"
        )

    def about(self) -> dict[str, str]:
        return {
            "voice": f"{self.name}, {self.seconds:.0f} s, no training",
            "encoder": self.content.name,
            "vocoder": self.vocoder.name,
        }

    def voice_range(self, settings: ConversionSettings) -> Range | None:
        return self._range

    def metadata(self, plan: ConversionPlan) -> Mapping[str, Any]:
        return {
            "voice_clips": [
                {"name": clip.name, "sha256": sha256} for clip, sha256 in zip(self.clips, self.hashes, strict=True)
            ],
            "settings": {**asdict(plan.settings), "speaker": self.name},
            "encoder_sha256": self.content.fingerprint,
            "encoder_layer": self.layer,
            "vocoder": {"name": self.vocoder.name},
            "encoder_precision": self.content.precision,
            "device": self.device,
        }

    def notes(self, settings: ConversionSettings) -> list[str]:
        if self.seconds >= USUAL_SECONDS:
            return []
        return [f"{self.name} has {self.seconds:.1f} s of sound; with {USUAL_SECONDS:.0f} s and more words are clearer"]

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        watch = watch or Stopwatch()
        for phrase in plan.source.phrases:
            if phrases is None or phrase.number in phrases:
                yield from self._phrase(phrase, plan, watch)

    def _phrase(self, phrase: Phrase, plan: ConversionPlan, watch: Stopwatch) -> Iterator[AudioChunk]:
        levels = joined(self._segment_levels(phrase.segments, plan, watch))
        return audio_chunks(phrase, self.vocoder.stream(levels, plan.target.f0[phrase.start : phrase.end]), watch)

    def _segment_levels(
        self, segments: Sequence[Segment], plan: ConversionPlan, watch: Stopwatch
    ) -> Iterator[PredictedMel]:
        """For each segment, the levels of the frames that were selected, at mel frames."""
        source = plan.source
        percentiles = loudness_percentiles(plan.features.loudness + source.gain_db)
        for segment, wave in source.waveforms(segments, (frames.CONTENT_RATE,)):
            gain = source.segment_gain_db(segment)
            with watch("encoder"):
                hidden = wave.hidden_layer(self.content, self.layer)
            with watch("selection"):
                f0 = plan.target.f0[segment.start : segment.end]
                wanted = _at_units(hidden, f0, plan.features.segment_loudness[segment] + gain)
                path = self.selection.search(wanted, percentiles)
                levels = moved_formants(self.levels[path], plan.settings.formants)
            yield PredictedMel(segment, to_mel_frames(levels, len(segment)) - NEPERS * gain[:, None])

    def _read(self, progress: Progress) -> None:
        """Features of the voice's own recordings."""
        sources = [SourceAudio.cut(_scanned(clip), self.slices) for clip in self.clips]
        self.seconds = sum(source.seconds_converted for source in sources)
        if not LEAST_SECONDS <= self.seconds <= MOST_SECONDS:
            raise UserError(
                f"{', '.join(map(str, self.clips))}: {self.seconds:.1f} s of sound; a voice needs "
                f"{LEAST_SECONDS:.0f} s at least and {MOST_SECONDS / 60:.0f} minutes at most",
                "with more, train: svc extract, svc train",
            )
        found: list[UnitFrames] = []
        levels: list[Levels] = []
        pitches: list[NDArray[np.float32]] = []
        with progress.bar("voice", round(self.seconds, 1), "s") as bar:
            for source in sources:
                for segment, wave in source.waveforms(source.segments, (frames.MEL_RATE, frames.CONTENT_RATE), False):
                    f0 = wave.f0(self.stored_pitch)
                    level = self.vocoder.levels(wave.log_mel().astype(np.float32), f0).astype(np.float32)
                    unit = _at_units(wave.hidden_layer(self.content, self.layer), f0, wave.loudness())
                    found.append(unit)
                    levels.append(level[_mel_frames_of(len(unit.hidden), len(level))])
                    pitches.append(f0[f0 > 0])
                    bar.advance(frames.mel_seconds(len(segment.span)))
        self.selection, self.levels = UnitSelection(found, levels), np.concatenate(levels)
        voiced = np.concatenate(pitches)
        low, middle, high = np.percentile(voiced, [5, 50, 95]).tolist() if len(voiced) else (0.0, 0.0, 0.0)
        self._range = Range(low, middle, high) if len(voiced) else None


def check_clips(clips: Sequence[Path], run: Path | None, settings: RenderSettings) -> list[Path]:
    """The recordings of a voice. Raises UserError if they, or the settings, cannot be used."""
    if run is not None:
        raise UserError("--voice converts without a run", "give either --voice or --model")
    if settings.vocoder not in (None, PulseNoise.name):
        raise UserError(f"--voice uses the vocoder plain, not {settings.vocoder}", "leave --vocoder out")
    if settings.speaker is not None:
        raise UserError("--speaker chooses a speaker of a run; --voice has one", "leave --speaker out")
    for clip in clips:
        if not clip.exists():
            raise UserError(f"{clip} does not exist", "--voice takes a recording of the voice, or a folder of them")
    return find_songs(clips)


def to_mel_frames(levels: Levels, mel_frames: int) -> Levels:
    """Rows at unit centres (U, D) -> at mel centres (M, D), linearly interpolated."""
    if len(levels) == 0:
        return np.full((mel_frames, levels.shape[1]), -20.0, np.float32)
    place = np.interp(frames.mel_centres(0, mel_frames), frames.unit_centres(len(levels)), np.arange(len(levels)))
    return columns_at(levels.T, place).T


def moved_formants(levels: Levels, semitones: float) -> Levels:
    """Levels (N, n_fft // 2 + 1) stretched along frequency, as by a shorter vocal tract (up) or a longer one (down)."""
    if semitones == 0:
        return levels
    return columns_at(levels, np.minimum(np.arange(levels.shape[1]) / 2 ** (semitones / 12), levels.shape[1] - 1.0))


def _mel_frames_of(units: int, mel_frames: int) -> NDArray[np.int64]:
    """The mel frame at each unit frame's centre, int64 (units,)."""
    frame = (frames.unit_centres(units) * frames.MEL_FRAME_RATE).astype(np.int64)
    return np.minimum(frame, mel_frames - 1)


def _at_units(hidden: NDArray[np.float32], f0: NDArray[np.float32], loudness: NDArray[np.float32]) -> UnitFrames:
    frame = _mel_frames_of(len(hidden), len(f0))
    return UnitFrames(hidden, f0[frame], loudness[frame])


def _scanned(clip: Path) -> audio.Recording:
    try:
        return audio.scan(audio.decode(clip))
    except AudioError as error:
        raise UserError(f"--voice {clip}: {error}") from error


def _load_encoder(settings: RenderSettings, device: str) -> ContentEncoder:
    precision = pick_precision(settings.precision, device)
    return load_encoder(settings.encoder or ENCODER, device, precision)
