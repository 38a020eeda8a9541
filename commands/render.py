"""`svc render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from ..common.text import number_or
from .group import PARTS_EPILOG, checked_settings, finish, say
from .options import METHODS, PATH, device_option, strict_option
from .terminal import Terminal

if TYPE_CHECKING:
    from ..stages.settings import RenderSettings


@cloup.command(short_help="Convert songs to a trained voice.", epilog=PARTS_EPILOG)
@cloup.argument("songs", nargs=-1, type=PATH, metavar="SONG...")
@cloup.option_group(
    "Everyday options",
    cloup.option("-m", "--model", type=PATH, metavar="RUN", help="Run or voice file.  [default: newest run]"),
    cloup.option(
        "--voice", type=PATH, multiple=True, metavar="CLIP", help="Convert to a recording's voice, untrained."
    ),
    cloup.option("-o", "--out", "--output", "output", type=PATH, help="File or folder.  [default: SONG.SPEAKER.wav]"),
    cloup.option("-k", "--key", "--transpose", default="0", help="Semitones, auto or auto-semitone.  [default: 0]"),
    cloup.option("-s", "--speaker", help='A name, "a:0.7,b:0.3", or "0=a; 1:30=b".  [default: the run\'s first]'),
    cloup.option("--separate", is_flag=True, help="The song is a mix: convert its voice alone."),
    cloup.option(
        "--vocoder", metavar="NAME", help="own, plain, world, or a path.  [default: own if trained, or plain]"
    ),
    cloup.option("--parts", type=PATH, metavar="JSON", help="Several voices in one mix, in place of SONG."),
    cloup.option("--picture/--no-picture", default=True, help="Draw song and result.  [default: yes]"),
    cloup.option("--report", type=PATH, metavar="HTML", help="A page with players and pictures."),
    cloup.option("-v", "--verbose", is_flag=True, help="Print how long each part took."),
    strict_option,
    device_option,
)
@cloup.option_group(
    "Sound",
    cloup.option("--formants", default=0.0, metavar="N", help="Move formants up by N semitones."),
    cloup.option("--loudness", default=0.0, metavar="0..1", help="Follow the song's own loudness by this share."),
    cloup.option("--breaths", default="sing", show_default=True, metavar="keep|sing|0..1", help="Breaths of the song."),
    cloup.option("--threshold", type=float, metavar="DB", help="Silence where the song is softer, dBFS."),
    cloup.option("--format", "suffix", default="wav", show_default=True, help="wav, flac, mp3 or ogg."),
    cloup.option("--bit-depth", "--depth", "bit_depth", default="16", show_default=True, help="16, 24 or float."),
    cloup.option("--rate", default="44100", show_default=True, help="Hz, or song."),
)
@cloup.option_group(
    "Pitch",
    cloup.option("--f0-smooth", "smooth_ms", default=0.0, metavar="MS", help="Smooth f0 over MS milliseconds."),
    cloup.option("--f0-octaves", "fix_octaves", is_flag=True, help="Correct octave errors of the f0 tracker."),
    cloup.option("--f0-file", type=PATH, metavar="FILE", help="Use this f0: lines of seconds,Hz, or MIDI."),
    cloup.option("--f0-only", is_flag=True, help="Only write SONG.f0.csv (-o x.mid: MIDI)."),
)
@cloup.option_group(
    "Research options",
    cloup.option(
        "--retrieve",
        "--index-ratio",
        type=float,
        metavar="0..1",
        help="Share of each unit that is taken from the target's own.  [default: 0.5, with mini 1]",
    ),
    cloup.option("--store", "stores", multiple=True, metavar="STORE", help="Retrieve from it.  [default: the run's]"),
    cloup.option("--f0", metavar="METHOD", help=f"{METHODS}.  [default: the store's]"),
    cloup.option("--slice-db", type=float, metavar="DB", help="Silence, in dB under the loudest.  [default: judged]"),
    cloup.option("--midi-track", type=click.IntRange(1), metavar="N", help="Track of a MIDI --f0-file."),
    cloup.option("--midi-channel", type=click.IntRange(1, 16), metavar="N", help="Channel of it."),
    cloup.option("--f0-min", type=float, help="Hz.  [default: the store's]"),
    cloup.option("--f0-max", type=float, help="Hz.  [default: 2100, or the store's]"),
    cloup.option("--steps", type=int, help="Sampling steps.  [default: 4 from a shallow start, ddpm 20]"),
    cloup.option("--method", help="euler or heun (flow); dpm-solver, unipc, ddim, pndm or ddpm (ddpm)."),
    cloup.option("--k-step", type=int, help="Noise steps of 1000 to start from.  [default: as trained]"),
    cloup.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes."),
    cloup.option("--encoder", help="Where the run's encoder is now.  [default: where it was]"),
    cloup.option("--precision", default="auto", show_default=True, help="fp32, bf16, or auto."),
    cloup.option("--batch", default=0, metavar="N", help="Segments sampled at once.  [default: 1, on a GPU 8]"),
)
def render(
    songs: tuple[Path, ...],
    model: Path | None,
    voice: tuple[Path, ...],
    output: Path | None,
    key: str,
    breaths: str,
    rate: str,
    suffix: str,
    parts: Path | None,
    report: Path | None,
    verbose: bool,
    strict: bool,
    f0_file: Path | None,
    f0_only: bool,
    midi_track: int | None,
    midi_channel: int | None,
    **options: Any,
) -> None:
    """Convert each SONG (or each in a folder) to another voice.

    A song that cannot be used is named, and the rest is done. SONG or -o may be -: standard input, standard output.
    """
    with checked_settings():
        from ..stages.settings.render import RenderSettings, parse_breaths, parse_key

        settings = RenderSettings(
            key=parse_key(key), breaths=parse_breaths(breaths), rate=_sample_rate(rate), **options
        )
    from ..stages.rendering.inputs import check_given

    if bool(songs) == bool(parts):
        raise click.UsageError("give either songs or --parts")
    if parts and (voice or report or f0_file or f0_only or settings.separate):
        raise click.UsageError("--parts takes none of --voice, --report, --f0-file, --f0-only and --separate")
    if (midi_track or midi_channel) and not f0_file:
        raise click.UsageError("--midi-track and --midi-channel choose notes of the MIDI file that --f0-file names")
    found = songs if f0_only or parts else check_given(songs, output, suffix)
    from ..stages.rendering.midi_file import MidiChoice
    from ..stages.rendering.songs import RefusedSong, SongBatch
    from ..stages.rendering.track_songs import track_songs

    if parts:
        _render_parts(parts, settings, model, output, suffix)
        return
    if f0_only:
        for path in track_songs(songs, settings, model, output, Terminal()):
            say(f"{path}: edit it, and render it with --f0-file {path}")
        return
    midi = MidiChoice(midi_track, midi_channel)
    batch = SongBatch.open(found, settings, model, output, suffix, report, f0_file, voice, Terminal(), midi)
    aside = batch.to_standard_output  # messages must not be mixed with the sound
    say(batch.header(), err=aside)
    for outcome in batch.render(Terminal()):
        if isinstance(outcome, RefusedSong):
            say(f"refused {outcome.song}: {outcome.reason}", err=True)
        else:
            for line in outcome.lines(verbose):
                say(line, err=aside)
    if report:
        say(f"{report}: listen and look", err=aside)
    finish(len(batch.refused), "song", strict, any_done=bool(batch.done))


def _sample_rate(text: str) -> int:
    """Hz; 0 for `song`, the song's own. Raises ValueError."""
    rate = number_or(text, ("song",), "a whole number or song")
    if isinstance(rate, float) and not rate.is_integer():
        raise ValueError(f"{text} Hz: expected a whole number or song")
    return 0 if isinstance(rate, str) else int(rate)


def _render_parts(file: Path, settings: RenderSettings, model: Path | None, output: Path | None, suffix: str) -> None:
    from ..stages.rendering.render_parts import PartsBatch

    for line in PartsBatch.open(file, settings, model, output, suffix).render(Terminal()).lines():
        say(line)
