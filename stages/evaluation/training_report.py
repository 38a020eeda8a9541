"""The page of a finished training: report.html, in the run's folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.progress import Progress
from ...common.random import NoiseStream, fork_generator
from ...common.text import count
from ...pipeline.diffusion.sampling import sample
from ...pipeline.vocoder.pulse_noise import PulseNoise
from ..devices import pick_device
from ..page import Table
from ..picture import save_comparison
from ..run import Run
from ..run_stores import open_stores
from ..training.corpus import gather_corpus
from ..training.crops import Crops, completed, to_batch
from ..training_log import Line, TrainingLog
from .page import Report, Section, write_page
from .scores import shown

FRAMES = 430  # mel frames of each example, 5 s
EXAMPLES = 2
HEADINGS = {  # of the figures of a validation, as log.jsonl has them
    "content": "words", "speaker": "voice", "pitch": "in tune", "variance": "variance",
    "formant_inversion": "unwarped", "score": "score",
}  # fmt: skip


def report_training(path: Path, device: str = "auto", verdict: str = "", stores: Sequence[str] = ()) -> Path:
    """Convert held-out utterances to their own voice and to the next one, if any; returns the page's path.

    Args:
        verdict: whether more training would help, in a sentence.
        stores: the run's; those that it recorded, where left out.
    """
    run, device = Run.open(path), pick_device(device)
    corpus = gather_corpus(open_stores(run, stores), Progress())
    lines = TrainingLog(run.log).read()
    model, step = run.load_best(device)
    best = next((line for line in lines if line["step"] == step), None)
    projection, vocoder = run.load_units()[1].to(device), PulseNoise()
    crops = Crops(corpus.held_out, corpus.speakers, run.config.unit_column.name, FRAMES, 1, run.config.settings.seed)
    sections = []
    for number, clip in enumerate(corpus.held_out[:EXAMPLES]):
        stored = crops.whole(clip, FRAMES)
        batch = to_batch(stored, projection, device)
        arrays = {name: value.numpy() for name, value in completed(stored, "cpu").items()}
        own = corpus.speakers.index(clip.speaker)
        mels = {f"{clip.speaker}, as recorded, through the vocoder": arrays["mel"][0]}
        for voice in dict.fromkeys((own, (own + 1) % len(corpus.speakers))):
            asked = replace(batch, speaker=torch.full_like(batch.speaker, voice))
            drawn = sample(model, asked, fork_generator(run.config.settings.seed, NoiseStream.REPORT, number, voice))
            mels[f"as {corpus.speakers[voice]}"] = drawn[0].float().cpu().numpy()
        f0 = arrays["f0"][0] * arrays["voiced"][0]
        picture = io.BytesIO()
        save_comparison(picture, *((name, mel, f0) for name, mel in mels.items()))
        sounds = {name: level(vocoder(mel.astype(np.float32), f0)) for name, mel in mels.items()}
        sections.append(Section(clip.id, sounds, picture.getvalue()))
    report = Report(
        title=f"{run.name}: what training reached",
        facts={"run": run.name, "step": f"{step:,}", "encoder": run.config.encoder.origin, "vocoder": "plain"},
        verdict=[verdict] if verdict else [],
        notes=[
            f"{', '.join(corpus.speakers)}: {count(len(corpus.train), 'utterance')}, {len(corpus.held_out)} held out. "
            f"Words, voice, in tune and variance are of held-out utterances in another voice, as shares of what "
            f"recordings get. The row in bold is the checkpoint that is used.",
        ],
        tables=[_validations(lines, best)] if lines else [],
        sections=sections,
    )
    page = run.path / "report.html"
    write_page(page, report)
    return page


def _validations(lines: list[Line], best: Line | None) -> Table:
    names = {name: heading for name, heading in HEADINGS.items() if name in lines[-1]}
    rows = [
        [str(line["step"]), *(shown(line.get(name, float("nan"))) for name in ("loss", "held_out", *names))]
        for line in lines
    ]
    return Table(
        "Validations",
        ["step", "loss", "held out", *names.values()],
        rows,
        marked=None if best is None else lines.index(best),
    )


def level(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sound (T,), turned down where it would clip."""
    return wav * np.float32(min(1.0, 0.98 / max(float(np.abs(wav).max(initial=0.0)), 1e-9)))
