"""The command line: it parses, makes one call, and reports."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .common.errors import SvcError
from .stages.terminal import Terminal, printable

if TYPE_CHECKING:
    from .stages.rendering.render import RenderReport
    from .stages.settings import TrainSettings, VocoderSettings

DONE, REFUSED, WRONG, INTERRUPTED = 0, 1, 2, 130

PATH = click.Path(path_type=Path)

# Named here as well as where they are made, so that help needs no torch; a test holds the two together.
ENCODERS = "en, ko, ja, zh, en-large, contentvec, hubert-soft, mini"
METHODS, METHOD = "swift-f0, dio or harvest", "swift-f0"

# What several commands have.
device_option = click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
json_option = click.option("--json", "as_json", is_flag=True, help="Print it all as JSON.")


class Commands(click.Group):
    """Turns what a user can mend into one message and exit code 2, and Ctrl-C into 130."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are needed, which is that of this file

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted; the same command goes on from here", err=True)
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if not isinstance(error, SvcError | OSError):
                raise
            click.echo(f"svc: {error}", err=True)
            sys.exit(WRONG)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="svc")
def main() -> None:
    """Singing voice conversion in two stages.

    svc extract corpus/, svc train --store corpus.zarr, svc render song.wav
    """


@main.command()
@click.argument("corpora", nargs=-1, required=True, type=PATH, metavar="CORPUS...")
@click.option("--store", metavar="STORE", help="The store to fill: a path or URL.  [default: CORPUS.zarr, beside it]")
@click.option("--encoder", metavar="NAME", help=f"{ENCODERS}, hub id, path.  [default: the store's, or en]")
@click.option("--layers", help="Hidden layers to add, such as 7,12.  [default: a middle one and the last]")
@click.option("--f0", metavar="METHOD", help=f"{METHODS}.  [default: the store's, or {METHOD}]")
@click.option("--f0-min", type=float, help="Hz.  [default: 65]")
@click.option("--f0-max", type=float, help="Hz.  [default: 1100]")
@click.option("--slice-db", type=float, help="Silence, in dB under the loudest moment.  [default: -40]")
@click.option(
    "--pitch-shifts", "--shifts", "pitch_shifts", help="Mels moved by semitones to augment training with, such as -4,4."
)
@click.option(
    "--formant-shifts",
    "--warps",
    "formant_shifts",
    help="Hidden states of voices with formants moved by semitones, such as -4,4.",
)
@click.option("--precision", help="The encoder's arithmetic: fp32, bf16 or fp16.  [default: fp32]")
@device_option
@click.option("--workers", default=0, metavar="N", help="Compute in N processes.  [default: threads of this one]")
@click.option("--scheduler", metavar="ADDRESS", help="Compute on the workers of a dask scheduler: tcp://host:8786.")
@click.option("--check", is_flag=True, help="Read every byte of what is there, and make damaged cells anew.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
def extract(
    corpora: tuple[Path, ...],
    store: str | None,
    layers: str | None,
    pitch_shifts: str | None,
    formant_shifts: str | None,
    check: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the encoder over CORPUS/SPEAKER/** (or a folder of one speaker), once, into a store.

    Interrupted, or with new files, another layer or another f0, the same command computes what is missing, and what you
    leave out stays as the store has it.
    """
    with checked_settings():
        from .stages.settings import ExtractSettings

        settings = ExtractSettings(
            layers=_numbers("layers", layers),
            pitch_shifts=_numbers("pitch-shifts", pitch_shifts) or (),
            formant_shifts=_numbers("formant-shifts", formant_shifts) or (),
            **options,
        )
    from .stages.extraction.extract import extract as run_extract

    report = run_extract(corpora, store or str(_beside(corpora[0], ".zarr")), settings, Terminal(), dry_run, check)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1))
    else:
        for line in report.lines():
            click.echo(printable(line))
    sys.exit(REFUSED if report.refused else DONE)


@main.command()
@click.option(
    "--store", "stores", multiple=True, required=True, metavar="STORE", help="What svc extract made; may be repeated."
)
@click.option("-o", "--out", type=PATH, help="The run's folder.  [default: runs/NAME of the store]")
@click.option("--preset", help="tiny, base, large, diff-svc or diffusion-svc.  [default: base on a GPU, tiny without]")
@click.option("--steps", type=int, help="Steps of the acoustic model.  [default: the preset's]")
@click.option("--batch", type=int, help="Crops a step.  [default: the preset's]")
@click.option("--learning-rate", type=float, metavar="RATE", help="At its highest.  [default: the preset's]")
@click.option("--units", help="soft, hidden, linear or hubert-soft.  [default: soft]")
@click.option("--unit-dim", type=int, metavar="WIDTH", help="Width of the soft units.  [default: 256]")
@click.option("--unit-layer", type=int, metavar="LAYER", help="Units are made of it.  [default: the highest stored]")
@click.option("--codes", type=int, metavar="N", help="Clusters that soft units are taught to tell.  [default: 100]")
@click.option("--code-layer", type=int, metavar="LAYER", help="It is clustered.  [default: the lowest stored]")
@click.option("--objective", help="flow or ddpm.  [default: the preset's]")
@click.option("--denoiser", help="wavenet or lynxnet2.  [default: the preset's]")
@click.option(
    "--k-step",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Noise steps of 1000 to learn, from the auxiliary decoder's guess on.  [default: the preset's]",
)
@click.option("--seed", type=int, help="Everything random follows from it.  [default: 0]")
@click.option("--base", type=PATH, metavar="RUN", help="Begin with the units and weights of another run.")
@click.option("--only", type=click.Choice(["units", "diffusion", "vocoder"]), help="Train one part.")
@click.option(
    "--compare",
    metavar="[WIDTHS]",
    is_flag=False,
    flag_value="128,256,512,768,hidden",
    help="Units of several widths or kinds in a table.  [without WIDTHS: 128,256,512,768,hidden]",
)
@click.option("--truth", metavar="STORE", help="For --compare: the voices' same songs, to convert and measure by.")
@click.option("--resume", is_flag=True, help="Insist that there is a run to go on with.")
@click.option("--show", is_flag=True, help="Print the settings and do nothing.")
@device_option
def train(
    stores: tuple[str, ...],
    out: Path | None,
    preset: str | None,
    base: Path | None,
    only: str | None,
    compare: str | None,
    truth: str | None,
    resume: bool,
    show: bool,
    device: str,
    **asked: Any,
) -> None:
    """Train a voice from a store: the soft units, then the acoustic model. The encoder is not needed.

    Interrupted, the same command goes on; with a larger --steps, it trains on. On several GPUs:
    accelerate launch -m svc.cli train --store ...
    """
    import dataclasses

    from .stages.devices import pick_preset
    from .stages.settings import TrainSettings, chosen_training, chosen_vocoder

    preset = preset or pick_preset(device)
    with checked_settings():
        settings = chosen_vocoder(preset, asked) if only == "vocoder" else chosen_training(preset, asked)
    if truth and not compare:
        raise click.UsageError("--truth is what --compare measures by; say which widths to compare: --compare 128,256")
    if base and (compare is not None or only == "vocoder"):
        raise click.UsageError("--base gives a voice its units and weights; it has none for --compare or a vocoder")
    name = PurePosixPath(stores[0]).name.removesuffix(".zarr")
    out = out or Path("runs") / (name if compare is None else f"{name}.compare")
    if show:
        click.echo(json.dumps({"preset": preset, "out": str(out), **dataclasses.asdict(settings)}, indent=1))
        return
    if resume and not (out / "run.json").exists():
        raise click.UsageError(f"there is no run in {out} to resume")
    if compare is not None and only in ("diffusion", "vocoder"):
        raise click.UsageError("--compare is about units; leave --only out")
    if not isinstance(settings, TrainSettings):
        _train_vocoder(stores, out, settings, device)
    elif compare is not None:
        _compare(stores, out, settings, compare, truth, device)
    else:
        Terminal().say(f"preset {preset}: {settings.steps} steps of {settings.batch} x {settings.crop_seconds} s")
        _train(stores, out, settings, device, only, base)


def _train(
    stores: tuple[str, ...], out: Path, settings: TrainSettings, device: str, only: str | None, base: Path | None
) -> None:
    """Units and acoustic model, and what came of them."""
    from .stages.evaluation.training_report import report_training
    from .stages.training.train import train as run_train

    report = run_train(list(stores), out, settings, device, only, Terminal(), base)
    if not report.leads:
        return
    codes = "" if report.code_accuracy is None else f": codes {report.code_accuracy:.0%} right on held-out utterances"
    click.echo(f"{report.run}{codes}")
    if only == "units":
        return
    click.echo(f"  {report.verdict}")
    click.echo(
        f"  step {report.steps}, best at {report.best_step} (held-out loss {report.best_loss:.4f}); a held-out "
        f"utterance is off by {report.mel_error:.2f} in ln mel: see {report.run / 'held_out.png'}"
    )
    click.echo(f"  {report_training(report.run, device, report.verdict)}: listen and look")
    click.echo(f"next: svc render song.wav -m {report.run}")


def _train_vocoder(stores: tuple[str, ...], out: Path, settings: VocoderSettings, device: str) -> None:
    from .stages.training.vocoder_trainer import train_vocoder

    learnt = train_vocoder(list(stores), out, settings, device, Terminal())
    click.echo(
        f"{learnt.run}: vocoder trained to step {learnt.steps}; held-out sound is off by {learnt.mel_error:.3f} in "
        f"ln mel (before training: {learnt.untrained_mel_error:.3f}), {learnt.seconds:.0f} s"
    )
    click.echo(f"next: svc render song.wav -m {learnt.run}")


def _compare(
    stores: tuple[str, ...], out: Path, settings: TrainSettings, kinds: str, truth: str | None, device: str
) -> None:
    from .stages.training.compare import compare, table

    with checked_settings():
        lines = compare(stores, out, settings, [kind.strip() for kind in kinds.split(",")], truth, device, Terminal())
    for line in table(lines):
        click.echo(line)


@main.command()
@click.argument("songs", nargs=-1, required=True, type=PATH, metavar="SONG...")
@click.option("-m", "--model", type=PATH, help="The run.  [default: the newest in runs/]")
@click.option(
    "-o",
    "--out",
    "--output",
    "output",
    type=PATH,
    help="A file, or a folder.  [default: SONG.SPEAKER.wav beside the song]",
)
@click.option("-k", "--key", "--transpose", default="0", show_default=True, help="Semitones up, or auto.")
@click.option("-s", "--speaker", help='A name, "a:0.7,b:0.3", or "0=a; 1:30=b".  [default: the run\'s first]')
@click.option("--vocoder", metavar="NAME", help="own, plain, world, or a path.  [default: own if trained, or plain]")
@click.option("--steps", type=int, help="Sampling steps.  [default: what suffices: 4 from a shallow start, ddpm 20]")
@click.option("--method", help="euler or heun (flow); dpm-solver, unipc, ddim, pndm or ddpm (ddpm).")
@click.option("--k-step", type=int, help="Noise steps of 1000 to start from.  [default: as trained]")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--f0", metavar="METHOD", help=f"{METHODS}.  [default: as the store was made]")
@click.option("--f0-min", type=float, help="Hz.  [default: as the store was made]")
@click.option("--f0-max", type=float, help="Hz.  [default: as the store was made]")
@click.option("--f0-smooth", "smooth_ms", default=0.0, metavar="MS", help="Smooth f0 over so many milliseconds.")
@click.option("--f0-octaves", "fix_octaves", is_flag=True, help="Correct the f0 tracker's octave slips.")
@click.option("--formants", default=0.0, metavar="N", help="Move formants up by semitones.")
@click.option("--loudness", default=0.0, metavar="0..1", help="Give the result the song's own loudness, so much.")
@click.option("--threshold", type=float, metavar="DB", help="Be silent where the song is softer than this, dBFS.")
@click.option(
    "--retrieve",
    "--index-ratio",
    type=float,
    metavar="0..1",
    help="How much of the units to take from the target's own.  [default: 1 where the run's store is at hand]",
)
@click.option("--format", "suffix", default="wav", show_default=True, help="wav, flac, mp3 or ogg, unless -o says it.")
@click.option("--depth", default="16", show_default=True, help="16, 24 or float.")
@click.option("--rate", default="44100", show_default=True, help="Sample rate in Hz, or song for the song's own.")
@click.option("--separate", is_flag=True, help="The song is a mix: sing its voice anew, and mix it back.")
@click.option("--encoder", help="Where the run's encoder is now.  [default: where it was]")
@click.option("--precision", default="auto", show_default=True, help="fp32, bf16, or auto.")
@click.option("--batch", default=0, metavar="N", help="Slices sampled at once.  [default: 1, on a GPU 8]")
@click.option("--report", type=PATH, metavar="HTML", help="A page to listen to and look at all of it.")
@click.option("-v", "--verbose", is_flag=True, help="Say where the time went.")
@device_option
def render(
    songs: tuple[Path, ...],
    model: Path | None,
    output: Path | None,
    key: str,
    rate: str,
    suffix: str,
    report: Path | None,
    verbose: bool,
    **options: Any,
) -> None:
    """Sing each SONG (or each in a folder) with a trained voice. Beside each result lie a picture and its settings."""
    with checked_settings():
        from .stages.settings import RenderSettings

        settings = RenderSettings(key=_number_or(key, "auto"), rate=int(_number_or(rate, "song", 0)), **options)
    from .common.errors import UserError
    from .stages.rendering.inputs import find_songs
    from .stages.rendering.output import FORMATS, output_path
    from .stages.rendering.render import AudioError, Converter
    from .stages.rendering.report import check_page_writable, write_page
    from .stages.run import Run, newest_run

    if (suffix := "." + suffix.lower().lstrip(".")) not in FORMATS:
        raise click.UsageError(f"format {suffix[1:]!r} is not written; choose {', '.join(s[1:] for s in FORMATS)}")
    if report:
        check_page_writable(report)
    run = Run.open(model or newest_run())
    found = find_songs(songs)
    singer = Converter(run, settings)
    click.echo(
        f"{run.path} (step {singer.step}): {printable(singer.speaker)} sings, through {singer.vocoder.name}, "
        f"on {singer.device}"
    )
    done: list[RenderReport] = []
    refused: list[tuple[Path, str]] = []
    for song in found:
        try:
            done.append(singer.render(song, output_path(song, singer.speaker, output, found, suffix), Terminal()))
        except (AudioError, UserError) as error:
            if len(found) == 1 and isinstance(error, UserError):
                raise
            refused.append((song, str(error)))
            click.echo(f"refused {printable(str(song))}: {error}", err=True)
            continue
        _tell(done[-1], verbose)
    if report:
        write_page(report, done, refused)
        click.echo(f"{printable(str(report))}: listen and look")
    sys.exit(DONE if not refused else WRONG if not done else REFUSED)


def _tell(report: RenderReport, verbose: bool) -> None:
    """What came of one song."""
    for note in report.notes:
        click.echo(f"  {printable(str(report.song))}: {printable(note)}")
    in_tune = (
        "nothing in it is voiced"
        if report.within_50_cents is None
        else f"{report.within_20_cents:.1%} of voiced frames within 20 cents of the asked f0 "
        f"({report.within_50_cents:.1%} within 50)"
    )
    click.echo(f"{printable(str(report.wav))}: {report.seconds:.1f} s in {report.took:.1f} s; {in_tune}")
    if verbose:
        for name, seconds in report.timings.items():
            click.echo(f"  {seconds:8.2f} s  {seconds / report.seconds:6.3f} of real time  {name}")
        if report.first_sound is not None:
            click.echo(f"  first sound after {report.first_sound:.2f} s")


@main.command()
@click.argument("path", metavar="STORE|RUN")
@click.option("--utterance", metavar="ID", help="Look at one utterance of a store.")
@click.option("--plot", type=PATH, help="Draw the utterance (or the first) into this PNG.")
@json_option
def inspect(path: str, utterance: str | None, plot: Path | None, as_json: bool) -> None:
    """Say what is in a store or a run."""
    from .stages.inspect import describe, describe_clip, lines, open_store

    metadata = describe(path)
    if (utterance or plot) and metadata["kind"] != "store":
        raise click.UsageError("--utterance and --plot look into a store; this is a run")
    if utterance or plot:
        clip = open_store(path)[utterance or 0]
        metadata = describe_clip(clip)
        if plot:
            clip.plot(plot)
            click.echo(f"drawn into {plot}", err=True)
    if as_json:
        click.echo(json.dumps(metadata, indent=1, ensure_ascii=False))
    elif "kind" in metadata:
        if metadata["kind"] == "store":
            click.echo(printable(repr(open_store(path))))
        for line in lines(metadata):
            click.echo(printable(line))
    else:
        for name, value in metadata.items():
            click.echo(f"  {name}: {printable(json.dumps(value, ensure_ascii=False))}")


@main.command()
@click.argument("store", metavar="STORE")
@json_option
def verify(store: str, as_json: bool) -> None:
    """Read every byte of a STORE against its receipts."""
    import dataclasses

    from .stages.inspect import verify_at

    with Terminal().bar("verifying", 1, "store") as bar:
        shown = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal shown
            bar.advance(done / max(1, total) - shown)
            shown = done / max(1, total)

        findings = verify_at(store, tell)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            whose = f" of {', '.join(finding.utterances)}" if finding.utterances else ""
            click.echo(printable(f"{finding.kind} {finding.column}{whose}: {finding.reason}"))
        click.echo(
            f"{store}: {len(findings)} findings; svc extract --check makes damaged and missing cells anew"
            if findings
            else f"{store}: every byte is as it was written"
        )
    sys.exit(REFUSED if findings else DONE)


@main.command()
@click.argument("store", metavar="STORE")
def compact(store: str) -> None:
    """Drop what removed and changed recordings left in a STORE, and merge small packs. Nothing is computed anew."""
    from .stages.compact import compact as run_compact

    done = run_compact(store, Terminal())
    click.echo(
        f"{printable(store)}: {done.packs_before} packs became {done.packs_after}, {done.rows_dropped} utterances "
        f"dropped, {done.bytes_freed / 2**20:.1f} MiB freed"
    )


@main.command()
@click.argument("run", required=False, type=PATH, metavar="[RUN]")
@click.argument("songs", nargs=-1, type=PATH, metavar="[SONG]...")
@click.option(
    "--singers", type=PATH, help="singers.json of the parallel singers that it learned.  [default: beside it]"
)
@click.option("-o", "--out", type=PATH, help="Where results and page go.  [default: RUN/evaluation]")
@click.option("-s", "--speaker", help="Who sings SONGs.  [default: the run's first]")
@click.option("-k", "--key", "--transpose", default="0", show_default=True, help="Semitones up, of SONGs, or auto.")
@click.option("--whisper", metavar="FOLDER|ID", help="A Whisper that writes down what it hears, for SONGs' words.")
@click.option("--speaker-encoder", metavar="FOLDER|ID", help="An x-vector model that tells how like the target it is.")
@click.option("--language", help="Of the words, such as ko.  [default: what Whisper takes the song for]")
@json_option
@device_option
def evaluate(
    run: Path | None,
    songs: tuple[Path, ...],
    singers: Path | None,
    out: Path | None,
    speaker: str | None,
    key: str,
    whisper: str | None,
    speaker_encoder: str | None,
    language: str | None,
    as_json: bool,
    device: str,
) -> None:
    """Say how well a RUN (the newest in runs/) converts.

    Without SONGs: against the truth, beside trivial methods, of a run trained on parallel singers such as svc demo
    makes. With SONGs: sing them, and compare with what was asked and with the target's own utterances.
    """
    from .stages.evaluation.parallel import evaluate_truth
    from .stages.evaluation.without_reference import evaluate_songs
    from .stages.parallel_singers import ParallelSingers, singers_of
    from .stages.run import newest_run

    if songs and singers:
        raise click.UsageError("--singers is the truth of the singers' own songs; of SONGs of your own none is known")
    with checked_settings():
        semitones = _number_or(key, "auto")
    if not songs and (speaker or semitones):
        raise click.UsageError("--speaker and --key are of SONGs; the truth has its own")
    if run and not run.is_dir():
        raise click.UsageError(f"{run} is no run's folder; give the run first: svc evaluate RUN {run}")
    run = run or newest_run()
    out = out or run / "evaluation"
    truth = singers or singers_of(run)
    if songs:
        models = {"whisper": whisper, "speaker_encoder": speaker_encoder, "language": language}
        found = evaluate_songs(run, songs, out, speaker, semitones, device, Terminal(), **models)
    elif truth:
        found = evaluate_truth(run, ParallelSingers.open(truth), out, device, Terminal())
    else:
        raise click.UsageError(
            f"no truth is known of what {run} should sing: give SONGs to sing and compare, or --singers FILE"
        )
    if as_json:
        click.echo(json.dumps(found.metadata, indent=1, ensure_ascii=False))
    else:
        for line in found.lines:
            click.echo(printable(line))
    for song, why in found.refused.items():
        click.echo(f"refused {printable(str(song))}: {why}", err=True)
    sys.exit(REFUSED if found.refused else DONE)


@main.command()
@click.option("-o", "--out", type=PATH, default=Path("demo"), show_default=True, help="Where everything is made.")
@click.option("--steps", type=int, help="Training steps.  [default: what fits in some minutes]")
def demo(out: Path, steps: int | None) -> None:
    """Make two synthetic singers, run the whole way on them, offline, and judge it by the truth."""
    from .stages.demo import demo as run_demo

    for line in run_demo(out, steps, Terminal()):
        click.echo(line)


@contextmanager
def checked_settings() -> Iterator[None]:
    """A setting that cannot be is the user's mistake."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _number_or(text: str, word: str, meaning: float | str | None = None) -> Any:
    """A number, or what a word stands for (itself, if nothing else)."""
    if text.strip().lower() == word:
        return word if meaning is None else meaning
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r}: expected a number or {word}")
    return number


def _numbers(name: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise ValueError(f"{name} {text!r}: expected numbers with commas between, such as 7,12") from error


def _beside(path: Path, suffix: str) -> Path:
    """The path next to `path` that has its name and another suffix, for folders with dots in their names too."""
    path = path.absolute()
    return path.parent / (path.name + suffix)


if __name__ == "__main__":  # accelerate launch -m svc.cli
    main()
