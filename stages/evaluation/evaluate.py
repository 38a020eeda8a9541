"""`svc evaluate`: chooses one of the two evaluations and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...common.errors import UserError
from ...common.progress import Progress
from ..parallel_singers import ParallelSingers, singers_of
from ..run import Run, newest_run
from .parallel import evaluate_truth
from .result import Evaluation
from .without_reference import evaluate_songs


def evaluate(
    run: Path | None = None,
    songs: Sequence[Path] = (),
    singers: Path | None = None,
    out: Path | None = None,
    speaker: str | None = None,
    key: float | str = 0.0,
    device: str = "auto",
    progress: Progress | None = None,
    whisper: Sequence[str] = (),
    speaker_encoder: str | None = None,
    language: str | None = None,
    stores: Sequence[str] = (),
) -> Evaluation:
    """Measure how well a run converts: songs of the user's, or without any the parallel singers that it was trained on.

    Args:
        run: None is the newest in runs/.
        singers: a singers.json; None is the one beside the run.
        out: a folder for results and page; None is `evaluation` in the run.
        speaker, key: of songs; None is the run's first voice.
        whisper, speaker_encoder, language, stores: as `evaluate_songs`.

    Raises:
        UserError: options conflict, or as `evaluate_songs` and `evaluate_truth`.
    """
    if songs and singers:
        raise UserError("--singers is for the singers' own songs, and SONGs are others: give one of them")
    if not songs and (speaker or key):
        raise UserError("--speaker and --key are for SONGs: give some, or leave these out")
    if run and not run.is_dir():
        raise UserError(f"{run} is not a run's folder", f"give the run first: svc evaluate RUN {run}")
    run = run or newest_run()
    out = out or run / "evaluation"
    if songs:
        return evaluate_songs(
            run, songs, out, speaker, key, device, progress, whisper, speaker_encoder, language, stores
        )
    Run.open(run)
    if not (singers := singers or singers_of(run)):
        raise UserError(
            f"{run} was not trained on parallel singers, so that no true result is known",
            f"give songs to convert: svc evaluate {run} song.wav; or the singers: --singers FILE",
        )
    return evaluate_truth(run, ParallelSingers.open(singers), out, device, progress)
