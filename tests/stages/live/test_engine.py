"""A device, a worker that may be slow, and the latency between them: with a clock of our own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from svc.common.errors import UserError
from svc.pipeline.frames import MEL_HOP, MEL_RATE
from svc.pipeline.streaming.block_stream import BlockStream, WindowConverter
from svc.pipeline.streaming.joins import Samples
from svc.pipeline.streaming.timing import FADE, StreamTiming
from svc.stages.live import devices
from svc.stages.live.devices import SimulatedLoopback
from svc.stages.live.engine import LiveEngine, OutputTimeline
from svc.stages.live.measure import BurstTest, bursts, find, measure_by_cpu_time

TIMING = StreamTiming(hop=9, context=20, lookahead=8)
MARGIN = 3_528  # samples, 80 ms


class Identity(WindowConverter):
    def convert(self, window: Samples, start: int) -> Samples:
        begin = TIMING.context * MEL_HOP
        return window[begin : begin + (TIMING.hop + FADE) * MEL_HOP]

    def skip(self) -> None:
        pass


class Simulation:
    """A device and a worker on one simulated clock: converting hop n takes cost(seconds now)."""

    def __init__(self, cost: Callable[[float], float], block: int = 441, margin: int = MARGIN):
        self.now, self.cost, self.block = 0.0, cost, block
        self.said: list[tuple[float, str]] = []
        self.engine = LiveEngine(
            BlockStream(Identity(), TIMING), margin, lambda text: self.said.append((self.now, text)), lambda: self.now
        )

    def play(self, wav: Samples) -> Samples:
        job, free, out = None, 0.0, []
        for start in range(0, len(wav) - self.block + 1, self.block):
            self.now = (start + self.block) / MEL_RATE
            if job is not None and free <= self.now:
                self.engine.finish(*job)
                job = None
            out.append(self.engine.callback(wav[start : start + self.block]))
            if job is None and (job := self.engine.begin()) is not None:
                free = self.now + self.cost(self.now)
        return np.concatenate(out)


def ramp(seconds: float) -> Samples:
    """All samples differ, so that a played sample tells when it was recorded."""
    return np.linspace(0.1, 0.9, int(seconds * MEL_RATE), dtype=np.float32)


def test_what_is_in_time_comes_after_the_latency_by_definition() -> None:
    simulation, wav = Simulation(lambda now: 0.05), ramp(5)
    out = simulation.play(wav)
    delay = simulation.engine.delay
    assert delay == (9 + 8) * 512 + MARGIN
    settled = slice(delay + 1_024, len(out))
    assert out[settled] == pytest.approx(wav[: len(wav)][1_024 : len(out) - delay], abs=1e-5)
    assert simulation.engine.report.dropped == 0
    assert simulation.engine.report.missing == 0
    assert not simulation.said


@pytest.mark.parametrize("stall", [0.5, 3.0])
def test_after_a_stall_it_is_in_time_again_within_a_second(stall: float) -> None:
    ends = 2.0 + stall
    simulation, wav = Simulation(lambda now: stall if 1.95 < now < 2.06 else 0.05), ramp(ends + 4)
    out = simulation.play(wav)
    delay = simulation.engine.delay
    late = np.abs(out[delay:] - wav[: len(out) - delay]) > 1e-4
    wrong = (np.flatnonzero(late) + delay) / MEL_RATE
    wrong = wrong[wrong > 1.0]  # the rise at the very start
    assert wrong.min() > 1.9
    assert wrong.max() < ends + 1.0
    assert simulation.engine.report.dropped > 0
    assert simulation.said
    assert simulation.said[0][0] < ends + 1.0
    assert "dropped" in simulation.said[0][1]
    assert simulation.engine.report.missing > 0.5 * stall * MEL_RATE


def test_a_computer_that_is_always_too_slow_does_not_fall_behind() -> None:
    """Half of the hops are converted, and played sound is never older than the latency."""
    simulation, wav = Simulation(lambda now: 0.17, margin=8_820), ramp(20)
    out = simulation.play(wav)
    delay = simulation.engine.delay
    played = np.flatnonzero(out > 0.05)
    age = played - np.interp(out[played], wav, np.arange(len(wav)))
    sounding = np.abs(age - delay) < 2
    assert sounding.mean() > 0.5  # the rest are fades
    assert age[sounding].max() < delay + 2
    assert simulation.engine.report.dropped > 30
    assert 10 < len(simulation.said) < 21  # at most once a second


def test_jitter_of_the_device_changes_nothing() -> None:
    wav = ramp(4)
    want = Simulation(lambda now: 0.03, 441).play(wav)
    got = Simulation(lambda now: 0.03, 97).play(wav)
    assert np.array_equal(want[: min(map(len, (want, got)))], got[: min(map(len, (want, got)))])


def test_the_callback_does_not_wait_for_a_conversion() -> None:
    simulation = Simulation(lambda now: 0.0)
    engine = simulation.engine
    for _ in range(100):
        engine.callback(np.zeros(441, np.float32))
    assert engine.report.converted == 0
    assert engine.begin() is not None


def test_bypass_is_the_source_and_comes_and_goes_without_a_step() -> None:
    simulation = Simulation(lambda now: 0.0)
    engine, block = simulation.engine, np.full(441, 0.5, np.float32)
    engine.callback(block)
    engine.bypass = True
    rising, held = engine.callback(block), engine.callback(block)
    assert rising[0] == 0
    assert np.abs(np.diff(rising)).max() < 0.01
    assert np.array_equal(held, block)
    engine.bypass = False
    assert engine.callback(block)[-1] == 0


def test_a_timeline_drops_what_is_late_and_counts_what_is_missing() -> None:
    timeline = OutputTimeline(begins=10)
    timeline.put(10, np.ones(10, np.float32))
    assert timeline.take(15).tolist() == [0] * 10 + [1] * 5
    assert timeline.take(10).tolist() == [1] * 5 + [0] * 5
    assert timeline.missing == 5
    timeline.put(20, np.arange(10, dtype=np.float32))
    assert timeline.take(5).tolist() == [5, 6, 7, 8, 9]
    timeline.put(0, np.ones(5, np.float32))
    assert timeline.take(2).tolist() == [0, 0]
    assert timeline.missing == 7


def test_a_loopback_measures_the_latency_of_definition_and_cable() -> None:
    engine = LiveEngine(BlockStream(Identity(), TIMING), MARGIN)
    device, test = SimulatedLoopback(delay=1_323), BurstTest(engine, 6)
    while not test.done:
        device.cycle(test.callback)
        while engine.work():
            pass
    latency = test.result()
    assert latency.lost == 0
    assert latency.seconds == pytest.approx([(engine.delay + 1_323) / MEL_RATE] * 6, abs=0.0015)
    assert "p99" in latency.line()


def test_by_cpu_time_a_conversion_that_costs_nothing_has_the_latency_of_definition() -> None:
    engine = LiveEngine(BlockStream(Identity(), TIMING), MARGIN)
    latency = measure_by_cpu_time(engine, SimulatedLoopback(), 4)
    assert latency.seconds == pytest.approx([(engine.delay + 441) / MEL_RATE] * 4, abs=0.0015)
    assert engine.report.missing == 0


def test_a_simulated_loopback_runs_in_real_time() -> None:
    heard: list[int] = []
    device = SimulatedLoopback()

    def callback(block: Samples) -> Samples:
        heard.append(len(block))
        return block

    begun = time.monotonic()
    device.start(callback)
    time.sleep(0.3)
    device.stop()
    assert sum(heard) / MEL_RATE <= time.monotonic() - begun + 0.02
    assert heard
    with pytest.raises(ValueError, match="delay must be a block"):
        SimulatedLoopback(delay=10)


def test_bursts_are_found_in_noise_and_missed_where_there_are_none() -> None:
    signal, starts = bursts(5)
    late = np.concatenate([np.zeros(4_410, np.float32), signal])[: len(signal)]
    noise = np.random.default_rng(0).normal(0, 0.003, len(signal)).astype(np.float32)
    assert find(signal, starts, (0.5 * late + noise).astype(np.float32)).seconds == pytest.approx([0.1] * 5, abs=0.002)
    none = find(signal, starts, np.zeros_like(signal))
    assert none.lost == 5
    with pytest.raises(UserError, match="no burst"):
        none.line()


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match=r"pip install 'svc\[live\]'"):
        devices.device_lines()


def test_a_missing_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(UserError, match="libportaudio2"):
        devices.device_lines()
