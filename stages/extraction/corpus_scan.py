"""What a corpus holds now: its recordings by the sha256 of their files, and where each would be cut."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ...common.progress import Progress
from ...pipeline import audio, frames
from ...pipeline.audio import AudioError, Recording
from ...pipeline.slicing import SliceSettings, slice_at_silence
from ...store.packs import NewRow
from .recordings import RecordingFile, Refused

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Source:
    """A recording's file as it was when it was hashed."""

    path: str
    sha256: str
    size: int  # bytes
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Hash a file. Raises AudioError when it cannot be read."""
        size, mtime_ns = _stat(path)
        return cls(str(path), audio.file_hash(path), size, mtime_ns)

    def scan(self) -> Recording:
        """Stream through it. Raises AudioError when it cannot be used, or is no longer what was hashed."""
        path = Path(self.path)
        if _stat(path) != (self.size, self.mtime_ns) and audio.file_hash(path) != self.sha256:
            raise AudioError("changed while it was being extracted; run again")
        return audio.scan(path)


@dataclass(frozen=True)
class Entry:
    """A recording of the corpus, and its file."""

    found: RecordingFile
    source: Source


@dataclass
class CorpusScan:
    """The recordings of the given corpora by their sha256, and what was refused on the way."""

    entries: dict[str, Entry] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spans: dict[str, list[NewRow]] = field(default_factory=dict)

    def slice(self, unknown: Iterable[str], settings: SliceSettings, progress: Progress) -> None:
        """Find where recordings would be cut, for those not sliced yet; one that cannot be used is no longer heard."""
        digests = [digest for digest in unknown if digest not in self.spans]

        def cut(digest: str) -> tuple[tuple[str, ...], list[NewRow]]:
            recording = self.entries[digest].source.scan()
            spans = slice_at_silence(recording.level_db, settings)
            units = [frames.unit_frames(frames.content_samples(len(span))) for span in spans]
            return recording.notes, [
                NewRow(digest, span.start, span.end, span.joined, unit, len(span))
                for span, unit in zip(spans, units, strict=True)
            ]

        with progress.bar("slicing", len(digests), "file") as bar:
            for digest, result in in_parallel(cut, digests):
                path = self.entries[digest].found.path
                if isinstance(result, AudioError):
                    self.refused.append(Refused(str(path), str(result)))
                    del self.entries[digest]
                else:
                    notes, self.spans[digest] = result
                    self.notes += [f"{path}: {note}" for note in notes]
                bar.advance()


def scan_corpus(found: list[RecordingFile], refused: list[Refused], progress: Progress) -> CorpusScan:
    """Hash every file; the second of two equal ones is refused."""
    out = CorpusScan(roots={str(item.root) for item in found}, refused=refused)
    with progress.bar("hashing", len(found), "file") as bar:
        for item, source in in_parallel(lambda item: Source.of(item.path), found):
            if isinstance(source, AudioError):
                out.refused.append(Refused(str(item.path), str(source)))
            elif source.sha256 in out.entries:
                same = out.entries[source.sha256].found.path
                out.refused.append(Refused(str(item.path), f"is the same file as {same}; one of them is enough"))
            else:
                out.entries[source.sha256] = Entry(item, source)
            bar.advance()
    return out


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R | AudioError]]:
    """(item, its result or the AudioError that it raised), in order, computed by a thread a core, a few ahead."""

    def attempt(item: T) -> R | AudioError:
        try:
            return function(item)
        except AudioError as error:
            return error

    threads = cores()
    waiting: deque[tuple[T, Future[R | AudioError]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append((item, pool.submit(attempt, item)))
            if len(waiting) > 4 * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for item, future in waiting:
            yield item, future.result()


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from error
    return found.st_size, found.st_mtime_ns
