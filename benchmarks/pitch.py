"""f0 methods compared with the true f0: cents, octaves, voicing and cost, in tables.

    python benchmarks/pitch.py --markdown --out table.json

Truth comes from synthetic singers whose f0 is known to the sample (clean, in noise, in a room, with a hum, ...), from
recordings resynthesised by WORLD at a known f0, and from single sung notes whose pitch was measured and written down.
Unmodified recordings have no true f0: there, a method is compared with the majority of the other families.

The recordings lie in `../shared/audio`; without them those sets are skipped with a word, and so is a method whose
library is not installed. Everything is drawn from fixed seeds. Cost is process CPU time on one thread, warm, median
of several runs over real singing, methods taking turns.

Every frame is 512 samples at 44.1 kHz and counts once, at its centre. Frames within one frame of a change of voicing
are not counted, nor are frames in which the truth is not certain (after a note in a room, ...).
"""

# ruff: noqa: E402  # numpy and torch read the number of threads at import: it is set before the imports
from __future__ import annotations

import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_threads] = "1"  # before numpy and torch are imported: cost is measured on one thread

import argparse
import json
import platform
import sys
import warnings
from pathlib import Path

import numpy as np
from pitch_methods import METHODS, SLOW, Method
from pitch_recordings import AUDIO, RECORDED_SETS, SONGS, SPEECH, recording
from pitch_scores import against_the_majority, costs, score, unsteadiness
from pitch_sounds import MIDDLE, TEST_SETS, sung
from svc.pipeline.frames import MEL_RATE


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
        metadata = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        chosen.out.write_text(json.dumps({**metadata, "rtf": rtf, "unsteady": unsteady, "sets": results}, indent=1))


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
