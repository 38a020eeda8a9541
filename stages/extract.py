"""`svc extract`: run the encoder and the signal analysis over a corpus, once, into a store."""

from __future__ import annotations

import importlib.metadata
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..pipeline import audio, frames
from ..pipeline.audio import AudioError, Recording, SliceSettings, Span
from ..pipeline.content import Content
from ..store.files import write_sealed
from ..store.packs import Piece
from ..store.schema import Column, Pack, PackSize, Utterance
from ..store.writer import Writer, open_writer
from .corpus import Found, Refused, find
from .errors import UserError
from .features import SIGNAL, Waveform, columns, identity
from .progress import Bar, Progress
from .settings import ExtractSettings, pick_device

AHEAD = 4  # utterances decoded, and their f0 sought, ahead of the encoder


@dataclass
class Report:
    """What a run of extract did."""

    store: Path
    utterances: int = 0
    seconds: float = 0.0
    cells_computed: int = 0
    cells_present: int = 0
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "store": str(self.store)}


def extract(
    corpora: Iterable[Path], store: Path, settings: ExtractSettings, progress: Progress | None = None
) -> Report:
    """Bring a store up to date with the given corpora: compute the cells that it lacks, and nothing else.

    Recordings that cannot be used are named in the report, and the rest goes on. Killed at any moment, the next run
    continues where it was.

    Raises:
        UserError: there is nothing to extract.
        EncoderError: the encoder is not there, or has no such layer.
        StoreError: the store is something else, or holds columns made with other settings.
    """
    progress = progress or Progress()
    found, refused = find(corpora)
    device = pick_device(settings.device)
    content = Content.load(settings.encoder, device)
    layers = settings.layers or default_layers(content.layers)
    content.check_layers(layers)
    wanted = columns(content, layers, settings.pitch)
    speakers = len({item.speaker for item in found})
    progress.say(f"{len(found)} recordings of {speakers} speakers -> {store}")
    progress.say(
        f"encoder {content.name}, layers {', '.join(map(str, layers))}, f0 {settings.pitch.method}, on {device}"
    )
    report = Report(store, refused=refused)
    survey = _survey(found, report, progress)
    if not survey.heard:
        raise UserError("none of the recordings can be used:\n" + "\n".join(map(str, report.refused)))
    with open_writer(
        store,
        PackSize.for_corpus(sum(item.path.stat().st_size for item in survey.heard.values())),
        identity(settings.slices),
        waiting=lambda: progress.say(f"waiting: another svc extract is writing {store}"),
    ) as writer:
        writer.check_columns(wanted.values())
        _plan(writer, survey, settings.slices, report, progress)
        writer.set_columns(wanted.values())
        _compute(writer, wanted, survey, content, layers, settings, report, progress)
        report.utterances = len(writer.utterances)
        report.seconds = frames.mel_seconds(sum(u.end - u.start for u in writer.utterances))
        write_sealed(writer.layout.report, report.to_json())
    return report


def default_layers(count: int) -> tuple[int, ...]:
    """A middle layer for the codes and the last for the units: 7 and 12 of a base model's 12."""
    return tuple(sorted({max(1, round(count * 7 / 12)), count}))


@dataclass
class _Survey:
    """The recordings by the sha256 of their files."""

    heard: dict[str, Found] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)


def _survey(found: list[Found], report: Report, progress: Progress) -> _Survey:
    """Hash every file; the second of two equal ones is refused."""
    survey = _Survey(roots={str(item.root) for item in found})
    with progress.bar("hashing", len(found), "file") as bar:
        for item in found:
            try:
                digest = audio.file_hash(item.path)
            except AudioError as error:
                report.refused.append(Refused(str(item.path), str(error)))
            else:
                if digest in survey.heard:
                    reason = f"is the same file as {survey.heard[digest].path}; one of them is enough"
                    report.refused.append(Refused(str(item.path), reason))
                else:
                    survey.heard[digest] = item
            bar.advance()
    return survey


def _plan(writer: Writer, survey: _Survey, slices: SliceSettings, report: Report, progress: Progress) -> None:
    """Give new recordings their place in packs, and say what the corpus is now."""
    places: dict[str, list[tuple[Pack, int]]] = defaultdict(list)
    for pack in writer.packs:
        for number, row in enumerate(pack.rows):
            places[row.audio].append((pack, number))
    new: list[Piece] = []
    unknown = {digest: item for digest, item in survey.heard.items() if digest not in places}
    with progress.bar("slicing", len(unknown), "file") as bar:
        for digest, item in unknown.items():
            try:
                recording = audio.scan(item.path)
            except AudioError as error:
                report.refused.append(Refused(str(item.path), str(error)))
            else:
                report.notes += [f"{item.path}: {note}" for note in recording.notes]
                new += [_piece(digest, span) for span in audio.slice_at_silence(recording.level_db, slices)]
            bar.advance()
    for pack in writer.add(new):
        for number, row in enumerate(pack.rows):
            places[row.audio].append((pack, number))
    utterances = [u for u in writer.utterances if u.corpus not in survey.roots and u.audio not in survey.heard]
    for digest, item in survey.heard.items():
        spoken = places.get(digest, [])
        for number, (pack, row_number) in enumerate(spoken, 1):
            row = pack.rows[row_number]
            name = item.name if len(spoken) == 1 else f"{item.name}#{number:03d}"
            utterances.append(
                Utterance(
                    name, item.speaker, str(item.root), item.source, digest, row.start, row.end, pack.number, row_number
                )
            )
    if not utterances:
        raise UserError("none of the recordings can be used:\n" + "\n".join(map(str, report.refused)))
    twice = [name for name, count in Counter(u.id for u in utterances).items() if count > 1]
    if twice:
        raise UserError(
            f"the store has a recording {twice[0]} of another corpus already; rename the speaker's folder, or give "
            f"another --store"
        )
    writer.set_utterances(sorted(utterances, key=lambda u: (u.speaker, u.id)))


def _piece(digest: str, span: Span) -> Piece:
    units = frames.unit_frames(frames.content_samples(len(span)))
    return Piece(digest, span.start, span.end, span.joined, units, len(span))


def _compute(
    writer: Writer,
    wanted: dict[str, Column],
    survey: _Survey,
    content: Content,
    layers: tuple[int, ...],
    settings: ExtractSettings,
    report: Report,
    progress: Progress,
) -> None:
    """Compute the cells that the store lacks, pack after pack."""
    lacking: dict[int, set[str]] = defaultdict(set)
    for column in wanted.values():
        for number in writer.missing(column):
            lacking[number].add(column.name)
    utterances = writer.utterances
    elsewhere = {u.pack for u in utterances if u.audio not in survey.heard}
    if skipped := elsewhere & lacking.keys():
        progress.warn(
            f"{len(skipped)} unfinished packs hold recordings of a corpus not given now; give it to finish them"
        )
        lacking = {number: names for number, names in lacking.items() if number not in skipped}
    packs = [pack for pack in writer.packs if pack.number in {u.pack for u in utterances}]
    report.cells_present = len(wanted) * len(packs) - sum(map(len, lacking.values()))
    seconds = {pack.number: frames.mel_seconds(sum(row.mel_frames for row in pack.rows)) for pack in packs}
    total = sum(seconds[number] for number in lacking)
    if report.cells_present:
        progress.say(f"{report.cells_present} cells are there already, {sum(map(len, lacking.values()))} are missing")
    made_with = _versions()
    with progress.bar("extracting", round(total), "s") as bar, ThreadPoolExecutor(AHEAD) as pool:
        for number in sorted(lacking):
            pack = writer.packs[number]
            task = _PackTask(pack, lacking[number], survey, content, layers, settings)
            values, refused = task.run(pool, bar)
            for name in sorted(lacking[number]):
                kept = {row: value[name] for row, value in values.items()}
                writer.put(wanted[name], pack, kept, refused, made_with)
                report.cells_computed += 1
            names = {u.row: u.id for u in utterances if u.pack == number}
            report.refused += [Refused(names[row], reason) for row, reason in refused.items() if row in names]


@dataclass
class _PackTask:
    """Computing the missing cells of one pack: decoding and f0 on threads, the encoder here."""

    pack: Pack
    names: set[str]
    survey: _Survey
    content: Content
    layers: tuple[int, ...]
    settings: ExtractSettings

    def run(self, pool: ThreadPoolExecutor, bar: Bar) -> tuple[dict[int, dict[str, NDArray[Any]]], dict[int, str]]:
        """Values by row and column name, and why a row has none."""
        values: dict[int, dict[str, NDArray[Any]]] = {}
        refused: dict[int, str] = {}
        recordings: dict[str, Recording] = {}
        layers = [layer for layer in self.layers if f"hidden/{layer}" in self.names]
        waiting: list[tuple[int, Future[Waveform], Future[dict[str, NDArray[Any]]]]] = []
        rows = list(enumerate(self.pack.rows))
        while rows or waiting:
            while rows and len(waiting) < AHEAD:
                number, row = rows.pop(0)
                if row.audio not in self.survey.heard:
                    refused[number] = "is no longer in the corpus"
                    bar.advance(frames.mel_seconds(row.mel_frames))
                    continue
                try:
                    if row.audio not in recordings:
                        recordings = {row.audio: self._recording(row.audio)}
                except AudioError as error:
                    refused[number] = str(error)
                    bar.advance(frames.mel_seconds(row.mel_frames))
                    continue
                waveform = pool.submit(Waveform, recordings[row.audio], row.start, row.end)
                waiting.append((number, waveform, pool.submit(self._signal, waveform)))
            if not waiting:
                continue
            number, waveform, signal = waiting.pop(0)
            try:
                values[number] = {**waveform.result().hidden(self.content, layers), **signal.result()}
            except (AudioError, ArithmeticError) as error:
                refused[number] = str(error)
            bar.advance(frames.mel_seconds(self.pack.rows[number].mel_frames))
        return values, refused

    def _recording(self, digest: str) -> Recording:
        path = self.survey.heard[digest].path
        if audio.file_hash(path) != digest:
            raise AudioError("changed while it was being extracted; run again")
        return audio.scan(path)

    def _signal(self, future: Future[Waveform]) -> dict[str, NDArray[Any]]:
        waveform = future.result()
        values: dict[str, NDArray[Any]] = {}
        if self.names & set(SIGNAL):
            values.update(waveform.signal())
        if "f0" in self.names:
            values["f0"] = waveform.f0(self.settings.pitch)
        return values


def _versions() -> dict[str, str]:
    names = ("svc", "torch", "transformers", "pyworld", "soxr", "soundfile", "numpy")
    return {name: importlib.metadata.version(name) for name in names}
