"""`svc render --f0-only`: the f0 of songs, as files that can be edited and rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...common.progress import Progress
from ...pipeline import audio
from ..run import Run, newest_run
from ..settings import RenderSettings
from . import f0_file
from .input_song import check_song, naming
from .inputs import find_songs
from .output_paths import place_outputs
from .source_audio import SourceAudio, song_slices
from .source_features import analyse
from .stopwatch import Stopwatch
from .target_f0 import melody_of

SUFFIX = ".f0.csv"


def track_songs(
    songs: Sequence[Path],
    settings: RenderSettings,
    model: Path | None = None,
    output: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Path]:
    """Track the f0 of songs as a render with the run would, into `SONG.f0.csv` files; yields each.

    Args:
        songs: recordings, and folders of them.
        settings: how to track them.
        model: the run; None takes the newest in runs/.
        output: a folder, or the file of a single song; None writes beside each song.
        progress: is given a bar for each song.

    Raises:
        UserError: there is no run, or a file is there that is no f0 file.
        AudioError: a song cannot be used.
    """
    config = Run.open(model or newest_run()).config
    found = find_songs(songs)
    if output is not None and len(found) == 1 and not output.is_dir():
        outputs = [output]
    else:
        outputs = place_outputs(found, SUFFIX, output)
    for song, out in zip(found, outputs, strict=True):
        with naming(song):
            check_song(song)
        f0_file.check_ours(out)
    for song, out in zip(found, outputs, strict=True):
        with naming(song):
            recording = audio.scan(audio.decode(song))
        source = SourceAudio.cut(recording, song_slices(recording, config.slices, settings.slice_db))
        with (progress or Progress()).bar(song.name, round(source.seconds_converted, 1), "s") as bar:
            pitch = settings.pitch(config.pitch_settings)
            features = analyse(source, pitch, bar, Stopwatch(), settings.highest_note)
        f0_file.write(out, melody_of(features.f0, settings))
        yield out
