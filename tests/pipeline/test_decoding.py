"""Files that libsndfile cannot read are read by FFmpeg, within the same bounds."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from svc.pipeline import audio
from svc.pipeline.audio import AudioError
from svc.pipeline.decoding import open_audio, read_blocks

RATE = 48_000


def tone(seconds: float = 2.0, channels: int = 1) -> NDArray[np.float32]:
    """(channels, T), 220 and 330 Hz."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.4 * np.sin(2 * np.pi * hz * t) for hz in (220, 330)[:channels]]).astype(np.float32)


def encode(path: Path, wav: NDArray[np.float32], codec: str, video: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10) if video else None
        stream = container.add_stream(codec, rate=RATE, layout="stereo" if len(wav) == 2 else "mono")
        assert isinstance(stream, av.AudioStream)
        if pictures is not None:
            pictures.width = pictures.height = 64
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            for packet in [*pictures.encode(picture), *pictures.encode(None)]:
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(wav, format="fltp", layout="stereo" if len(wav) == 2 else "mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("a.m4a", "aac", False),
        ("a.aac", "aac", False),
        ("a.mp4", "aac", True),
        ("a.mka", "libopus", False),
        ("a.mkv", "ac3", True),
        ("a.webm", "libopus", False),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_libsndfile_does_not_read(tmp_path: Path, name: str, codec: str, video: bool, channels: int) -> None:
    path = encode(tmp_path / name, tone(2.0, channels), codec, video)
    recording = audio.scan(path)
    assert recording.sample_rate == RATE
    assert recording.seconds == pytest.approx(2.0, abs=0.1)
    mono = audio.read(recording, 0, recording.frames)
    spectrum = np.abs(np.fft.rfft(mono[: 2 * RATE] * np.hanning(2 * RATE)))
    assert np.argmax(spectrum) / 2 in (220, 330)
    # Spans read in any order are those of the whole.
    part = audio.read(recording, 40, 80)
    start = round(40 * 512 * RATE / 44_100)
    assert np.array_equal(part, mono[start : start + len(part)])


def test_a_flac_of_unknown_length(tmp_path: Path) -> None:
    """RFC 9639, 8.2: 0 samples in the header means that their number is not known."""
    wav = tone()[0]
    soundfile.write(tmp_path / "a.flac", wav, RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(data)
    known, unknown = (audio.scan(tmp_path / name) for name in ("a.flac", "b.flac"))
    assert unknown.samples == known.samples == len(wav)
    assert np.array_equal(audio.read(unknown, 0, 100), audio.read(known, 0, 100))


def test_a_wav_whose_data_has_size_0(tmp_path: Path) -> None:
    """A file of a recorder that was cut off before it could write the length."""
    pcm = (tone()[0] * 32_767).astype("<i2").tobytes()
    head = b"RIFF" + struct.pack("<I", 0) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    (tmp_path / "a.wav").write_bytes(head + b"data" + struct.pack("<I", 0) + pcm)
    assert audio.scan(tmp_path / "a.wav").samples == len(pcm) // 2
    (tmp_path / "b.wav").write_bytes(head + b"data" + struct.pack("<I", 0))
    with pytest.raises(AudioError, match="holds no samples"):
        audio.scan(tmp_path / "b.wav")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    for use in (audio.scan, audio.file_hash):
        with pytest.raises(AudioError, match="no regular file"):
            use(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["list.wav", "list.m3u8", "list.mp4"])
def test_a_playlist_opens_no_other_file(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "secret.wav", tone()[0], RATE)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(text)
    with pytest.raises(AudioError, match="no audio that can be decoded"):
        audio.scan(tmp_path / name)
    (tmp_path / name).write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n")
    with pytest.raises(AudioError, match="no audio that can be decoded"):
        audio.scan(tmp_path / name)


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(picture), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(AudioError, match="video without a sound track"):
        audio.scan(tmp_path / "a.mp4")


def test_blocks_are_bounded_by_samples_times_channels(tmp_path: Path) -> None:
    wav = np.random.default_rng(0).normal(0, 0.1, (384_000 * 4, 32)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav, 384_000, subtype="FLOAT")
    file = open_audio(tmp_path / "a.wav")
    assert max(block.size for block in read_blocks(file)) <= 4_800_000
    file.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_32_channels_at_384_khz_need_little_memory(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 384_000, 32, "PCM_16") as file:
        for seed in range(15):
            file.write(np.random.default_rng(seed).normal(0, 0.1, (384_000, 32)).astype(np.float32))
    code = (
        "import sys, resource; from pathlib import Path; from svc.pipeline import audio;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "r = audio.scan(Path(sys.argv[1])); audio.read(r, 0, 1024);"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.wav")], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) < 400  # MiB; it took 2,900


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.mp3"])
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, name: str) -> None:
    """An incomplete download: missing sound is reported, whether decoded before or not."""
    path = tmp_path / name
    soundfile.write(path, 0.3 * np.sin(np.arange(88_200) / 20), 44_100)
    assert not audio.scan(path).notes
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for source in (path, audio.decode(path)):
        (note,) = audio.scan(source).notes
        assert note.startswith("is cut off: it ends after ")
        assert "of the 2.0 s that its header promises" in note


def test_a_stream_that_was_written_without_its_length_is_not_cut_off(tmp_path: Path) -> None:
    """Recorders and pipes leave 4 GiB in the header."""
    path = tmp_path / "stream.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(88_200) / 20), 44_100)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert not audio.scan(path).notes
