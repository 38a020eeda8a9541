"""`svc train`: the soft units, then the acoustic model, from the store alone."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..pipeline.diffusion import Batch, Diffusion, Shape
from ..pipeline.frames import seconds_to_mel_frames
from ..pipeline.projection import SoftProjection
from ..pipeline.sampling import sample
from ..store import Store, open_store
from ..store.columns import differences
from . import checkpoint
from .dataset import Corpus, Crops, gather_corpus, to_batch
from .errors import UserError
from .picture import save_comparison
from .progress import Progress
from .run import VERSION, Run, fork_generator
from .settings import TrainSettings, pick_device, pick_precision
from .units import train_units, unit_statistics

VALIDATION_BATCHES = 8
LISTEN_FRAMES = 600  # mel frames of a held-out utterance that are sampled to be looked at, 7 s
LISTEN_STEPS = 20


@dataclass(frozen=True)
class TrainReport:
    """What a training came to. `mel_error` is the mean |difference| of a held-out utterance's sampled ln mel."""

    run: Path
    steps: int
    best_step: int
    best_loss: float
    mel_error: float
    code_accuracy: float
    seconds: float


def train(
    stores: list[Path],
    out: Path,
    settings: TrainSettings,
    device: str = "auto",
    only: str | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a run on stores, or go on with one that was interrupted or that is to have more steps.

    Args:
        stores: folders of unit stores made with the same settings.
        out: the run's folder.
        settings: what to learn.
        device: where.
        only: `units` stops after the soft projection, `diffusion` needs units that are there.
        progress: told what happens.

    Raises:
        UserError: the stores cannot be trained on, or the run is of other settings or other data.
        StoreError: a store cannot be opened.
    """
    progress = progress or Progress()
    begun = time.monotonic()
    opened = [open_store(path) for path in stores]
    corpus = gather_corpus(opened, progress)
    device = pick_device(device)
    code_layer, unit_layer = _layers(opened[0])
    run = _open_run(out, opened, corpus, settings, code_layer, unit_layer, device, progress)
    minutes = sum(clip.seconds for clip in corpus.train) / 60
    progress.say(
        f"{len(corpus.train)} utterances of {', '.join(corpus.speakers)} ({minutes:.1f} minutes), "
        f"{len(corpus.held_out)} held out -> {out}"
    )
    accuracy = _units(run, corpus, code_layer, unit_layer, settings, only, progress)
    if only == "units":
        return TrainReport(out, 0, 0, float("nan"), float("nan"), accuracy, time.monotonic() - begun)
    trainer = Trainer(run, corpus, settings, unit_layer, device)
    best_step, best_loss = trainer.fit(progress)
    error = trainer.listen()
    return TrainReport(out, settings.steps, best_step, best_loss, error, accuracy, time.monotonic() - begun)


class Trainer:
    """The acoustic model's training: what a step does depends on the step and what was before, on nothing else."""

    def __init__(self, run: Run, corpus: Corpus, settings: TrainSettings, unit_layer: int, device: str):
        self.run, self.corpus, self.settings, self.device = run, corpus, settings, device
        self.projection = run.load_units()[1].to(device)
        frames = seconds_to_mel_frames(settings.crop_seconds)
        self.crops = Crops(corpus.train, corpus.speakers, unit_layer, frames, settings.batch, settings.seed)
        self.held_out = Crops(corpus.held_out, corpus.speakers, unit_layer, frames, settings.batch, settings.seed)
        torch.manual_seed(settings.seed)
        self.model = run.new_model()
        _measure(self.model, corpus, unit_layer, run.load_units()[1])
        self.model.to(device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=1e-2
        )
        self.step, self.best_step, self.best_loss = 0, 0, float("inf")
        self.bf16 = run.facts["precision"] == "bf16"

    def fit(self, progress: Progress) -> tuple[int, float]:
        """Train to the last step asked for; returns the best step and its held-out loss."""
        if self.run.last.exists():
            self._resume()
            progress.say(f"going on from step {self.step}" if self.step < self.settings.steps else "already trained")
        settings = self.settings
        with progress.bar("training", settings.steps, "step", done=self.step) as bar:
            losses: list[float] = []
            for arrays in self._batches():
                losses.append(self._train_step(to_batch(arrays, self.projection, self.device)))
                bar.advance()
                if self.step % 10 == 0:
                    bar.note(f"loss {np.mean(losses[-50:]):.4f}, held out {self.best_loss:.4f}")
                if self.step % settings.validate_every == 0 or self.step == settings.steps:
                    self._validate(float(np.mean(losses)))
                    losses = []
        return self.best_step, self.best_loss

    def listen(self) -> float:
        """Sample a held-out utterance, draw it beside the truth, and return the mean |difference| in ln magnitude."""
        model, _ = self.run.load_best(self.device)
        clip = self.corpus.held_out[0]
        arrays = self.held_out.whole(clip, LISTEN_FRAMES)
        batch = to_batch(arrays, self.projection, self.device)
        mel = sample(model, batch, fork_generator(self.settings.seed, 9), LISTEN_STEPS)[0].cpu().numpy()
        truth, f0 = arrays["mel"][0], arrays["f0"][0] * arrays["voiced"][0]
        save_comparison(self.run.path / "held_out.png", (f"{clip.id}, as recorded", truth, f0), ("as sampled", mel, f0))
        return float(np.abs(mel - truth).mean())

    def _batches(self) -> Iterator[dict[str, Any]]:
        """What the remaining steps see, read one step ahead."""
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.crops.batch, self.step)
            for step in range(self.step, self.settings.steps):
                arrays = ahead.result()
                ahead = reader.submit(self.crops.batch, step + 1)
                yield arrays

    def _train_step(self, batch: Batch) -> float:
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (self.step + 1) / settings.warmup)
        with self._precision():
            loss = self.model.loss(batch, fork_generator(settings.seed, 3, self.step))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return loss.item()

    @torch.no_grad()
    def _validate(self, train_loss: float) -> None:
        """The averaged model's loss on held-out crops, the same every time; then both checkpoints."""
        total = 0.0
        for number in range(VALIDATION_BATCHES):
            batch = to_batch(self.held_out.batch(number), self.projection, self.device)
            with self._precision():
                total += self.average.loss(batch, fork_generator(self.settings.seed, 4, number)).item()
        loss = total / VALIDATION_BATCHES
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            checkpoint.save(self.run.best, checkpoint.prefixed("ema", self.average), self._facts())
        # Last of all: from here a killed run goes on, and finds the best one there already.
        tensors: dict[str, Tensor] = {
            **checkpoint.prefixed("model", self.model),
            **checkpoint.prefixed("ema", self.average),
            **checkpoint.optimizer_state(self.optimizer),
        }
        self._log({"step": self.step, "loss": round(train_loss, 5), "held_out": round(loss, 5)})
        checkpoint.save(self.run.last, tensors, self._facts())

    def _facts(self) -> dict[str, Any]:
        return {"step": self.step, "best_step": self.best_step, "best_loss": self.best_loss}

    def _resume(self) -> None:
        tensors, facts = checkpoint.load(self.run.last)
        checkpoint.restore("model", self.model, tensors)
        checkpoint.restore("ema", self.average, tensors)
        checkpoint.restore_optimizer(self.optimizer, tensors)
        self.step, self.best_step, self.best_loss = facts["step"], facts["best_step"], facts["best_loss"]
        _trim_log(self.run.log, self.step)

    def _log(self, line: dict[str, Any]) -> None:
        with self.run.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _precision(self) -> Any:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()


def _layers(store: Store) -> tuple[int, int]:
    """The layer that is clustered and the one that units come from: the lowest and the highest stored."""
    layers = sorted(int(name.split("/")[1]) for name in store.columns if name.startswith("hidden/"))
    if not layers:
        raise UserError(f"{store.layout.root} has no hidden states; run `svc extract` on it first")
    return layers[0], layers[-1]


def _open_run(
    out: Path,
    stores: list[Store],
    corpus: Corpus,
    settings: TrainSettings,
    code_layer: int,
    unit_layer: int,
    device: str,
    progress: Progress,
) -> Run:
    """Begin a run, or find that the one that is there is the same."""
    speakers = [{"name": name, **_pitch_of(corpus, name)} for name in corpus.speakers]
    facts = {
        "format": "svc run",
        "version": VERSION,
        "settings": asdict(settings),
        "precision": pick_precision(settings.precision, device),
        "stores": [str(store.layout.root.absolute()) for store in stores],
        "data": corpus.digest,
        "held_out": [clip.id for clip in corpus.held_out],
        "speakers": speakers,
        "code_layer": code_layer,
        "unit_layer": unit_layer,
        "identity": stores[0].description["identity"],
        "encoder": stores[0].columns[f"hidden/{unit_layer}"].settings["encoder"],
        "encoder_origin": stores[0].columns[f"hidden/{unit_layer}"].origin,
        "pitch": stores[0].columns["f0"].settings,
        "shape": asdict(
            Shape(
                unit_dim=settings.unit_dim,
                speakers=len(speakers),
                condition=settings.condition,
                channels=settings.channels,
                layers=settings.layers,
                dilation_cycle=settings.dilation_cycle,
                decoder_layers=settings.decoder_layers,
            )
        ),
    }
    if not (out / "run.json").exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is no run; give another --out")
        run = Run(out, facts)
        run.save()
        return run
    run = Run.open(out)
    if run.facts["data"] != corpus.digest:
        raise UserError(
            f"{out} was trained on other data: the store has changed since it began. "
            f"Train a new run with --out ANOTHER, or restore the store"
        )
    old, new = ({**f["settings"], "precision": f["precision"], "steps": 0} for f in (run.facts, facts))
    if settings.precision == "auto":  # a run keeps the precision that it began with
        new["precision"] = old["precision"]
    if changed := differences(old, new):
        listing = "\n".join(f"  {name}: {was} in the run, {asked} asked for" for name, was, asked in changed)
        raise UserError(f"{out} was begun with other settings:\n{listing}\nGive the same ones, or another --out")
    if run.facts["settings"]["steps"] != settings.steps:
        progress.say(f"the run's length was {run.facts['settings']['steps']} steps and is now {settings.steps}")
        run.facts["settings"]["steps"] = settings.steps
        run.save()
    return run


def _units(
    run: Run,
    corpus: Corpus,
    code_layer: int,
    unit_layer: int,
    settings: TrainSettings,
    only: str | None,
    progress: Progress,
) -> float:
    """Train the units unless they are there; returns the code accuracy."""
    if run.units.exists():
        return float(checkpoint.load(run.units)[1]["accuracy"])
    if only == "diffusion":
        raise UserError(f"{run.path} has no units yet; train them first: svc train --only units")
    if code_layer == unit_layer:
        progress.warn("only one layer is stored: codes and units come from the same one, which makes units less useful")
    codebook, projection, report = train_units(corpus, code_layer, unit_layer, settings, progress)
    tensors = {**checkpoint.prefixed("codebook", codebook), **checkpoint.prefixed("projection", projection)}
    checkpoint.save(run.units, tensors, asdict(report))
    progress.say(
        f"soft units: {settings.unit_dim} wide, {report.accuracy:.0%} of {report.codes} codes right on held-out "
        f"utterances (always the commonest: {report.chance:.0%}), {report.seconds:.0f} s"
    )
    return report.accuracy


def _measure(model: Diffusion, corpus: Corpus, unit_layer: int, projection: SoftProjection) -> None:
    """The scale of mels and units, from the training clips."""
    mels = np.concatenate([clip.mel for clip in corpus.train[:400]]).astype(np.float32)
    model.mel_mean.copy_(torch.from_numpy(mels.mean(0)))
    model.mel_scale.copy_(torch.from_numpy(mels.std(0)).clamp(min=0.1))
    mean, scale = unit_statistics(corpus.train, unit_layer, projection)
    model.condition.unit_mean.copy_(mean)
    model.condition.unit_scale.copy_(scale)


def _pitch_of(corpus: Corpus, speaker: str) -> dict[str, float | None]:
    """A speaker's range: the 5th, 50th and 95th percentile of voiced f0 in Hz."""
    voiced = np.concatenate([clip.f0[clip.f0 > 0] for clip in corpus.train if clip.speaker == speaker])
    if len(voiced) == 0:
        return {"f0_low": None, "f0_median": None, "f0_high": None}
    low, middle, high = np.percentile(voiced, [5, 50, 95]).round(1).tolist()
    return {"f0_low": low, "f0_median": middle, "f0_high": high}


def _trim_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint: it will be logged again."""
    if path.exists():
        lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("{")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")
