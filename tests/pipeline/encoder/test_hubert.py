"""Small HuBERTs of random weights: tests beyond test_conformance.py."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from svc.pipeline.checkpoints import hub
from svc.pipeline.checkpoints.fingerprint import weights_hash
from svc.pipeline.encoder.batches import batches
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.network import EncoderError, EncoderSettings
from svc.pipeline.encoder.registry import load_encoder, looks_like_path, short_names
from svc.pipeline.full_precision import full_precision
from torch import Tensor
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

LAYERS = (0, 1, 2, 3)
KINDS = ["group", "layer"]


def build(kind: str, seed: int = 0, **other: Any) -> HubertModel:
    """`group` is made like HuBERT base, `layer` like HuBERT large with its stable layer norm."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "conv_dim": [64] * 7,
        "num_conv_pos_embeddings": 32,
        "num_conv_pos_embedding_groups": 8,
        "feat_extract_norm": kind,
        "do_stable_layer_norm": kind == "layer",
        "conv_bias": kind == "layer",
    }
    model = HubertModel(HubertConfig(**{**settings, **other}))
    with torch.no_grad():  # norms and biases as trained ones have, not all 1 and 0
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def save(model: HubertModel, folder: Path, normalize: bool | None = None) -> str:
    model.save_pretrained(folder)
    if normalize is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": normalize}))
    return str(folder)


def load_hubert(name: str) -> Hubert:
    found = load_encoder(name)
    assert isinstance(found, Hubert)
    return found


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As extract's workers have it, and many times faster beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=KINDS)
def content(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Hubert:
    return load_hubert(save(build(request.param), tmp_path_factory.mktemp(request.param)))


def clips(*seconds: float) -> list[Tensor]:
    """Noise whose loudness swells and fades, so that a clip's statistics are not those of its neighbours."""
    generator, made = torch.Generator().manual_seed(4), []
    for index, length in enumerate(seconds):
        count = round(16_000 * length)
        swell = torch.linspace(0, 3.14, count).sin() ** 2 + 0.05
        made.append(0.3 / (index + 1) * swell * torch.randn(count, generator=generator) + 0.02 * index)
    return made


def batch(wavs: list[Tensor]) -> tuple[Tensor, Tensor]:
    return torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True), torch.tensor([len(wav) for wav in wavs])


def apart(got: Tensor, truth: Tensor) -> float:
    assert got.shape == truth.shape
    return float((got - truth).norm() / truth.norm())


def test_a_batch_without_masks_would_not_do() -> None:
    """The fault of the test above is detectable: plain zero padding changes a short clip."""
    model, (short, long) = build("group"), clips(1.0, 3.0)
    with torch.inference_mode():
        alone = model(short[None]).last_hidden_state[0]
        padded = model(batch([short, long])[0]).last_hidden_state[0, : len(alone)]
    assert apart(padded, alone) > 1e-2


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_transformers_on_the_padded_clip(tmp_path: Path, kind: str, normalize: bool) -> None:
    model, (wav,) = build(kind), clips(1.3)
    wav = 0.05 * wav + 0.01
    got = load_hubert(save(model, tmp_path, normalize)).encode(wav, LAYERS)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalize)
    heard = torch.from_numpy(np.asarray(extractor(wav.numpy(), sampling_rate=16_000).input_values[0]))
    with torch.inference_mode():
        truth = model(F.pad(heard[None], (40, 40)), output_hidden_states=True)
    for layer in LAYERS[:-1]:
        assert apart(got[layer], truth.hidden_states[layer][0]) < 1e-5
    assert apart(got[3], truth.last_hidden_state[0]) < 1e-5


def test_frame_i_hears_what_sounds_around_its_20_milliseconds() -> None:
    """A click moves layer 0's convolutions only in the frames whose 25 ms hold it: (i + 0.5) * 320 +- 200."""
    model = build("layer")
    quiet = torch.zeros(16_000)
    click = quiet.clone()
    click[320 * 20 + 160] = 1.0
    with torch.inference_mode():
        features = [model.feature_extractor(F.pad(w[None], (40, 40)))[0] for w in (quiet, click)]
    moved = (features[0] - features[1]).abs().sum(0).nonzero()[:, 0].tolist()
    assert moved == [20]
    assert features[0].shape[1] == 50


@pytest.mark.parametrize("kind", KINDS)
def test_do_normalize_is_read_from_the_preprocessor(tmp_path: Path, kind: str) -> None:
    model = build(kind)
    assert load_hubert(save(model, tmp_path / "yes", True)).normalize
    assert not load_hubert(save(model, tmp_path / "no", False)).normalize
    assert load_hubert(save(model, tmp_path / "unsaid")).normalize


def test_normalised_features_do_not_hear_gain_or_offset(tmp_path: Path) -> None:
    model, (wav,) = build("layer"), clips(1.0)
    normed, plain = (load_hubert(save(model, tmp_path / str(on), on)) for on in (True, False))
    changed = 0.3 * wav + 0.1
    assert apart(normed.encode(changed, [3])[3], normed.encode(wav, [3])[3]) < 1e-3
    assert apart(plain.encode(changed, [3])[3], plain.encode(wav, [3])[3]) > 1e-3


def test_what_it_says_of_itself(content: Hubert) -> None:
    """Existing stores contain this description: a changed one would not match them."""
    assert content.describe() == {
        "kind": "hubert",
        "sha256": weights_hash(content.model),
        "hidden_size": 96,
        "layers": 3,
        "normalize": True,
        "sample_rate": 16_000,
        "hop": 320,
        "pad": 40,
    }
    assert Path(content.origin).is_absolute()
    assert not any(parameter.requires_grad for parameter in content.model.parameters())


# Batches


@given(st.lists(st.integers(320, 500_000), max_size=60), st.integers(1, 2_000_000))
def test_every_clip_is_in_one_batch_that_is_within_the_budget_or_alone(lengths: list[int], budget: int) -> None:
    plan = batches(lengths, budget)
    assert sorted(index for together in plan for index in together) == list(range(len(lengths)))
    for together in plan:
        assert len(together) == 1 or len(together) * max(lengths[index] for index in together) <= budget
    assert plan == batches(lengths, budget)
    shortest_first = [min(lengths[index] for index in together) for together in plan]
    assert shortest_first == sorted(shortest_first, reverse=True)


def test_clips_of_one_length_fill_batches() -> None:
    assert batches([100] * 10, 400) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches([50, 1000, 50], 100) == [[1], [0, 2]]
    assert batches([], 100) == []


def plain(content: Hubert, wav: Tensor) -> list[Tensor]:
    """Every hidden state of a clip, as transformers computes it."""
    if content.normalize:
        wav = (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)
    with torch.inference_mode():
        out = content.model(F.pad(wav[None], (40, 40)), output_hidden_states=True)
    return [state[0] for state in (*out.hidden_states[:-1], out.last_hidden_state)]


@pytest.mark.parametrize("offset", [0.0, 0.3])
@pytest.mark.parametrize("gain", [1e-4, 1.0])
def test_quiet_and_offset_clips_are_those_of_transformers(gain: float, offset: float) -> None:
    """Clips so soft that the group norm's eps matters, and with an offset that hides the signal."""
    content = Hubert(build("group"), False, EncoderSettings("test", "test"))
    (wav,) = clips(1.0)
    truth = plain(
        Hubert(content.model.double(), False, EncoderSettings("test", "test")), (gain * wav + offset).double()
    )
    content = Hubert(build("group"), False, EncoderSettings("test", "test"))
    for layer, state in content.encode(gain * wav + offset, LAYERS).items():
        assert apart(state, truth[layer].float()) < (1e-4 if offset > 100 * gain else 1e-5)


def test_layers_beyond_the_deepest_asked_for_are_not_computed(content: Hubert) -> None:
    called: list[int] = []
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: called.append(number))
        for number, layer in enumerate(content.model.encoder.layers, 1)
    ]
    (wav,) = clips(0.5)
    truth = content.encode(wav, LAYERS)
    for asked in ([0], [1], [2, 0], [3]):
        called.clear()
        for layer, state in content.encode(wav, asked).items():
            assert torch.equal(state, truth[layer])
        assert called == list(range(1, max(asked) + 1))
    for hook in hooks:
        hook.remove()


# Precision


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_group_norm_counts_in_full_precision(precision: str) -> None:
    """A thousand times quieter than an offset: sums in 16 bits would lose the signal."""
    content = Hubert(build("group"), False, EncoderSettings("test", "test", "cpu", precision))
    (wav,) = clips(4.0)
    wav = 1e-2 * wav + 0.2
    assert apart(content.encode(wav, [0])[0], plain(content, wav)[0]) < 3e-2


def test_a_model_too_loud_for_fp16_is_encoded_all_the_same() -> None:
    """A feed-forward beyond 65504, as users of Chinese HuBERT report, not a pretended one."""
    model = build("group")
    with torch.no_grad():
        model.get_parameter("encoder.layers.1.feed_forward.output_dense.bias")[5] = 1e5
    content, wavs = Hubert(model, True, EncoderSettings("test", "test", "cpu", "fp16")), clips(0.5, 0.6)
    found = content.encode_batch(wavs, LAYERS)
    assert content.redone == 2
    for wav, states in zip(wavs, found, strict=True):
        truth = plain(content, wav)
        assert all(apart(states[layer], truth[layer]) < 1e-5 for layer in LAYERS)


def test_float32_is_exact_whatever_the_process_is_set_to(content: Hubert) -> None:
    """On CPUs with bfloat16, PyTorch may use it for float32 if allowed; on others this test is trivial."""
    (wav,) = clips(2.0)
    truth = plain(content, wav)
    torch.set_float32_matmul_precision("medium")
    try:
        found = content.encode(wav, LAYERS)
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"  # type: ignore[attr-defined]  # not in torch's stubs
    finally:
        torch.set_float32_matmul_precision("highest")
    assert all(apart(found[layer], truth[layer]) < 1e-5 for layer in LAYERS)


def test_full_precision_lasts_until_the_last_pass_ends() -> None:
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
    try:
        first, second = full_precision(), full_precision()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert matmul.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


# Threads and copies


# What is refused


def test_a_folder_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(EncoderError, match=r"expected a folder with config\.json and model\.safetensors"):
            load_encoder(str(folder))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    save(build("group"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "sew"}))
    with pytest.raises(EncoderError, match="is a 'sew' model; expected one of hubert"):
        load_encoder(str(tmp_path))


def test_an_encoder_with_another_hop_is_refused(tmp_path: Path) -> None:
    save(build("group", conv_stride=[5, 2, 2, 2, 2, 2, 1]), tmp_path)
    with pytest.raises(EncoderError, match="a frame every 160 samples; 320 are expected"):
        load_encoder(str(tmp_path))


def test_convolutions_that_skip_samples_are_refused(tmp_path: Path) -> None:
    save(build("group", conv_dim=[64, 64], conv_kernel=[10, 2], conv_stride=[20, 16]), tmp_path)
    with pytest.raises(EncoderError, match="skip samples"):
        load_encoder(str(tmp_path))


def test_a_hub_name_without_a_network_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)
    with pytest.raises(EncoderError, match="hf download nobody/no-such-hubert"):
        load_encoder("nobody/no-such-hubert")


def test_paths_and_hub_ids_are_told_apart() -> None:
    for path in ("./hubert", "/data/hubert", "~/hubert", "encoders", "a/b/c"):
        assert looks_like_path(path)
    for meant in short_names().values():
        assert not looks_like_path(meant) or meant.startswith(("https://", "svc.data/"))


# The hub


def in_cache(cache: Path, hub_id: str, model: HubertModel, pickled: bool) -> None:
    """A model as the hub's client leaves it on the disk."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    folder = repository / "snapshots" / "0123"
    if pickled:
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")


@pytest.mark.parametrize("pickled", [False, True])
def test_a_model_of_the_hub_is_taken_from_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pickled: bool
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    in_cache(tmp_path, "facebook/hubert-base-ls960", build("group"), pickled)
    for name in ("en", "facebook/hubert-base-ls960"):
        found = load_encoder(name, allow_hub=False)
        assert (found.name, found.origin) == (name, "facebook/hubert-base-ls960")
        assert found.fingerprint == weights_hash(build("group"))


@pytest.mark.parametrize("name", ["nobody/no-such-hubert", "ko", "hubert-soft"])
def test_no_request_is_made_for_a_name_that_the_user_did_not_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def request(*_: object, **__: object) -> None:
        raise AssertionError("a request was made")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", request)
    monkeypatch.setattr(socket, "socket", request)
    monkeypatch.setattr(torch.hub, "download_url_to_file", request)
    with pytest.raises(EncoderError, match="nothing is downloaded for a name that comes from a file"):
        load_encoder(name, allow_hub=False)


# The fingerprint


def old_names(model: HubertModel) -> dict[str, Tensor]:
    """The state as in files on the hub, where the weight norm's parts are called weight_g and weight_v."""
    return {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in model.state_dict().items()
    }


def test_the_fingerprint_is_that_of_the_weights_in_every_form_of_file(tmp_path: Path) -> None:
    model = build("group")
    truth = weights_hash(model)
    whole, shards, pickled = (tmp_path / name for name in ("whole", "shards", "pickled"))
    model.save_pretrained(whole)
    model.save_pretrained(shards, max_shard_size="300KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    model.config.save_pretrained(pickled)
    torch.save(old_names(model), pickled / "pytorch_model.bin")
    for folder in (whole, shards, pickled):
        assert load_encoder(str(folder)).fingerprint == truth
    assert weights_hash(build("group")) == truth


def test_the_fingerprint_tells_one_changed_weight() -> None:
    seen = {weights_hash(build("group")), weights_hash(build("group", seed=1))}
    for name in ("encoder.layers.2.final_layer_norm.bias", "feature_projection.projection.weight"):
        model = build("group")
        with torch.no_grad():
            model.get_parameter(name).view(-1)[5] += 1e-6
        seen.add(weights_hash(model))
    assert len(seen) == 4


def test_saving_a_loaded_encoder_is_refused_nothing(tmp_path: Path) -> None:
    """Encoding leaves the model as it was: saved again it is the same encoder."""
    first = load_hubert(save(build("group"), tmp_path / "first", False))
    first.encode(clips(0.6)[0], [2])
    second = load_hubert(save(first.model, tmp_path / "second", False))
    (wav,) = clips(0.6)
    assert second.fingerprint == first.fingerprint
    assert torch.equal(second.encode(wav, [2])[2], first.encode(wav, [2])[2])
