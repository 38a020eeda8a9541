"""Encoders, mel, loudness and f0's network on a simulated GPU: devices are not mixed, and the host does not wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from svc.pipeline import mel
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.pitch.swift_f0 import SwiftF0Tracker
from svc.pipeline.projection import SoftHead, SoftProjection
from transformers import (
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

from ...pretend_device import DEVICE, OnDevice, PretendDevice

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONVOLVED: dict[str, Any] = {
    **SMALL,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LAYERS = (1, 2)


def model(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "whisper":
        config = WhisperConfig(
            d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=48, decoder_ffn_dim=48, max_source_positions=750, vocab_size=16, pad_token_id=0,
            bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
        )  # fmt: skip
        return WhisperModel(config)
    if kind == "wavlm":
        return WavLMModel(WavLMConfig(**CONVOLVED))
    return HubertModel(HubertConfig(**CONVOLVED))


@pytest.fixture(params=["hubert", "wavlm", "whisper"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> ContentEncoder:
    model(request.param).save_pretrained(tmp_path / "model")
    found = load_encoder(str(tmp_path / "model"), "cpu", "bf16")
    torch.manual_seed(1)
    found.head = SoftHead(SoftProjection(32, 8, 4))
    return found


def clips(*seconds: float) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(round(16_000 * length), generator=generator) for length in seconds]


def test_a_batch_is_encoded_without_mixing_and_without_waiting(encoder: ContentEncoder) -> None:
    """One transfer takes the batch to the device, at most three its lengths, and one brings each result.

    The check that all is finite is a result like the others: the host does not wait for it before the next batch.
    """
    wavs = clips(0.5, 0.4, 0.45)
    truth = encoder.start(wavs, LAYERS, units=True)()
    encoder._networks.clear()
    with PretendDevice() as device:
        encoder.device, encoder._copies.device = DEVICE, DEVICE
        assert encoder.head is not None
        encoder.head = encoder.head.to(DEVICE)
        encoder.network(DEVICE, torch.bfloat16)
        device.syncs.clear()
        device.transfers.clear()
        waiting = encoder.start(wavs, LAYERS, units=True)
        assert not device.syncs
        assert device.transfers["to the host"] == 0
        assert device.transfers["to the device"] <= 4
        found = waiting()
        assert not device.syncs
        assert device.transfers["to the host"] == len(LAYERS) + 2  # the units, and which clips are finite
    for clip, true in zip(found, truth, strict=True):
        assert clip.units is not None
        assert true.units is not None
        assert not isinstance(clip.units, OnDevice)
        assert all(torch.equal(clip.states[layer], true.states[layer]) for layer in LAYERS)
        assert torch.equal(clip.units, true.units)


def test_mel_loudness_and_the_f0_network_are_the_cpu_s() -> None:
    rng = np.random.default_rng(0)
    seconds = np.arange(44_100) / 44_100
    wav = (0.2 * np.sign(np.sin(2 * np.pi * 220 * seconds)) + 0.01 * rng.standard_normal(44_100)).astype(np.float32)
    here, tracker = torch.from_numpy(wav), SwiftF0Tracker()
    truth = mel.log_mel(here), mel.loudness(here), tracker.estimate(wav, 65.0, 1100.0)
    with PretendDevice() as device:
        tracker.network(DEVICE)
        there = here.to(DEVICE)
        device.transfers.clear()
        found = mel.log_mel(there).cpu(), mel.loudness(there).cpu()
        assert device.transfers["to the host"] == 2
        f0, times = tracker.estimate(wav, 65.0, 1100.0, DEVICE)
        assert device.transfers["to the host"] == 3
        assert not device.syncs
    for one, other in zip(found, truth[:2], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)
    assert np.array_equal(f0 > 0, truth[2][0] > 0)
    assert np.array_equal(times, truth[2][1])
    voiced = f0 > 0
    assert voiced.any()
    assert np.abs(1200 * np.log2(f0[voiced] / truth[2][0][voiced])).max() < 1e-3


def test_the_pretended_device_refuses_and_counts() -> None:
    with PretendDevice() as device:
        there = torch.ones(3).to(DEVICE)
        with pytest.raises(RuntimeError, match="mixes tensors"):
            there + torch.ones(3)
        assert bool((there * 2).sum() == 6)
        assert sum(device.syncs.values()) == 1
        assert device.transfers == {"to the device": 1}
