"""f0 methods against truth: cents, octaves, voicing and cost, in tables.

    python benchmarks/pitch.py --markdown --out table.json

Truth comes from synthetic singers whose f0 is known to the sample (clean, in noise, in a room, with a hum, ...), from
recordings resynthesised by WORLD at a known f0, and from single sung notes whose pitch was measured and written down.
Recordings as they are have no truth: there, a method is held against the majority of the other families.

The recordings lie in `../shared/audio`; without them those sets are skipped with a word, and so is a method whose
library is not installed. Everything is drawn from fixed seeds. Cost is process CPU time on one thread, warm, median
of several runs over real singing, methods taking turns.

Every frame is 512 samples at 44.1 kHz and counts once, at its centre. Frames within one frame of a change of voicing
are not counted, nor are frames in which the truth is not certain (after a note in a room, ...).
"""

# How many threads numpy and torch use is read when they are imported, so imports follow the lines that set it.
# ruff: noqa: E402
from __future__ import annotations

import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_threads] = "1"  # before numpy and torch are imported: cost is measured on one thread

import argparse
import contextlib
import functools
import io
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, uniform_filter1d
from scipy.signal import butter, fftconvolve, lfilter, sosfilt
from svc.pipeline.frames import CONTENT_RATE, MEL_HOP, MEL_RATE
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.pitch import PitchSettings
from svc.pipeline.quiet_pyworld import pyworld
from svc.pipeline.singers.plain import VOWELS, Note, Voice, practice, sing

Samples = NDArray[np.float32]  # (T,) at 44.1 kHz
Frames = NDArray[np.float64]  # (T // 512,), Hz at mel centres, 0 where unvoiced
Method = Callable[[Samples], Frames]

F0_MIN, F0_MAX = 65.0, 1100.0  # Hz, the range that every method is given
AUDIO = Path(__file__).parents[2] / "shared" / "audio"
PERIOD_MS = 1000 * MEL_HOP / MEL_RATE


# Methods ------------------------------------------------------------------------------------------------------------


def centres(count: int) -> NDArray[np.float64]:
    """Seconds at which the mel frames lie."""
    return (np.arange(count) + 0.5) * MEL_HOP / MEL_RATE


def refined(wav: Samples, f0: Frames) -> Frames:
    """StoneMask at the mel centres, on the 44.1 kHz signal."""
    return pyworld.stonemask(wav.astype(np.float64), f0, centres(len(f0)), MEL_RATE)


def at_16k(wav: Samples) -> Samples:
    return soxr.resample(wav, MEL_RATE, CONTENT_RATE)


def within(f0: Frames) -> Frames:
    return np.where((f0 >= F0_MIN) & (f0 <= F0_MAX), f0, 0.0)


def shipped(name: str) -> Method:
    """A method of svc itself."""
    settings = PitchSettings(name, F0_MIN, F0_MAX)
    pitch.track(np.zeros(MEL_RATE, np.float32), settings)
    return lambda wav: pitch.track(wav, settings).astype(np.float64)


def world(estimator: str, rate: int, stonemask_rate: int, **options: Any) -> Method:
    """WORLD's dio or harvest on the signal at `rate`, refined on the signal at `stonemask_rate` (0: not at all)."""

    def run(wav: Samples) -> Frames:
        signals = {MEL_RATE: wav.astype(np.float64)}
        for wanted in {rate, stonemask_rate} - {MEL_RATE, 0}:
            signals[wanted] = soxr.resample(wav, MEL_RATE, wanted).astype(np.float64)
        f0, seconds = getattr(pyworld, estimator)(
            signals[rate], rate, f0_floor=F0_MIN, f0_ceil=F0_MAX, frame_period=PERIOD_MS / 2, **options
        )
        count = len(wav) // MEL_HOP
        f0, seconds = f0[1::2][:count].copy(), seconds[1::2][:count].copy()
        if stonemask_rate:
            f0 = pyworld.stonemask(signals[stonemask_rate], f0, seconds, stonemask_rate)
        return within(np.pad(f0, (0, count - len(f0))))

    return run


def swift_f0_alone() -> Method:
    """SwiftF0 (Nieradzik, 2025, arXiv 2508.18440) as its library gives it: frame i at 16 i ms."""
    from swift_f0 import SwiftF0

    detector = SwiftF0(threads=1)

    def run(wav: Samples) -> Frames:
        found = detector.detect(at_16k(wav), CONTENT_RATE, F0_MIN, F0_MAX)
        f0 = np.where(found.confidence >= 0.5, found.pitch_hz, 0.0)
        return within(pitch.at_centres(f0, found.timestamps, centres(len(wav) // MEL_HOP)))

    return run


def fcpe(refine: bool) -> Method:
    """FCPE (Luo et al., 2025, arXiv 2509.15140), as the DDSP and diffusion projects use it: frame i at 10 i ms."""
    import torch
    from torchfcpe import spawn_bundled_infer_model

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        model = spawn_bundled_infer_model(device="cpu")

    def run(wav: Samples) -> Frames:
        with torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):  # it prints what exceeds full scale
            found = model.infer(
                torch.from_numpy(at_16k(wav))[None, :, None],
                sr=CONTENT_RATE,
                decoder_mode="local_argmax",
                threshold=0.006,
                f0_min=F0_MIN,
                f0_max=F0_MAX,
                interp_uv=False,
            )
        f0 = found[0, :, 0].double().numpy()
        f0 = pitch.at_centres(
            np.where(f0 >= F0_MIN, f0, 0.0), 0.01 * np.arange(len(f0), dtype=np.float64), centres(len(wav) // MEL_HOP)
        )
        return within(refined(wav, f0) if refine else f0)

    return run


def pesto() -> Method:
    """PESTO (Riou et al., 2023): frame i at 10 i ms. Its confidence says voiced above one half."""
    import torch
    from pesto import load_model

    torch.set_num_threads(1)
    model = load_model("mir-1k_g7", step_size=10.0, sampling_rate=CONTENT_RATE)

    def run(wav: Samples) -> Frames:
        with torch.inference_mode():
            found, confidence, _, _ = model(torch.from_numpy(at_16k(wav))[None], sr=CONTENT_RATE, convert_to_freq=True)
        f0 = np.where(confidence[0].numpy() > 0.5, found[0].double().numpy(), 0.0)
        return within(pitch.at_centres(f0, 0.01 * np.arange(len(f0), dtype=np.float64), centres(len(wav) // MEL_HOP)))

    return run


def crepe(size: str) -> Method:
    """CREPE (Kim et al., 2018) by torchcrepe: frame i at 10 i ms; Viterbi; voiced where periodicity exceeds 0.21."""
    import torch
    import torchcrepe

    torch.set_num_threads(1)

    def run(wav: Samples) -> Frames:
        found, periodicity = torchcrepe.predict(
            torch.from_numpy(at_16k(wav))[None], CONTENT_RATE, 160, F0_MIN, F0_MAX, size,
            decoder=torchcrepe.decode.viterbi, return_periodicity=True, batch_size=512, device="cpu",
        )  # fmt: skip
        periodicity = torchcrepe.threshold.Silence(-60.0)(
            torchcrepe.filter.median(periodicity, 3), torch.from_numpy(at_16k(wav))[None], CONTENT_RATE, 160
        )
        f0 = np.where(periodicity[0].numpy() > 0.21, found[0].double().numpy(), 0.0)
        return within(pitch.at_centres(f0, 0.01 * np.arange(len(f0), dtype=np.float64), centres(len(wav) // MEL_HOP)))

    return run


def praat() -> Method:
    """Praat's autocorrelation (Boersma, 1993) by parselmouth, which is GPL: here for comparison only."""
    from parselmouth import Sound

    def run(wav: Samples) -> Frames:
        found = Sound(wav.astype(np.float64), MEL_RATE).to_pitch_ac(0.005, F0_MIN, pitch_ceiling=F0_MAX)
        return within(pitch.at_centres(found.selected_array["frequency"], found.xs(), centres(len(wav) // MEL_HOP)))

    return run


METHODS: dict[str, Callable[[], Method]] = {
    **{f"svc {name}": functools.partial(shipped, name) for name in pitch.METHODS},
    "swift-f0 alone": swift_f0_alone,
    "harvest alone": lambda: world("harvest", MEL_RATE, 0),
    "harvest 16k + stonemask": lambda: world("harvest", CONTENT_RATE, MEL_RATE),
    "dio alone": lambda: world("dio", MEL_RATE, 0),
    "dio 16k + stonemask": lambda: world("dio", CONTENT_RATE, MEL_RATE),
    "dio 16k, 8 channels + stonemask": lambda: world("dio", CONTENT_RATE, MEL_RATE, channels_in_octave=8.0),
    "fcpe alone": lambda: fcpe(refine=False),
    "fcpe + stonemask": lambda: fcpe(refine=True),
    "pesto": pesto,
    "crepe tiny": lambda: crepe("tiny"),
    "crepe full": lambda: crepe("full"),
    "praat": praat,
}
SLOW = ("crepe full", "harvest alone", "harvest 16k + stonemask", "fcpe + stonemask")  # only where asked for by name
PANEL = {  # one of each family
    "harvest": "svc harvest",
    "dio": "svc dio",
    "swift-f0": "svc swift-f0",
    "fcpe": "fcpe alone",
    "pesto": "pesto",
    "crepe": "crepe tiny",
    "praat": "praat",
}


# Test sets ----------------------------------------------------------------------------------------------------------


@dataclass
class Clip:
    """A sound and its true f0 at mel centres, and where that truth is certain."""

    wav: Samples
    truth: Frames
    certain: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        if not len(self.certain):
            voiced = self.truth > 0
            change = np.zeros(len(voiced), bool)
            change[1:] |= voiced[1:] != voiced[:-1]
            change[:-1] |= voiced[1:] != voiced[:-1]
            self.certain = ~change


LOW = Voice("low", 0.94, -6.0, 5.2, 30, 39, 55)  # 78 to 196 Hz
MIDDLE = Voice("middle", 1.05, -8.0, 5.6, 45, 52, 71)  # 165 to 494 Hz
HIGH = Voice("high", 1.17, -9.0, 5.9, 60, 67, 83)  # 392 to 988 Hz
SECONDS = 10.0  # a clip


def sample_at_centres(f0: NDArray[np.float64]) -> Frames:
    """f0 known at every sample, read at the mel centres."""
    return f0[MEL_HOP // 2 :: MEL_HOP][: len(f0) // MEL_HOP]


def sung(voice: Voice, seed: int) -> Clip:
    wav, f0 = sing(practice(voice, SECONDS, seed), voice, seed)
    return Clip(wav, sample_at_centres(f0))


def pulsed(voice: Voice, seed: int, breath_db: float = -30.0, rough: float = 0.0) -> Clip:
    """The same singer with another source: glottal pulses with jitter and shimmer, and breath through the tract.

    Pulses after Rosenberg (1971), differentiated. Jitter is 0.3% and shimmer 5% a cycle; `rough` weakens every second
    pulse by that share, as a hoarse voice does, which invites an octave error. Truth is f0 without the jitter.
    """
    score = practice(voice, SECONDS, seed)
    wav, f0 = sing(score, voice, seed)
    generator = np.random.default_rng([seed, 7])
    voiced = f0 > 0
    held = np.where(voiced, f0, 0.0)
    cycles = np.cumsum(held) / MEL_RATE
    number = cycles.astype(int)
    shake = generator.standard_normal(number[-1] + 2)
    phase = cycles % 1.0 * (1 + 0.003 * shake[number])
    strength = (1 + 0.05 * generator.standard_normal(number[-1] + 2))[number] * (1 - rough * (number % 2))
    opening, closing = 0.4, 0.16
    flow = np.where(
        phase < opening,
        0.5 * (1 - np.cos(np.pi * phase / opening)),
        np.where(phase < opening + closing, np.cos(np.pi / 2 * (phase - opening) / closing), 0.0),
    )
    source = np.diff(flow * strength * voiced, prepend=0.0)
    noise = generator.standard_normal(len(source)) * (0.3 + flow) * voiced
    noise = sosfilt(butter(1, 1_000, "highpass", fs=MEL_RATE, output="sos"), noise)
    source += noise * rms(source[voiced]) / rms(noise[voiced]) * 10 ** (breath_db / 20)
    loud = uniform_filter1d(voiced.astype(float), int(0.02 * MEL_RATE))
    out = np.zeros(len(source))
    start = 0
    shares = {vowel: np.zeros(len(source)) for vowel in VOWELS}
    for note in score:
        stop = start + round(note.seconds * MEL_RATE)
        shares[note.vowel][start:stop] = 1.0
        start = stop
    for vowel, share in shares.items():
        spoken = source
        for centre, width in zip((*VOWELS[vowel], 3500, 4500), (80, 100, 140, 250, 350), strict=True):
            radius = np.exp(-np.pi * width / MEL_RATE)
            poles = [1, -2 * radius * np.cos(2 * np.pi * centre * voice.formants / MEL_RATE), radius**2]
            spoken = lfilter([sum(poles)], poles, spoken)
        out += spoken * uniform_filter1d(share, int(0.04 * MEL_RATE))
    out *= loud * rms(wav[voiced]) / rms(out[voiced])
    return Clip((out + np.where(voiced, 0.0, wav)).astype(np.float32), sample_at_centres(f0))


def portamento(seed: int) -> Clip:
    """Slides of up to an octave, a siren, wide vibrato and a trill: every instant's f0 is known."""
    generator = np.random.default_rng(seed)
    t = np.arange(int(4 * SECONDS * MEL_RATE)) / MEL_RATE
    knots = np.arange(0, 4 * SECONDS + 1, 0.7)
    octave = np.interp(t, knots, generator.uniform(0.2, 3.2, len(knots)))
    octave = uniform_filter1d(octave, int(0.15 * MEL_RATE), mode="nearest")
    vibrato = np.where((t // 5) % 2 > 0, 1.0, 0.2) * np.sin(2 * np.pi * 6 * t) / 12
    trill = np.where((t // 5) % 4 == 3, np.tanh(3 * np.sin(2 * np.pi * 6.5 * t)) / 12, 0.0)
    f0 = 82.4 * 2 ** (octave + vibrato + trill)
    phase = 2 * np.pi * np.cumsum(f0) / MEL_RATE
    wav = np.zeros(len(t))
    for k in range(1, 60):
        level = sum(1 / np.hypot(1, (k * f0 - centre) / 120) for centre in VOWELS["a"]) / k**0.5
        wav += np.where(k * f0 < 11_000, level, 0.0) * np.sin(k * phase + k * k)
    return Clip((0.3 * wav / np.abs(wav).max()).astype(np.float32), sample_at_centres(f0))


def rms(x: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def with_noise(clip: Clip, snr_db: float, seed: int) -> Clip:
    """Noise falling by 3 dB an octave, `snr_db` under the voiced part."""
    generator = np.random.default_rng([seed, 3])
    spectrum = np.fft.rfft(generator.standard_normal(len(clip.wav)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20.0 * len(clip.wav) / MEL_RATE))
    noise = np.fft.irfft(spectrum, len(clip.wav))
    level = rms(clip.wav) / rms(noise) * 10 ** (-snr_db / 20)
    return Clip((clip.wav + level * noise).astype(np.float32), clip.truth, clip.certain)


def in_a_room(clip: Clip, seed: int) -> Clip:
    """An exponential tail of noise, 0.8 s to -60 dB, 6 dB under the direct sound. Tails are not judged."""
    generator = np.random.default_rng([seed, 4])
    t = np.arange(MEL_RATE) / MEL_RATE
    tail = generator.standard_normal(MEL_RATE) * 10 ** (-3 * t / 0.8) * (t > 0.01)
    tail *= 10 ** (-6 / 20) / np.sqrt(np.sum(tail**2))
    wav = clip.wav + fftconvolve(clip.wav, tail)[: len(clip.wav)]
    voiced = clip.truth > 0
    reach = int(0.8 * MEL_RATE / MEL_HOP)
    after = binary_dilation(voiced, np.r_[np.zeros(reach, bool), np.ones(reach + 1, bool)]) & ~voiced
    return Clip(wav.astype(np.float32), clip.truth, clip.certain & ~after)


def with_second_voice(clip: Clip, seed: int) -> Clip:
    """Another singer, 20 dB softer; where the first rests, nothing is judged."""
    other = sung(MIDDLE, seed + 100).wav[: len(clip.wav)]
    other = np.pad(other, (0, len(clip.wav) - len(other)))
    wav = clip.wav + other * (rms(clip.wav) / rms(other) * 10 ** (-20 / 20))
    return Clip(wav.astype(np.float32), clip.truth, clip.certain & (clip.truth > 0))


def with_hum(clip: Clip) -> Clip:
    """Mains hum of 50 Hz with overtones, 35 dB under the voice."""
    t = np.arange(len(clip.wav)) / MEL_RATE
    hum = np.sum([np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 8)], axis=0)
    return Clip(
        (clip.wav + hum * (rms(clip.wav) / rms(hum) * 10 ** (-35 / 20))).astype(np.float32), clip.truth, clip.certain
    )


def thin(clip: Clip) -> Clip:
    """As through a telephone, 300 to 3400 Hz: the fundamental of low voices is missing."""
    wav = sosfilt(butter(4, (300, 3_400), "bandpass", fs=MEL_RATE, output="sos"), clip.wav)
    return Clip(wav.astype(np.float32), clip.truth, clip.certain)


def quiet(clip: Clip, gain_db: float, seed: int) -> Clip:
    """Softer by `gain_db` and rounded to 16 bits with dither."""
    generator = np.random.default_rng([seed, 5])
    dither = generator.random(len(clip.wav)) - generator.random(len(clip.wav))
    wav = np.round(clip.wav * 10 ** (gain_db / 20) * 32768 + dither) / 32768
    return Clip(wav.astype(np.float32), clip.truth, clip.certain)


def nothing_voiced(seed: int) -> Clip:
    """Breaths, hiss, consonants, clicks and digital silence, none of it voiced."""
    generator = np.random.default_rng(seed)
    wav, _ = sing([Note(None, 0.2)] * 100, LOW, seed)
    out = np.zeros(len(wav))
    for start in range(0, len(out) - MEL_RATE, MEL_RATE):
        kind = (start // MEL_RATE) % 5
        length = int(generator.uniform(0.1, 0.8) * MEL_RATE)
        low, high = ((300, 2_000), (5_000, 9_000), (1_200, 3_000), (60, 16_000), (100, 600))[kind]
        band = sosfilt(butter(2, (low, high), "bandpass", fs=MEL_RATE, output="sos"), generator.standard_normal(length))
        out[start : start + length] += (0.02, 0.1, 0.1, 0.003, 0.02)[kind] * band * np.hanning(length)
        out[start + length + 1000] += 0.3
    return Clip(out.astype(np.float32), np.zeros(len(out) // MEL_HOP))


def recording(name: str, most_seconds: float = 12.0) -> Samples:
    wav, rate = soundfile.read(AUDIO / name, dtype="float32", always_2d=True, frames=-1)
    mono = soxr.resample(wav.mean(1), rate, MEL_RATE)[: int(most_seconds * MEL_RATE)]
    return mono.astype(np.float32)


SONGS = [
    "songs/en_f_vocadito_14.flac",
    "songs/ja_f_song070_007.flac",
    "songs/ja_m_oatsu_antagata_dokosa.flac",
    "songs/tl_m_vocadito_1.flac",
    "songs/xx_f_sms_singing-female.flac",
    "songs/xx_m_sms_vignesh.flac",
]
SPEECH = [
    "corpus/en_f_ljspeech/LJ001-0005.flac",
    "corpus/es_m_dona/dona_002.flac",
    "corpus/ko_m_zeroth104/104_003_0451.flac",
    "corpus/en_m_libri3005/3005-163389-0005.flac",
    "corpus/ja_m_atr503/nitech_jp_atr503_m001_j51.flac",
]


def resynthesised(wav: Samples) -> Clip:
    """A recording taken apart and put together by WORLD: the f0 that it is put together with is the truth.

    Harvest's f0, repaired, is asked for; where a frame is 40 dB under the loudest or D4C (Morise, 2016) finds no
    periodicity, it is made of noise alone.
    """
    signal = wav.astype(np.float64)
    f0, seconds = pyworld.harvest(signal, MEL_RATE, F0_MIN, F0_MAX, frame_period=PERIOD_MS / 2)
    f0 = pitch.repair(pyworld.stonemask(signal, f0, seconds, MEL_RATE).astype(np.float32)).astype(np.float64)
    envelope = pyworld.cheaptrick(signal, f0, seconds, MEL_RATE)
    noise = pyworld.d4c(signal, f0, seconds, MEL_RATE, threshold=0.85)
    power = 10 * np.log10(envelope.mean(1) + 1e-20)
    f0 = np.where((noise[:, 0] < 0.99) & (power > power.max() - 40), f0, 0.0)
    noise[f0 == 0] = 1 - 1e-6
    made = pyworld.synthesize(f0, envelope, noise, MEL_RATE, PERIOD_MS / 2)
    made = made[: len(made) // MEL_HOP * MEL_HOP]
    truth = f0[1::2][: len(made) // MEL_HOP]
    return Clip(made[: len(truth) * MEL_HOP].astype(np.float32), truth)


def notes() -> list[Clip]:
    """Single sung notes. Truth is the pitch written in files.tsv, for the middle half of what lies within 20 dB of the
    loudest: at either end a voice slides. Nothing else is judged."""
    clips = []
    for line in (AUDIO / "files.tsv").read_text("utf-8").splitlines():
        cells = line.split("\t")
        if cells[0].startswith("songs/notes_m_martin/") and "measured" in cells[-1]:
            wav = recording(cells[0])
            hertz = float(cells[-1].split("measured")[1].split("Hz")[0])
            power = uniform_filter1d(wav.astype(np.float64) ** 2, 2048)
            level = 10 * np.log10(sample_at_centres(power) + 1e-12)
            loud = np.flatnonzero(level > level.max() - 20)
            first, last = np.quantile(loud, (0.25, 0.75)).astype(int)
            held = np.zeros(len(level), bool)
            held[first:last] = True
            clips.append(Clip(wav, np.where(held, hertz, 0.0), held))
    return clips


def sung_voices() -> list[Clip]:
    """One clip of each range and source: what the sets of spoiled sound are made of."""
    return [*(sung(voice, 1) for voice in (LOW, MIDDLE, HIGH)), *(pulsed(voice, 3) for voice in (LOW, MIDDLE, HIGH))]


def spoiled(how: Callable[[Clip, int], Clip]) -> list[Clip]:
    return [how(clip, seed) for seed, clip in enumerate(sung_voices())]


TEST_SETS: dict[str, Callable[[], list[Clip]]] = {
    "low": lambda: [sung(LOW, seed) for seed in (1, 2)],
    "middle": lambda: [sung(MIDDLE, seed) for seed in (1, 2)],
    "high": lambda: [sung(HIGH, seed) for seed in (1, 2)],
    "pulses": lambda: [pulsed(voice, 3) for voice in (LOW, MIDDLE, HIGH)],
    "breathy": lambda: [pulsed(voice, 4, breath_db=-3.0) for voice in (LOW, MIDDLE, HIGH)],
    "rough": lambda: [pulsed(voice, 5, rough=0.15) for voice in (LOW, MIDDLE)],
    "portamento": lambda: [portamento(6)],
    "noise 20 dB": lambda: spoiled(lambda clip, seed: with_noise(clip, 20, seed)),
    "noise 10 dB": lambda: spoiled(lambda clip, seed: with_noise(clip, 10, seed)),
    "room": lambda: spoiled(in_a_room),
    "second voice": lambda: spoiled(with_second_voice),
    "hum": lambda: spoiled(lambda clip, _: with_hum(clip)),
    "telephone": lambda: spoiled(lambda clip, _: thin(clip)),
    "quiet -30 dB": lambda: spoiled(lambda clip, seed: quiet(clip, -30, seed)),
    "quiet -45 dB": lambda: spoiled(lambda clip, seed: quiet(clip, -45, seed)),
    "nothing voiced": lambda: [nothing_voiced(8)],
}
RECORDED_SETS: dict[str, Callable[[], list[Clip]]] = {
    "resynthesised songs": lambda: [resynthesised(recording(name)) for name in SONGS],
    "resynthesised speech": lambda: [resynthesised(recording(name)) for name in SPEECH],
    "sung notes": notes,
}


# Scores -------------------------------------------------------------------------------------------------------------


def score(clips: list[Clip], found: list[Frames]) -> dict[str, float]:
    """Cents and shares over all clips' frames; nan where a set has no such frames.

    right: of all frames, unvoiced rightly or voiced within 50 cents (mir_eval's overall accuracy). cents: median of
    |error| where both are voiced; off: share of those more than 50 cents off; octave: share more than 600 off.
    missed: of truly voiced; false: of truly unvoiced.
    """
    certain = np.concatenate([clip.certain for clip in clips])
    truth = np.concatenate([clip.truth for clip in clips])[certain]
    f0 = np.concatenate(found)[certain]
    voiced, said = truth > 0, f0 > 0
    both = voiced & said
    error = np.abs(1200 * np.log2(f0[both] / truth[both]))

    def share(part: NDArray[np.bool_]) -> float:
        return float(part.mean()) if len(part) else float("nan")

    return {
        "right": (float((error <= 50).sum()) + float((~voiced & ~said).sum())) / max(1, len(truth)),
        "cents": float(np.median(error)) if len(error) else float("nan"),
        "off": share(error > 50),
        "octave": share(error > 600),
        "missed": share(~said[voiced]),
        "false": share(said[~voiced]),
    }


def against_the_majority(found: dict[str, list[Frames]], name: str) -> dict[str, float]:
    """A method against the other families' majority, on recordings without truth.

    Voiced where three quarters of them say so and agree within 50 cents (their median is the truth), unvoiced where
    three quarters say that; other frames are not judged.
    """
    family = next((family for family in PANEL if family in name), name)
    others = [found[other] for kin, other in PANEL.items() if kin != family and other in found]
    if len(others) < 4:
        return dict.fromkeys(("right", "cents", "off", "octave", "missed", "false"), float("nan"))
    clips = []
    for several in zip(*others, strict=True):
        rows = np.stack(several)
        voiced = rows > 0
        middle = np.ma.median(np.ma.masked_equal(rows, 0.0), axis=0).filled(0.0)
        near = voiced & (np.abs(np.log2(np.where(voiced, rows, 1.0) / np.where(middle > 0, middle, 1.0))) < 50 / 1200)
        sung_, silent = near.mean(0) >= 0.75, voiced.mean(0) <= 0.25
        clips.append(Clip(np.zeros(0, np.float32), np.where(sung_, middle, 0.0), sung_ | silent))
    return score(clips, found[name])


def unsteadiness(method: Method, wav: Samples) -> float:
    """Share of frames that come out otherwise (voicing, or by over 20 cents) where 10-s slices are tracked alone."""
    whole = method(wav)
    step = round(10 * MEL_RATE / MEL_HOP)
    parts = np.concatenate([method(wav[i * MEL_HOP : (i + step) * MEL_HOP]) for i in range(0, len(whole), step)])
    parts = parts[: len(whole)]
    both = (whole > 0) & (parts > 0)
    moved = np.zeros(len(whole), bool)
    moved[both] = np.abs(np.log2(whole[both] / parts[both])) > 20 / 1200
    return float((moved | ((whole > 0) != (parts > 0))).mean())


def costs(methods: dict[str, Method], wav: Samples, rounds: int) -> dict[str, float]:
    """CPU seconds of this process for a second of audio, one thread, warm: medians of interleaved rounds."""
    spent: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            begun = time.process_time()
            method(wav)
            spent[name].append(time.process_time() - begun)
    return {name: float(np.median(values)) * MEL_RATE / len(wav) for name, values in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write everything measured to this JSON file")
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    parser.add_argument("--methods", help=f"only these, separated by ';', of: {'; '.join(METHODS)}")
    parser.add_argument("--sets", help=f"only these, separated by ';', of: {'; '.join({**TEST_SETS, **RECORDED_SETS})}")
    parser.add_argument("--rounds", type=int, default=5, help="runs whose median is the cost")
    chosen = parser.parse_args()
    wanted = chosen.methods.split(";") if chosen.methods else [name for name in METHODS if name not in SLOW]
    sets = {**TEST_SETS, **(RECORDED_SETS if AUDIO.is_dir() else {})}
    titles = chosen.sets.split(";") if chosen.sets else list(sets)
    if unknown := [*({*wanted} - {*METHODS}), *({*titles} - {*sets})]:
        parser.error(f"not known, or not to be had here: {', '.join(unknown)}")
    methods: dict[str, Method] = {}
    warnings.simplefilter("ignore")
    for name in wanted:
        try:
            methods[name] = METHODS[name]()
        except ImportError as error:
            print(f"{name}: not installed ({error})", file=sys.stderr)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for title in titles:
        clips = sets[title]()
        print(f"{title}: {sum(len(c.wav) for c in clips) / MEL_RATE:.0f} s", file=sys.stderr, flush=True)
        results[title] = {name: score(clips, [method(c.wav) for c in clips]) for name, method in methods.items()}
    unsteady: dict[str, float] = {}
    if AUDIO.is_dir():
        if not chosen.sets:
            for title, names in (("songs, majority", SONGS), ("speech, majority", SPEECH)):
                print(title, file=sys.stderr, flush=True)
                wavs = [recording(name) for name in names]
                found = {name: [method(wav) for wav in wavs] for name, method in methods.items()}
                results[title] = {name: against_the_majority(found, name) for name in methods}
            whole = recording("songs/tl_m_vocadito_1.flac", 33.0)
            unsteady = {name: unsteadiness(method, whole) for name, method in methods.items()}
        speed_wav = recording("songs/tl_m_vocadito_1.flac", 10.0)
    else:
        print(f"{AUDIO} is not there: recordings and sung notes are skipped", file=sys.stderr)
        speed_wav = sung(MIDDLE, 1).wav
    rtf = costs(methods, speed_wav, chosen.rounds)
    show(results, rtf, unsteady, chosen.markdown)
    if chosen.out:
        facts = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        chosen.out.write_text(json.dumps({**facts, "rtf": rtf, "unsteady": unsteady, "sets": results}, indent=1))


def show(
    results: dict[str, dict[str, dict[str, float]]], rtf: dict[str, float], unsteady: dict[str, float], markdown: bool
) -> None:
    def table(title: str, head: list[str], rows: list[list[str]]) -> None:
        print(f"\n{'### ' if markdown else ''}{title}\n")
        if markdown:
            for row in (head, ["---"] * len(head), *rows):
                print("| " + " | ".join(row) + " |")
        else:
            wide = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
            for row in (head, *rows):
                print(
                    "  ".join(
                        cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, wide, strict=True))
                    )
                )

    def number(value: float, digits: int, factor: float = 1.0) -> str:
        return "-" if np.isnan(value) else f"{factor * value:.{digits}f}"

    names = list(rtf)
    heads = ["right %", "median cents", "> 50 cents %", "> 600 cents %", "missed %", "false %"]
    keys = ["right", "cents", "off", "octave", "missed", "false"]
    whole = []
    for name in names:
        mean = [float(np.nanmean([results[title][name][key] for title in results] or [np.nan])) for key in keys]
        row = [number(v, 1 if k == "cents" else 2, 1 if k == "cents" else 100) for k, v in zip(keys, mean, strict=True)]
        whole.append([name, *row, number(unsteady.get(name, float("nan")), 2, 100), number(rtf[name], 4)])
    table("Mean over all sets", ["method", *heads, "unsteady %", "RTF"], whole)
    for key, head in zip(keys, heads, strict=True):
        factor = 1 if key == "cents" else 100
        by_set = [[title, *(number(results[title][name][key], 1, factor) for name in names)] for title in results]
        table(f"{head} by set", ["set", *names], by_set)


if __name__ == "__main__":
    main()
