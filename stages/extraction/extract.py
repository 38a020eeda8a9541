"""`svc extract`: run the encoder and the signal analysis over a corpus, once, into a store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...pipeline import frames
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.registry import load_encoder, recommended
from ...store import DamagedError, Store, StoreError, open_store
from ...store.cells import missing_cells
from ...store.layout import Layout
from ...store.repair import find_damage, repair
from ...store.schema import PackSize, Utterance
from ...store.table import UtteranceTable, rows_of_pack, total_frames, used_packs
from ...store.writer import Writer, check_ours, open_writer
from ..devices import pick_device
from ..features import identity
from ..parallel_singers import singers_of
from ..settings import ExtractSettings
from ..settings.extract import AUTO_FORMANT_SHIFTS, SMALL_CORPUS_SECONDS
from .cluster import cluster
from .corpus_files import Source
from .corpus_scan import CorpusScan, scan_corpus
from .engines import Engine, in_process
from .job import Job, JobConfig
from .plan import plan, unknown
from .recordings import RecordingFile, Refused, find_recordings
from .report import ExtractReport
from .target_columns import TargetColumns, target_columns
from .worker import WorkerContext


@dataclass(frozen=True)
class _Run:
    """The state that all steps of one run of extract share."""

    location: str | Path
    settings: ExtractSettings
    target: TargetColumns
    scan: CorpusScan
    report: ExtractReport
    progress: Progress
    device: str
    check: bool

    def waiting(self) -> None:
        self.progress.say(f"waiting: another svc extract is writing {self.location}")


def extract(
    corpora: Iterable[Path],
    location: str | Path,
    settings: ExtractSettings,
    progress: Progress | None = None,
    dry_run: bool = False,
    check: bool = False,
) -> ExtractReport:
    """Bring a store up to date with the given corpora: compute only the cells that it lacks.

    Recordings that cannot be used are named in the report, and the others are processed. After a kill at any moment,
    the next run continues.

    Args:
        location: a path, or any URL that fsspec knows.
        dry_run: report what would be done, and write nothing.
        check: read every byte of the store, and compute damaged cells again.

    Raises:
        UserError: there is nothing to extract, the workers cannot be used, or a package for them is not installed.
        EncoderError: the encoder is not there, or has no such layer.
        StoreError: the store is something else, or holds columns made with other settings.
    """
    progress = progress or Progress()
    corpora = list(corpora)
    remote = settings.workers > 0 or settings.scheduler is not None
    if remote and find_spec("distributed") is None:
        raise UserError("dask workers need dask.distributed, which is not installed", "pip install 'svc[cluster]'")
    found = find_recordings(corpora)
    device = settings.device if remote else pick_device(settings.device)
    check_ours(Layout(location))  # so that an unusable location is refused before an encoder is downloaded
    if check and not dry_run:
        _repair(location, progress)
    store = _open_if_there(location)

    @cache
    def load(name: str, precision: str) -> ContentEncoder:
        return load_encoder(name, "cpu" if remote else device, precision)

    target = target_columns(settings, store, load)
    _announce(target, found.recordings, corpora, str(location), device, settings, progress)
    scan = scan_corpus(found, progress, trust=not check)
    scan.slice(unknown(store.packs, store.table, scan) if store else scan.entries, target.slices, progress)
    if not scan.entries:
        raise UserError("none of the recordings can be used:\n" + "\n".join(map(str, scan.refused)))
    report = ExtractReport(str(location), dry_run, refused=scan.refused, notes=scan.notes, others=dict(found.others))
    seconds = frames.mel_seconds(sum(row.mel_frames for rows in scan.rows.values() for row in rows))
    if settings.formant_shifts is None and (store is None or not store.settled) and seconds <= SMALL_CORPUS_SECONDS:
        settings = replace(settings, formant_shifts=AUTO_FORMANT_SHIFTS)
        target = target_columns(settings, store, load)
        down, up = AUTO_FORMANT_SHIFTS
        progress.say(
            f"the corpus is small ({seconds / 60:.1f} minutes): copies with formants shifted by {down} and +{up} "
            f"semitones are added (--formant-shifts none leaves them out)"
        )
    run = _Run(location, settings, target, scan, report, progress, device, check)
    size = PackSize.for_seconds(seconds)
    if dry_run:
        _foresee(run, store, size)
    else:
        _update(run, size)
    return report


def _open_if_there(location: str | Path) -> Store | None:
    """The store, if it exists and is not empty. Other errors are raised when it is opened for writing."""
    try:
        return open_store(location)
    except DamagedError:
        raise
    except StoreError:
        return None


def _repair(location: str | Path, progress: Progress) -> None:
    """Repair damaged records from the whole ones, before cells are checked."""
    try:
        table = open_store(location).table
        if not isinstance(table, UtteranceTable) or not find_damage(Layout(location)):
            return  # opening a small store has read all of its records
    except DamagedError:
        pass
    except StoreError:
        return  # there is none yet, or opening it for writing raises the error
    damages = repair(
        location,
        lambda mel_frames: frames.unit_frames(frames.content_samples(mel_frames)),
        waiting=lambda: progress.say(f"waiting: another svc extract is writing {location}"),
    )
    for damage in damages:
        progress.warn(f"repaired: {damage.reason}")


def _announce(
    target: TargetColumns,
    found: list[RecordingFile],
    corpora: list[Path],
    location: str,
    device: str,
    settings: ExtractSettings,
    progress: Progress,
) -> None:
    speakers = len({item.speaker for item in found})
    where = count(settings.workers, "worker") if settings.workers else settings.scheduler or device
    layers = ", ".join(map(str, target.layers))
    encoder = target.encoder
    progress.say(f"{count(len(found), 'recording')} of {count(speakers, 'speaker')} -> {location}")
    made_by = f"encoder {encoder.origin} ({encoder.precision}), layers {layers}, f0 {target.pitch.method}"
    progress.say(f"{made_by}, on {where}")
    for name in sorted(target.replaced):
        progress.say(f"{name} was made with other settings and is made anew; the other columns stay")
    for name in target.unknown:
        progress.warn(f"column {name} is of a kind that this svc does not know; it stays as it is, and is not extended")
    if not recommended(encoder.origin).real_voices and not all(singers_of(corpus) for corpus in corpora):
        progress.warn(
            f"{encoder.origin} is the small encoder that comes with svc: of real speech about one letter of five is "
            f"recognised wrong. For real voices take a larger one: --encoder en, ko, ja, zh, contentvec, whisper, a "
            f"folder"
        )


def _foresee(run: _Run, store: Store | None, size: PackSize) -> None:
    """Fill the report with the predicted work of a run."""
    report = run.report
    packs, before = (store.packs, store.table) if store else ([], [])
    planned = plan(packs, before, run.scan, store.size if store else size)
    used = set(used_packs(planned.utterances))
    for column in run.target.columns.values():
        lacking = missing_cells(store.layout.folder, column, packs, planned.utterances, run.check) if store else []
        report.cells[column.name] = len(lacking) + sum(pack.number in used for pack in planned.packs)
    report.changes = planned.changes
    report.cells_present = len(run.target.columns) * len(used) - report.cells_computed
    _summarise(run, planned.utterances)


def _update(run: _Run, size: PackSize) -> None:
    """Write the corpus into the store, and compute the cells that it lacks."""
    target, scan, report = run.target, run.scan, run.report
    columns = target.columns.values()
    with open_writer(run.location, size, identity(target.slices), waiting=run.waiting) as writer:
        writer.check_columns(columns, target.replaced)
        # Another run may have changed the store between the first read and the lock.
        scan.slice(unknown(writer.packs, writer.utterances, scan), target.slices, run.progress)
        planned = plan(writer.packs, writer.utterances, scan, writer.size)
        if planned.utterances is not writer.utterances:
            writer.add(planned.rows)
            writer.set_utterances(planned.utterances)
        writer.set_columns(columns, target.replaced)
        report.changes = planned.changes
        _summarise(run, planned.utterances)
        lacking = _computable(run, writer, {column.name: writer.missing(column, run.check) for column in columns})
        missing = sum(map(len, lacking.values()))
        report.cells_present = len(columns) * len(used_packs(writer.utterances)) - missing
        if report.cells_present:
            run.progress.say(f"cells: {report.cells_present:,} are stored already, {missing:,} are missing")
        if missing:
            _compute(run, writer, _jobs(run, writer, lacking))
        writer.write_report(report.to_json())


def _summarise(run: _Run, utterances: Sequence[Utterance]) -> None:
    report = run.report
    report.unused_seconds, report.sliced_seconds = run.scan.unused_seconds, run.scan.sliced_seconds
    report.utterances = len(utterances)
    report.seconds = frames.mel_seconds(total_frames(utterances))


def _computable(run: _Run, writer: Writer, lacking: dict[str, list[int]]) -> dict[str, list[int]]:
    """The missing cells of packs whose recordings are all of the corpora that were given."""
    entries = run.scan.entries
    numbers = {number for numbers in lacking.values() for number in numbers}
    here = {row.audio for number in numbers for row in writer.packs[number].rows} & entries.keys()
    skipped = {
        number
        for number in numbers
        if any(writer.packs[number].rows[row].audio not in here for row in rows_of_pack(writer.utterances, number))
    }
    if skipped:
        run.progress.warn(
            f"{count(len(skipped), 'unfinished pack')} with recordings of a corpus not given now; give it to finish "
            f"what is missing"
        )
    return {name: [number for number in numbers if number not in skipped] for name, numbers in lacking.items()}


def _jobs(run: _Run, writer: Writer, lacking: dict[str, list[int]]) -> list[Job]:
    """For each pack a job of the signal features, and one of the encoder's for each formant shift."""
    target = run.target
    config = JobConfig(
        location=writer.layout.folder.location,
        size=writer.size,
        pitch=target.pitch,
        encoder=target.encoder.origin,
        precision=target.encoder.precision,
        device=run.device,
    )
    by_job: dict[tuple[int, bool, int], list[str]] = defaultdict(list)
    for name, numbers in lacking.items():
        feature = target.features[name]
        for number in numbers:
            by_job[number, feature.needs_encoder, feature.formant_shift].append(name)
    jobs = []
    for (number, _, _), names in sorted(by_job.items()):
        pack = writer.packs[number]
        entries = run.scan.entries
        sources: dict[str, Source] = {row.audio: entries[row.audio].source for row in pack.rows if row.audio in entries}
        features = tuple(target.features[name] for name in names)
        columns = tuple(target.columns[name] for name in names)
        jobs.append(Job(config, pack, features, columns, sources))
    return jobs


def _compute(run: _Run, writer: Writer, jobs: list[Job]) -> None:
    """Compute jobs, and accept their cells."""
    report = run.report
    refused: dict[str, str] = {}
    with (
        run.progress.bar("extracting", round(sum(job.seconds for job in jobs)), "s") as bar,
        _engine(run, jobs) as engine,
    ):
        for outcome in engine.run(jobs, bar.advance):
            for receipt in outcome.receipts:
                writer.accept(receipt)
                report.cells[receipt.column] = report.cells.get(receipt.column, 0) + 1
            report.redone_in_fp32 += outcome.redone
            report.reduced_to_bf16 += outcome.reduced
            names = rows_of_pack(writer.utterances, outcome.pack) if outcome.refused else {}
            refused |= {names[row]: reason for row, reason in outcome.refused.items() if row in names}
    report.refused += [Refused(name, reason) for name, reason in sorted(refused.items())]


@contextmanager
def _engine(run: _Run, jobs: list[Job]) -> Iterator[Engine]:
    config = jobs[0].config
    if run.settings.workers or run.settings.scheduler:
        source = next(iter(jobs[0].sources.values()))
        with cluster(run.settings, config.location, source.path) as engine:
            yield engine
    else:
        with in_process(WorkerContext(config, content=run.target.content)) as engine:
            yield engine
