"""Recordings for f0 methods, some with a true f0: WORLD's own, or a written pitch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from pitch_methods import F0_MAX, F0_MIN, PERIOD_MS, Samples
from pitch_sounds import Clip, sample_at_centres
from scipy.ndimage import uniform_filter1d
from svc.pipeline.frames import MEL_HOP, MEL_RATE
from svc.pipeline.pitch import pitch
from svc.pipeline.quiet_pyworld import pyworld

AUDIO = Path(__file__).parents[2] / "shared" / "audio"
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


def recording(name: str, most_seconds: float = 12.0) -> Samples:
    wav, rate = soundfile.read(AUDIO / name, dtype="float32", always_2d=True, frames=-1)
    mono = soxr.resample(wav.mean(1), rate, MEL_RATE)[: int(most_seconds * MEL_RATE)]
    return mono.astype(np.float32)


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


RECORDED_SETS: dict[str, Callable[[], list[Clip]]] = {
    "resynthesised songs": lambda: [resynthesised(recording(name)) for name in SONGS],
    "resynthesised speech": lambda: [resynthesised(recording(name)) for name in SPEECH],
    "sung notes": notes,
}
