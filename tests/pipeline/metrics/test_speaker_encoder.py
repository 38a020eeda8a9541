"""An x-vector model of random weights, small and saved to disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from svc.pipeline.checkpoints.hub import ModelError
from svc.pipeline.metrics.speaker_encoder import XVector, load_speaker_encoder, mean_embedding


def save_speaker_encoder(folder: Path) -> Path:
    import torch
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=[16, 16, 16, 16, 32],
        xvector_output_dim=24,
    )
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return folder


def test_a_voice_is_a_direction(tmp_path: Path) -> None:
    encoder = load_speaker_encoder(str(save_speaker_encoder(tmp_path)))
    sounds = [np.random.default_rng(seed).normal(0, 0.1, 66_150).astype(np.float32) for seed in range(2)]
    one, other = (encoder.embed(wav, 44_100) for wav in sounds)
    assert one.shape == (24,)
    assert np.linalg.norm(one) == pytest.approx(1)
    np.testing.assert_allclose(one, encoder.embed(sounds[0], 44_100))
    both = mean_embedding(encoder, sounds, 44_100)
    np.testing.assert_allclose(both, (one + other) / np.linalg.norm(one + other), atol=1e-6)


def test_a_model_in_half_precision_is_computed_in_fp32(tmp_path: Path) -> None:
    import torch
    from transformers import WavLMForXVector

    folder = save_speaker_encoder(tmp_path)
    WavLMForXVector.from_pretrained(folder).half().save_pretrained(folder)
    encoder = XVector(str(folder))
    assert next(encoder.model.parameters()).dtype == torch.float32
    assert np.isfinite(encoder.embed(np.zeros(20_000, np.float32), 16_000)).all()


def test_another_model_is_refused(tmp_path: Path) -> None:
    from transformers import HubertConfig

    HubertConfig(architectures=["HubertModel"]).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"x-vector head(.|\n)*is a HubertModel"):
        XVector(str(tmp_path))
