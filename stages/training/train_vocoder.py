"""`svc train --only vocoder`: a run's neural vocoder, from the recordings that a store was made from.

run/
    vocoder.safetensors         to render with: the averaged weights
    vocoder-last.safetensors    to train on: weights, discriminator, optimizers
    vocoder.jsonl               losses, a line for each validation
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline.frames import MEL_RATE
from ...store import open_store
from ..run import Run, at_work
from ..settings import VocoderSettings
from .corpus import gather_corpus
from .distributed import DistributedContext
from .vocoder_task import VocoderTask
from .waveforms import Recordings


@dataclass(frozen=True)
class VocoderReport:
    """The result of a vocoder's training: the mean |difference| in ln mel on held-out crops, before and after.

    `leads` says whether this process is the one that reports it.
    """

    run: Path
    steps: int
    mel_error: float
    untrained_mel_error: float
    seconds: float
    leads: bool = True

    def lines(self) -> list[str]:
        """The result as text, and the next step."""
        if not self.leads:
            return []
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
    """Train a run's neural vocoder, or continue its training.

    Raises:
        UserError: there is no run, another training is at work on it, the recordings are gone, or the
            vocoder there is of other settings.
        StoreError: a store cannot be opened.
    """
    distributed = DistributedContext(device)
    progress = progress if progress and distributed.leads else Progress()
    begun = time.monotonic()
    if settings.batch % distributed.size:
        raise UserError(
            f"a batch of {settings.batch} does not split over {distributed.size} processes; give another --batch"
        )
    run = Run.open(out)
    corpus = gather_corpus([open_store(path) for path in stores], progress)
    with at_work(out) if distributed.leads else nullcontext():
        if not distributed.leads:
            distributed.wait()  # until the leading process has decoded the recordings
        train = Recordings(corpus.train, out / "vocoder-audio.npy", progress)
        held_out = Recordings(corpus.held_out, out / "vocoder-held-out.npy", progress)
        if distributed.leads:
            distributed.wait()
        minutes = len(train.samples) / MEL_RATE / 60
        size = f"{count(len(train.clips), 'utterance')} ({minutes:.1f} minutes), {len(held_out.clips)} held out"
        progress.say(f"vocoder: {size}")
        task = VocoderTask(run, train, held_out, settings, distributed)
        loop = task.loop()
        loop.fit(progress)
        distributed.wait()
        if distributed.leads:
            for recordings in (train, held_out):
                recordings.forget()
    error = task.mel_error if loop.best.loss is None else loop.best.loss
    seconds = round(time.monotonic() - begun, 1)
    return VocoderReport(out, loop.step, error, task.untrained_mel_error, seconds, distributed.leads)
