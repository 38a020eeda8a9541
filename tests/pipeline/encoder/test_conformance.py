"""Requirements of every content encoder: the times of frames, batches, identity, and files.

test_conformance_resources.py has precision, memory and threads.

A new encoder adds its class to `svc.pipeline.encoder.registry` and an `Example` to `EXAMPLES` in examples.py.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from svc.pipeline.encoder.network import EncoderError
from svc.pipeline.encoder.registry import load_encoder

from .log_spectrum import LogSpectrum
from .subject import Subject, apart, clips

# Time


@pytest.mark.parametrize("samples", [320, 639, 640, 1600, 16_001, 47_999])
def test_there_is_a_frame_for_every_320_samples(subject: Subject, samples: int) -> None:
    (wav,) = clips(samples / 16_000)
    for state in subject.encoder.encode(wav, subject.layers).values():
        assert state.shape == (samples // 320, subject.encoder.hidden_size)
        assert (state.dtype, state.device.type) == (torch.float32, "cpu")
        assert state.isfinite().all()


def test_frame_i_is_centred_at_i_and_a_half_hops(subject: Subject) -> None:
    """A short tone moves the transformer's input most in the frame whose centre it has."""
    generator = torch.Generator().manual_seed(1)
    quiet = 0.05 * torch.randn(48_000, generator=generator)
    found = []
    for frame in (20, 63, 110):
        loud = quiet.clone()
        centre = round((frame + 0.5) * 320)
        loud[centre - 60 : centre + 60] += torch.hann_window(120) * torch.randn(120, generator=generator)
        moved = subject.encoder.encode(loud, [0])[0] - subject.encoder.encode(quiet, [0])[0]
        power = moved.square().sum(1)
        near = torch.arange(frame - 2, frame + 3)
        found.append(float((power[near] * (near - frame)).sum() / power[near].sum()))
    assert abs(np.mean(found)) < 0.25


# Batches


def test_a_clip_in_a_batch_has_the_features_that_it_has_alone(subject: Subject) -> None:
    wavs = clips(0.1, 6.0, 0.37, 2.5, 1.0 + 1 / 16_000)
    for wav, states in zip(wavs, subject.encoder.encode_batch(wavs, subject.layers), strict=True):
        alone = subject.encoder.encode(wav, subject.layers)
        assert max(apart(states[layer], alone[layer]) for layer in subject.layers) < 1e-5


def test_features_are_those_of_the_other_implementation(subject: Subject) -> None:
    wavs = clips(0.1, 11.0, 0.63, 3.7)
    for wav, states in zip(wavs, subject.encoder.encode_batch(wavs, subject.layers), strict=True):
        for layer, truth in enumerate(subject.truth(wav)):
            assert apart(states[layer], truth) < 1e-5


def test_what_lies_beyond_a_row_s_length_is_ignored(subject: Subject) -> None:
    wavs = clips(0.5, 1.5)
    rows = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    lengths = torch.tensor([len(wav) for wav in wavs])
    dirty = rows.clone()
    dirty[0, lengths[0] :] = 0.7
    last = subject.encoder.layers
    found, truth = (subject.encoder.hidden(some, lengths, [last])[last][0, :25] for some in (dirty, rows))
    assert torch.equal(found, truth)


def test_nothing_to_encode_is_nothing(subject: Subject) -> None:
    assert subject.encoder.encode_batch([], subject.layers) == []
    assert subject.encoder.encode_batch(clips(0.5), []) == [{}]


def test_each_layer_is_the_same_whichever_others_are_asked_for(subject: Subject) -> None:
    (wav,) = clips(0.7)
    truth = subject.encoder.encode(wav, subject.layers)
    for layers in ([0], [1], [2, 0], [subject.encoder.layers]):
        found = subject.encoder.encode(wav, layers)
        assert list(found) == layers
        assert all(torch.equal(found[layer], truth[layer]) for layer in layers)


def test_a_layer_that_is_not_there_is_refused(subject: Subject) -> None:
    for layer in (-1, subject.encoder.layers + 1):
        with pytest.raises(EncoderError, match=f"no layer {layer}: it has layers 0 to {subject.encoder.layers}"):
            subject.encoder.encode(torch.zeros(16_000), [0, layer])


# Identity


def test_what_a_store_keeps_of_it(subject: Subject) -> None:
    described = subject.encoder.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["kind"] == type(subject.encoder).model_type
    assert described["sha256"] == subject.encoder.fingerprint
    assert (described["sample_rate"], described["hop"]) == (16_000, 320)
    assert described == subject.at("bf16").describe()
    assert Path(subject.encoder.origin).is_absolute()
    assert load_encoder(subject.encoder.origin).describe() == described


def test_the_fingerprint_changes_with_the_weights(subject: Subject, tmp_path: Path) -> None:
    subject.example.save(subject.example.make(1), tmp_path / "other")
    assert load_encoder(str(tmp_path / "other")).fingerprint != subject.encoder.fingerprint


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_saved_in_half_precision_are_computed_in_float32(
    subject: Subject, tmp_path: Path, dtype: torch.dtype
) -> None:
    subject.example.save(copy.deepcopy(subject.model).to(dtype), tmp_path / "half")
    half, (wav,) = load_encoder(str(tmp_path / "half")), clips(1.0)
    assert half.fingerprint != subject.encoder.fingerprint
    truth = subject.encoder.encode(wav, subject.layers)
    for layer, state in half.encode(wav, subject.layers).items():
        assert apart(state, truth[layer]) < 3e-2


# Files that are not whole


def test_weights_that_are_missing_cut_off_or_of_another_size_are_refused(subject: Subject, tmp_path: Path) -> None:
    if isinstance(subject.encoder, LogSpectrum):
        pytest.skip("it checks nothing")
    subject.example.save(subject.model, tmp_path / "broken")
    path = tmp_path / "broken" / "model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    for name in list(tensors)[:: len(tensors) // 5]:
        if name == "masked_spec_embed" or name.startswith("decoder."):
            continue  # which an encoder does not need
        less = {other: tensor for other, tensor in tensors.items() if other != name}
        save_file(less, path, metadata={"format": "pt"})
        with pytest.raises(EncoderError, match=r"cannot be loaded: the weights lack 1 tensors, "):
            load_encoder(str(path.parent))
        save_file({**less, name: torch.zeros(7)}, path, metadata={"format": "pt"})
        with pytest.raises(EncoderError, match=r"cannot be loaded: expected \(.*\) as .*; found \(7,\)"):
            load_encoder(str(path.parent))
    path.write_bytes(whole[:-1000])
    with pytest.raises(EncoderError, match=r"cannot be loaded: model\.safetensors is damaged"):
        load_encoder(str(path.parent))
    path.unlink()
    with pytest.raises(EncoderError, match=r"cannot be loaded: there is neither model\.safetensors nor"):
        load_encoder(str(path.parent))
