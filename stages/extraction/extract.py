"""`svc extract`: run the encoder and the signal analysis over a corpus, once, into a store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline import frames
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.encoders import SHIPPED
from ...store import DamagedError, Store, StoreError, open_store
from ...store.cells import missing_cells
from ...store.layout import Layout
from ...store.repair import repair
from ...store.schema import Column, Pack, PackSize, Utterance
from ...store.writer import Writer, check_ours, open_writer
from ..devices import pick_device
from ..features import formant_shift_or_zero, identity, is_content
from ..parallel_singers import singers_of
from ..settings import ExtractSettings
from .cluster import cluster
from .corpus_scan import CorpusScan, Source, scan_corpus
from .engines import Engine, in_process
from .jobs import Job, JobConfig, WorkerContext
from .plan import Changes, plan, unknown
from .recordings import Refused, find_recordings
from .target_columns import TargetColumns, target_columns


@dataclass
class ExtractReport:
    """What a run of extract did, or with `dry_run` would do: then nothing was written."""

    store: str
    dry_run: bool = False
    utterances: int = 0
    seconds: float = 0.0
    changes: Changes = field(default_factory=Changes)
    cells: dict[str, int] = field(default_factory=dict)  # computed, by column
    cells_present: int = 0
    redone_in_fp32: int = 0
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def cells_computed(self) -> int:
        return sum(self.cells.values())

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "cells_computed": self.cells_computed}

    def lines(self) -> list[str]:
        """What a reader wants to know, and what to do next."""
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.cells.items()) if count) or "nothing"
        size = f"{count(self.utterances, 'utterance')}, {self.seconds / 60:.1f} minutes"
        if self.dry_run:
            said = [
                f"would hold {size}; recordings: {self.changes}",
                f"would compute, in cells: {done}; {self.cells_present} are there already",
            ]
        else:
            said = [
                f"{self.store}: {size}; recordings: {self.changes}",
                f"  cells computed: {done}; {self.cells_present} were there before",
            ]
        if self.redone_in_fp32:
            said.append(f"  encoded in fp32 because of overflow: {count(self.redone_in_fp32, 'utterance')}")
        said += [f"  mended {note}" for note in self.notes]
        said += [f"  refused {refused}" for refused in self.refused]
        if self.dry_run:
            return [*said, "nothing was written: leave out --dry-run to do it"]
        if self.refused:
            said.append(f"{len(self.refused)} refused; also in {self.store}/ledger/report.json")
        if self.changes.removed:
            said.append(f"removed recordings are out of the corpus; svc compact {self.store} frees their room")
        return [*said, f"next: svc train --store {self.store}"]


def extract(
    corpora: Iterable[Path],
    location: str | Path,
    settings: ExtractSettings,
    progress: Progress | None = None,
    dry_run: bool = False,
    check: bool = False,
) -> ExtractReport:
    """Bring a store up to date with the given corpora: compute the cells that it lacks, and nothing else.

    Recordings that cannot be used are named in the report, and the rest goes on. Killed at any moment, the next run
    continues where it was. `location` is a path, or any URL that fsspec knows. With `check` every byte of what is there
    is read, and damaged cells are made anew.

    Raises:
        UserError: there is nothing to extract, or the workers cannot be used.
        EncoderError: the encoder is not there, or has no such layer.
        StoreError: the store is something else, or holds columns made with other settings.
    """
    progress = progress or Progress()
    corpora = list(corpora)
    found, refused = find_recordings(corpora)
    remote = settings.workers > 0 or settings.scheduler is not None
    device = settings.device if remote else pick_device(settings.device)
    check_ours(Layout(location))  # so that a place that cannot be used is told before an encoder is fetched
    if check and not dry_run:
        _mend(location, progress)
    store = _look(location)
    want = target_columns(
        settings, store, lambda name, precision: ContentEncoder.load(name, "cpu" if remote else device, precision)
    )
    _announce(want, found, str(location), device, settings, progress)
    if want.encoder in SHIPPED and not all(singers_of(corpus) for corpus in corpora):
        progress.warn(
            f"{want.encoder} is the small encoder of the demo and the tests: it knows the words of synthetic singers, "
            f"and of real voices little. For those take a real HuBERT: --encoder en, ko, ja, zh, contentvec, a folder"
        )
    heard = scan_corpus(found, refused, progress)
    heard.slice(unknown(store.packs if store else [], heard), want.slices, progress)
    if not heard.heard:
        raise UserError("none of the recordings can be used:\n" + "\n".join(map(str, heard.refused)))
    seconds = frames.mel_seconds(sum(piece.mel_frames for pieces in heard.pieces.values() for piece in pieces))
    size = PackSize.for_seconds(seconds)
    report = ExtractReport(str(location), dry_run, refused=heard.refused, notes=heard.notes)
    if dry_run:
        _foresee(store, size, heard, want, report, check)
        return report
    with open_writer(
        location,
        size,
        identity(want.slices),
        waiting=lambda: progress.say(f"waiting: another svc extract is writing {location}"),
    ) as writer:
        writer.check_columns(want.columns.values(), want.replaced)
        # Between the look above and the lock another run may have changed what is known.
        heard.slice(unknown(writer.packs, heard), want.slices, progress)
        planned = plan(writer.packs, writer.utterances, heard, writer.size)
        writer.add(planned.pieces)
        writer.set_utterances(planned.utterances)
        writer.set_columns(want.columns.values(), want.replaced)
        report.changes = planned.changes
        _summarise(report, planned.utterances)
        lacking = {column.name: writer.missing(column, check) for column in want.columns.values()}
        _compute(
            writer,
            want,
            heard,
            lacking,
            JobConfig(
                location=writer.layout.folder.location,
                size=writer.size,
                pitch=want.pitch,
                encoder=want.encoder,
                precision=want.precision,
                device=device,
            ),
            settings,
            report,
            progress,
        )
        writer.write_report(report.to_json())
    return report


def _look(location: str | Path) -> Store | None:
    """The store as it is, if there is one with anything in it. What else is wrong, opening it for writing will tell."""
    try:
        return open_store(location)
    except DamagedError:
        raise
    except StoreError:
        return None


def _mend(location: str | Path, progress: Progress) -> None:
    """Make damaged records anew from those that are whole, before cells are looked at."""
    try:
        open_store(location)
    except DamagedError:
        damages = repair(
            location,
            lambda mel_frames: frames.unit_frames(frames.content_samples(mel_frames)),
            waiting=lambda: progress.say(f"waiting: another svc extract is writing {location}"),
        )
        for damage in damages:
            progress.warn(f"mended: {damage.reason}")
    except StoreError:
        return  # there is none yet, or opening it for writing will tell


def _announce(
    want: TargetColumns, found: list[Any], location: str, device: str, settings: ExtractSettings, progress: Progress
) -> None:
    speakers = len({item.speaker for item in found})
    where = f"{settings.workers} workers" if settings.workers else settings.scheduler or device
    layers = ", ".join(map(str, want.layers))
    progress.say(f"{len(found)} recordings of {speakers} speakers -> {location}")
    progress.say(f"encoder {want.encoder} ({want.precision}), layers {layers}, f0 {want.pitch.method}, on {where}")
    if want.replaced:
        progress.say("f0 was made with other settings and is made anew; the other columns stay")


def _foresee(
    store: Store | None, size: PackSize, heard: CorpusScan, want: TargetColumns, report: ExtractReport, check: bool
) -> None:
    """What a run would do."""
    packs, before = (store.packs, store.table) if store else ([], [])
    if store is not None:
        size = store.size
    planned = plan(packs, before, heard, size)
    used = {u.pack for u in planned.utterances}
    for column in want.columns.values():
        lacking = missing_cells(store.layout.folder, column, packs, planned.utterances, check) if store else []
        report.cells[column.name] = len(lacking) + sum(pack.number in used for pack in planned.packs)
    report.changes = planned.changes
    report.cells_present = len(want.columns) * len(used) - report.cells_computed
    _summarise(report, planned.utterances)


def _summarise(report: ExtractReport, utterances: list[Utterance]) -> None:
    report.utterances = len(utterances)
    report.seconds = frames.mel_seconds(sum(u.end - u.start for u in utterances))


def _compute(
    writer: Writer,
    want: TargetColumns,
    heard: CorpusScan,
    lacking: dict[str, list[int]],
    config: JobConfig,
    settings: ExtractSettings,
    report: ExtractReport,
    progress: Progress,
) -> None:
    """Compute the cells that the store lacks."""
    used = {u.pack for u in writer.utterances}
    lacking = _without_strangers(writer, heard, lacking, progress)
    missing = sum(map(len, lacking.values()))
    report.cells_present = len(want.columns) * len(used) - missing
    if report.cells_present:
        progress.say(f"cells: {report.cells_present:,} are stored already, {missing:,} are missing")
    if not missing:
        return
    jobs = list(_jobs(writer, want, heard, lacking, config))
    names = {(u.pack, u.row): u.id for u in writer.utterances}
    refused: dict[str, str] = {}
    with (
        progress.bar("extracting", round(sum(job.seconds for job in jobs)), "s") as bar,
        _engine(config, settings, want, jobs) as engine,
    ):
        for outcome in engine.run(jobs, bar.advance):
            for receipt in outcome.receipts:
                writer.accept(receipt)
                report.cells[receipt.column] = report.cells.get(receipt.column, 0) + 1
            report.redone_in_fp32 += outcome.redone
            for row, reason in outcome.refused.items():
                if (outcome.pack, row) in names:
                    refused[names[outcome.pack, row]] = reason
    report.refused += [Refused(name, reason) for name, reason in sorted(refused.items())]


def _without_strangers(
    writer: Writer, heard: CorpusScan, lacking: dict[str, list[int]], progress: Progress
) -> dict[str, list[int]]:
    """Leave packs that hold recordings of a corpus not given now to a run that is given it."""
    elsewhere = {u.pack for u in writer.utterances if u.audio not in heard.heard}
    skipped = elsewhere & {number for numbers in lacking.values() for number in numbers}
    if skipped:
        progress.warn(
            f"{len(skipped)} unfinished packs hold recordings of a corpus not given now; give it to finish them"
        )
    return {name: [number for number in numbers if number not in skipped] for name, numbers in lacking.items()}


def _jobs(
    writer: Writer, want: TargetColumns, heard: CorpusScan, lacking: dict[str, list[int]], config: JobConfig
) -> Iterator[Job]:
    """For each pack a job of the encoder, one a warp, and one of the signal, of the cells that are missing."""
    by_job: dict[tuple[int, bool, int], list[Column]] = defaultdict(list)
    for name, numbers in lacking.items():
        for number in numbers:
            by_job[number, is_content(name), formant_shift_or_zero(name)].append(want.columns[name])
    for number, encodes, formant_shift in sorted(by_job):
        pack: Pack = writer.packs[number]
        sources: dict[str, Source] = {
            row.audio: heard.heard[row.audio].source for row in pack.rows if row.audio in heard.heard
        }
        yield Job(config, pack, tuple(by_job[number, encodes, formant_shift]), sources)


@contextmanager
def _engine(config: JobConfig, settings: ExtractSettings, want: TargetColumns, jobs: list[Job]) -> Iterator[Engine]:
    if settings.workers or settings.scheduler:
        source = next(iter(jobs[0].sources.values()))
        with cluster(settings, config.location, source.path) as engine:
            yield engine
    else:
        with in_process(WorkerContext(config, content=want.content)) as engine:
            yield engine
