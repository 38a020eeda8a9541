"""The resources with which one process computes jobs."""

from __future__ import annotations

import importlib.metadata
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, cached_property

import torch

from ...pipeline.audio import Recording
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.registry import load_encoder
from ...store.folder import open_folder
from .corpus_files import Source
from .corpus_scan import cores
from .job import JobConfig

KEPT_RECORDINGS = 64  # whose scan is remembered for the next job that reads them


class WorkerContext:
    """The threads of a process, the recordings that it has scanned, and the encoder once a job needs it.

    Attributes:
        device: torch's device of mel, loudness and f0's network; the encoder's is that of `config`.
        signal, decode, encode, collect, writing: the threads for each kind of work. `collect` waits for what a GPU
            computes; None on a CPU, where there is nothing to wait for.
    """

    def __init__(
        self,
        config: JobConfig,
        threads: int | None = None,
        content: ContentEncoder | None = None,
        signal_on_cpu: bool = False,
    ):
        """`threads` is by default one for each core; with `signal_on_cpu`, mel, loudness and f0 are computed on the
        CPU.
        """
        self.config = config
        self.folder = open_folder(config.location)
        threads = threads or cores()
        on_cpu = config.device == "cpu"
        self.device = torch.device("cpu" if signal_on_cpu else config.device)
        self.signal = _threads(threads, "signal")
        # With a GPU the encoder's audio must not wait for f0, and the GPU for neither; on a CPU all share the cores.
        self.decode = self.signal if on_cpu else _threads(min(4, threads), "decode")
        self.encode = self.signal if on_cpu else _threads(1, "encode")
        self.collect = None if on_cpu else _threads(2, "collect")  # waits for what a GPU computed
        self.writing = _threads(1, "write")
        self._lock = threading.Lock()
        self._recordings: dict[Source, Future[Recording]] = {}
        self._reported = (0, 0)
        if content is not None:
            self.content = content

    def close(self) -> None:
        """Stop its threads, after they finish the work that they have begun."""
        for pool in (self.decode, self.signal, self.encode, self.collect, self.writing):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)

    @cached_property
    def content(self) -> ContentEncoder:
        """The encoder, loaded at the first use."""
        return load_encoder(self.config.encoder, self.config.device, self.config.precision)

    def recording(self, source: Source) -> Recording:
        """A recording, scanned by the first thread that needs it and kept for the next. Raises AudioError."""
        with self._lock:
            if mine := source not in self._recordings:
                self._recordings[source] = Future()
            future = self._recordings[source]
            while len(self._recordings) > KEPT_RECORDINGS:
                self._recordings.pop(next(iter(self._recordings)))
        if mine:
            try:
                future.set_result(source.scan())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def recomputed(self) -> tuple[int, int]:
        """How many clips were encoded again in fp32, and how many in bf16 because of memory, since the last call."""
        with self._lock:
            before, self._reported = self._reported, (self.content.redone, self.content.reduced)
            return self._reported[0] - before[0], self._reported[1] - before[1]


def _threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads in which every operation uses one core, including the first one.

    torch's count of threads reaches a new thread only with its first parallel operation. A matrix product before that
    would be split over all cores, and a split product differs in its last digits.
    """
    return ThreadPoolExecutor(count, name, initializer=torch.set_num_threads, initargs=(1,))


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that compute, for receipts."""
    names = ("svc", "torch", "transformers", "swift-f0", "onnxruntime", "pyworld", "soxr", "soundfile", "numpy")
    return {name: importlib.metadata.version(name) for name in names}
