"""Fine-tuning the encoder with its soft layer, as in HuBERT-soft, compared with a frozen encoder, by A -> B
conversions.

    python benchmarks/soft.py demo/run OUT --on corpus,wide --rates 2e-5,1e-4 --steps 0,150,300 [--convert 0,300]

RUN is one of `svc demo`: its units, of a frozen encoder, are the start (0 steps); from there encoder and soft layer are
trained together, as in bshall/hubert's train.py: cross-entropy of the codes of hidden frames (with
--hide 0, of all), one AdamW for everything, constant rate. The codes are those of the frozen soft layer.
`corpus` is the training data of RUN, two voices; `wide` is 64 other singers, whose frozen soft layer `svc train` makes.

The first table has the accuracy of linear probes on the units, and on the layer from which they are computed, for
singers outside the training data (data/probe_mini.py). The second is that of benchmarks/conversion.py, for the steps
named by
--convert: a store is extracted with that encoder and an acoustic model trained on it with RUN's settings, then scored
with retrieval and without. Results that are in OUT already are used again.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from conversion import score, singers_beside
from numpy.typing import NDArray
from svc.data.probe_mini import ASKED, TAUGHT, phones, singers
from svc.data.singer_clips import FIRST_PROBE_SEED, Clip, sing_clip
from svc.pipeline import audio
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.encoder.waveform_transformer import WaveformEncoder
from svc.pipeline.frames import CONTENT_HOP, CONTENT_PAD, CONTENT_RATE
from svc.pipeline.projection import SoftProjection, soft_loss
from svc.stages import checkpoint
from svc.stages.checkpoint_records import UnitsRecord
from svc.stages.evaluation.scores import ParallelSong, References, Scores, table
from svc.stages.extraction.extract import extract
from svc.stages.features import Waveform
from svc.stages.run import Run
from svc.stages.run_stores import open_stores, recorded_locations
from svc.stages.settings import ExtractSettings, TrainSettings
from svc.stages.training.corpus import gather_corpus
from svc.stages.training.train import train
from svc.store import Clip as Stored
from torch import Tensor
from units import PrintedProgress

WIDE_SEED, WIDE = 10_000, 64  # singers of 8 s each, drawn from seeds that are not used elsewhere
BATCH, CROP = 4, 3 * CONTENT_RATE  # crops a step, samples of each
SPAN = 10  # frames hidden together; spans may overlap, so that a share of 0.8 hides 55 % in the end

Lesson = tuple[NDArray[np.float32], Tensor]  # sound (T,) at 16 kHz, codes int64 (T // 320,)


def hidden_spans(frames: int, share: float, span: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """HuBERT's masking: about `share` of the frames, in stretches of `span`: bool (frames,), True where masked."""
    out = np.zeros(frames, bool)
    for start in generator.integers(0, max(1, frames - span), max(1, round(share * frames / span))):
        out[start : start + span] = True
    return out


def settings_of(run: Run) -> TrainSettings:
    return run.config.settings


def wide_run(out: Path, run: Run) -> Run:
    """Codes and a frozen soft layer of many drawn singers, as `svc extract` and `svc train --only units` make them."""
    corpus, store = out / "wide" / "drawn", out / "wide.zarr"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in range(WIDE_SEED, WIDE_SEED + WIDE):
        if not (path := corpus / f"singer_{seed}.wav").exists():
            audio.write(path, resampled(sing_clip(seed, 8.0)).numpy(), CONTENT_RATE)
    extract([corpus], store, ExtractSettings(encoder=run.config.encoder.origin, f0="dio"), PrintedProgress())
    train([store], out / "wide-units", settings_of(run), "cpu", only="units", progress=PrintedProgress())
    return Run.open(out / "wide-units")


def resampled(clip: Clip) -> Tensor:
    return torch.from_numpy(clip.wav.astype(np.float32) / np.float32(32767))


def lessons(run: Run) -> tuple[list[Lesson], list[Lesson]]:
    """The clips that a run's soft layer was trained on, and the held-out ones."""
    codebook, _ = run.load_units()
    corpus = gather_corpus(open_stores(run), PrintedProgress())

    def lesson(clip: Stored) -> Lesson:
        recording = audio.scan(Path(clip.utterance.corpus, clip.utterance.source))
        sound = Waveform.read(recording, clip.row.start, clip.row.end).at(CONTENT_RATE)
        return sound, codebook(torch.from_numpy(clip.hidden(run.config.code_layer).astype(np.float32)))

    return [lesson(clip) for clip in corpus.train], [lesson(clip) for clip in corpus.held_out]


def fine_tune(run: Run, rate: float, steps: int, hide: float, seed: int) -> Iterator[tuple[int, Any, SoftProjection]]:
    """Train a run's encoder and soft layer together; after each step its number and both."""
    torch.manual_seed(seed)
    encoder = load_encoder(run.config.encoder.origin)
    assert isinstance(encoder, WaveformEncoder)  # the part that the paper fine-tunes
    model, projection = encoder.model.train().requires_grad_(True), soft_layer(run).train().requires_grad_(True)
    clips = [lesson for lesson in lessons(run)[0] if len(lesson[0]) >= CROP]
    weights = [*model.parameters(), *projection.parameters()]
    optimizer = torch.optim.AdamW(weights, rate, (0.9, 0.98), 1e-6, 1e-2)
    for step in range(1, steps + 1):
        generator = np.random.default_rng([seed, step])
        crops = [crop(clips[i], generator) for i in generator.integers(len(clips), size=BATCH)]
        wavs, codes = (torch.stack(part) for part in zip(*crops, strict=True))
        if encoder.normalize:
            wavs = (wavs - wavs.mean(1, keepdim=True)) / (wavs.std(1, keepdim=True) + 1e-5)
        spans = [
            hidden_spans(codes.shape[1], hide, SPAN, generator) if hide else np.zeros(codes.shape[1], bool)
            for _ in crops
        ]
        hidden = torch.from_numpy(np.stack(spans))
        with torch.autocast("cpu", torch.bfloat16):
            states = model(F.pad(wavs, (CONTENT_PAD, CONTENT_PAD)), mask_time_indices=hidden).last_hidden_state
        counted = hidden if hide else ~hidden
        loss = soft_loss(projection, states.float()[counted], codes[counted])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
        if step % 25 == 0:
            print(f"  step {step}, loss {loss.item():.3f}", flush=True)
        yield step, model, projection


def crop(lesson: Lesson, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    sound, codes = lesson
    start = int(generator.integers((len(sound) - CROP) // CONTENT_HOP + 1))
    wav = torch.from_numpy(sound[start * CONTENT_HOP :][:CROP])
    return wav, codes[start : start + CROP // CONTENT_HOP]


def soft_layer(run: Run) -> SoftProjection:
    """A run's own, to be changed."""
    projection = run.load_units()[1]
    if not isinstance(projection, SoftProjection):
        raise SystemExit(f"{run.path} has no soft layer: train it with --units soft")
    return copy.deepcopy(projection)


@dataclasses.dataclass(frozen=True)
class System:
    """An encoder with its soft layer: `start`'s own frozen ones, or fine-tuned from there, which lie in `folder`."""

    name: str
    start: Run
    folder: Path
    steps: int

    @property
    def encoder(self) -> str:
        return str(self.folder) if self.steps else self.start.config.encoder.origin

    @property
    def projection(self) -> SoftProjection:
        projection = soft_layer(self.start)
        if self.steps:
            checkpoint.restore("projection", projection, checkpoint.load(self.folder / "soft.safetensors")[0])
        return projection.eval().requires_grad_(False)

    def save(self, model: Any, projection: SoftProjection, normalize: bool) -> None:
        """The encoder as a hub download would be, and the soft layer beside it."""
        model.save_pretrained(self.folder)
        settings = {"do_normalize": normalize, "sampling_rate": CONTENT_RATE}
        (self.folder / "preprocessor_config.json").write_text(json.dumps(settings))
        checkpoint.save(self.folder / "soft.safetensors", checkpoint.prefixed("projection", projection), {})


def make(systems: Sequence[System], rate: float, hide: float, seed: int) -> None:
    """Fine-tune once, to the most steps of any of them."""
    by_steps = {system.steps: system for system in systems}
    if all((system.folder / "soft.safetensors").exists() for system in systems):
        return
    normalize = bool(systems[0].start.config.encoder.description["normalize"])
    for step, model, projection in fine_tune(systems[0].start, rate, max(by_steps), hide, seed):
        if step in by_steps:
            by_steps[step].save(model, projection, normalize)


@functools.cache
def strangers() -> list[Clip]:
    return [sing_clip(FIRST_PROBE_SEED + number, 8.0) for number in range(TAUGHT + ASKED)]


def probe(system: System) -> list[float]:
    """Share of codes predicted of held-out frames; of unseen singers' units and layer, of phones and of singers."""
    content, projection = load_encoder(system.encoder), system.projection
    layer = system.start.config.unit_column.layer

    def state(sound: Tensor) -> Tensor:
        return content.encode(sound, [layer])[layer]

    held_out = [(projection(state(torch.from_numpy(sound))), codes) for sound, codes in lessons(system.start)[1]]
    right = torch.cat([projection.logits(units).argmax(-1)[: len(codes)] == codes for units, codes in held_out])
    states = [state(resampled(clip)) for clip in strangers()]
    found = [right.float().mean().item()]
    for frames in ([projection(each).numpy() for each in states], [each.numpy() for each in states]):
        found += [phones(frames[:TAUGHT], frames[TAUGHT:], strangers()), singers(frames)]
    return found


def trained(system: System, run: Path) -> Path:
    """A run with that encoder and soft layer, and everything else as in `run`."""
    if not system.steps and system.start.path == run:
        return run
    original, store = Run.open(run), system.folder / "corpus.zarr"
    stores = recorded_locations(original)
    if system.steps:
        extract([run.absolute().parent / "corpus"], store, ExtractSettings(encoder=system.encoder), PrintedProgress())
        stores = [str(store)]
    out = system.folder / "run"
    train(stores, out, settings_of(original), "cpu", only="units")
    tensors, _ = checkpoint.load(Run.open(out).units)
    # The codes are those of the store's own layer, for scoring only. The soft layer is the system's.
    tensors |= checkpoint.prefixed("projection", system.projection)
    codes = len(tensors["codebook.centroids"])
    checkpoint.save(Run.open(out).units, tensors, dataclasses.asdict(UnitsRecord(codes, None, None, 0.0, 0.0)))
    train(stores, out, settings_of(original), "cpu", progress=PrintedProgress())
    return out


def sung(system: System, run: Path, truth: References, songs: list[ParallelSong]) -> dict[str, dict[str, float]]:
    """Its rows, with the default retrieval and without."""
    made = trained(system, run)
    scores = {"": score(made, truth, songs), ", no retrieval": score(made, truth, songs, retrieve=0.0)}
    return {how: dataclasses.asdict(row) for how, row in scores.items()}


def kept(path: Path, measure: Callable[[], Any]) -> Any:
    """The stored measurement, or a new one."""
    if not path.exists():
        found = json.dumps(measure())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    return json.loads(path.read_text())


def systems_of(run: Run, asked: argparse.Namespace) -> list[System]:
    """All requested systems, trained if necessary."""
    counts = [int(steps) for steps in asked.steps.split(",")]
    how, tag = ("", "") if asked.hide else (", nothing hidden", "-seen")
    systems: list[System] = []
    for on in asked.on.split(","):
        start = run if on == "corpus" else wide_run(asked.out, run)
        if 0 in counts:
            systems.append(System(f"{on}, frozen", start, asked.out / f"{on}-frozen", 0))
        for rate in asked.rates.split(","):
            tuned = [
                System(f"{on}, {rate}, {steps} steps{how}", start, asked.out / f"{on}-{rate}-{steps}{tag}", steps)
                for steps in counts
                if steps
            ]
            make(tuned, float(rate), asked.hide, asked.seed)
            systems += tuned
    return systems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--on", default="corpus,wide", help="what to learn from")
    parser.add_argument("--rates", default="2e-5,1e-4", help="of the fine-tuning; the original's is 2e-5")
    parser.add_argument("--steps", default="0,150,300", help="of the fine-tuning; 0 is frozen")
    parser.add_argument(
        "--hide", type=float, default=0.8, choices=[0.8, 0.0], help="share of frames hidden, before spans overlap"
    )
    parser.add_argument("--convert", default="", metavar="STEPS", help="which of --steps are to sing, too")
    parser.add_argument("--seed", type=int, default=0, help="another one wants another OUT")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    learned = singers_beside(asked.run, parser)
    asked.out.mkdir(parents=True, exist_ok=True)
    systems = systems_of(Run.open(asked.run), asked)
    print("| learnt from | codes right | phones in units | singers in units | phones in layer | singers in layer |")
    print("|---|---|---|---|---|---|")
    for system in systems:
        found = kept(system.folder / "probe.json", functools.partial(probe, system))
        print("| " + " | ".join([system.name, *(f"{value:.3f}" for value in found)]) + " |", flush=True)
    singing = [system for system in systems if str(system.steps) in asked.convert.split(",")]
    if not singing:
        return
    truth = References(learned)
    songs = [truth.song(name) for name in truth.singers.songs]
    rows: dict[str, Scores] = {}
    for system in singing:
        found = kept(system.folder / "sung.json", functools.partial(sung, system, asked.run, truth, songs))
        rows |= {system.name + how: Scores(**row) for how, row in found.items()}
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
