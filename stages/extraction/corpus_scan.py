"""The present content of a corpus: its recordings by the sha256 of their files, and their slices."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ...common.progress import Progress
from ...pipeline import frames
from ...pipeline.audio import AudioError
from ...pipeline.slicing import SliceSettings, describe_unused, slice_at_silence
from ...store.packs import NewRow
from .corpus_files import Source
from .hash_cache import HashCache
from .recordings import FoundRecordings, RecordingFile, Refused

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Entry:
    """A recording of the corpus, and its file."""

    found: RecordingFile
    source: Source


@dataclass
class CorpusScan:
    """The recordings of the given corpora by their sha256.

    Attributes:
        roots: the corpora.
        refused: inputs that are not used.
        notes: repairs of a recording, and its unused parts.
        rows: the utterances of each recording that was sliced.
        unused_seconds, sliced_seconds: silence of the recordings sliced now, and how long these are in all.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: dict[str, list[NewRow]] = field(default_factory=dict)
    unused_seconds: float = 0.0
    sliced_seconds: float = 0.0

    def slice(self, unknown: Iterable[str], settings: SliceSettings, progress: Progress) -> None:
        """Find where recordings would be cut, for those not sliced yet; one that cannot be used leaves `entries`."""
        digests = [digest for digest in unknown if digest not in self.rows]

        def cut(digest: str) -> tuple[list[str], list[NewRow], int]:
            recording = self.entries[digest].source.scan()
            spans = slice_at_silence(recording.level_db, settings, recording.flatness)
            units = [frames.unit_frames(frames.content_samples(len(span))) for span in spans]
            rows = [
                NewRow(digest, span.start, span.end, span.joined, unit, len(span))
                for span, unit in zip(spans, units, strict=True)
            ]
            unused = describe_unused(recording.frames, spans)
            return [*recording.notes, *([unused] if unused else [])], rows, recording.frames

        with progress.bar("slicing", len(digests), "file") as bar:
            for digest, result in in_parallel(cut, digests):
                path = self.entries[digest].found.path
                if isinstance(result, AudioError):
                    self.refused.append(Refused(str(path), str(result)))
                    del self.entries[digest]
                else:
                    notes, self.rows[digest], length = result
                    self.notes += [f"{path}: {note}" for note in notes]
                    used = sum(row.mel_frames for row in self.rows[digest])
                    self.sliced_seconds += frames.mel_seconds(length)
                    self.unused_seconds += frames.mel_seconds(length - used)
                bar.advance()


def scan_corpus(found: FoundRecordings, progress: Progress, trust: bool = True) -> CorpusScan:
    """Hash every file; the second of two equal ones is refused.

    `trust` takes the hash of a file that has not changed since an earlier run from the cache; see `hash_cache`.
    """
    files = found.recordings
    out = CorpusScan(roots={str(item.root) for item in files}, refused=found.refused)
    caches = {root: HashCache(Path(root)) for root in out.roots} if trust else {}
    with progress.bar("hashing", len(files), "file") as bar:
        sources: list[Source | AudioError | None] = []
        for item in files:
            sources.append(_known(item, caches) if trust else None)
            if sources[-1] is not None:
                bar.advance()
        new = [place for place, source in enumerate(sources) if source is None]
        for place, result in in_parallel(lambda place: Source.of(files[place].path), new):
            sources[place] = result
            bar.advance()
    for item, source in zip(files, sources, strict=True):
        if not isinstance(source, Source):
            out.refused.append(Refused(str(item.path), str(source)))
        elif source.sha256 in out.entries:
            same = out.entries[source.sha256].found.path
            out.refused.append(Refused(str(item.path), f"is the same file as {same}; one of them is enough"))
        else:
            out.entries[source.sha256] = Entry(item, source)
    if new:
        for root in out.roots:
            hashed = zip(files, sources, strict=True)
            cache = caches.get(root) or HashCache(Path(root))
            cache.write(s for item, s in hashed if isinstance(s, Source) and str(item.root) == root)
    return out


def _known(item: RecordingFile, caches: dict[str, HashCache]) -> Source | AudioError | None:
    try:
        return caches[str(item.root)].known(str(item.path))
    except AudioError as error:
        return error


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R | AudioError]]:
    """(item, its result or the AudioError that it raised), in order, computed by a thread a core, a few ahead.

    An item for which memory does not suffice fails alone, too.
    """

    def attempt(item: T) -> R | AudioError:
        try:
            return function(item)
        except AudioError as error:
            return error
        except MemoryError:
            return AudioError("needs more memory than there is; cut it into shorter files")

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
