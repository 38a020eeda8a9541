"""The true latency: bursts are played through a loopback, converted, and found in the output."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...pipeline.frames import MEL_RATE
from ...pipeline.streaming.joins import Samples
from .devices import Duplex, SimulatedLoopback
from .engine import LiveEngine

BURST_SECONDS, APART_SECONDS = 0.12, (1.7, 2.1)  # length of a burst; distances are longer than the longest latency
PITCH_HZ = 220.0
LONGEST_SECONDS = 1.5  # range of the latency
STEP = 44  # samples, 1 ms: resolution
LEAST_LIKENESS = 0.5  # correlation of a burst's envelope, below which it was not found


@dataclass(frozen=True)
class Latency:
    """Seconds from playing a burst to playing its conversion, of each that was found; `lost` were not found."""

    seconds: tuple[float, ...]
    lost: int

    def quantile(self, share: float) -> float:
        """A quantile (a share, 0 to 1) of the found bursts' latency in seconds. Some burst must be found."""
        return float(np.quantile(self.seconds, share))

    def line(self) -> str:
        """One sentence. Raises UserError where no burst came back."""
        if not self.seconds:
            raise UserError(
                "no burst came back", "connect the output to the input with a cable, or choose a loopback device"
            )
        p50, p99 = (1000 * self.quantile(share) for share in (0.5, 0.99))
        return f"latency of {len(self.seconds)} bursts: p50 {p50:.0f} ms, p99 {p99:.0f} ms; {self.lost} were lost"


def bursts(count: int, seed: int = 0) -> tuple[Samples, list[int]]:
    """Voice-like bursts at uneven distances: float32 (T,) at 44.1 kHz, and the sample at which each begins."""
    rng = np.random.default_rng(seed)
    starts = (np.cumsum(rng.uniform(*APART_SECONDS, count)) * MEL_RATE).astype(int).tolist()
    out = np.zeros(starts[-1] + int((LONGEST_SECONDS + BURST_SECONDS) * MEL_RATE), np.float32)
    t = np.arange(int(BURST_SECONDS * MEL_RATE)) / MEL_RATE
    harmonics = sum(np.sin(2 * np.pi * PITCH_HZ * k * t) / k for k in range(1, 20))
    burst = (0.25 * harmonics * np.hanning(len(t))).astype(np.float32)
    for start in starts:
        out[start : start + len(burst)] += burst
    return out, starts


def find(signal: Samples, starts: Sequence[int], recorded: Samples) -> Latency:
    """The delay of each burst of `signal` (T,) in `recorded` (T,), to 1 ms: by correlation of envelopes.

    Both at 44.1 kHz; `starts` are the samples at which the bursts begin in `signal`.
    """
    played, heard = envelope(signal), envelope(recorded)
    length, most = int(BURST_SECONDS * MEL_RATE) // STEP, int(LONGEST_SECONDS * MEL_RATE) // STEP
    found, lost = [], 0
    for start in starts:
        first = start // STEP
        wanted, place = played[first : first + length], heard[first : first + most + length]
        if len(place) < len(wanted) + 1:
            lost += 1
            continue
        windows = np.lib.stride_tricks.sliding_window_view(place, len(wanted))
        centred = windows - windows.mean(1, keepdims=True)
        shape = wanted - wanted.mean()
        norms = np.linalg.norm(centred, axis=1) * np.linalg.norm(shape)
        likeness = centred @ shape / np.maximum(norms, 1e-9)
        # The first that is nearly as good as the best: the next burst is like this one.
        loud = np.linalg.norm(windows, axis=1) > 0.2 * np.linalg.norm(windows, axis=1).max()
        good = np.flatnonzero((likeness >= LEAST_LIKENESS) & loud)
        if len(good) == 0:
            lost += 1
            continue
        near = good[good < good[0] + length]
        found.append(float(near[likeness[near].argmax()]) * STEP / MEL_RATE)
    return Latency(tuple(found), lost)


def envelope(wav: Samples) -> NDArray[np.float64]:
    """RMS of every millisecond of samples (T,), smoothed over 5 of them: float64 (T // STEP,)."""
    squares = np.square(wav[: len(wav) // STEP * STEP].astype(np.float64)).reshape(-1, STEP).mean(1)
    return np.sqrt(np.convolve(squares, np.full(5, 0.2), "same"))


class BurstTest:
    """Plays bursts on a device, has an engine convert what the device records, and finds them in the result.

    The bursts themselves are played, so the measured latency includes the device's recording and playing once each, as
    from a singer to the loudspeaker.
    """

    def __init__(self, engine: LiveEngine, count: int = 20):
        self.engine = engine
        self.signal, self.starts = bursts(count)
        self.recorded = np.zeros_like(self.signal)
        self._place = 0

    @property
    def done(self) -> bool:
        """Whether the whole signal has been played."""
        return self._place >= len(self.signal)

    def callback(self, block: Samples) -> Samples:
        """The device's callback: recorded samples (n,) -> samples to play (n,)."""
        converted = self.engine.callback(block)
        end = min(self._place + len(block), len(self.signal))
        out = np.zeros(len(block), np.float32)
        out[: end - self._place] = self.signal[self._place : end]
        self.recorded[self._place : end] = converted[: end - self._place]
        self._place = end
        return out

    def result(self) -> Latency:
        """The latency of the bursts recorded so far."""
        return find(self.signal, self.starts, self.recorded)


def measure(engine: LiveEngine, device: Duplex, count: int = 20) -> Latency:
    """The latency of an engine whose worker is running, on a device that is a loopback."""
    test = BurstTest(engine, count)
    device.start(test.callback)
    try:
        while not test.done:
            time.sleep(0.05)
    finally:
        device.stop()
    return test.result()


def measure_by_cpu_time(engine: LiveEngine, device: SimulatedLoopback, count: int = 20) -> Latency:
    """The same without a worker: the device's clock counts the process's CPU time, as on a free core.

    On a busy machine this measures the program's own cost; `measure` includes delays by other programs.
    """
    test, job = BurstTest(engine, count), None
    now = ready = 0.0
    while not test.done:
        now += device.block / MEL_RATE
        if job is not None and ready <= now:
            engine.finish(*job)
            job = None
        device.cycle(test.callback)
        if job is None:
            begun = time.process_time()
            job = engine.begin()
            ready = now + time.process_time() - begun
    return test.result()
