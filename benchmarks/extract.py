"""Extraction compared with the peers' way, in one run: `python benchmarks/extract.py [CORPUS] [--encoder FOLDER]`.

The peers' way (so-vits-svc, Diff-SVC, DDSP-SVC and others) takes one file at a time: decode, resample, the encoder in
fp32 as transformers has it, harvest, mel, and one .npy a feature. Ours is `svc extract`. Both start with the libraries
imported and the weights on disk, and end with everything on disk. Rounds are interleaved; the table gives medians.

The ratio is of CPU seconds, all threads of the process together, so that it does not depend on the number of cores and
on other load. Wall seconds and their ratio are given as well: there ours uses all cores and the peers' loop one. Both
include loading the encoder; the last line gives its time separately, since a corpus of hours needs it once. The parts
are of one thread; "parts together" is their sum for the fast way, whose other CPU seconds are packing, writing and
checks.

Without CORPUS, LJSpeech's clips beside the project are taken; without --encoder, a HuBERT-base with random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers
from svc.pipeline import audio, frames, mel
from svc.pipeline.encoder.batches import batches
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.quiet_pyworld import pyworld
from svc.stages.extraction.extract import extract
from svc.stages.features import Waveform
from svc.stages.settings import ExtractSettings
from svc.store import open_store

LJSPEECH = Path(__file__).parents[2] / "shared" / "audio" / "corpus" / "en_f_ljspeech"
LAYERS = (7, 12)
COMMON_PARTS = ("scan (decode twice)", "decode", "resample to 16 and 44.1 kHz", "mel and loudness")


def peers_way(corpus: Path, out: Path, encoder: Path, device: str) -> None:
    """One file at a time, fp32, harvest, one .npy a feature."""
    model = transformers.HubertModel.from_pretrained(encoder).eval().to(device)
    for path in sorted(corpus.rglob("*.flac")):
        wav, rate = soundfile.read(path, dtype="float32")
        at_content = audio.resample(wav, rate, frames.CONTENT_RATE, round(len(wav) * frames.CONTENT_RATE / rate))
        at_mel = audio.resample(wav, rate, frames.MEL_RATE, round(len(wav) * frames.MEL_RATE / rate))
        with torch.no_grad():
            states = model(torch.from_numpy(at_content)[None].to(device), output_hidden_states=True).hidden_states
        f0, times = pyworld.harvest(at_mel.astype(float), frames.MEL_RATE, 65.0, 1100.0, 1000 * 512 / frames.MEL_RATE)
        f0 = pyworld.stonemask(at_mel.astype(float), f0, times, frames.MEL_RATE)
        name = str(out / path.stem)
        for layer in LAYERS:
            np.save(f"{name}.hidden{layer}.npy", states[layer][0].cpu().numpy())
        np.save(f"{name}.f0.npy", f0)
        np.save(f"{name}.mel.npy", mel.log_mel(torch.from_numpy(at_mel)).numpy())


def ours(corpus: Path, out: Path, encoder: Path, device: str, **changes: Any) -> None:
    extract([corpus], out / "s.zarr", ExtractSettings(str(encoder), LAYERS, device=device, **changes))


def once(way: Callable[[Path], None]) -> dict[str, float]:
    """Wall and processor seconds of one round, and the bytes that it left."""
    with tempfile.TemporaryDirectory() as folder:
        begun, cpu = time.perf_counter(), time.process_time()
        way(Path(folder))
        figures = {"wall": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
        return {**figures, "bytes": float(sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()))}


def parts(corpus: Path, encoder: Path, device: str, methods: list[str]) -> dict[str, float]:
    """Real-time factor of each part by itself: processor seconds of one thread (wall on a GPU) per second of audio."""
    torch.set_num_threads(1)
    paths = sorted(corpus.rglob("*.flac"))[:8]
    recordings = [audio.scan(path) for path in paths]
    seconds = sum(recording.seconds for recording in recordings)
    waves = [Waveform.read(recording, 0, recording.frames) for recording in recordings]
    monos = [(audio.read(recording, 0, recording.frames), recording.sample_rate) for recording in recordings]
    at_mel = [wave.at(frames.MEL_RATE) for wave in waves]
    at_16k = [torch.from_numpy(wave.at(frames.CONTENT_RATE)) for wave in waves]
    on_processor = device == "cpu"

    def rtf(work: Callable[[], Any]) -> float:
        clock = time.process_time if on_processor else time.perf_counter
        took = []
        for _ in range(3):
            begun = clock()
            work()
            took.append(clock() - begun)
        return statistics.median(took) / seconds

    found = {
        "scan (decode twice)": rtf(lambda: [audio.scan(path) for path in paths]),
        "decode": rtf(lambda: [audio.read(recording, 0, recording.frames) for recording in recordings]),
        "resample to 16 and 44.1 kHz": rtf(
            lambda: [audio.resample(m, rate, to, len(m)) for m, rate in monos for to in (16_000, frames.MEL_RATE)]
        ),
        "mel and loudness": rtf(lambda: [wave.signal() for wave in waves]),
    }
    for method in methods:
        settings = PitchSettings(method)
        found[f"f0 {method}"] = rtf(partial(lambda settings: [pitch.track(wav, settings) for wav in at_mel], settings))
    plain = transformers.HubertModel.from_pretrained(encoder).eval().to(device)

    def naive() -> None:
        with torch.no_grad():
            for wav in at_16k:
                plain(wav[None].to(device), output_hidden_states=True).last_hidden_state.cpu()

    found["encoder, transformers fp32"] = rtf(naive)
    together = [[at_16k[i] for i in batch] for batch in batches([len(wav) for wav in at_16k], 12 * frames.CONTENT_RATE)]

    def ours_encodes(content: ContentEncoder) -> None:
        for wavs in together:
            content.encode_batch(wavs, LAYERS)

    for precision in ("fp32", "bf16"):
        content = load_encoder(str(encoder), device, precision)
        ours_encodes(content)
        found[f"encoder, svc {precision}"] = rtf(partial(ours_encodes, content))
    return found


def loading(encoder: Path, device: str, precision: str) -> float:
    """CPU seconds of loading our encoder and building its network, with the libraries imported."""
    begun = time.process_time()
    load_encoder(str(encoder), device, precision).encode(torch.zeros(frames.CONTENT_RATE), (1,))
    return time.process_time() - begun


def errors(fast: Path, exact: Path) -> dict[str, float]:
    """Relative L2 difference of each hidden column of two stores of one corpus."""
    one, other = open_store(fast), open_store(exact)
    out = {}
    for layer in LAYERS:
        pairs = [(clip.hidden(layer).astype(float), other[clip.id].hidden(layer).astype(float)) for clip in one]
        difference = sum(float(np.square(a - b).sum()) for a, b in pairs)
        out[f"hidden/{layer}"] = (difference / sum(float(np.square(b).sum()) for _, b in pairs)) ** 0.5
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", type=Path, default=LJSPEECH)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fast-f0", default=PitchSettings().method, help="the f0 method of the faster choices")
    parser.add_argument("--fast-precision", default="bf16")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if not asked.corpus.is_dir():
        sys.exit(f"{asked.corpus} is not there; give a folder of .flac recordings of one speaker")
    work = Path(tempfile.mkdtemp())
    try:
        encoder = asked.encoder or work / "hubert"
        if asked.encoder is None:
            torch.manual_seed(0)
            transformers.HubertModel(transformers.HubertConfig()).save_pretrained(encoder)
        seconds = sum(soundfile.info(path).duration for path in asked.corpus.rglob("*.flac"))
        fast = {"precision": asked.fast_precision, "f0": asked.fast_f0}
        ways: dict[str, Callable[[Path], None]] = {
            "peers: a file at a time, fp32, harvest, .npy": lambda out: peers_way(
                asked.corpus, out, encoder, asked.device
            ),
            "svc, the same features: fp32, harvest": lambda out: ours(
                asked.corpus, out, encoder, asked.device, f0="harvest", precision="fp32"
            ),
            f"svc, faster: {asked.fast_precision}, {asked.fast_f0}": lambda out: ours(
                asked.corpus, out, encoder, asked.device, **fast
            ),
        }
        torch.set_num_threads(1)  # of the peers' loop; ours has a thread for each core, each of one
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for _ in range(asked.rounds):
            for name, way in ways.items():
                rounds[name].append(once(way))
        table = {
            name: {key: statistics.median(r[key] for r in found) for key in found[0]} for name, found in rounds.items()
        }
        for name, changes in (("exact", {"precision": "fp32", "f0": asked.fast_f0}), ("fast", fast)):
            (work / name).mkdir()
            ours(asked.corpus, work / name, encoder, asked.device, **changes)
        error = errors(work / "fast" / "s.zarr", work / "exact" / "s.zarr")
        by_part = parts(asked.corpus, encoder, asked.device, ["harvest", asked.fast_f0])
        if asked.json:
            print(json.dumps({"seconds": seconds, "whole": table, "error": error, "rtf": by_part}, indent=1))
            return
        base = next(iter(table.values()))
        print(f"{seconds:.0f} s of audio, {os.cpu_count()} cores, torch {torch.__version__}, {asked.device}\n")
        print("| way | CPU s | CPU s a second of audio | ratio | wall s | ratio of wall | MB |")
        print("|---|---|---|---|---|---|---|")
        for name, row in table.items():
            print(
                f"| {name} | {row['cpu']:.1f} | {row['cpu'] / seconds:.3f} | {base['cpu'] / row['cpu']:.2f} "
                f"| {row['wall']:.1f} | {base['wall'] / row['wall']:.2f} | {row['bytes'] / 1e6:.1f} |"
            )
        print(f"\nrelative error of {asked.fast_precision}: " + ", ".join(f"{k} {v:.1e}" for k, v in error.items()))
        print("\n| part | RTF of one thread |\n|---|---|")
        for name, value in by_part.items():
            print(f"| {name} | {value:.4f} |")
        fast_parts = (*COMMON_PARTS, f"f0 {asked.fast_f0}", f"encoder, svc {asked.fast_precision}")
        print(
            f"| parts together, {asked.fast_precision}, {asked.fast_f0} | {sum(by_part[p] for p in fast_parts):.4f} |"
        )
        print(f"\nloading the encoder: {loading(encoder, asked.device, asked.fast_precision):.1f} CPU s")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
