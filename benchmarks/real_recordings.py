"""The recordings of benchmarks/real.py: real speech and songs, target voices, and the recognisers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from svc.pipeline import audio
from svc.pipeline.frames import MEL_RATE, resampled_length
from svc.pipeline.metrics.audio_features import AudioFeatures, Samples
from svc.pipeline.pitch.melody import Range
from svc.stages.evaluation.speech_models import SpeechModels, TargetVoice

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
AUDIO, MODEL_MAKER = SHARED / "audio", SHARED / "tools" / "models.py"
RECOGNISERS = {"whisper-base": "openai/whisper-base", "whisper-tiny.en": "openai/whisper-tiny.en"}  # by folder: hub id
SECONDS = 15.0  # of a source, at most
OWN_CLIPS = 8  # of a target, that are measured


@dataclass(frozen=True)
class Source:
    """A recording to convert. `short`: whether it is one of the few that a short run takes."""

    path: Path
    kind: str  # speech or song
    language: str | None = None
    start: float = 0.0  # seconds
    short: bool = False

    @property
    def name(self) -> str:
        """Of its file, and where in it it begins."""
        return self.path.stem + (f" {self.start:.0f} s" if self.start else "")

    def samples(self) -> Samples:
        """Float32 (T,) at 44.1 kHz, of SECONDS at most."""
        return read(self.path)[int(self.start * MEL_RATE) : int((self.start + SECONDS) * MEL_RATE)]


@dataclass(frozen=True)
class Target:
    """A voice: its name, the folder of its recordings, and their embeddings for the measures.

    Attributes:
        recordings: float32 (T,) at 44.1 kHz, each a second or longer.
        texts: the words of each of them; None if unknown.
    """

    name: str
    folder: Path
    recordings: list[Samples] = field(repr=False)
    texts: list[str | None] = field(repr=False)
    voice: TargetVoice

    @property
    def range(self) -> Range:
        """Its 5th, 50th and 95th percentile of f0, Hz."""
        f0 = np.concatenate([AudioFeatures(wav).f0 for wav in self.recordings[:OWN_CLIPS]])
        return Range(*np.percentile(f0[f0 > 0], [5, 50, 95]).tolist())


def shared_sources(folder: Path) -> list[Source]:
    """The real speech and songs of ../shared/audio; those of a target begin with its name."""
    corpus, songs = folder / "corpus", folder / "songs"
    english = [corpus / "en_m_libri3005" / f"3005-163389-000{n}.flac" for n in (0, 1, 4)]
    english += [corpus / "en_f_libri3080" / f"3080-5032-000{n}.flac" for n in (0, 2, 5)]
    english += sorted(path for each in corpus.glob("en_?_vctk_*") for path in each.glob("*.flac"))
    short = {"3005-163389-0000", "3080-5032-0000", "p228_023"}
    found = [Source(path, "speech", "en", short=path.stem in short) for path in english]
    for language, folder_name in (("ko", "ko_m_zeroth104"), ("ja", "ja_m_atr503")):
        found += [Source(path, "speech", language) for path in sorted((corpus / folder_name).glob("*.flac"))[:2]]
    return [
        *found,
        Source(songs / "en_f_vocadito_14.flac", "song", "en", short=True),
        Source(songs / "tl_m_vocadito_1.flac", "song", "tl"),
        Source(songs / "ja_f_song070_004.flac", "song", "ja"),
        Source(songs / "ja_m_oatsu_antagata_dokosa.flac", "song", "ja", short=True),
        Source(folder / "odd" / "long_solo_5min.ogg", "song", None, 60.0),
    ]


def shared_targets(folder: Path) -> dict[str, Path]:
    """The targets of ../shared/audio by name; the first is that of a short run. A pattern means its files."""
    names = ("en_f_ljspeech", "en_m_michael", "en_f_kathleen", "es_m_dona")
    return {
        **{name: folder / "corpus" / name for name in names},
        "ja_f_song070": folder / "songs" / "ja_f_song070_*.flac",
    }


def default_recognisers(out: Path) -> list[str]:
    """Whisper base and tiny.en: folders in `out`, made by ../shared/tools/models.py where it is there, or hub ids."""
    folders = [out / name for name in RECOGNISERS]
    if not MODEL_MAKER.exists():
        return list(RECOGNISERS.values())
    if not all(folder.is_dir() for folder in folders):
        subprocess.run([sys.executable, str(MODEL_MAKER), str(out), "whisper-base", "tiny.en"], check=True)
    return [str(folder) for folder in folders]


def own_folder(name: str, given: Path, out: Path) -> Path:
    """The folder of a target's recordings; where a pattern names them, a folder in `out` with copies of them."""
    if "*" not in given.name:
        return given
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(given.parent.glob(given.name)):
        shutil.copy2(path, folder / path.name)
    return folder


def transcripts(folder: Path) -> dict[str, str]:
    """The words of a folder's recordings, by stem, from its transcripts.tsv; empty without one."""
    path = folder / "transcripts.tsv"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def read(path: Path) -> Samples:
    """A recording as float32 (T,) at 44.1 kHz."""
    found = audio.scan(path)
    length = resampled_length(found.samples, found.sample_rate, MEL_RATE)
    return audio.resample(audio.read(found, 0, found.frames), found.sample_rate, MEL_RATE, length)


def open_target(name: str, folder: Path, models: SpeechModels) -> Target:
    """Read a target's recordings and embed them."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in audio.SUFFIXES)
    said = transcripts(folder)
    known = [(wav, said.get(path.stem)) for path in paths if len(wav := read(path)) >= MEL_RATE]
    if models.speakers is None:
        raise SystemExit("\n".join(models.notes))
    if not known:
        raise SystemExit(f"{folder} holds no recording of a second or more")
    recordings, texts = [wav for wav, _ in known], [text for _, text in known]
    return Target(name, folder, recordings, texts, TargetVoice.of(models.speakers, recordings, MEL_RATE))
