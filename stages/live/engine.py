"""Between an audio device and a BlockStream: the callback only copies samples, a worker converts.

Block n of the input, once complete, is always played from sample (n + 1) * hop + margin of the output on. Late blocks
are not played, so that a delay does not persist.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from ...pipeline.frames import MEL_RATE
from ...pipeline.streaming.block_stream import BlockStream
from ...pipeline.streaming.joins import Samples

RECENT = 10  # hops of which the longest is named in a message
KEPT_SECONDS = 600  # of which the computing time is stored


class OutputTimeline:
    """Samples by the time at which they must be played. Missing samples are replaced by silence and counted.

    `played` is the number of samples taken so far. `missing` counts samples that should have been there.
    """

    def __init__(self, begins: int = 0):
        self.played, self.missing = 0, 0
        self._begins = begins  # before that nothing is expected
        self._pieces: deque[tuple[int, Samples]] = deque()

    def put(self, position: int, samples: Samples) -> None:
        """Queue samples (n,) to be played from `position` on. Put them in order; those that are late are dropped."""
        late = max(0, self.played - position)
        if late < len(samples):
            self._pieces.append((position + late, samples[late:]))

    def take(self, count: int) -> Samples:
        """The next samples to play: float32 (count,)."""
        out = np.zeros(count, np.float32)
        end, filled = self.played + count, 0
        while self._pieces and self._pieces[0][0] < end:
            position, samples = self._pieces.popleft()
            fits = min(len(samples), end - position)
            out[position - self.played : position - self.played + fits] = samples[:fits]
            filled += fits
            if fits < len(samples):
                self._pieces.appendleft((end, samples[fits:]))
                break
        self.missing += max(0, end - max(self.played, self._begins)) - filled
        self.played = end
        return out


@dataclass
class LiveReport:
    """Statistics of a stream: converted and dropped hops, seconds for each, missing samples."""

    converted: int = 0
    dropped: int = 0
    missing: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_SECONDS * 50))

    def quantile(self, share: float) -> float:
        """Seconds that a hop takes at most, of a `share` of them; 0 where there was none."""
        return float(np.quantile(np.array(self.seconds), share)) if self.seconds else 0.0


class LiveEngine:
    """Converts the sound that a device records into the sound that it plays.

    Args:
        stream: a new one.
        margin: samples between a hop's completion and its playing: the time for computing.
        on_late: called with a sentence when hops were dropped; at most once a second.
        clock: seconds, rising.
    """

    def __init__(
        self,
        stream: BlockStream,
        margin: int,
        on_late: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.stream, self.margin, self.on_late, self.clock = stream, margin, on_late, clock
        self.report = LiveReport()
        self.bypass = False
        self._hop = stream.timing.hop_samples
        self._timeline = OutputTimeline(self._hop + margin)
        self._incoming: deque[Samples] = deque()
        self._lock, self._arrived = threading.Lock(), threading.Event()
        self._next = 0  # the number of the next hop
        self._bypassed = 0.0  # the share of the source in what was played last
        self._told, self._untold = -1.0, 0

    @property
    def delay(self) -> int:
        """Samples from input to output, without the device's own latency."""
        return self.stream.timing.delay + self.margin

    def callback(self, recorded: Samples) -> Samples:
        """The device's callback: a recorded block -> the block to play, (n,) -> (n,). Computes nothing."""
        with self._lock:
            self._incoming.append(recorded.copy())
            out = self._timeline.take(len(recorded))
        self._arrived.set()
        wanted = 1.0 if self.bypass else 0.0
        if wanted or self._bypassed:
            share = np.linspace(self._bypassed, wanted, len(out), dtype=np.float32)
            out = share * recorded + (1 - share) * out
            self._bypassed = wanted
        return out

    def work(self) -> bool:
        """Convert the next hop, if one is complete, and hand it to be played. Returns whether there was one."""
        job = self.begin()
        if job is None:
            return False
        self.finish(*job)
        return True

    def begin(self) -> tuple[int, Samples] | None:
        """Convert the next hop that can still be played; None where no hop is complete.

        Returns:
            The position to play it at, and its samples, float32 (512 hop,).
        """
        with self._lock:
            while self._incoming:
                self.stream.put(self._incoming.popleft())
            played = self._timeline.played
        if not self.stream.complete:
            return None
        dropped = 0
        while self.stream.complete > 1 and self._position(self._next) < played:
            self.stream.drop_next()
            self._next += 1
            dropped += 1
        self._tell(dropped)
        begun = self.clock()
        samples = self.stream.convert_next()
        self.report.seconds.append(self.clock() - begun)
        self.report.converted += 1
        self._next += 1
        return self._position(self._next - 1), samples

    def finish(self, position: int, samples: Samples) -> None:
        """Queue the result of `begin`: the position to play it at, and its samples (512 hop,)."""
        with self._lock:
            self._timeline.put(position, samples)
            self.report.missing = self._timeline.missing

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set: the worker thread's function."""
        while not stop.is_set():
            if not self.work():
                self._arrived.wait(0.1)
                self._arrived.clear()

    def _position(self, hop: int) -> int:
        return (hop + 1) * self._hop + self.margin

    def _tell(self, dropped: int) -> None:
        self.report.dropped += dropped
        self._untold += dropped
        now = self.clock()
        if self._untold and now - self._told >= 1.0:
            seconds = self._untold * self._hop / MEL_RATE
            hop, longest = self._hop / MEL_RATE, max(islice(reversed(self.report.seconds), RECENT), default=0.0)
            self.on_late(
                f"late: {seconds:.1f} s were dropped "
                f"(of the last hops of {1000 * hop:.0f} ms one took {1000 * longest:.0f} ms)"
            )
            self._told, self._untold = now, 0
