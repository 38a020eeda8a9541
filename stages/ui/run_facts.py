"""A run's data about its voice: speakers, training, scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ...common.errors import UserError
from .. import checkpoint
from ..run import Run
from ..training_log import TrainingLog
from .schemas import SpeakerInfo, Validation, Voice, VoiceState

VALIDATIONS = 400  # of a run that are shown


def fill_from_run(voice: Voice, path: Path) -> None:
    """Copy a run's data into a voice; nothing if the run cannot be read."""
    try:
        run = Run.open(path)
        validations = TrainingLog(run.log).read()
        voice.speakers = [SpeakerInfo(**asdict(speaker)) for speaker in run.config.speakers]
        voice.steps_wanted = run.config.settings.steps
        best_step = int(checkpoint.describe(run.best)["step"]) if run.best.is_file() else 0
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return
    every = max(1, len(validations) // VALIDATIONS)
    voice.validations = [
        Validation(step=int(line["step"]), values={name: value for name, value in line.items() if name != "step"})
        for line in validations[::every]
    ]
    if validations:
        voice.steps = int(validations[-1]["step"])
    if run.best.is_file():
        voice.state, voice.best_step = VoiceState.ready, best_step
