"""Real voices, scored by models of speech: words (CER), similarity (SECS), naturalness (DNSMOS).

    python benchmarks/real.py OUT --short --whisper models/whisper-base --whisper models/whisper-tiny.en
    python benchmarks/real.py OUT --full --encoder models/whisper-base --formant-shifts=-4,-2,2,4 --render retrieve=0.5
    python benchmarks/real.py OUT --run mine=runs/mine --source song.wav --target anna=corpus/anna

Real speech and real songs are converted to real targets, each of which is extracted and trained on alone (unless --run
gives runs that are there), and four rows stand beside the result: the source itself, the source through the vocoder,
the target's own clips, and a nearest neighbour that learns nothing. --short (the default) takes minutes on two cores:
five sources and one target. --full takes all of them. Recordings are those of ../shared/audio, or what --source and
--target name. OUT gets real.md, real.json, real.html with players, and the stores and runs, which the next call uses
again.

CER is the character error rate against what the recogniser transcribes of the source (of the target's own clips:
against transcripts.tsv in their folder), at most 1 for each clip. SECS is the cosine with the target's mean embedding.
If the encoder is a Whisper, read the CER of another one, which is why there are two. Recognisers are given by
--whisper, a folder or hub id each; without it, Whisper base and tiny.en are made by ../shared/tools/models.py where it
is there, and downloaded from the hub where it is not. The rest comes with pip install 'svc[ears]' and
pip install --no-deps Resemblyzer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conversion import values
from svc.commands.terminal import Terminal
from svc.pipeline import audio
from svc.pipeline.diffusion.shape import Architecture
from svc.pipeline.frames import MEL_RATE, resampled_length
from svc.pipeline.metrics.audio_features import AudioFeatures, Samples
from svc.pipeline.metrics.baselines import NearestFrames
from svc.pipeline.pitch import melody, pitch
from svc.pipeline.pitch.melody import Range
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.stages.evaluation.glossary import glossary
from svc.stages.evaluation.page import Report, Section, write_page
from svc.stages.evaluation.speech_models import SpeechDescription, SpeechModels, TargetVoice, phrases
from svc.stages.evaluation.speech_scores import SpeechScores
from svc.stages.extraction.extract import extract
from svc.stages.page import Table
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import PRESETS, ExtractSettings, RenderSettings, TrainSettings
from svc.stages.settings.choice import replaced
from svc.stages.training.train import train

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
AUDIO, MODEL_MAKER = SHARED / "audio", SHARED / "tools" / "models.py"
RECOGNISERS = {"whisper-base": "openai/whisper-base", "whisper-tiny.en": "openai/whisper-tiny.en"}  # by folder: hub id
SECONDS = 15.0  # of a source, at most
SHORT_STEPS, FULL_STEPS = 600, 1_500
OWN_CLIPS = 8  # of a target, in its own row
SOURCE, VOCODED, OWN, NEAREST = "the source", "the source through the vocoder", "the target's own clips", (
    "nearest neighbour, nothing learnt"
)  # fmt: skip


System = Callable[[Samples], Samples]  # float32 (T,) at 44.1 kHz -> the same


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
    """A voice: its name, the folder of its recordings, and how they are known to the measures.

    Attributes:
        recordings: float32 (T,) at 44.1 kHz, each a second or longer.
        texts: what is said in each of them; None where it is not known.
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


@dataclass
class Row:
    """What one system came to on the sources of one kind and one target."""

    system: str
    kind: str
    target: str
    scores: list[SpeechScores] = field(default_factory=list)

    def figures(self, recognisers: Iterable[str]) -> dict[str, float]:
        """Means over the clips, NaN left out; of CER also the median."""
        out = {}
        for model in recognisers:
            rates = [score.of(model).bounded_cer for score in self.scores]
            out[f"CER ({model})"] = mean(rates)
            out[f"median CER ({model})"] = mean([float(np.median(known))] if (known := real(rates)) else [])
        return {
            **out,
            "SECS": mean([score.secs for score in self.scores]),
            "DNSMOS": mean([score.dnsmos for score in self.scores]),
        }


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
    """The targets of ../shared/audio by name; the first is that of a short run. A pattern stands for its files."""
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
    """What is said in a folder's recordings, by stem, from its transcripts.tsv; empty without one."""
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


def make_run(target: Target, out: Path, asked: argparse.Namespace) -> Path:
    """Extract a target's recordings and train on them; what is there is used again."""
    store, run = out / f"{target.name}.zarr", out / f"{target.name}.{asked.preset}"
    shifts = tuple(int(part) for part in asked.formant_shifts.split(",")) if asked.formant_shifts else ()
    extract([target.folder], store, ExtractSettings(encoder=asked.encoder, formant_shifts=shifts), Terminal())
    changed = settings_of(asked.train, TrainSettings, Architecture)
    settings = replaced(PRESETS[asked.preset], {"steps": asked.steps, **changed})
    train([store], run, settings, progress=Terminal())
    return run


def settings_of(given: Sequence[str], *kinds: type) -> dict[str, Any]:
    """`name=value` pairs as settings of these dataclasses."""
    return {name: found[0] for name, found in (values(text, *kinds) for text in given)}


def nearest_neighbour(target: Target) -> System:
    """A conversion that learns nothing: each frame becomes the target's nearest, in the key that suits the target."""
    own, vocoder, reach = [AudioFeatures(wav).mel for wav in target.recordings], PulseNoise(0), target.range

    def convert(wav: Samples) -> Samples:
        source = AudioFeatures(wav)
        f0 = pitch.repair(source.f0)
        key = float(melody.choose_key(f0, reach, any_key=True))
        return vocoder(NearestFrames([source.mel], own)(source.mel), melody.transposed(f0, key)[: len(source.mel)])

    return convert


def vocoded(wav: Samples) -> Samples:
    """A recording, float32 (T,) at 44.1 kHz, through the vocoder `plain` with its own mel and f0."""
    features = AudioFeatures(wav)
    return PulseNoise()(features.mel, pitch.repair(features.f0)[: len(features.mel)])


def systems_of(target: Target, runs: Mapping[str, Path], asked: argparse.Namespace) -> dict[str, System]:
    """What converts a source to a target, by name: each takes and returns float32 (T,) at 44.1 kHz."""
    systems: dict[str, System] = {
        SOURCE: lambda wav: wav,
        VOCODED: vocoded,
        NEAREST: nearest_neighbour(target),
    }
    chosen = settings_of(asked.render, RenderSettings)
    for name, path in runs.items():
        converter = RunConverter(Run.open(path), RenderSettings(**{"key": "auto", **chosen}))
        systems[f"{name}, step {converter.step}"] = partial(converted, converter)
    return systems


def converted(converter: RunConverter, wav: Samples) -> Samples:
    """A recording, float32 (T,) at 44.1 kHz, by a run."""
    return converter.convert(wav, MEL_RATE, measured=False).samples


def score_target(
    target: Target,
    sources: Sequence[tuple[Source, Samples, SpeechDescription]],
    systems: Mapping[str, System],
    models: SpeechModels,
) -> tuple[list[Row], list[Section]]:
    """Convert every source with every system, and score the results."""
    rows = {(name, kind): Row(name, kind, target.name) for name in systems for kind in ("speech", "song")}
    sections = []
    with Terminal().bar(target.name, len(sources) * len(systems), "conversion") as bar:
        for source, wav, before in sources:
            sounds = {}
            for name, convert in systems.items():
                sounds[name] = result = convert(wav)[: len(wav)]
                after = before if name == SOURCE else models.describe(result, before.pieces, None, before)
                rows[name, source.kind].scores.append(models.compare(before, after, None, target.voice))
                bar.advance()
            sections.append(Section(f"{source.name} -> {target.name}", sounds))
    return [row for row in rows.values() if row.scores], sections


def own_row(target: Target, models: SpeechModels) -> Row:
    """The target's own clips, with words by their transcripts, and SECS with the mean of the others."""
    row = Row(OWN, "own", target.name)
    step = max(1, len(target.recordings) // OWN_CLIPS)
    chosen = list(zip(target.recordings, target.texts, strict=True))[::step][:OWN_CLIPS]
    for wav, text in chosen:
        found = models.describe(wav, phrases(AudioFeatures(wav)))
        scores = models.compare(found, found, text, target.voice)
        row.scores.append(replace(scores, secs=target.voice.own_secs, words=scores.words if text else ()))
    return row


def tables_of(rows: Sequence[Row], recognisers: Sequence[str]) -> list[Table]:
    """A table for each target and kind of source."""
    out = []
    for target, kind in dict.fromkeys((row.target, row.kind) for row in rows if row.kind != "own"):
        chosen = [row for row in rows if row.target == target and row.kind in (kind, "own")]
        figures = [row.figures(recognisers) for row in chosen]
        headings = [name for name in figures[0] if any(not np.isnan(each[name]) for each in figures)]
        cells = [
            [row.system, *("" if np.isnan(each[name]) else f"{each[name]:.3f}" for name in headings)]
            for row, each in zip(chosen, figures, strict=True)
        ]
        clips = max(len(row.scores) for row in chosen if row.kind == kind)
        out.append(Table(f"{kind} -> {target}, {clips} clips", ["system", *headings], cells))
    return out


def write(out: Path, rows: Sequence[Row], sections: Sequence[Section], recognisers: Sequence[str]) -> list[Table]:
    """Write real.md, real.json and real.html."""
    tables = tables_of(rows, recognisers)
    lines = [line for table in tables for line in (f"**{table.caption}**", "", *table.markdown(), "")]
    (out / "real.md").write_text("\n".join(lines), "utf-8")
    figures = [
        {
            "system": row.system,
            "kind": row.kind,
            "target": row.target,
            "clips": [each.to_json() for each in row.scores],
        }
        for row in rows
    ]
    (out / "real.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False), "utf-8")
    notes = [f"{name}: {meaning}" for name, meaning in glossary(["key"]).items()]
    write_page(out / "real.html", Report("Real voices", notes=notes, tables=tables, sections=sections))
    return tables


def real(values: Iterable[float]) -> list[float]:
    """Those that are not NaN."""
    return [value for value in values if not np.isnan(value)]


def mean(values: Iterable[float]) -> float:
    """The mean of those that are not NaN; NaN of none."""
    known = real(values)
    return float(np.mean(known)) if known else float("nan")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--audio", type=Path, default=AUDIO, help="recordings laid out as in ../shared/audio")
    parser.add_argument("--source", type=Path, action="append", default=[], help="a recording to convert instead")
    parser.add_argument(
        "--target", action="append", default=[], metavar="NAME=FOLDER", help="a voice instead; the last part may have *"
    )
    parser.add_argument(
        "--run", action="append", default=[], metavar="NAME=RUN", help="a run of the target, instead of training one"
    )
    parser.add_argument(
        "--whisper",
        action="append",
        default=[],
        metavar="FOLDER|ID",
        help="a recogniser; may be repeated  [default: Whisper base and tiny.en]",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="five sources and one target (the default)")
    size.add_argument("--full", action="store_true", help="all sources and targets")
    parser.add_argument("--encoder", default="mini")
    parser.add_argument("--formant-shifts", metavar="N,N", help="as svc extract")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, help=f"of training  [default: {SHORT_STEPS}, with --full {FULL_STEPS}]")
    parser.add_argument("--train", action="append", default=[], metavar="NAME=VALUE", help="a training setting")
    parser.add_argument("--render", action="append", default=[], metavar="NAME=VALUE", help="a rendering setting")
    asked = parser.parse_args(arguments)
    asked.steps = asked.steps or (FULL_STEPS if asked.full else SHORT_STEPS)
    return asked


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is needed, convert, score, and write the tables and the page."""
    asked = parse(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    models = SpeechModels.load(asked.whisper or default_recognisers(asked.out / "models"))
    print("\n".join(models.notes), file=sys.stderr)
    sources = [Source(path, "song") for path in asked.source] or [
        source for source in shared_sources(asked.audio) if asked.full or source.short
    ]
    if missing := [source.path for source in sources if not source.path.exists()]:
        raise SystemExit(f"{missing[0]} is not there; give --audio, or --source and --target")
    folders = dict(text.split("=", 1) for text in asked.target) or shared_targets(asked.audio)
    names = list(folders) if asked.full or asked.target else list(folders)[:1]
    described = []
    with Terminal().bar("sources", len(sources), "recording") as bar:
        for source in sources:
            wav = source.samples()
            described.append((source, wav, models.describe(wav, phrases(AudioFeatures(wav)), source.language)))
            bar.advance()
    rows: list[Row] = []
    sections: list[Section] = []
    for name in names:
        target = open_target(name, own_folder(name, Path(folders[name]), asked.out / "targets"), models)
        given = {key: Path(value) for key, value in (text.split("=", 1) for text in asked.run)}
        runs = given or {f"svc, {Path(asked.encoder).name}, {asked.preset}": make_run(target, asked.out, asked)}
        others = [each for each in described if not each[0].name.startswith(name)]  # not a voice to itself
        done, heard = score_target(target, others, systems_of(target, runs, asked), models)
        rows += [*done, own_row(target, models)]
        sections += heard
        tables = write(asked.out, rows, sections, [each.name for each in models.transcribers])
    for table in tables:
        print(f"\n{table.caption}\n\n" + "\n".join(table.markdown()))
    print(f"\n{asked.out / 'real.html'}: listen")


if __name__ == "__main__":
    torch.set_num_threads(min(2, torch.get_num_threads()))
    main()
