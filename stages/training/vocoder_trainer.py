"""`svc train --only vocoder`: our own vocoder, learnt from the recordings that a store was made from.

run/
    vocoder.safetensors         what `svc render` sings with: the averaged weights
    vocoder-last.safetensors    to train on: weights, judge, optimizers
    vocoder.jsonl               losses, a line each
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.differences import differences
from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline import mel as mels
from ...pipeline.frames import MEL_HOP, seconds_to_mel_frames
from ...pipeline.pitch import pitch
from ...pipeline.vocoder.discriminator import Discriminator, mel_loss, spectral_loss
from ...pipeline.vocoder.excitation import Excitation
from ...pipeline.vocoder.source_filter import Shape, SourceFilterNet
from ...store import open_store
from .. import checkpoint
from ..devices import pick_device
from ..run import Run, at_work
from ..settings import VocoderSettings
from .dataset import gather_corpus, numpy_generator
from .waveforms import Recordings

LOG = "vocoder.jsonl"
VALIDATION_CROPS = 16
Crops = dict[str, Tensor]


@dataclass(frozen=True)
class VocoderReport:
    """What a training came to: the mean |difference| in ln mel on held-out crops, before and after."""

    run: Path
    steps: int
    mel_error: float
    untrained_mel_error: float
    seconds: float

    def lines(self) -> list[str]:
        """What a reader wants to know, and what to do next."""
        return [
            f"{self.run}: vocoder trained to step {self.steps}; held-out sound is off by {self.mel_error:.3f} in "
            f"ln mel (before training: {self.untrained_mel_error:.3f}), {self.seconds:.0f} s",
            f"next: svc render song.wav -m {self.run}",
        ]


def train_vocoder(
    stores: Sequence[str | Path],
    out: Path,
    settings: VocoderSettings,
    device: str = "auto",
    progress: Progress | None = None,
) -> VocoderReport:
    """Train a run's own vocoder, or go on with one.

    Raises:
        UserError: there is no run, another training is at work on it, the recordings are gone, or the
            vocoder there is of other settings.
        StoreError: a store cannot be opened.
    """
    progress = progress or Progress()
    begun = time.monotonic()
    run = Run.open(out)
    corpus = gather_corpus([open_store(path) for path in stores], progress)
    with at_work(out):
        train = Recordings(corpus.train, out / "vocoder-audio.npy", progress)
        held_out = Recordings(corpus.held_out, out / "vocoder-held-out.npy", progress)
        minutes = len(train.samples) / 44_100 / 60
        size = f"{count(len(train.clips), 'utterance')} ({minutes:.1f} minutes), {len(held_out.clips)} held out"
        progress.say(f"vocoder: {size}")
        trainer = VocoderTrainer(run, train, held_out, settings, pick_device(device))
        trainer.fit(progress)
        for recordings in (train, held_out):
            recordings.forget()
    return VocoderReport(
        out, trainer.step, trainer.mel_error, trainer.untrained_mel_error, round(time.monotonic() - begun, 1)
    )


class VocoderTrainer:
    """What a step does depends on the step and what was before, on nothing else: a killed run resumes to the bit."""

    def __init__(self, run: Run, train: Recordings, held_out: Recordings, settings: VocoderSettings, device: str):
        self.run, self.settings, self.device = run, settings, device
        self.crops = VocoderCrops(train, settings)
        self.held_out = VocoderCrops(held_out, settings)
        torch.manual_seed(settings.seed)
        shape = Shape(settings.channels, settings.layers)
        self.network, self.judge = SourceFilterNet(shape).to(device), Discriminator(settings.judge_channels).to(device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), settings.learning_rate, betas=(0.8, 0.99))
        self.judge_optimizer = torch.optim.AdamW(self.judge.parameters(), settings.learning_rate, betas=(0.8, 0.99))
        self.step, self.mel_error, self.untrained_mel_error = 0, math.nan, math.nan

    def fit(self, progress: Progress) -> None:
        """Train to the settings' last step, from the last checkpoint if there is one."""
        settings = self.settings
        if self.run.last_vocoder.exists():
            self._resume()
            more = self.step < settings.steps
            progress.say(f"going on from step {self.step}" if more else f"trained to step {self.step} already")
        else:
            self.untrained_mel_error = self._measure()
        with progress.bar("training the vocoder", settings.steps, "step", done=self.step) as bar:
            losses: list[float] = []
            while self.step < settings.steps:
                losses.append(self._train_step(self._to_device(self.crops.batch(self.step))))
                bar.advance()
                if self.step % 10 == 0:
                    held_out = f", held out {self.mel_error:.3f} ln mel" if self.mel_error > 0 else ""
                    bar.note(f"loss {np.mean(losses[-50:]):.3f}{held_out}")
                if self.step % settings.validate_every == 0 or self.step == settings.steps:
                    self._save(float(np.mean(losses)))
                    losses = []

    def _train_step(self, crops: Crops) -> float:
        settings = self.settings
        # To a tenth over the run: the last steps settle what the first have found.
        rate = settings.learning_rate * 0.1 ** (self.step / settings.steps)
        for optimizer in (self.optimizer, self.judge_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (self.step + 1) / 50)
        wav, truth = self._sing(self.network, crops), crops["wav"]
        judging = self.step >= settings.judge_after
        if judging:
            self._update(self.judge_optimizer, self.judge, self.judge.loss(wav, truth))
        heard = spectral_loss(wav, truth) + mel_loss(wav, truth)
        loss = heard
        if judging:
            adversarial, alike = self.judge.against(wav, truth)
            loss = loss + settings.judge_weight * (adversarial + 2 * alike)
        self._update(self.optimizer, self.network, loss)
        self.step += 1
        decay = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return heard.item()

    def _update(self, optimizer: torch.optim.Optimizer, module: nn.Module, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 10.0)
        optimizer.step()

    def _sing(self, network: SourceFilterNet, crops: Crops) -> Tensor:
        wav: Tensor = network(crops["mel"], crops["f0"], crops["pulses"], crops["hiss"])
        return wav

    @torch.no_grad()
    def _measure(self) -> float:
        """Mean |difference| in ln mel on held-out crops, the same every time."""
        errors = []
        for number in range(-(-VALIDATION_CROPS // self.settings.batch)):
            crops = self._to_device(self.held_out.batch(number, louder=False))
            errors.append(mel_loss(self._sing(self.average, crops), crops["wav"]).item())
        return float(np.mean(errors))

    def _save(self, train_loss: float) -> None:
        self.mel_error = self._measure()
        if not math.isfinite(self.mel_error):
            raise UserError(
                f"the vocoder's training came apart before step {self.step}. What was saved before is untouched in "
                f"{self.run.path}; train anew with a lower --learning-rate, or another --seed"
            )
        metadata = {
            "kind": "svc own vocoder",
            "settings": asdict(self.settings),
            "mel": mels.SETTINGS,
            "step": self.step,
            "mel_error": self.mel_error,
            "untrained_mel_error": self.untrained_mel_error,
        }
        checkpoint.save(self.run.vocoder, checkpoint.prefixed("ema", self.average), metadata)
        with (self.run.path / LOG).open("a", encoding="utf-8") as file:
            line = {"step": self.step, "loss": round(train_loss, 4), "held_out_mel": round(self.mel_error, 4)}
            file.write(json.dumps(line) + "\n")
        tensors = {
            **checkpoint.prefixed("network", self.network),
            **checkpoint.prefixed("ema", self.average),
            **checkpoint.prefixed("judge", self.judge),
            **{f"own.{k}": v for k, v in checkpoint.optimizer_state(self.optimizer).items()},
            **{f"judges.{k}": v for k, v in checkpoint.optimizer_state(self.judge_optimizer).items()},
        }
        checkpoint.save(self.run.last_vocoder, tensors, metadata)

    def _resume(self) -> None:
        path = self.run.last_vocoder
        tensors, metadata = checkpoint.load(path)
        old, new = ({**f, "steps": 0} for f in (metadata["settings"], asdict(self.settings)))
        if changed := differences(old, new, "in the run", "asked for"):
            raise UserError(
                f"the vocoder in {self.run.path} was begun with other settings:\n{changed}\n"
                f"Give the same ones, or remove {path} and {self.run.vocoder} to begin anew"
            )
        for name, module in (("network", self.network), ("ema", self.average), ("judge", self.judge)):
            checkpoint.restore(name, module, tensors)
        for prefix, optimizer in (("own.", self.optimizer), ("judges.", self.judge_optimizer)):
            own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            checkpoint.restore_optimizer(optimizer, own)
        self.step, self.mel_error = metadata["step"], metadata["mel_error"]
        self.untrained_mel_error = metadata["untrained_mel_error"]
        # What a killed run logged after its last checkpoint will be logged again.
        log = self.run.path / LOG
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        log.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= self.step), "utf-8")

    def _to_device(self, crops: dict[str, NDArray[np.float32]]) -> Crops:
        return {name: torch.from_numpy(value).to(self.device) for name, value in crops.items()}


class VocoderCrops:
    """Random crops of recordings with their mel, f0 and source; what step n sees follows from (seed, n) alone."""

    def __init__(self, recordings: Recordings, settings: VocoderSettings):
        self.recordings, self.settings = recordings, settings
        self.frames = seconds_to_mel_frames(settings.crop_seconds)
        lengths = np.array([clip.row.mel_frames for clip in recordings.clips], float)
        self.weights = lengths / lengths.sum()

    def batch(self, step: int, louder: bool = True) -> dict[str, NDArray[np.float32]]:
        """The crops of a step, drawn from the seed: arrays (B, ...) by name."""
        generator = numpy_generator(self.settings.seed, 7, step)
        chosen = generator.choice(len(self.weights), self.settings.batch, p=self.weights)
        crops = [self._crop(int(number), generator, louder) for number in chosen]
        return {name: np.stack([crop[name] for crop in crops]) for name in crops[0]}

    def _crop(self, number: int, generator: np.random.Generator, louder: bool) -> dict[str, NDArray[np.float32]]:
        clip = self.recordings.clips[number]
        start = int(generator.integers(0, max(0, clip.row.mel_frames - self.frames) + 1))
        stop = min(start + self.frames, clip.row.mel_frames)
        missing = self.frames - (stop - start)
        mel = np.pad(clip.read("mel", start, stop).astype(np.float32), [(0, missing), (0, 0)], mode="edge")
        wav = np.pad(self.recordings.read(number, start, stop), (0, missing * MEL_HOP))
        if missing:
            mel[-missing:] = np.log(mels.FLOOR)
        f0 = np.pad(pitch.repair(clip.f0)[start:stop], (0, missing))
        # Songs are louder and softer than the corpus: so is what is learnt.
        gain = float(np.exp(generator.uniform(-1.0, 0.7))) if louder else 1.0
        mel = np.maximum(mel + np.float32(math.log(gain)), np.float32(np.log(mels.FLOOR)))
        pulses, hiss = Excitation(f0, int(generator.integers(2**31)))(0, self.frames)
        return {"mel": mel, "f0": f0, "pulses": pulses, "hiss": hiss, "wav": wav * np.float32(gain)}
