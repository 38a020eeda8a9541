"""Opening recordings: libsndfile decodes the formats that it supports, FFmpeg (by PyAV) the others and videos.

Both are read in blocks of bounded size and length, whatever a file's header claims.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..common.errors import SvcError
from .frames import mel_frame_start

# fmt: off
SOUND_FILES = frozenset(
    (
        ".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".aiff", ".aif", ".au", ".caf", ".rf64", ".w64",
    )
)
FFMPEG_FILES = frozenset(
    (
        ".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".mka", ".webm", ".weba", ".3gp", ".avi",
        ".wma", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".amr", ".ape", ".wv",
    )
)
# fmt: on
SUFFIXES = SOUND_FILES | FFMPEG_FILES  # of files that are treated as recordings

MAX_HOURS = 24.0  # a longer file is taken for a broken or hostile header
MAX_CHANNELS = 32
RATES = (4_000, 384_000)  # Hz, lowest and highest supported sample rate
BLOCK_FRAMES = 1_024  # mel frames decoded at a time, about 12 s
BLOCK_VALUES = 4_800_000  # samples x channels decoded at a time, at most: 19 MB

# Demuxers that FFmpeg may use. Playlists and the like, which name other files and addresses, are not among them.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,wav,flac,mp3,ogg,avi,asf,flv,mpegts,mpeg,amr,ape,wv,aiff,caf,w64"


class AudioError(SvcError, ValueError):
    """A recording cannot be used. The message completes the sentence "FILE ..."."""


class AudioFile(Protocol):
    """An opened recording, as `soundfile.SoundFile` is one."""

    @property
    def samplerate(self) -> int:
        """Samples a second, Hz."""

    @property
    def channels(self) -> int:
        """How many channels each frame has."""

    @property
    def frames(self) -> int:
        """How many frames (samples of every channel) the file has."""

    @property
    def format(self) -> str:
        """The container's name, such as WAV."""

    def read(self, frames: int, dtype: str, always_2d: bool) -> NDArray[np.float32]:
        """The next `frames` frames, (frames, channels) with `always_2d`; fewer at the end."""

    def seek(self, frames: int, /) -> int:
        """Go to a frame, and return its number."""

    def seekable(self) -> bool:
        """Whether `seek` works."""

    def close(self) -> None:
        """Close the file."""


class FFmpegFile:
    """The first sound track of a file that FFmpeg decodes. It is read from start to end; it cannot be sought in."""

    format = "FFMPEG"
    frames = 0  # their number is known after decoding

    def __init__(self, path: Path):
        """Raises AudioError where there is no sound that FFmpeg can decode."""
        import av

        self._file = path.open("rb")
        try:
            options = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
            self._container = av.open(self._file, mode="r", options=options)
            streams = self._container.streams.audio
            if not streams:
                raise AudioError("holds no sound: it is a video without a sound track")
            stream = streams[0]
            # A stream whose codec FFmpeg does not have has neither.
            self.samplerate = int(getattr(stream, "rate", 0) or 0)
            self.channels = int(getattr(stream, "channels", 0) or 0)
            if not self.samplerate or not self.channels:
                raise ValueError("a sound track without a sample rate")
            self._resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
            self._decoded = self._container.decode(stream)
        except BaseException:
            self._file.close()
            raise
        self._left: NDArray[np.float32] = np.zeros((0, max(1, self.channels)), np.float32)

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> NDArray[np.float32]:
        """The next samples, at most `frames` of them: float32 (n, channels)."""
        blocks, held = [self._left], len(self._left)
        while held < frames and (frame := next(self._decoded, None)) is not None:
            for part in self._resampler.resample(frame):
                blocks.append(np.asarray(part.to_ndarray(), np.float32).reshape(-1, self.channels))
                held += len(blocks[-1])
        samples = np.concatenate(blocks)
        self._left = samples[frames:].copy()
        return samples[:frames]

    def seek(self, frames: int) -> int:
        """Not possible: a compressed stream is read from start to end."""
        raise NotImplementedError

    def seekable(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Close the decoder and the file."""
        self._container.close()
        self._file.close()


def open_audio(path: Path) -> AudioFile:
    """Open a recording.

    Raises:
        AudioError: it is no regular file, no program can decode it, or it claims what no recording has.
    """
    try:
        mode, size = (found := path.stat()).st_mode, found.st_size
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):
        raise AudioError("is no regular file but a pipe, device or folder")
    if size == 0:
        raise AudioError("is empty (0 bytes)")
    file = _open_any(path)
    wrong = ""
    if not RATES[0] <= file.samplerate <= RATES[1]:
        wrong = f"claims a sample rate of {file.samplerate} Hz; {RATES[0]} to {RATES[1]} Hz are supported"
    elif not 0 < file.channels <= MAX_CHANNELS:
        wrong = f"claims {file.channels} channels; at most {MAX_CHANNELS} are supported"
    if wrong:
        file.close()
        raise AudioError(wrong)
    return file


def _open_any(path: Path) -> AudioFile:
    """By libsndfile; by FFmpeg if libsndfile cannot open it, or if its header has no length."""
    try:
        # As bytes, since a name need not be text; on Windows names are text.
        file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    except (soundfile.LibsndfileError, OSError) as error:
        return _open_by_ffmpeg(path, error)
    if 0 < file.frames < 2**62:  # libsndfile says 2^63 - 1 of a FLAC of unknown length
        return file
    try:
        opened = _open_by_ffmpeg(path, None)
    except AudioError:
        return file
    file.close()
    return opened


def _open_by_ffmpeg(path: Path, before: Exception | None) -> FFmpegFile:
    """`before` is libsndfile's error, for the message."""
    import av

    try:
        return FFmpegFile(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        found = before or error
        detail = str(getattr(found, "error_string", "") or getattr(found, "strerror", "") or found).strip().rstrip(".")
        raise AudioError(f"is no audio that can be decoded ({detail}); convert it to FLAC or WAV") from error


def claimed_frames(file: AudioFile) -> int:
    """The number of frames in a file's header: more than there are, if the file is cut off. 0 is unknown.

    For a WAV or AIFF, libsndfile's count follows from the file's size; its log has the count of the header.
    """
    if not isinstance(file, soundfile.SoundFile):
        return int(getattr(file, "claimed", 0))  # of a SampleBuffer, which keeps it from the file that was decoded
    if not 0 < file.frames < 2**62:
        return 0
    said = re.search(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if said is None:
        return file.frames
    promised, there = map(int, said.groups())
    # A stream that was written without a length promises 0 or 4 GiB.
    return 0 if promised >= 2**31 or not there else round(file.frames * promised / there)


def read_blocks(file: AudioFile) -> Iterator[NDArray[np.float32]]:
    """Blocks of float32 (samples, channels) until the file ends, without trusting its header's length.

    A block is `BLOCK_FRAMES` mel frames long, or fewer where that would be over `BLOCK_VALUES` samples.
    """
    import av

    longest = BLOCK_VALUES // (file.channels * mel_frame_start(1, file.samplerate))
    block_samples = mel_frame_start(min(BLOCK_FRAMES, longest // 4 * 4), file.samplerate)
    limit = int(MAX_HOURS * 3600 * file.samplerate)
    done = 0
    while True:
        try:
            block = file.read(block_samples, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, av.FFmpegError, MemoryError, ValueError) as error:
            detail = str(getattr(error, "error_string", "") or error or "too little memory").strip().rstrip(".")
            raise AudioError(f"is damaged beyond {done / file.samplerate:.0f} s ({detail}); export it again") from error
        if len(block) == 0:
            return
        done += len(block)
        if done > limit:
            raise AudioError(f"lasts over {MAX_HOURS:.0f} hours; cut it into files")
        yield block
