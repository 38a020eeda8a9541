"""Requirements of every content encoder: precision, memory, threads and copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from svc.pipeline.encoder.content import LEAST_BUDGET, ContentEncoder
from svc.pipeline.encoder.network import PRECISIONS, Network
from torch import Tensor

from .subject import Subject, apart, clips

# Precision


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_costs_so_much(subject: Subject, precision: str) -> None:
    encoder, wavs = subject.at(precision), clips(0.1, 2.0, 0.7)
    bound = subject.example.bounds[precision]
    for wav, states in zip(wavs, encoder.encode_batch(wavs, subject.layers), strict=True):
        truth = subject.encoder.encode(wav, subject.layers)
        for layer in subject.layers:
            assert states[layer].dtype == torch.float32
            assert apart(states[layer], truth[layer]) < bound
    assert encoder.redone == 0
    assert encoder.precision == precision


def test_a_precision_that_is_not_there_is_refused(subject: Subject) -> None:
    with pytest.raises(ValueError, match="no precision 'fp8': expected one of fp32, bf16, fp16"):
        subject.at("fp8")


class Patched:
    """An encoder's networks in reduced precision, changed on their way out or in."""

    def __init__(self, encoder: ContentEncoder, monkeypatch: pytest.MonkeyPatch):
        self.passes: list[tuple[int, ...]] = []
        real = encoder.build_network

        def build(device: torch.device, dtype: torch.dtype) -> Network:
            network = real(device, dtype)
            return network if dtype == torch.float32 else self.wrapped(network)

        monkeypatch.setattr(encoder, "build_network", build)

    def before(self, wavs: Tensor) -> None:
        self.passes.append(tuple(wavs.shape))

    def after(self, states: dict[int, Tensor]) -> None: ...

    def wrapped(self, network: Network) -> Network:
        owner = self

        class Wrapped:
            bytes_per_sample = network.bytes_per_sample

            def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
                owner.before(wavs)
                states = {layer: state.clone() for layer, state in network(wavs, lengths, layers).items()}
                owner.after(states)
                return states

        return Wrapped()


def test_a_clip_beyond_the_precision_is_done_again_in_float32(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overflowing(Patched):
        def after(self, states: dict[int, Tensor]) -> None:
            states[1][2, 3, 4] = float("inf")
            states[2][3, 0, 0] = float("nan")

    wavs = clips(0.5, 1.0, 0.7, 0.9)
    fine, truth = (encoder.encode_batch(wavs, [1, 2]) for encoder in (subject.at("fp16"), subject.encoder))
    encoder = subject.at("fp16")
    Overflowing(encoder, monkeypatch)
    found = encoder.encode_batch(wavs, [1, 2])
    assert encoder.redone == 2
    for layer in (1, 2):
        assert all(torch.equal(found[row][layer], fine[row][layer]) for row in (0, 1))
        assert all(apart(found[row][layer], truth[row][layer]) < 1e-5 for row in (2, 3))


# Memory


def test_a_batch_that_does_not_fit_is_halved_until_it_does(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(Patched):
        def before(self, wavs: Tensor) -> None:
            if wavs.numel() > 40_000:
                raise torch.OutOfMemoryError("pretended")
            super().before(wavs)

    wavs = clips(1.0, 0.9, 0.8, 0.7, 3.0, 0.6, 0.5)
    encoder, last = subject.at("bf16"), subject.encoder.layers
    small = Small(encoder, monkeypatch)
    found = encoder.start(wavs, [last])()
    assert small.passes == [(1, 16_000), (2, 14_400), (1, 11_200), (2, 9_600)]
    assert encoder.budget == LEAST_BUDGET  # remembered, so that the next batches are planned smaller
    for number, (clip, wav) in enumerate(zip(found, wavs, strict=True)):
        if number == 4:
            assert clip.problem == "a clip of 3 s needs more memory than cpu has free"
            assert clip.states == {}
        else:
            assert clip.problem == ""
            assert apart(clip.states[last].float(), subject.encoder.encode(wav, [last])[last]) < 3e-2
    with pytest.raises(ArithmeticError, match="a clip of 3 s needs more memory than cpu has free"):
        encoder.encode_batch(wavs, [last])


def test_a_clip_that_does_not_fit_in_float32_is_computed_in_bfloat16(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, last = subject.at("fp32"), subject.encoder.layers
    real = encoder.network

    def network(device: torch.device, dtype: torch.dtype) -> Network:
        if dtype == torch.float32:
            raise torch.OutOfMemoryError("pretended")
        return real(device, dtype)

    monkeypatch.setattr(encoder, "network", network)
    (wav,) = clips(0.5)
    (clip,) = encoder.start([wav], [last], dtype=torch.float32)()
    assert clip.problem == ""
    assert encoder.reduced == 1
    assert torch.equal(clip.states[last], subject.at("bf16").encode(wav, [last])[last])


# Threads and copies


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_may_encode_at_the_same_time(subject: Subject, precision: str) -> None:
    wavs = clips(*(0.1 + 0.13 * number for number in range(12)))
    batched = [wavs[start : start + 3] for start in range(0, 12, 3)]
    last = [subject.encoder.layers]
    truth = [subject.at(precision).encode_batch(some, last) for some in batched]
    shared = subject.at(precision)
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(lambda some: shared.encode_batch(some, last), batched * 3))
    for got, true in zip(found, truth * 3, strict=True):
        assert all(apart(one[last[0]], other[last[0]]) < 1e-6 for one, other in zip(got, true, strict=True))


def test_copies_encode_the_same(subject: Subject) -> None:
    (wav,) = clips(0.6)
    truth = subject.encoder.encode(wav, subject.layers)
    for twin in (copy.deepcopy(subject.encoder), pickle.loads(pickle.dumps(subject.encoder))):
        assert twin.describe() == subject.encoder.describe()
        assert all(torch.equal(state, truth[layer]) for layer, state in twin.encode(wav, subject.layers).items())
