"""What a finished training leaves to listen to and look at: one page, report.html, in the run's folder."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.progress import Progress
from ...common.random import fork_generator
from ...pipeline.diffusion.sampling import sample
from ...pipeline.vocoder.pulse_noise import PulseNoise
from ...store import open_store
from ..devices import pick_device
from ..picture import save_comparison
from ..run import Run
from ..training.dataset import Crops, gather_corpus, to_batch
from .page import Section, write_page
from .scores import shown

FRAMES = 430  # mel frames of what is sung, 5 s
SONGS = 2
SHARES = ("words", "voice", "in_tune", "lively", "unwarped", "score")  # what the jury says at each validation (`probe`)


def report_training(path: Path, device: str = "auto", verdict: str = "") -> Path:
    """Sing held-out utterances as they were, and by the next voice where there is one; returns the page's path."""
    run, device = Run.open(path), pick_device(device)
    corpus = gather_corpus([open_store(location) for location in run.config.stores], Progress())
    lines = [json.loads(line) for line in run.log.read_text("utf-8").splitlines()]
    model, step = run.load_best(device)
    best = next((line for line in lines if line["step"] == step), lines[-1])
    projection, vocoder = run.load_units()[1].to(device), PulseNoise()
    crops = Crops(corpus.held_out, corpus.speakers, run.config.unit_column.name, FRAMES, 1, run.config.settings.seed)
    sections = []
    for number, clip in enumerate(corpus.held_out[:SONGS]):
        arrays = crops.whole(clip, FRAMES)
        batch = to_batch(arrays, projection, device)
        own = corpus.speakers.index(clip.speaker)
        mels = {f"{clip.speaker}, as recorded, through the vocoder": arrays["mel"][0]}
        for voice in dict.fromkeys((own, (own + 1) % len(corpus.speakers))):
            asked = replace(batch, speaker=torch.full_like(batch.speaker, voice))
            drawn = sample(model, asked, fork_generator(run.config.settings.seed, 8, number, voice))
            mels[f"sung by {corpus.speakers[voice]}"] = drawn[0].float().cpu().numpy()
        f0 = arrays["f0"][0] * arrays["voiced"][0]
        picture = io.BytesIO()
        save_comparison(picture, *((name, mel, f0) for name, mel in mels.items()))
        sounds = {name: level(vocoder(mel.astype(np.float32), f0)) for name, mel in mels.items()}
        sections.append(Section(clip.id, sounds, picture.getvalue()))
    names = [name for name in SHARES if name in best]
    table = [["step", "loss", "held out", *names]]
    table += [[str(line["step"]), *(shown(line[name]) for name in ("loss", "held_out", *names))] for line in lines]
    notes = [
        f"{', '.join(corpus.speakers)}: {len(corpus.train)} utterances, {len(corpus.held_out)} held out.",
        *([verdict] if verdict else []),
        f"The checkpoint that sings is of step {step}. words, voice, in tune and lively are shares of what the run's "
        f"jury grants to recordings, of held-out utterances sung by another voice; score is their geometric mean"
        + (", times unwarped: how much of another throat the model undoes." if "unwarped" in best else "."),
    ]
    page = run.path / "report.html"
    write_page(page, f"{run.name}: what training reached", notes, [("Validations", table)], sections)
    return page


def level(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turned down where it would clip."""
    return wav * np.float32(min(1.0, 0.98 / max(float(np.abs(wav).max(initial=0.0)), 1e-9)))
