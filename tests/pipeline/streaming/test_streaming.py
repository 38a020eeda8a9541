"""Streams: latency by definition, blocks of any size, and inaudible joins."""

from __future__ import annotations

import numpy as np
import pytest
from svc.pipeline import frames
from svc.pipeline.frames import MEL_HOP
from svc.pipeline.streaming.block_stream import BlockStream, WindowConverter
from svc.pipeline.streaming.excitation import CarriedExcitation
from svc.pipeline.streaming.joins import Joiner, Samples
from svc.pipeline.streaming.timing import FADE, StreamTiming
from svc.pipeline.vocoder.excitation import Excitation
from svc.pipeline.vocoder.pulse_noise import PulseNoise

TIMING = StreamTiming(hop=5, context=20, lookahead=4)


class Identity(WindowConverter):
    """Returns the source of the emitted hop."""

    def __init__(self, timing: StreamTiming = TIMING):
        self.timing, self.skipped = timing, 0
        self.starts: list[int] = []

    def convert(self, window: Samples, start: int) -> Samples:
        assert len(window) == self.timing.window * MEL_HOP
        self.starts.append(start)
        begin = self.timing.context * MEL_HOP
        return window[begin : begin + (self.timing.hop + FADE) * MEL_HOP]

    def skip(self) -> None:
        self.skipped += 1


def noise(samples: int) -> Samples:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def test_a_stream_without_a_conversion_is_the_song() -> None:
    wav = noise(50_001)
    converter = Identity()
    out = BlockStream(converter, TIMING).stream(wav)
    assert out.shape == wav.shape
    # The very first frame rises from silence.
    assert out[FADE * MEL_HOP :] == pytest.approx(wav[FADE * MEL_HOP :], abs=1e-6)
    assert np.diff(converter.starts).tolist() == [5] * (len(converter.starts) - 1)


def test_latency_is_hop_and_lookahead() -> None:
    """A click that comes in as the first sample of a hop is put out by the call that completes that delay."""
    stream, samples = BlockStream(Identity(), TIMING), 0
    wav = noise(60_000)
    out = np.zeros(0, np.float32)
    for start in range(0, len(wav), 64):
        out = np.append(out, stream.push(wav[start : start + 64]))
        samples = start + 64
        # Sample i of the source is out, at the latest, when i + delay samples are in.
        assert len(out) - TIMING.lookahead * MEL_HOP >= samples - TIMING.delay
    assert TIMING.seconds == pytest.approx(9 * 512 / 44_100)


@pytest.mark.parametrize("sizes", [[1_000], [1, 7, 30_000], [441, 2_560, 13]])
def test_how_a_stream_is_cut_changes_nothing(sizes: list[int]) -> None:
    wav = noise(40_000)
    want = BlockStream(Identity(), TIMING).stream(wav)
    blocks, start, number = [], 0, 0
    while start < len(wav):
        blocks.append(wav[start : start + sizes[number % len(sizes)]])
        start, number = start + len(blocks[-1]), number + 1
    assert np.array_equal(BlockStream(Identity(), TIMING).aligned(blocks), want)


def test_a_dropped_hop_is_silence_between_fades() -> None:
    converter = Identity()
    stream = BlockStream(converter, TIMING)
    stream.put(np.ones(5 * TIMING.hop_samples, np.float32))
    parts = [
        stream.convert_next(),
        stream.convert_next(),
        stream.drop_next(),
        stream.drop_next(),
        stream.convert_next(),
    ]
    assert converter.skipped == 2
    fade = FADE * MEL_HOP
    assert not parts[2][fade:].any()
    assert not parts[3].any()
    whole = np.concatenate(parts[1:])
    assert np.abs(np.diff(whole[fade:])).max() < 2 / fade  # no step: it falls and rises
    assert parts[4][-1] == 1


def test_pieces_of_one_tone_join_as_the_tone() -> None:
    tone = np.sin(2 * np.pi * 441 / 44_100 * np.arange(20_000)).astype(np.float32)
    joiner = Joiner(512)
    out = np.concatenate([joiner.join(tone[start : start + 2_560 + 512]) for start in range(0, 15_000, 2_560)])
    assert out[512:] == pytest.approx(tone[512 : len(out)], abs=1e-6)


def test_carried_pulses_are_those_of_the_whole() -> None:
    f0 = (220 * 2 ** (np.sin(np.arange(200) / 6) / 12)).astype(np.float32)
    f0[80:95] = 0
    carried, hop = CarriedExcitation(20), 5
    # Both phases begin at the first frame.
    want, hiss = Excitation(f0)(0, len(f0))
    out, out_hiss = [], []
    for start in range(0, len(f0) - hop - 1, hop):
        before = min(20, start)
        pulses, noises = carried(start, f0[start : start + hop + 3], before)
        first = before * MEL_HOP
        out.append(pulses[first : first + hop * MEL_HOP])
        out_hiss.append(noises[first : first + hop * MEL_HOP])
        if start >= 20:  # emitted frames come again, as context
            assert pulses[:first] == pytest.approx(np.concatenate(out[-5:-1]), abs=1e-5)
        carried.emit(f0[start : start + hop + 3], hop)
    joined = np.concatenate(out)
    # Before the first frame there is none: its f0 begins at its own centre's value in both.
    assert joined == pytest.approx(want[: len(joined)], abs=1e-5)
    assert np.array_equal(np.concatenate(out_hiss), hiss[: len(joined)])


class SteadyVoice(WindowConverter):
    """Synthesises a constant mel with plain for any input; f0 has an error at each window's end."""

    def __init__(self, mel: Samples, f0: float, timing: StreamTiming, error: float = 1.0):
        self.mel, self.f0, self.timing, self.error = mel, f0, timing, error
        self.vocoder, self.excitation = PulseNoise(), CarriedExcitation(timing.context)

    def convert(self, window: Samples, start: int) -> Samples:
        timing = self.timing
        reach = min(self.vocoder.context, timing.context)
        ahead = np.full(timing.hop + timing.lookahead, self.f0, np.float32)
        ahead[timing.hop + FADE :] *= self.error
        pulses, hiss = self.excitation(start + timing.context, ahead, reach)
        f0 = np.concatenate([self.excitation.f0[-reach:], ahead])
        wav = self.vocoder.shape(np.repeat(self.mel, len(f0), 0), f0, pulses, hiss)
        self.excitation.emit(ahead, timing.hop)
        return wav[reach * MEL_HOP : (reach + timing.hop + FADE) * MEL_HOP]

    def skip(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("error", [1.0, 1.02])
def test_joins_of_a_steady_tone_cannot_be_found(error: float) -> None:
    """Energy that a tone does not have is no larger at joins than between them."""
    timing = StreamTiming(hop=9, context=30, lookahead=8)
    mel = np.linspace(-2, -9, 128, dtype=np.float32)[None]
    out = BlockStream(SteadyVoice(mel, 220.0, timing, error), timing).stream(np.zeros(44_100 * 2, np.float32))
    # A periodic sound's difference from itself, a period later, is its noise; a click stands out of that.
    period = 44_100 * 5 // 220 // 5 * 5  # 200.45 samples: five periods are 1002.3
    residual = np.diff(out, 2)
    blocks = np.abs(residual[20_000 : 20_000 + 512 * 90]).reshape(-1, 512).max(1).reshape(-1, 9)
    assert period > 0
    peaks = np.sort(blocks.max(0))  # for each of the nine frames of a hop, the loudest corner
    assert peaks[-1] < 1.5 * np.median(peaks)


def test_timing_refuses_what_cannot_be() -> None:
    for values in ({"hop": 0}, {"context": 1}, {"lookahead": 1}):
        with pytest.raises(ValueError, match="a stream's"):
            StreamTiming(**values)
    assert StreamTiming.of_seconds(0.1, 1.0, 0.09) == StreamTiming(9, 86, 8)
    assert frames.mel_seconds(StreamTiming().window) == pytest.approx(1.196, abs=0.001)
