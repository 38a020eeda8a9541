"""Jobs: some columns of one pack, computed together. The unit of work of every engine, and safe to do twice."""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from itertools import groupby
from typing import Any

import torch
from numpy.typing import NDArray

from ...common.differences import differences
from ...common.errors import UserError
from ...pipeline import frames
from ...pipeline.audio import AudioError, Reader, Recording
from ...pipeline.encoder.batches import batches
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.pitch.pitch import PitchSettings
from ...store.cells import write_cell
from ...store.folder import open_folder
from ...store.receipts import Receipt
from ...store.schema import Column, Pack, PackSize, Row
from ..features import SIGNAL, SOFT, Waveform, formant_shift_or_zero, is_content, of_content, pitch_shift_of
from .corpus_scan import Source, cores

Values = dict[str, NDArray[Any]]  # one utterance's, by column name


@dataclass(frozen=True)
class JobConfig:
    """What jobs of one run have in common: where the store is, and what computes its columns."""

    location: str
    size: PackSize
    pitch: PitchSettings
    encoder: str  # where it is found
    precision: str
    device: str


@dataclass(frozen=True)
class Job:
    """Columns of one pack: those of the encoder, of one warp, or those of the signal.

    `sources` are its recordings by sha256.
    """

    config: JobConfig
    pack: Pack
    columns: tuple[Column, ...]
    sources: Mapping[str, Source]

    @property
    def encodes(self) -> bool:
        return is_content(self.columns[0].name)

    @property
    def formant_shift(self) -> int:
        """Semitones that formants are moved by before the encoder hears them."""
        return formant_shift_or_zero(self.columns[0].name)

    @property
    def names(self) -> set[str]:
        return {column.name for column in self.columns}

    @property
    def seconds(self) -> float:
        return frames.mel_seconds(sum(row.mel_frames for row in self.pack.rows))


@dataclass(frozen=True)
class Outcome:
    """The cells of a job are on disk; the store's one writer has yet to accept them. `refused` is by row."""

    pack: int
    receipts: list[Receipt]
    refused: dict[int, str] = field(default_factory=dict)
    redone: int = 0  # clips that overflowed in low precision and were encoded again in fp32


class WorkerContext:
    """What one process computes with: its threads, its open recordings, and the encoder once a job needs it."""

    def __init__(self, config: JobConfig, threads: int | None = None, content: ContentEncoder | None = None):
        self.config = config
        self.folder = open_folder(config.location)
        threads = threads or cores()
        on_cpu = config.device == "cpu"
        self.signal = _threads(threads, "signal")
        # The encoder's audio must not queue behind f0, nor its GPU wait for either; on a CPU all share the cores.
        self.decode = self.signal if on_cpu else _threads(min(4, threads), "decode")
        self.encode = self.signal if on_cpu else _threads(1, "encode")
        self.writing = _threads(1, "write")
        self._lock = threading.Lock()
        self._recordings: dict[Source, Future[Recording]] = {}
        self._redone = 0
        if content is not None:
            self.content = content

    def close(self) -> None:
        for pool in (self.decode, self.signal, self.encode, self.writing):
            pool.shutdown(wait=True, cancel_futures=True)

    @cached_property
    def content(self) -> ContentEncoder:
        return ContentEncoder.load(self.config.encoder, self.config.device, self.config.precision)

    def recording(self, source: Source) -> Recording:
        """A recording, scanned by whoever asks first and kept for the next. Raises AudioError."""
        with self._lock:
            if mine := source not in self._recordings:
                self._recordings[source] = Future()
            future = self._recordings[source]
            while len(self._recordings) > 64:
                self._recordings.pop(next(iter(self._recordings)))
        if mine:
            try:
                future.set_result(source.scan())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def redone(self) -> int:
        """Clips encoded again in fp32 since this was last asked."""
        with self._lock:
            before, self._redone = self._redone, self.content.redone
            return self._redone - before


def _threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads whose every operation keeps to one core, the first one too.

    torch's count of threads reaches a new thread only with its first parallel operation; a matrix product before that
    would be split over all cores, and a split product differs in its last digits.
    """
    return ThreadPoolExecutor(count, name, initializer=torch.set_num_threads, initargs=(1,))


class RunningJob:
    """A job whose rows are being computed on a bench's threads, and then written: `outcome` promises that.

    `tell` is called, from any thread, with the seconds of audio of each row that is done.
    """

    def __init__(self, job: Job, context: WorkerContext, tell: Callable[[float], None]):
        self.job, self.context, self._tell = job, context, tell
        self.outcome: Future[Outcome] = Future()
        self._results: dict[int, Future[Values]] = {}
        self._left = len(job.pack.rows)
        self._lock = threading.Lock()
        self._rate = frames.CONTENT_RATE if job.encodes else frames.MEL_RATE
        waves = self._decode_all()
        if job.encodes:
            _check_encoder(job, context.content)
            self._encode_all(waves)
        else:
            for number, wave in waves.items():
                self._results[number] = context.signal.submit(self._analyse, wave)
        for number, result in self._results.items():
            result.add_done_callback(partial(self._done, number))

    def _done(self, number: int, _: Future[Values]) -> None:
        self._tell(frames.mel_seconds(self.job.pack.rows[number].mel_frames))
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self.context.writing.submit(self._write)

    def _write(self) -> None:
        try:
            self.outcome.set_result(self._cells())
        except BaseException as error:
            self.outcome.set_exception(error)

    def _cells(self) -> Outcome:
        job = self.job
        values: dict[int, Values] = {}
        refused: dict[int, str] = {}
        for number in range(len(job.pack.rows)):
            try:
                values[number] = self._results.pop(number).result()
            except (AudioError, ArithmeticError) as error:
                refused[number] = str(error)
        receipts = []
        for column in job.columns:
            mine = {number: value.pop(column.name) for number, value in values.items()}
            receipts.append(
                write_cell(self.context.folder, job.config.size, column, job.pack, mine, refused, versions())
            )
        return Outcome(job.pack.number, receipts, refused, self.context.redone() if job.encodes else 0)

    def _decode_all(self) -> dict[int, Future[Waveform]]:
        """A waveform for each row, promised; each recording is read in order by one thread."""
        waves: dict[int, Future[Waveform]] = {number: Future() for number in range(len(self.job.pack.rows))}
        for audio_hash, numbers in groupby(waves, lambda number: self.job.pack.rows[number].audio):
            rows = [(number, self.job.pack.rows[number]) for number in numbers]
            self.context.decode.submit(self._decode, self.job.sources.get(audio_hash), rows, waves)
        return waves

    def _decode(
        self, source: Source | None, rows: list[tuple[int, Row]], waves: Mapping[int, Future[Waveform]]
    ) -> None:
        waiting = dict(rows)
        try:
            if source is None:
                raise AudioError("is no longer in the corpus")
            recording = self.context.recording(source)
            with Reader(recording) as reader:
                for number, row in rows:
                    wave = Waveform(
                        reader.read(row.start, row.end), recording.sample_rate, row.mel_frames, [self._rate]
                    )
                    waves[number].set_result(wave.shift_formants(self.job.formant_shift))
                    del waiting[number]
        except BaseException as error:
            for number in waiting:
                waves[number].set_exception(error)

    def _analyse(self, promised: Future[Waveform]) -> Values:
        wave, names = promised.result(), self.job.names
        values: Values = wave.signal() if names & set(SIGNAL) else {}
        for name in names:
            if semitones := pitch_shift_of(name):
                values[name] = wave.shifted(semitones)
        if "f0" in names:
            values["f0"] = wave.f0(self.job.config.pitch)
        return values

    def _encode_all(self, waves: Mapping[int, Future[Waveform]]) -> None:
        self._results = {number: Future() for number in waves}
        lengths = [frames.content_samples(row.mel_frames) for row in self.job.pack.rows]
        for numbers in batches(lengths, self.context.content.budget):
            self.context.encode.submit(self._encode, {number: waves[number] for number in numbers})

    def _encode(self, promised: Mapping[int, Future[Waveform]]) -> None:
        """Encode a batch. What goes wrong with one clip is its own affair, unless it is all the same to the encoder."""
        waves: dict[int, Waveform] = {}
        try:
            for number, wave in promised.items():
                if error := wave.exception():
                    self._results[number].set_exception(error)
                else:
                    waves[number] = wave.result()
            content, names = self.context.content, self.job.names
            layers = _layers(self.job.columns, content.layers)
            wavs = [torch.from_numpy(wave.at(frames.CONTENT_RATE)) for wave in waves.values()]
            for number, states in zip(waves, content.encode_batch(wavs, layers), strict=True):
                try:
                    self._results[number].set_result(of_content(content, states, names, self.job.formant_shift))
                except ArithmeticError as error:
                    self._results[number].set_exception(error)
        except BaseException as error:
            for number in promised:
                if not self._results[number].done():
                    self._results[number].set_exception(error)


def compute(job: Job, context: WorkerContext) -> Outcome:
    """Do a job, and wait for it."""
    return RunningJob(job, context, lambda seconds: None).outcome.result()


def _layers(columns: Iterable[Column], last: int) -> list[int]:
    """The layers that columns are made of; the soft head stands on the last."""
    return sorted({last if column.name == SOFT else int(column.name.split("/")[1]) for column in columns})


def _check_encoder(job: Job, content: ContentEncoder) -> None:
    """Raises UserError when the encoder found here is not the one that the columns name."""
    for column in job.columns:
        if changed := differences(column.settings["encoder"], content.describe(), "in the store", "found"):
            raise UserError(
                f"the encoder {content.name} is not the one that column {column.name} was made with:\n{changed}\n"
                f"Give the right one with --encoder, or another --store"
            )


@cache
def versions() -> dict[str, str]:
    """What computes, for the record."""
    names = ("svc", "torch", "transformers", "swift-f0", "onnxruntime", "pyworld", "soxr", "soundfile", "numpy")
    return {name: importlib.metadata.version(name) for name in names}
