"""Real voices, scored by models of speech: words (CER), similarity (SECS), naturalness (DNSMOS).

    python benchmarks/real.py OUT --short --whisper models/whisper-base --whisper models/whisper-tiny.en
    python benchmarks/real.py OUT --full --encoder models/whisper-base --formant-shifts=-4,-2,2,4 --render retrieve=0.5
    python benchmarks/real.py OUT --run mine=runs/mine --source song.wav --target anna=corpus/anna

Real speech and real songs are converted to real targets, each of which is extracted and trained on alone (unless --run
gives existing runs), and four rows are given for comparison: the source itself, the source through the vocoder, the
target's own clips, and a nearest neighbour without training. --short (the default) takes minutes on two cores:
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
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from real_recordings import (
    AUDIO,
    OWN_CLIPS,
    Source,
    Target,
    default_recognisers,
    open_target,
    own_folder,
    shared_sources,
    shared_targets,
)
from real_systems import SOURCE, System, make_run, systems_of
from svc.commands.terminal import Terminal
from svc.pipeline.metrics.audio_features import AudioFeatures, Samples
from svc.stages.evaluation.glossary import glossary
from svc.stages.evaluation.page import Report, Section, write_page
from svc.stages.evaluation.speech_models import SpeechDescription, SpeechModels, phrases
from svc.stages.evaluation.speech_scores import SpeechScores
from svc.stages.page import Table

SHORT_STEPS, FULL_STEPS = 600, 1_500
OWN = "the target's own clips"


@dataclass
class Row:
    """The scores of one system on the sources of one kind and one target."""

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
        others = [each for each in described if not each[0].name.startswith(name)]  # no conversion of a voice to itself
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
