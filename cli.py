"""The command line: it parses, makes one call, and reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import click

from . import __version__
from .stages.progress import Bar, Progress

DONE, REFUSED, WRONG, INTERRUPTED = 0, 1, 2, 130

PATH = click.Path(path_type=Path)

# Named here as well as where they are made, so that help needs no torch; a test holds the two together.
ENCODERS = "en, ko, ja, zh, en-large, contentvec, hubert-soft"
METHODS, METHOD = "swift-f0, dio or harvest", "swift-f0"


class Commands(click.Group):
    """Turns what a user can mend into one message and exit code 2, and Ctrl-C into 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted; the same command goes on from here", err=True)
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from .stages.errors import is_for_the_user

            if not is_for_the_user(error):
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
@click.option("--precision", help="The encoder's arithmetic: fp32, bf16 or fp16.  [default: fp32]")
@click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--workers", default=0, metavar="N", help="Compute in N processes.  [default: threads of this one]")
@click.option("--scheduler", metavar="ADDRESS", help="Compute on the workers of a dask scheduler: tcp://host:8786.")
@click.option("--check", is_flag=True, help="Read every byte of what is there, and make damaged cells anew.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def extract(
    corpora: tuple[Path, ...],
    store: str | None,
    layers: str | None,
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
        from .stages.settings import ExtractSettings, beside

        settings = ExtractSettings(layers=_layers(layers), **options)
    from .stages.extract import extract as run_extract

    report = run_extract(corpora, store or str(beside(corpora[0], ".zarr")), settings, Terminal(), dry_run, check)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1))
    else:
        for line in report.lines():
            click.echo(printable(line))
    sys.exit(REFUSED if report.refused else DONE)


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
@click.option(
    "--store", "stores", multiple=True, required=True, metavar="STORE", help="What svc extract made; may be repeated."
)
@click.option("--out", type=PATH, help="The run's folder.  [default: runs/NAME of the store]")
@click.option("--preset", help="tiny, base or large.  [default: base on a GPU, tiny without]")
@click.option("--steps", type=int, help="Steps of the acoustic model.  [default: the preset's]")
@click.option("--unit-dim", type=int, help="Width of the soft units.  [default: 256]")
@click.option("--objective", help="flow or ddpm.  [default: flow]")
@click.option("--batch", type=int, help="Crops a step.  [default: the preset's]")
@click.option("--seed", type=int, help="Everything random follows from it.  [default: 0]")
@click.option("--only", type=click.Choice(["units", "diffusion"]), help="Train one half.")
@click.option("--resume", is_flag=True, help="Insist that there is a run to go on with.")
@click.option("--show", is_flag=True, help="Print the settings and do nothing.")
@click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
def train(
    stores: tuple[str, ...],
    out: Path | None,
    preset: str | None,
    only: str | None,
    resume: bool,
    show: bool,
    device: str,
    **changes: Any,
) -> None:
    """Train a voice from a store: the soft units, then the acoustic model. The encoder is not needed.

    Interrupted, the same command goes on; with a larger --steps, it trains on.
    """
    import dataclasses

    from .stages.settings import PRESETS, pick_device

    if preset is None:
        preset = "base" if pick_device(device).startswith("cuda") else "tiny"
    if preset not in PRESETS:
        raise click.UsageError(f"preset {preset!r} is not known; choose {', '.join(PRESETS)}")
    with checked_settings():
        settings = dataclasses.replace(PRESETS[preset], **{k: v for k, v in changes.items() if v is not None})
    out = out or Path("runs") / PurePosixPath(stores[0]).name.removesuffix(".zarr")
    if show:
        click.echo(json.dumps({"preset": preset, "out": str(out), **dataclasses.asdict(settings)}, indent=1))
        return
    if resume and not (out / "run.json").exists():
        raise click.UsageError(f"there is no run in {out} to resume")
    from .stages.train import train as run_train

    terminal = Terminal()
    terminal.say(f"preset {preset}: {settings.steps} steps of {settings.batch} x {settings.crop_seconds} s")
    report = run_train(list(stores), out, settings, device, only, terminal)
    click.echo(f"{report.run}: codes {report.code_accuracy:.0%} right on held-out utterances")
    if only != "units":
        click.echo(
            f"  step {report.steps}, best at {report.best_step} (held-out loss {report.best_loss:.4f}); a held-out "
            f"utterance is off by {report.mel_error:.2f} in ln mel: see {report.run / 'held_out.png'}"
        )
        click.echo(f"next: svc render song.wav -m {report.run}")


@main.command()
@click.argument("songs", nargs=-1, required=True, type=PATH, metavar="SONG...")
@click.option("-m", "--model", type=PATH, help="The run.  [default: the newest in runs/]")
@click.option("-o", "--output", type=PATH, help="A .wav, or a folder.  [default: SONG.SPEAKER.wav beside the song]")
@click.option("-k", "--key", "--transpose", default=0.0, show_default=True, help="Semitones up.")
@click.option("-s", "--speaker", help="Whose voice, by name.  [default: the run's first]")
@click.option("--steps", default=20, show_default=True, help="Sampling steps.")
@click.option("--method", help="euler or heun (flow); dpm-solver, unipc, ddim, pndm or ddpm (ddpm).")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--encoder", help="Where the run's encoder is now.  [default: where it was]")
@click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
def render(
    songs: tuple[Path, ...],
    model: Path | None,
    output: Path | None,
    key: float,
    speaker: str | None,
    steps: int,
    method: str | None,
    seed: int,
    encoder: str | None,
    device: str,
) -> None:
    """Sing each SONG with a trained voice. Beside each result lie a picture and its settings."""
    with checked_settings():
        from .stages.settings import RenderSettings

        settings = RenderSettings(speaker, key, steps, method, seed, encoder, device)
    from .stages.render import AudioError, Singer
    from .stages.run import Run, newest_run
    from .stages.sound import place

    run = Run.open(model or newest_run())
    singer = Singer(run, settings)
    click.echo(f"{run.path} (step {singer.step}): {singer.speaker} sings, {key:+g} semitones, on {singer.device}")
    refused = 0
    for song in songs:
        try:
            out = place(song, singer.speaker, output, songs)
            report = singer.render(song, out, Terminal())
        except AudioError as error:
            refused += 1
            click.echo(f"refused {printable(str(song))}: {error}", err=True)
            continue
        for note in report.notes:
            click.echo(f"  mended {printable(str(song))}: {note}")
        in_tune = (
            "nothing in it is voiced"
            if report.within_50_cents is None
            else f"{report.within_50_cents:.1%} of voiced frames within 50 cents of the asked f0 "
            f"(median {report.median_cents:.1f})"
        )
        click.echo(f"{printable(str(report.wav))}: {report.seconds:.1f} s in {report.took:.1f} s; {in_tune}")
    sys.exit(DONE if not refused else WRONG if refused == len(songs) else REFUSED)


@main.command()
@click.argument("path", metavar="STORE|RUN")
@click.option("--utterance", metavar="ID", help="Look at one utterance of a store.")
@click.option("--plot", type=PATH, help="Draw the utterance (or the first) into this PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def inspect(path: str, utterance: str | None, plot: Path | None, as_json: bool) -> None:
    """Say what is in a store or a run."""
    from .stages.inspect import describe, describe_clip, open_store

    facts = describe(path)
    if (utterance or plot) and facts["kind"] != "store":
        raise click.UsageError("--utterance and --plot look into a store; this is a run")
    if utterance or plot:
        clip = open_store(path)[utterance or 0]
        facts = describe_clip(clip)
        if plot:
            clip.plot(plot)
            click.echo(f"drawn into {plot}", err=True)
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    elif facts.get("kind") == "store":
        click.echo(printable(repr(open_store(path))))
        for name, entry in facts["speakers"].items():
            click.echo(f"  {printable(name)}: {entry['utterances']} utterances, {entry['seconds'] / 60:.1f} minutes")
        for name, column in facts["columns"].items():
            width = f" x {column['width']}" if column["width"] else ""
            click.echo(f"  {name}: {column['dtype']}{width}, {column['unit']}, along {column['axis']} frames")
        if facts["incomplete"]:
            click.echo(f"  {facts['incomplete']} utterances are not complete; run svc extract again")
    else:
        for name, value in facts.items():
            click.echo(f"  {name}: {printable(json.dumps(value, ensure_ascii=False))}")


@main.command()
@click.argument("store", metavar="STORE")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
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
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Where everything is made.")
@click.option("--steps", type=int, help="Training steps.  [default: what fits in some minutes]")
def demo(out: Path, steps: int | None) -> None:
    """Make two synthetic voices and a song, and run the whole way on them, offline."""
    from .stages.demo import demo as run_demo

    for line in run_demo(out, steps, Terminal()):
        click.echo(line)


class Terminal(Progress):
    """Tells progress on standard error: bars where somebody watches, single lines in a log."""

    def say(self, text: str) -> None:
        click.echo(printable(text), err=True)

    def warn(self, text: str) -> None:
        click.echo(f"warning: {printable(text)}", err=True)

    @contextmanager
    def bar(self, label: str, total: float, unit: str, done: float = 0) -> Iterator[Bar]:
        from tqdm import tqdm

        if total <= done:
            yield TqdmBar(tqdm(disable=True))
            return
        watched = sys.stderr.isatty()
        shape = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}, {remaining} left{postfix}]"
        with tqdm(
            total=total,
            initial=done,
            desc=printable(label),
            unit=unit,
            bar_format=shape,
            disable=not watched,
            leave=False,
        ) as bar:
            yield TqdmBar(bar)
        if not watched:
            self.say(f"{label}: {total:.0f} {unit} done")


class TqdmBar:
    """A tqdm bar behind the names that stages use."""

    def __init__(self, bar: Any):
        self._bar = bar

    def advance(self, amount: float = 1) -> None:
        self._bar.update(amount)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


@contextmanager
def checked_settings() -> Iterator[None]:
    """A setting that cannot be is the user's mistake."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _layers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise ValueError(f"layers {text!r}: expected numbers with commas between, such as 7,12") from error


def printable(text: str) -> str:
    """Text that any terminal takes: bytes of a name that are no UTF-8 become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")
