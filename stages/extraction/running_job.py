"""Computing a job: recordings are decoded, features computed and cells written, each on the context's threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import Any

import torch
from numpy.typing import NDArray

from ...common.differences import differences
from ...common.errors import UserError
from ...pipeline import frames
from ...pipeline.audio import AudioError, Reader
from ...pipeline.encoder.batches import batches
from ...pipeline.encoder.content import ContentEncoder, EncodedClip
from ...store.cells import write_cell
from ...store.schema import Row
from ..features import UtteranceInput, Waveform
from .corpus_files import Source
from .job import Job, Outcome
from .worker import WorkerContext, versions

Values = dict[str, NDArray[Any]]  # one utterance's, by column name


class RunningJob:
    """A job that is being computed on a context's threads. `outcome` is the future of its result.

    `on_progress` is called, from any thread, with the seconds of audio of each row that is done.
    """

    def __init__(self, job: Job, context: WorkerContext, on_progress: Callable[[float], None]):
        self.job, self.context, self._on_progress = job, context, on_progress
        self.outcome: Future[Outcome] = Future()
        self._results: dict[int, Future[Values]] = {}
        self._left = len(job.pack.rows)
        self._lock = threading.Lock()
        if job.needs_encoder:
            _check_encoder(job, context.content)
        waves = self._decode_all()
        if job.needs_encoder:
            self._encode_all(waves)
        else:
            for number, wave in waves.items():
                self._results[number] = context.signal.submit(self._analyse, wave)
        # A list: once the last one is done, `_write` removes results while this loop still runs.
        for number, result in list(self._results.items()):
            result.add_done_callback(partial(self._done, number))

    def _done(self, number: int, _: Future[Values]) -> None:
        self._on_progress(frames.mel_seconds(self.job.pack.rows[number].mel_frames))
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
        redone, reduced = self.context.recomputed() if job.needs_encoder else (0, 0)
        return Outcome(job.pack.number, receipts, refused, redone, reduced)

    def _decode_all(self) -> dict[int, Future[Waveform]]:
        """The future of a waveform for each row; each recording is read in order, by one thread."""
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
                    mono = reader.read(row.start, row.end)
                    source.check()  # before its first value is computed
                    wave = Waveform(mono, recording.sample_rate, row.mel_frames, self.job.sample_rates)
                    waves[number].set_result(wave.shift_formants(self.job.formant_shift))
                    del waiting[number]
        except BaseException as error:
            if isinstance(error, MemoryError):
                error = AudioError("needs more memory than there is; cut it into shorter files")
            for number in waiting:
                waves[number].set_exception(error)

    def _analyse(self, promised: Future[Waveform]) -> Values:
        """The features of one row that need no encoder."""
        return self._compute(UtteranceInput(promised.result(), self.job.config.pitch, self.context.device))

    def _encode_all(self, waves: Mapping[int, Future[Waveform]]) -> None:
        self._results = {number: Future() for number in waves}
        lengths = [frames.content_samples(row.mel_frames) for row in self.job.pack.rows]
        for numbers in batches(lengths, self.context.content.budget):
            self.context.encode.submit(self._encode, {number: waves[number] for number in numbers})

    def _encode(self, promised: Mapping[int, Future[Waveform]]) -> None:
        """Encode a batch. A clip that cannot be read or stored fails alone; an error of the encoder fails the batch.

        On a GPU the batch is only started here, and another thread waits for it, so that the next one follows at once.
        """
        waves: dict[int, Waveform] = {}
        try:
            for number, wave in promised.items():
                if error := wave.exception():
                    self._results[number].set_exception(error)
                else:
                    waves[number] = wave.result()
            content, features = self.context.content, self.job.features
            layers = sorted({layer for feature in features for layer in feature.layers(content.layers)})
            units = any(feature.needs_units for feature in features)
            wavs = [torch.from_numpy(wave.at(frames.CONTENT_RATE)) for wave in waves.values()]
            collect = partial(self._collect, waves, content.start(wavs, layers, units))
            if self.context.collect is None:
                collect()
            else:
                self.context.collect.submit(collect)
        except BaseException as error:
            self._fail(promised, error)

    def _collect(self, waves: Mapping[int, Waveform], encoded: Callable[[], list[EncodedClip]]) -> None:
        """Wait for a batch that was started, and make columns of it."""
        try:
            for number, clip in zip(waves, encoded(), strict=True):
                try:
                    if clip.problem:
                        raise ArithmeticError(clip.problem)
                    utterance = UtteranceInput(waves[number], self.job.config.pitch, encoded=clip)
                    self._results[number].set_result(self._compute(utterance))
                except ArithmeticError as error:
                    self._results[number].set_exception(error)
        except BaseException as error:
            self._fail(waves, error)

    def _fail(self, numbers: Iterable[int], error: BaseException) -> None:
        for number in numbers:
            if not self._results[number].done():
                self._results[number].set_exception(error)

    def _compute(self, utterance: UtteranceInput) -> Values:
        return {feature.name: feature.compute(utterance) for feature in self.job.features}


def compute(job: Job, context: WorkerContext) -> Outcome:
    """Compute a job, and wait for it."""
    return RunningJob(job, context, lambda seconds: None).outcome.result()


def _check_encoder(job: Job, content: ContentEncoder) -> None:
    """Raises UserError when the encoder found here is not the one that the columns were made with."""
    for column in job.columns:
        if changed := differences(column.settings["encoder"], content.describe(), "in the store", "found"):
            raise UserError(
                f"the encoder {content.name} is not the one that column {column.name} was made with:\n{changed}",
                "Give the right one with --encoder, or another --store",
            )
