"""Training compared with the peers' way, in one run: steps a second, the error after equal time, and few evaluations.

python benchmarks/train.py [--store voices.zarr [--truth same_songs.zarr]] [--seconds 540] [--threads 1]

The peers' way (Diff-SVC's) is written here in a few lines: features of each utterance in .npy files that are loaded
whole at every step, units repeated to the mel's rate, mel scaled to [-1, 1] bin by bin, a WaveNet of 20 layers of 384
that predicts the noise, mean squared error, AdamW in fp32, no average of the weights. Its network is built of our own
classes, which do not make it slower. Ours is `svc train` unchanged.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from svc.common.progress import Progress
from svc.common.random import ChoiceStream, NoiseStream, fork_generator, numpy_generator
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline import audio
from svc.pipeline.diffusion.batch import Batch
from svc.pipeline.diffusion.ddpm import DDPM
from svc.pipeline.diffusion.diffusion import Diffusion
from svc.pipeline.diffusion.sampling import sample
from svc.pipeline.diffusion.shape import Architecture, ModelShape
from svc.pipeline.frames import seconds_to_mel_frames
from svc.pipeline.mel import N_MELS
from svc.pipeline.pitch import pitch
from svc.stages.extraction.extract import extract
from svc.stages.run import Run
from svc.stages.settings import PRESETS, ExtractSettings, TrainSettings
from svc.stages.training.acoustic_task import AcousticTask
from svc.stages.training.corpus import Corpus, gather_corpus
from svc.stages.training.crops import Crops, completed, to_batch
from svc.stages.training.distributed import DistributedContext
from svc.stages.training.train import train
from svc.stages.training.unit_measures import convert, parallel_songs
from svc.store import open_store

LIMIT = 430  # mel frames of a held-out utterance that are sampled, 5 s
JUDGED = 2  # held-out utterances
SUNG = 4  # conversions that are compared with the true result
CHECKS = 4  # measurements of the held-out error during training
LOWEST, HIGHEST = -11.52, 3.0  # clamp of ln mel: a model that has learnt little would have extremely large errors


class Peers:
    """Diff-SVC's loop."""

    def __init__(self, corpus: Corpus, column: str, projection: torch.nn.Module, folder: Path, batch: int, crop: int):
        self.batch, self.crop, self.step, self.waited = batch, crop, 0, 0.0
        self.files = []
        low, high = np.full(128, np.inf), np.full(128, -np.inf)
        for number, clip in enumerate(corpus.train):
            with torch.no_grad():
                units = projection(torch.from_numpy(clip.read(column).astype(np.float32))).numpy()
            mel, f0 = clip.mel.astype(np.float32), clip.f0
            low, high = np.minimum(low, mel.min(0)), np.maximum(high, mel.max(0))
            features = {
                "units": units[clip.mel2ph - 1],  # at the mel's rate
                "mel": mel,
                "f0": pitch.continuous(f0),
                "voiced": (f0 > 0).astype(np.float32),
                "loudness": clip.loudness,
            }
            for name, values in features.items():
                np.save(folder / f"{number}.{name}.npy", values)
            self.files.append((number, corpus.speakers.index(clip.speaker)))
        self.folder, self.names = folder, list(features)
        torch.manual_seed(0)
        sizes = Architecture(condition=256, channels=384, layers=20)
        shape = ModelShape(units.shape[1], len(corpus.speakers), N_MELS, architecture=sizes)
        self.model = Diffusion(shape, DDPM())
        self.model.mel_mean.copy_(torch.from_numpy((low + high) / 2))
        self.model.mel_scale.copy_(torch.from_numpy(np.maximum(high - low, 1e-3) / 2))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 8e-4, betas=(0.9, 0.98))

    def train_step(self) -> float:
        begun = time.perf_counter()
        batch = self._load()
        self.waited += time.perf_counter() - begun
        loss = self.model.loss(batch, fork_generator(0, NoiseStream.TRAINING, self.step))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def _load(self) -> Batch:
        generator = numpy_generator(0, ChoiceStream.AUGMENTATION, self.step)
        rows, speakers = [], []
        for index in generator.integers(0, len(self.files), self.batch):
            number, speaker = self.files[index]
            whole = {name: np.load(self.folder / f"{number}.{name}.npy") for name in self.names}
            start = int(generator.integers(0, max(0, len(whole["mel"]) - self.crop) + 1))
            rows.append({name: values[start : start + self.crop] for name, values in whole.items()})
            speakers.append(speaker)
        longest = max(len(row["mel"]) for row in rows)
        padded = {
            name: torch.from_numpy(np.stack([_pad(row[name], longest, 1.0 if name == "f0" else 0.0) for row in rows]))
            for name in self.names
        }
        mel2ph = torch.arange(1, longest + 1).repeat(len(rows), 1)
        # Its loss includes padding.
        return Batch(mel2ph=mel2ph, mask=torch.ones(len(rows), longest), speaker=torch.tensor(speakers), **padded)


def _pad(values: np.ndarray, length: int, filler: float) -> np.ndarray:
    room = [(0, length - len(values)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, room, constant_values=filler)


class Ours:
    """`svc train`, a step at a time, its batches read as its loader reads them."""

    def __init__(self, stores: list[str], corpus: Corpus, out: Path, settings: TrainSettings):
        train(stores, out, settings, "cpu", only="units")
        self.task, self.step = AcousticTask(Run.open(out), corpus, DistributedContext("cpu")), 0
        self.model = self.task.average

    def train_step(self) -> float:
        loss = self.task.train_step(self.step, self.task.read(self.step))
        self.step += 1
        return float(loss)


def mel_error(model: Diffusion, held_out: Crops, corpus: Corpus, projection: torch.nn.Module, steps: int) -> float:
    """Mean |difference| of held-out utterances' sampled ln mels, with `steps` evaluations of the default solver."""
    errors = []
    model.eval()
    for number, clip in enumerate(corpus.held_out[:JUDGED]):
        arrays = held_out.whole(clip, LIMIT)
        drawn = sample(
            model, to_batch(arrays, projection, "cpu"), fork_generator(0, NoiseStream.RECONSTRUCTION, number), steps
        )
        held = np.clip(drawn[0].numpy(), LOWEST, HIGHEST)
        errors.append(float(np.abs(held - completed(arrays, "cpu")["mel"][0].numpy()).mean()))
    model.train()
    return statistics.mean(errors)


def speed(ways: dict[str, Callable[[], float]], rounds: int, steps: int) -> dict[str, float]:
    """Steps a second of each, the ways taking turns: medians."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, step in ways.items():
            begun = time.perf_counter()
            for _ in range(steps):
                step()
            times[name].append((time.perf_counter() - begun) / steps)
    return {name: 1 / statistics.median(values[1:]) for name, values in times.items()}


def reach(
    step: Callable[[], float], error: Callable[[], float], seconds: float, target: float
) -> tuple[int, float, float | None]:
    """Train for so many seconds of this process's CPU time, with CHECKS measurements of the error, whose time does not
    count.

    Returns the steps, the last error, and the seconds after which it was first at most `target`, if it ever was.
    """
    spent, steps, off, reached = 0.0, 0, float("nan"), None
    for check in range(1, CHECKS + 1):
        begun = time.process_time()
        while spent + time.process_time() - begun < seconds * check / CHECKS:
            step()
            steps += 1
        spent += time.process_time() - begun
        off = error()
        if reached is None and off <= target:
            reached = spent
    return steps, off, reached


def make_store(folder: Path) -> str:
    """Two synthetic voices, a minute each, encoded by `mini`."""
    for name, high, midi in (("high", True, 62.0), ("low", False, 52.0)):
        (folder / "corpus" / name).mkdir(parents=True)
        voice = draw_voice(1, high=high, name=name)
        for number in range(10):
            score = draw_score("en", 6.0, 100 * high + number, midi=midi)
            audio.write(folder / "corpus" / name / f"{number}.wav", sing(score, voice, number))
    extract([folder / "corpus"], folder / "s.zarr", ExtractSettings(encoder="mini"))
    return str(folder / "s.zarr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", help="what to train on; two synthetic voices without")
    parser.add_argument("--truth", help="a store of songs that both voices sing, to convert and measure by")
    parser.add_argument("--seconds", type=float, default=540, help="CPU seconds that each way trains for")
    parser.add_argument("--target", type=float, default=1.0, help="held-out mel error to reach, in ln mel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = options.store or make_store(folder)
        corpus = gather_corpus([open_store(store)], Progress())
        shape = dataclasses.replace(PRESETS["diff-svc"], batch=8, unit_steps=400)
        same = Ours([store], corpus, folder / "same", shape)
        tiny = Ours([store], corpus, folder / "tiny", dataclasses.replace(PRESETS["tiny"], schedule="constant"))
        _, projection = same.task.run.load_units()
        column = same.task.run.config.unit_column.name
        (folder / "npy").mkdir()
        crop = seconds_to_mel_frames(shape.crop_seconds)
        peers = Peers(corpus, column, projection, folder / "npy", shape.batch, crop)
        precision = same.task.run.config.precision
        print(f"{store}: {len(corpus.train)} utterances, {options.threads} thread(s), ours in {precision}")
        ways = {"peers, 20 x 384, fp32": peers.train_step, "svc, 20 x 384": same.train_step}
        rates = speed(ways, options.rounds, 2)
        slow = rates["peers, 20 x 384, fp32"]
        print("\n| a step of 8 x 2 s | steps/s | ratio |\n|---|---|---|")
        for way, rate in rates.items():
            print(f"| {way} | {rate:.3f} | {rate / slow:.2f} |")
        pairs = parallel_songs(options.truth, corpus)[:SUNG] if options.truth else []
        head = f"| {options.seconds:.0f} CPU-seconds | steps | held-out mel error | CPU-seconds to {options.target:g} |"
        print(f"\n{head} of the way to B |\n|---|---|---|---|---|")
        for label, way, step in (
            ("peers, 20 x 384, fp32", peers, peers.train_step),
            ("svc, 20 x 384", same, same.train_step),
            ("svc, preset tiny", tiny, tiny.train_step),
        ):
            units = projection if way is not tiny else tiny.task.projection
            look = partial(mel_error, way.model, tiny.task.held_out, corpus, units, 20)
            steps, error, reached = reach(step, look, options.seconds, options.target)
            run = tiny.task.run if way is tiny else same.task.run  # the run whose units it uses
            gone = convert(way.model, run, corpus, pairs, "cpu", Progress())[1] if pairs else float("nan")
            share = f"{gone:.1%}" if gone > -1 else "-" if not pairs else "not measurable yet"
            when = "not" if reached is None else f"{reached:.0f}"
            print(f"| {label} | {steps} | {error:.3f} | {when} | {share} |", flush=True)
        few, many = (mel_error(tiny.model, tiny.task.held_out, corpus, tiny.task.projection, n) for n in (10, 100))
        print(f"\npreset tiny: 10 evaluations {few:.4f}, 100 evaluations {many:.4f}: {few / many - 1:+.1%}")


if __name__ == "__main__":
    main()
