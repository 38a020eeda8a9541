"""Convert a song with a voice that `svc export` wrote: onnxruntime and numpy, and soundfile to read and write files.

    python sing.py song.wav converted.wav --speaker NAME --key 0

This file, `svc_onnx/` and the .onnx files lie in one folder with export.json, which says how they fit together. It is
an example to build on: everything that it needs of svc is in this folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from svc_onnx import frames
from svc_onnx.vocoder.excitation import Excitation
from svc_onnx.vocoder.rumble import RumbleLimiter

Array = NDArray[np.float32]

PIECE_SECONDS, SHARED_FRAMES = 10.0, 22  # a song is converted in pieces that share a quarter second
NOISE_BLOCK = 256  # mel frames that are drawn at once
N_FFT, HOP, PER_FRAME = 1024, 256, 2  # of the vocoder's spectra, two a mel frame
VOCODER_PIECE = 860  # mel frames
LOUDNESS_WINDOW, LOUDNESS_FLOOR = 2048, 1e-10  # samples, and the least power (-100 dBFS)
FADE = 882  # samples, 20 ms
SWIFT_F0_HOP, SWIFT_F0_GAIN, SWIFT_F0_SILENCE = 256, 8.0, 1e-3


class Voice:
    """An exported run. `folder` is where this file lies, unless another is given."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder or Path(__file__).parent
        self.about: dict[str, Any] = json.loads((self.folder / "export.json").read_text("utf-8"))
        self.speakers: list[str] = self.about["speakers"]
        self._sessions: dict[str, Any] = {}
        self._retrieval: dict[str, dict[str, Array]] = {}

    def run(self, part: str, **inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Run one network.

        Args:
            part: its name in export.json.
            inputs: arrays by name; export.json lists the shape and dtype of each.

        Returns:
            The outputs, in the order and with the shapes that export.json lists.
        """
        if part not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            path = str(self.folder / self.about["parts"][part]["file"])
            self._sessions[part] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found: list[NDArray[Any]] = self._sessions[part].run(None, inputs)
        return found

    def convert(
        self, wav: Array, wav16: Array, f0: Array, speaker: str | None = None, seed: int = 0, retrieve: float = 1.0
    ) -> Array:
        """A converted song: float32 (512 M,) at 44.1 kHz, for M = len(wav) // 512.

        Args:
            wav, wav16: the song at 44.1 and at 16 kHz.
            f0: the target f0, Hz at mel centres, 0 = unvoiced, (M,).
            speaker: a name; the first, if left out.
            seed: the same seed gives the same sound.
            retrieve: how much of each unit is taken from the target's own, 0 to 1, if the export has them.
        """
        pieces = self.mels(wav, wav16, f0, speaker, seed, retrieve)
        sung = self.vocode(np.concatenate(list(pieces)), f0)
        fade = np.linspace(0, 1, min(FADE, len(sung) // 2), dtype=np.float32)
        sung[: len(fade)] *= fade
        sung[len(sung) - len(fade) :] *= fade[::-1]
        return sung

    def mels(
        self, wav: Array, wav16: Array, f0: Array, speaker: str | None, seed: int, retrieve: float
    ) -> Iterator[Array]:
        """The song's mel, (M, bins) in pieces: cut where it is quietest, each faded into the next."""
        level = loudness(wav)
        weight = np.linspace(0, 1, 2 * SHARED_FRAMES + 2, dtype=np.float32)[1:-1, None]
        tail: Array | None = None
        for start, end in pieces(level, frames.seconds_to_mel_frames(PIECE_SECONDS)):
            first, last = max(0, start - SHARED_FRAMES), min(end + SHARED_FRAMES, len(level))
            part = slice(frames.content_samples(first), frames.content_samples(last))
            mel = self.mel(wav16[part], f0[first:last], level[first:last], speaker, seed, first, retrieve)
            if tail is not None:
                mel[: len(weight)] = mel[: len(weight)] * weight + tail * (1 - weight)
            tail = mel[-len(weight) :] if last > end else None
            yield mel if tail is None else mel[: -len(weight)]

    def mel(
        self,
        wav16: Array,
        f0: Array,
        level: Array,
        speaker: str | None = None,
        seed: int = 0,
        start: int = 0,
        retrieve: float = 1.0,
    ) -> Array:
        """The mel of one piece, ln magnitude (M, bins); `start` is the number of its first frame in the song."""
        hidden, units = self.run("content", wav=wav16[None])
        units = self.retrieved(hidden[0], units[0], speaker, retrieve)
        return self.mel_of_units(units, f0, level, speaker, seed, start)

    def mel_of_units(
        self, units: Array, f0: Array, level: Array, speaker: str | None = None, seed: int = 0, start: int = 0
    ) -> Array:
        """The mel of units (U, D) at f0 (M,) in Hz and a loudness (M,) in dBFS: ln magnitude (M, bins)."""
        shares = np.zeros((1, len(f0), len(self.speakers)), np.float32)
        shares[:, :, self.number(speaker)] = 1
        condition, *guess = self.run(
            "condition",
            units=units[None],
            mel2ph=frames.mel2ph(len(f0), len(units)).astype(np.int64)[None],
            f0=continuous(f0)[None],
            voiced=(f0 > 0).astype(np.float32)[None],
            loudness=level[None],
            speaker=shares,
        )
        noise = frame_noise(seed, start, start + len(f0), self.about["bins"])[None]
        sampler = self.about["sampler"]
        x = np.float32(sampler["start"]["noise"]) * noise
        if guess:
            x = x + np.float32(sampler["start"]["guess"]) * guess[0]
        for row in sampler["steps"]:
            (predicted,) = self.run("denoiser", x=x, step=np.array([row["step"]], np.float32), condition=condition)
            x = np.float32(row["x"]) * x + np.float32(row["predicted"]) * predicted
        scale, mean = (np.array(self.about[name], np.float32) for name in ("mel_scale", "mel_mean"))
        return np.asarray(x[0].T * scale + mean, np.float32)

    def retrieved(self, hidden: Array, units: Array, speaker: str | None, amount: float) -> Array:
        """Units (U, D), each moved by `amount` towards those of the target's nearest frames (see export.json)."""
        name = self.speakers[self.number(speaker)]
        known = self.about.get("retrieval")
        if known is None or name not in known["files"] or amount == 0 or len(units) == 0:
            return units
        if name not in self._retrieval:
            self._retrieval[name] = dict(np.load(self.folder / known["files"][name]))
        own = self._retrieval[name]
        frames_in = units if known["by_units"] else hidden
        share = len(frames_in) / (len(frames_in) + known["common"])
        mean = own["mean"] + np.float32(share) * (frames_in.mean(0) - own["mean"])
        square = own["square"] + np.float32(share) * (np.square(frames_in).mean(0) - own["square"])
        key = (frames_in - mean) / np.sqrt(np.maximum(square - np.square(mean), 1e-6))
        key = key / np.maximum(np.linalg.norm(key, axis=1, keepdims=True), 1e-12)
        likeness = key @ own["keys"].T
        which = np.argpartition(-likeness, known["neighbours"], axis=1)[:, : known["neighbours"]]
        weight = 1 / np.maximum(1 - np.take_along_axis(likeness, which, 1), 1e-6)
        weight = weight / weight.sum(1, keepdims=True)
        found = (weight[..., None] * own["units"][which]).sum(1)
        return np.asarray(units + np.float32(amount) * (found - units), np.float32)

    def vocode(self, mel: Array, f0: Array) -> Array:
        """Sound of ln mel (M, bins) at f0 (M,): float32 (512 M,) at 44.1 kHz."""
        excite, context = Excitation(f0), self.about["vocoder"]["context"]

        def sung() -> Iterator[Array]:
            for start in range(0, len(f0), VOCODER_PIECE):
                stop = min(start + VOCODER_PIECE, len(f0))
                first, last = max(0, start - context), min(stop + context, len(f0))
                wav = self.shaped(mel[first:last], f0[first:last], *excite(first, last))
                yield wav[(start - first) * frames.MEL_HOP : (stop - first) * frames.MEL_HOP]

        return np.concatenate([np.zeros(0, np.float32), *RumbleLimiter(f0).stream(sung())])

    def shaped(self, mel: Array, f0: Array, pulses: Array, hiss: Array) -> Array:
        """Pulses and noise (512 M,) under the filters that the vocoder's network gives: (512 M,)."""
        tone, breath = self.run("filters", mel=mel[None], f0=f0[None])
        phase = np.exp(1j * np.array(self.about["vocoder"]["phase"]))[:, None]
        return inverse(tone[0] * phase * spectra(pulses) + breath[0] * spectra(hiss))

    def track(self, wav16: Array, count: int) -> Array:
        """f0 of a song (T,) at 16 kHz by SwiftF0, to a few cents: Hz, 0 = unvoiced, float32 (count,) at mel centres."""
        heard = wav16 * np.float32(SWIFT_F0_GAIN)
        limits = {name: np.array(self.about["f0"][name], np.float32) for name in ("fmin", "fmax")}
        hertz, confidence = (value[0] for value in self.run("f0", audio=heard[None], **limits))
        peaks = np.abs(heard[: len(hertz) * SWIFT_F0_HOP].reshape(-1, SWIFT_F0_HOP)).max(1)
        voiced = (confidence >= 0.5) & (np.pad(peaks, (0, len(hertz) - len(peaks))) >= SWIFT_F0_SILENCE)
        place = frames.mel_centres(0, count) * frames.CONTENT_RATE / SWIFT_F0_HOP
        left = np.clip(place.astype(int), 0, len(hertz) - 1)
        right = np.minimum(left + 1, len(hertz) - 1)
        part = np.clip(place - left, 0, 1)
        nearest = np.where(part < 0.5, left, right)
        octaves = np.log2(hertz.astype(np.float64))
        between = 2 ** ((1 - part) * octaves[left] + part * octaves[right])
        found = np.where(voiced[left] & voiced[right], between, hertz[nearest])
        return np.where(voiced[nearest], found, 0).astype(np.float32)

    def number(self, speaker: str | None) -> int:
        """A speaker's number. Raises ValueError for a name that is not there."""
        if speaker is not None and speaker not in self.speakers:
            raise ValueError(f"there is no speaker {speaker!r}; there are {', '.join(self.speakers)}")
        return 0 if speaker is None else self.speakers.index(speaker)


def continuous(f0: Array) -> Array:
    """f0 (M,) in Hz without its zeros: unvoiced gaps bridged linearly in log f0; 200 Hz where nothing is voiced."""
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.full(len(f0), 200.0, np.float32)
    bridged = np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)
    return np.where(f0 > 0, f0, bridged)


def loudness(wav: Array) -> Array:
    """RMS in dBFS around each mel frame's centre: (T,) at 44.1 kHz -> float32 (T // 512,)."""
    squares = np.square(np.pad(wav, (LOUDNESS_WINDOW - frames.MEL_HOP) // 2, mode="reflect"))
    windows = np.lib.stride_tricks.sliding_window_view(squares, LOUDNESS_WINDOW)[:: frames.MEL_HOP]
    power = np.maximum(windows.mean(-1), np.float32(LOUDNESS_FLOOR))
    return (10 * np.log10(power)).astype(np.float32)[: len(wav) // frames.MEL_HOP]


def pieces(level: Array, longest: int) -> Iterator[tuple[int, int]]:
    """Mel frames [start, end) of pieces of at most `longest` frames, cut where `level` (M,) in dBFS is lowest."""
    start = 0
    while len(level) - start > longest:
        low = start + longest // 2
        cut = low + int(np.convolve(level[low : start + longest], np.full(9, 1 / 9), "same")[4:-4].argmin()) + 4
        yield start, cut
        start = cut
    yield start, len(level)


def frame_noise(seed: int, start: int, end: int, bins: int) -> Array:
    """Normal noise that mel frames [start, end) begin from, as svc draws it with torch's generator: (bins, frames).

    Each block of 256 frames has a Mersenne Twister of its own, whose numbers Box and Muller's formula makes normal.
    """
    blocks = []
    for block in range(start // NOISE_BLOCK, -(-end // NOISE_BLOCK)):
        mixed = ((seed * 1_000_003 + 1) % 2**63 * 1_000_003 + block + 1) % 2**63
        bits = np.random.RandomState(mixed & 0xFFFFFFFF).randint(0, 2**32, NOISE_BLOCK * bins, np.uint32)
        uniform = ((bits & 0xFFFFFF).astype(np.float32) / np.float32(2**24)).reshape(-1, 2, 8)
        radius = np.sqrt(-2 * np.log(1 - uniform[:, 0]))
        angle = np.float32(2 * np.pi) * uniform[:, 1]
        normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        blocks.append(normal.reshape(NOISE_BLOCK, bins))
    first = start // NOISE_BLOCK * NOISE_BLOCK
    return np.ascontiguousarray(np.concatenate(blocks)[start - first : end - first].T)


def window() -> NDArray[np.float64]:
    """The periodic Hann window of the vocoder's spectra: (1024,)."""
    return np.hanning(N_FFT + 1)[:-1]


def spectra(wav: Array) -> NDArray[np.complex128]:
    """(512 M,) -> (513, 2 M): spectrum i is centred at (i + 0.5) * 256 samples."""
    padded = np.pad(wav, (N_FFT - HOP) // 2)
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP] * window()).T


def inverse(spectrum: NDArray[np.complex128]) -> Array:
    """(513, 2 M) -> (512 M,): windowed, added up, and divided by what the windows add up to."""
    count = spectrum.shape[1]
    windowed = np.fft.irfft(spectrum.T, N_FFT) * window()
    out, weight = (np.zeros((count + N_FFT // HOP - 1, HOP)) for _ in range(2))
    for part in range(N_FFT // HOP):
        out[part : part + count] += windowed[:, part * HOP : (part + 1) * HOP]
        weight[part : part + count] += np.square(window()[part * HOP : (part + 1) * HOP])
    edge = (N_FFT - HOP) // 2
    return (out / np.maximum(weight, 1e-3)).reshape(-1)[edge : edge + count * HOP].astype(np.float32)


def resample(wav: Array, rate: int, wanted: int, zeros: int = 64) -> Array:
    """Samples (T,) at another sample rate, by a sinc under a Kaiser window: float32 (round(T * wanted / rate),)."""
    if rate == wanted:
        return wav
    cutoff = 0.95 * min(1.0, wanted / rate)
    reach = int(np.ceil(zeros / cutoff))
    padded = np.pad(wav.astype(np.float64), reach + 1)
    out = np.zeros((2 * len(wav) * wanted + rate) // (2 * rate), np.float32)
    for first in range(0, len(out), 65_536):
        at = np.arange(first, min(first + 65_536, len(out))) * (rate / wanted)
        whole = np.floor(at).astype(int)
        total = np.zeros(len(at))
        for tap in range(-reach, reach + 1):
            distance = at - whole - tap
            taper = np.i0(12.0 * np.sqrt(np.maximum(0.0, 1 - np.square(distance / (reach + 1))))) / np.i0(12.0)
            total += (
                cutoff
                * np.sinc(cutoff * distance)
                * taper
                * padded[np.minimum(whole + tap + reach + 1, len(padded) - 1)]
            )
        out[first : first + len(at)] = total
    return out


def read_f0(path: Path, count: int) -> Array:
    """An f0 file of `svc render --f0-only` (lines of seconds,Hz): Hz, 0 = unvoiced, float32 (count,) at mel centres."""
    rows = [line.split(",") for line in path.read_text("utf-8").splitlines() if line[:1].isdigit()]
    seconds, hertz = np.array(rows, np.float64).T
    nearest = np.abs(frames.mel_centres(0, count)[:, None] - seconds[None]).argmin(1) if count < 2_000 else None
    if nearest is None:
        nearest = np.clip(np.rint(np.interp(frames.mel_centres(0, count), seconds, np.arange(len(seconds)))), 0, None)
    return hertz[nearest.astype(int)].astype(np.float32)


def main() -> None:
    """The command line: converts a song to a file."""
    import soundfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speaker", help="a name in export.json [default: the first]")
    parser.add_argument("--key", type=float, default=0.0, help="semitones up")
    parser.add_argument("--f0", type=Path, metavar="CSV", help="lines of seconds,Hz, as svc render --f0-only writes")
    parser.add_argument("--retrieve", type=float, default=1.0, help="0 to 1: share of the target's own units")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    voice = Voice()
    samples, rate = soundfile.read(given.song, dtype="float32", always_2d=True)
    wav = resample(samples.mean(1), rate, frames.MEL_RATE)
    length = len(wav)
    wav = np.pad(wav, (0, -length % frames.MEL_HOP))
    wav16 = resample(wav, frames.MEL_RATE, frames.CONTENT_RATE)
    count = len(wav) // frames.MEL_HOP
    f0 = read_f0(given.f0, count) if given.f0 else voice.track(wav16, count)
    f0 = f0 * np.float32(2 ** (given.key / 12))
    if "filters" not in voice.about["parts"]:
        mel = np.concatenate(list(voice.mels(wav, wav16, f0, given.speaker, given.seed, given.retrieve)))
        np.save(given.out.with_suffix(".npy"), mel)
        print(f"this run has no vocoder of its own: the mel is in {given.out.with_suffix('.npy')}")
        return
    sung = voice.convert(wav, wav16, f0, given.speaker, given.seed, given.retrieve)[:length]
    with soundfile.SoundFile(given.out, "w", frames.MEL_RATE, 1) as file:
        file.comment = f"synthetic voice; converted by svc's run {voice.about['run']}"
        file.write(sung / max(1.0, float(np.abs(sung).max())))
    print(f"{given.out}: {length / frames.MEL_RATE:.1f} s sung by {given.speaker or voice.speakers[0]}")


if __name__ == "__main__":
    main()
