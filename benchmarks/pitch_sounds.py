"""Sounds for f0 methods: singing with a known f0, with other sources, and degraded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pitch_methods import Frames, Samples
from scipy.ndimage import binary_dilation, uniform_filter1d
from scipy.signal import butter, fftconvolve, lfilter, sosfilt
from svc.data.singers.harmonic import VOWELS, Note, Voice, practice, sing
from svc.pipeline.frames import MEL_HOP, MEL_RATE


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
    """f0 at every sample, interpolated to the mel centres."""
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
    """An exponential tail of noise, 0.8 s to -60 dB, 6 dB under the direct sound. Frames in tails do not count."""
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
    """Another singer, 20 dB softer; frames in which the first rests do not count."""
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


def sung_voices() -> list[Clip]:
    """One clip of each range and source, from which the sets of degraded sound are made."""
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
