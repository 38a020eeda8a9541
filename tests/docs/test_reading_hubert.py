"""The statements of docs/reading-hubert.md about the Hugging Face code hold for the installed release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.network import EncoderSettings
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.frames import CONTENT_PAD, unit_frames
from torch import Tensor
from transformers import HubertConfig, HubertForCTC, HubertModel, Wav2Vec2FeatureExtractor
from transformers.models.hubert import modeling_hubert

PAGE = Path(__file__).parents[2] / "docs" / "reading-hubert.md"


def small(kind: str = "group", **other: Any) -> HubertModel:
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "conv_dim": [32] * 7,
        "num_conv_pos_embedding_groups": 4,
        "feat_extract_norm": kind,
        "do_stable_layer_norm": kind == "layer",
    }
    return HubertModel(HubertConfig(**{**config, **other})).eval()


def noise(samples: int, rows: int = 1) -> Tensor:
    return 0.1 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(3))


def apart(got: Tensor, truth: Tensor) -> float:
    return float((got - truth).norm() / truth.norm())


@torch.inference_mode()
def test_the_stops_have_the_sizes_of_the_table() -> None:
    with torch.device("meta"):
        model = HubertModel(HubertConfig())
    stops = (model.feature_extractor, model.feature_projection, model.encoder.pos_conv_embed, model.encoder.layers)
    millions = [sum(p.numel() for p in stop.parameters()) / 1e6 for stop in stops]
    assert millions == pytest.approx([4.2, 0.4, 4.7, 85.1], abs=0.06)
    x = torch.empty(1, 1, 16_000 + 2 * CONTENT_PAD, device="meta")
    lengths = [(x := layer(x)).shape[-1] for layer in model.feature_extractor.conv_layers]
    assert lengths == [3215, 1607, 803, 401, 200, 100, 50]


def test_every_class_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(Hubert\w+)`", PAGE.read_text("utf-8")))
    assert len(named) >= 15
    assert not {name for name in named if not hasattr(modeling_hubert, name)}


def test_padding_counts_in_the_feature_extractor_unless_there_is_a_mask() -> None:
    clips = [noise(samples)[0].numpy() for samples in (16_000, 48_000)]
    loudness = {}
    for masked in (False, True):
        extractor = Wav2Vec2FeatureExtractor(return_attention_mask=masked, do_normalize=True)
        short = extractor(clips, sampling_rate=16_000, padding=True, return_tensors="np")["input_values"][0]
        loudness[masked] = float(np.std(short[:16_000]))
    assert loudness[True] == pytest.approx(1, abs=1e-3)
    assert loudness[False] == pytest.approx(np.sqrt(3), abs=0.02)  # "1.7 times"


def test_the_front_end_is_of_the_classes_said() -> None:
    names = [type(layer).__name__ for layer in small().feature_extractor.conv_layers]
    assert names == ["HubertGroupNormConvLayer"] + ["HubertNoLayerNormConvLayer"] * 6
    assert {type(layer).__name__ for layer in small("layer").feature_extractor.conv_layers} == {
        "HubertLayerNormConvLayer"
    }


@torch.inference_mode()
@pytest.mark.parametrize(("kind", "mended"), [("group", False), ("layer", True)])
def test_an_attention_mask_mends_a_batch_of_large_models_alone(kind: str, mended: bool) -> None:
    model, clips = small(kind), [noise(24_000)[0], noise(48_000)[0]]
    alone = model(clips[0][None]).last_hidden_state[0]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    mask = (torch.arange(48_000) < torch.tensor([[24_000], [48_000]])).long()
    for given, exact in ((None, False), (mask, mended)):
        together = model(batch, attention_mask=given).last_hidden_state[0, : len(alone)]
        assert (apart(together, alone) < 1e-5) is exact
    content = Hubert(model, True, EncoderSettings("small", "small"))
    ours = content.encode_batch(clips, [4])[0][4]
    assert apart(ours, content.encode(clips[0], [4])[4]) < 1e-6


def test_frames_are_counted_as_said_and_a_clip_without_any_is_attended_to_whole() -> None:
    model = small()
    for samples in (400, 719, 720, 16_000, 16_080, 47_999):
        assert int(model._get_feat_extract_output_lengths(samples)) == (samples - 80) // 320
        assert int(model._get_feat_extract_output_lengths(samples + 80)) == unit_frames(samples)
    mask = (torch.arange(16_000) < torch.tensor([[16_000], [8_000], [399]])).long()
    assert model._get_feature_vector_attention_mask(49, cast(torch.LongTensor, mask)).sum(1).tolist() == [49, 24, 49]


def test_spans_cover_what_is_said() -> None:
    np.random.seed(0)  # what transformers draws with
    for share, covered in ((0.05, 0.049), (0.8, 0.57)):
        spans = [modeling_hubert._compute_mask_indices((1, 1000), share, 10, min_masks=2).mean() for _ in range(100)]
        assert np.mean(spans) == pytest.approx(covered, abs=0.01)


@torch.inference_mode()
def test_named_frames_are_hidden_in_eval_mode_too() -> None:
    model, wav = small(), noise(16_000)
    hidden = torch.zeros(1, 49, dtype=torch.bool)
    hidden[:, 10:20] = True
    plain = model(wav).last_hidden_state
    assert apart(model(wav, mask_time_indices=hidden).last_hidden_state, plain) > 0.05
    model.config.apply_spec_augment = False
    assert torch.equal(model(wav, mask_time_indices=hidden).last_hidden_state, plain)


@torch.inference_mode()
def test_training_mode_is_noise_and_loses_layers(tmp_path: Path) -> None:
    model, wav = small(num_hidden_layers=12, layerdrop=0.5), noise(16_000)
    plain = model(wav, output_hidden_states=True)
    assert len(plain.hidden_states) == 13
    model.save_pretrained(tmp_path)
    assert HubertModel(model.config).training
    assert not HubertModel.from_pretrained(tmp_path).training
    model.train()
    torch.manual_seed(0)
    lively = model(wav, output_hidden_states=True)
    assert len(lively.hidden_states) < 13
    assert apart(lively.last_hidden_state, plain.last_hidden_state) > 0.05


@torch.inference_mode()
def test_the_positional_convolution_reaches_64_back_and_63_ahead() -> None:
    embedding = small().encoder.pos_conv_embed
    assert embedding.get_parameter("conv.parametrizations.weight.original0").shape == (1, 1, 128)
    still = torch.zeros(1, 400, 64)
    pulse = still.clone()
    pulse[0, 200] = 1
    heard = (embedding(pulse) - embedding(still)).abs().sum(-1)[0].nonzero()[:, 0] - 200
    assert (int(heard.min()), int(heard.max())) == (-63, 64)  # frames that a pulse changes: 63 before it, 64 after


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["group", "layer"])
def test_the_indices_of_hidden_states_are_those_said(kind: str) -> None:
    model, wav = small(kind), noise(16_000)
    out = model(wav, output_hidden_states=True)
    x = model.feature_projection(model.feature_extractor(wav).transpose(1, 2))
    x = x + model.encoder.pos_conv_embed(x)
    x = x if kind == "layer" else model.encoder.layer_norm(x)
    assert apart(out.hidden_states[0], x) < 1e-6
    for i in range(1, 5):
        x = model.encoder.layers[i - 1](x)
        x = x if isinstance(x, Tensor) else x[0]
        if i < 4:  # the last differed between releases: therefore the page recommends last_hidden_state
            assert apart(out.hidden_states[i], x) < 1e-6
    last = model.encoder.layer_norm(x) if kind == "layer" else x
    assert apart(out.last_hidden_state, last) < 1e-6


def test_a_model_with_letters_loads_as_an_encoder(tmp_path: Path) -> None:
    model = HubertForCTC(small().config)
    model.save_pretrained(tmp_path)
    loaded = load_encoder(str(tmp_path))
    assert isinstance(loaded, Hubert)
    truth = model.hubert.state_dict()
    assert all(torch.equal(tensor, truth[name]) for name, tensor in loaded.model.state_dict().items())
