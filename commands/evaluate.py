"""`svc evaluate`."""

from __future__ import annotations

from pathlib import Path

import cloup

from ..common.text import json_text
from .group import PARTS_EPILOG, checked_settings, finish, say
from .options import PATH, device_option, json_option, strict_option
from .terminal import Terminal


@cloup.command(short_help="Measure how well a run converts.", epilog=PARTS_EPILOG)
@cloup.argument("run", required=False, type=PATH, metavar="[RUN]")
@cloup.argument("songs", nargs=-1, type=PATH, metavar="[SONG]...")
@cloup.option_group(
    "Everyday options",
    cloup.option("-o", "--out", type=PATH, metavar="FOLDER", help="For results and page.  [default: RUN/evaluation]"),
    cloup.option("-s", "--speaker", help="The voice that SONGs are converted to.  [default: the run's first]"),
    cloup.option(
        "-k", "--key", "--transpose", default="0", show_default=True, help="Of SONGs: semitones, auto or auto-semitone."
    ),
    cloup.option("--whisper", multiple=True, metavar="FOLDER|ID", help="Count words by this Whisper; may be repeated."),
    cloup.option("--language", help="Of the words, such as ko.  [default: what Whisper detects]"),
    strict_option,
    json_option,
    device_option,
)
@cloup.option_group(
    "Research options",
    cloup.option(
        "--singers",
        type=PATH,
        metavar="FILE",
        help="singers.json of the parallel singers that the run was trained on.  [default: beside the run]",
    ),
    cloup.option(
        "--store", "stores", multiple=True, metavar="STORE", help="That the run was trained on.  [default: as recorded]"
    ),
    cloup.option("--speaker-encoder", metavar="FOLDER|ID", help="An x-vector model.  [default: Resemblyzer, if there]"),
)
def evaluate(
    run: Path | None,
    songs: tuple[Path, ...],
    singers: Path | None,
    out: Path | None,
    speaker: str | None,
    key: str,
    whisper: tuple[str, ...],
    speaker_encoder: str | None,
    language: str | None,
    stores: tuple[str, ...],
    strict: bool,
    as_json: bool,
    device: str,
) -> None:
    """Measure how well a RUN (the newest in runs/) converts.

    Without SONGs: against the true result, beside trivial methods, for a run trained on parallel singers such as svc
    demo makes. With SONGs: convert them, and compare with the song and with the target's own utterances; with
    `pip install 'svc[ears]'` also words, similarity of voice and naturalness.
    """
    from ..stages.rendering.inputs import check_songs
    from ..stages.settings.render import parse_key

    with checked_settings():
        semitones = parse_key(key)
    if not any(song.is_dir() for song in songs):
        check_songs(songs)
    from ..stages.evaluation.evaluate import evaluate as run_evaluate

    report = run_evaluate(
        run, songs, singers, out, speaker, semitones, device, Terminal(), whisper, speaker_encoder, language, stores
    )
    if as_json:
        say(json_text(report.metadata))
    else:
        for line in report.lines:
            say(line)
    for song, why in report.refused.items():
        say(f"refused {song}: {why}", err=True)
    finish(len(report.refused), "song", strict)
