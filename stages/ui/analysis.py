"""Analysis of a song for the page: its phrases, f0, waveform, spectrogram, and a copy that any browser plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from ...common.files import write_whole
from ...common.progress import Progress
from ...pipeline import audio, frames
from ...pipeline.audio import AudioError, Recording
from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.slicing import SliceSettings, Span, slice_at_silence
from ..rendering import f0_file, source_features
from ..rendering.stopwatch import Stopwatch
from ..settings.render import F0_MAX
from .conversion import SongCache, one_by_one

Samples = NDArray[np.float32]

# Finer than the slices of a corpus, so that a phrase is about a breath long: the part that a user converts again.
PHRASES = SliceSettings(max_seconds=9.0, max_gap_seconds=0.4, margin_seconds=0.15)
LOWEST_NOTE, HIGHEST_NOTE = 36, 108  # MIDI, of the spectrogram
ROWS_PER_SEMITONE = 3
TILE_FRAMES = 1_024  # mel frames, one column each
FFT = 4_096  # samples; resolves the harmonics of a low voice
PEAK_SAMPLES = 256  # samples at 44.1 kHz for which the waveform has one minimum and one maximum
FLOOR_DB, CEILING_DB = -90.0, -10.0  # of the spectrogram, under full scale


def check_length(path: Path, seconds: float) -> None:
    """Raises AudioError if more than that can be decoded: sound is counted, since a header may be wrong."""
    try:
        with soundfile.SoundFile(path) as file:
            left = int(seconds * file.samplerate)
            while left >= 0 and (count := len(file.read(1 << 18, dtype="int16", always_2d=True))):
                left -= count
    except (soundfile.LibsndfileError, OSError, MemoryError):
        return  # `audio.scan` raises the error
    if left < 0:
        raise AudioError(f"lasts over {seconds / 60:.0f} minutes, which is more than this server takes")


def analyse(file: Path, folder: Path, max_seconds: float, songs: SongCache, progress: Progress) -> dict[str, Any]:
    """Analyse a song, and write the files for the page into its folder. Returns the fields of `schemas.Song`.

    Raises:
        AudioError: the song cannot be used.
    """
    check_length(file, max_seconds)
    recording = audio.scan(audio.decode(file))
    spans = slice_at_silence(recording.level_db, PHRASES)
    mono = source_at_mel_rate(recording)
    soundfile.write(folder / "preview.flac", mono, frames.MEL_RATE, subtype="PCM_16")
    write_whole(folder / "peaks.bin", peaks(mono).tobytes())
    source = one_by_one(recording, spans)
    with progress.bar("f0", round(source.seconds_converted, 1), "s") as bar:
        features = source_features.analyse(source, PitchSettings(), bar, Stopwatch(), F0_MAX)
    songs.keep(file, features)
    f0_file.write(folder / "f0.csv", features.f0)
    tiles = write_spectrogram(mono, recording.frames, folder, progress)
    voiced = features.f0[features.f0 > 0]
    low, median, high = np.percentile(voiced, [5, 50, 95]).round(1).tolist() if len(voiced) else (None, None, None)
    return {
        "seconds": recording.seconds,
        "sample_rate": recording.sample_rate,
        "frames": recording.frames,
        "phrases": phrases_of(spans),
        "notes": list(recording.notes),
        "f0_low": low,
        "f0_median": median,
        "f0_high": high,
        "tiles": tiles,
        "rms_db": rms_db(mono),
        "mixdown_gain": recording.mixdown.gain,
    }


def source_at_mel_rate(recording: Recording) -> Samples:
    """A recording's mono mix at 44.1 kHz, float32 (frames * 512,)."""
    mono = audio.read(recording, 0, recording.frames)
    return audio.resample(mono, recording.sample_rate, frames.MEL_RATE, recording.frames * frames.MEL_HOP)


def phrases_of(spans: list[Span]) -> list[dict[str, Any]]:
    """The phrases of a song as the page's records: number, start and end in seconds."""
    return [
        {
            "index": index,
            "start": round(frames.mel_seconds(span.start), 6),
            "end": round(frames.mel_seconds(span.end), 6),
            "joined": span.joined,
        }
        for index, span in enumerate(spans)
    ]


def peaks(mono: Samples) -> NDArray[np.int8]:
    """The lowest and highest sample of every PEAK_SAMPLES, int8 (N, 2), 127 = full scale."""
    padded = np.pad(mono, (0, -len(mono) % PEAK_SAMPLES)).reshape(-1, PEAK_SAMPLES)
    return np.clip(np.round(127 * np.stack([padded.min(1), padded.max(1)], 1)), -127, 127).astype(np.int8)


def rms_db(wav: Samples) -> float:
    """Level of samples (T,) in dBFS, of the blocks of 0.1 s within 30 dB of the loudest; -120 for silence."""
    block = frames.MEL_RATE // 10
    power = np.square(np.pad(wav, (0, -len(wav) % block)).reshape(-1, block).astype(np.float64)).mean(1)
    if len(power) == 0 or power.max() <= 1e-12:
        return -120.0
    return round(float(10 * np.log10(power[power > power.max() / 1_000].mean())), 2)


def write_spectrogram(mono: Samples, count: int, folder: Path, progress: Progress) -> int:
    """Grey pictures of the spectrogram of mono (T,), TILE_FRAMES columns each; returns how many.

    Columns are mel frames, rows are pitches: ROWS_PER_SEMITONE each from HIGHEST_NOTE (top) to LOWEST_NOTE, so that f0
    drawn over it lies on the first harmonic.
    """
    rows = np.arange(HIGHEST_NOTE * ROWS_PER_SEMITONE, LOWEST_NOTE * ROWS_PER_SEMITONE, -1) / ROWS_PER_SEMITONE
    bins = 440 * 2 ** ((rows - 69) / 12) * FFT / frames.MEL_RATE
    low = np.floor(bins).astype(int)
    share = (bins - low).astype(np.float32)
    window = np.hanning(FFT).astype(np.float32)
    padded = np.pad(mono, (FFT // 2 - frames.MEL_HOP // 2, FFT))
    views = np.lib.stride_tricks.sliding_window_view(padded, FFT)[:: frames.MEL_HOP][:count]
    tiles = range(0, count, TILE_FRAMES)
    with progress.bar("spectrogram", len(tiles), "tiles") as bar:
        for number, start in enumerate(tiles):
            spectrum = np.abs(np.fft.rfft(views[start : start + TILE_FRAMES] * window)).astype(np.float32)
            power = spectrum[:, low] * (1 - share) + spectrum[:, low + 1] * share
            decibel = 20 * np.log10(power / (window.sum() / 2) + 1e-9)
            grey = np.clip((decibel - FLOOR_DB) / (CEILING_DB - FLOOR_DB), 0, 1).T * 255
            Image.fromarray(grey.astype(np.uint8)).save(folder / f"spectrogram-{number:03d}.png")
            bar.advance()
    return len(tiles)
