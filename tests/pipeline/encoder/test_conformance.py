"""What every content encoder must do, whatever is inside: small ones of random weights, saved to disk and loaded.

A new encoder adds its class to `svc.pipeline.encoder.registry` and an `Example` to `EXAMPLES`.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from svc.pipeline.checkpoints.model_folder import ModelFolder
from svc.pipeline.encoder import registry
from svc.pipeline.encoder.content import LEAST_BUDGET, ContentEncoder
from svc.pipeline.encoder.network import PRECISIONS, EncoderError, EncoderSettings, Network
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.encoder.whisper import SILENCE_SECONDS
from torch import Tensor, nn
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)


def lively(model: nn.Module) -> Any:
    """Norms and biases as trained ones have, not all 1 and 0."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@dataclass(frozen=True)
class Example:
    """A small encoder: `make(seed)` its model, `truth(model, wav)` all its hidden states of one clip, if known.

    `save` writes the model into a folder. `bounds` are the relative errors that the precisions may cost.
    """

    make: Callable[[int], Any]
    truth: Callable[[Any, Tensor], Sequence[Tensor]] | None
    save: Callable[[Any, Path], object] = lambda model, folder: model.save_pretrained(folder)
    bounds: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-5, "bf16": 3e-2, "fp16": 4e-3})


def hubert(kind: str, **other: Any) -> Callable[[int], HubertModel]:
    def make(seed: int) -> HubertModel:
        torch.manual_seed(seed)
        settings = {
            "hidden_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "conv_dim": [64] * len(other.get("conv_kernel", range(7))),
            "num_conv_pos_embeddings": 32,
            "num_conv_pos_embedding_groups": 8,
            "feat_extract_norm": kind,
            "do_stable_layer_norm": kind == "layer",
            "conv_bias": kind == "layer",
        }
        return lively(HubertModel(HubertConfig(**{**settings, **other})))

    return make


def normalized(wav: Tensor) -> Tensor:
    return (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)


def by_transformers(before: int, after: int | None = None) -> Callable[[Any, Tensor], list[Tensor]]:
    """All hidden states of transformers' own forward pass over the clip with zeros before and after it."""

    def truth(model: Any, wav: Tensor) -> list[Tensor]:
        with torch.inference_mode():
            out = model(
                F.pad(normalized(wav)[None], (before, before if after is None else after)), output_hidden_states=True
            )
        return [state[0] for state in (*out.hidden_states[:-1], out.last_hidden_state)]

    return truth


def of_family(model_class: Any, config_class: Any, kind: str | None, **other: Any) -> Callable[[int], Any]:
    """A small model of the wav2vec 2.0 family."""

    def make(seed: int) -> Any:
        torch.manual_seed(seed)
        norms = {} if kind is None else {"feat_extract_norm": kind, "do_stable_layer_norm": kind == "layer"}
        settings = {
            "hidden_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 96,
            "conv_dim": [48] * 7,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "conv_bias": kind == "layer",
            **norms,
        }
        return lively(model_class(config_class(**{**settings, **other})))

    return make


def whisper(seed: int) -> WhisperModel:
    """A small Whisper with a window of 15 s, whole, as it is published."""
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=64,
        encoder_layers=3,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        max_source_positions=750,
        vocab_size=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    return lively(WhisperModel(config))


def by_whisper(model: Any, wav: Tensor) -> list[Tensor]:
    """transformers' mel and encoder, on a window as long as ours: the clip and `SILENCE_SECONDS`, or the whole window.

    One hop of zeros goes before the clip and two mel frames are dropped, so that the next is centred at 10 ms.
    """
    window = min(len(wav) // 320 + round(50 * SILENCE_SECONDS), model.config.max_source_positions)
    extractor = WhisperFeatureExtractor(chunk_length=30)
    samples = F.pad(wav, (160, 0)).numpy()
    mel = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features[..., 2 : 2 + 2 * window]
    encoder = copy.deepcopy(model.encoder)
    encoder.config.max_source_positions = encoder.max_source_positions = window
    encoder.embed_positions = nn.Embedding.from_pretrained(model.encoder.embed_positions.weight[:window])
    with torch.inference_mode():
        out = encoder(mel, output_hidden_states=True)
    states = (*out.hidden_states[:-1], out.last_hidden_state)
    return [state[0, : len(wav) // 320] for state in states]


# An encoder that is in this file alone.


class LogSpectrum(ContentEncoder):
    """The log spectrum of the 400 samples around each centre, then products with random matrices."""

    model_type = "log-spectrum"
    short_names: ClassVar[Mapping[str, str]] = {"spectrum": "nobody/log-spectrum"}

    def __init__(self, weight: Tensor, settings: EncoderSettings):
        self.weight = weight
        super().__init__(settings, fingerprint=str(weight.double().sum().item()), hidden_size=201, layers=len(weight))

    @classmethod
    def from_folder(cls, folder: ModelFolder, settings: EncoderSettings) -> Self:
        return cls(folder.tensor("weight").float(), settings)

    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        return LogSpectrumNetwork(self.weight.to(device, dtype))


class LogSpectrumNetwork:
    bytes_per_sample = 4.0 * 400

    def __init__(self, weight: Tensor):
        self.weight = weight

    def __call__(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        steps = F.pad(wavs, (40, 40)).unfold(1, 400, 320)
        states = [torch.log(torch.fft.rfft(steps).abs() + 1e-2).to(self.weight.dtype)]
        for weight in self.weight:
            states.append(torch.tanh(states[-1] @ weight))
        return {layer: states[layer] for layer in layers}


def save_spectrum(weight: Tensor, folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "log-spectrum"}))
    save_file({"weight": weight}, folder / "model.safetensors")


EXAMPLES = {
    "hubert, group norm": Example(hubert("group"), by_transformers(40)),
    "hubert, layer norm": Example(hubert("layer"), by_transformers(40)),
    "hubert, long first window": Example(
        hubert("layer", conv_kernel=[400, 3, 3], conv_stride=[160, 1, 2], num_hidden_layers=4), by_transformers(360)
    ),
    "hubert, odd receptive field": Example(
        hubert("group", conv_kernel=[11, 3, 3, 3, 3, 2, 2], conv_bias=True), by_transformers(40, 41)
    ),
    "wav2vec 2.0, group norm": Example(of_family(Wav2Vec2Model, Wav2Vec2Config, "group"), by_transformers(40)),
    "wav2vec 2.0, layer norm": Example(of_family(Wav2Vec2Model, Wav2Vec2Config, "layer"), by_transformers(40)),
    "wavlm, group norm": Example(of_family(WavLMModel, WavLMConfig, "group"), by_transformers(40)),
    "wavlm, layer norm": Example(
        of_family(WavLMModel, WavLMConfig, "layer", num_buckets=32, max_bucket_distance=64), by_transformers(40)
    ),
    "data2vec": Example(
        of_family(Data2VecAudioModel, Data2VecAudioConfig, None, num_conv_pos_embeddings=3), by_transformers(40)
    ),
    "whisper": Example(whisper, by_whisper),
    "an encoder of this file": Example(
        lambda seed: torch.randn(2, 201, 201, generator=torch.Generator().manual_seed(seed)) / 14, None, save_spectrum
    ),
}


@dataclass(frozen=True)
class Subject:
    example: Example
    model: Any
    folder: Path
    encoder: ContentEncoder

    @property
    def layers(self) -> range:
        return range(self.encoder.layers + 1)

    def truth(self, wav: Tensor) -> Sequence[Tensor]:
        if self.example.truth is None:
            pytest.skip("no other implementation of this encoder")
        return self.example.truth(self.model, wav)

    def at(self, precision: str) -> ContentEncoder:
        return load_encoder(str(self.folder), "cpu", precision)


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    """`LogSpectrum` is known for as long as these tests run."""
    registry.register(LogSpectrum)
    yield
    registry.ENCODERS.remove(LogSpectrum)


@pytest.fixture(scope="module", params=EXAMPLES)
def subject(registered: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    example = EXAMPLES[request.param]
    model, folder = example.make(0), tmp_path_factory.mktemp("encoders") / "saved"
    example.save(model, folder)
    return Subject(example, model, folder, load_encoder(str(folder)))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As extract's workers have it, and many times faster beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clips(*seconds: float) -> list[Tensor]:
    """Noise whose loudness swells and fades, so that a clip's statistics are not those of its neighbours."""
    generator, made = torch.Generator().manual_seed(4), []
    for index, length in enumerate(seconds):
        count = round(16_000 * length)
        swell = torch.linspace(0, math.pi, count).sin() ** 2 + 0.05
        made.append(0.3 / (index + 1) * swell * torch.randn(count, generator=generator) + 0.02 * index)
    return made


def apart(got: Tensor, truth: Tensor) -> float:
    """Relative L2 distance."""
    assert got.shape == truth.shape
    return float((got - truth).norm() / truth.norm())


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


# The registry


def test_a_registered_encoder_is_found_by_its_names() -> None:
    assert registry.short_names()["spectrum"] == "nobody/log-spectrum"
    with pytest.raises(EncoderError, match=r"encoder 'spectrum' \(nobody/log-spectrum\) is not on this machine"):
        load_encoder("spectrum")


def test_names_are_given_once() -> None:
    with pytest.raises(ValueError, match="of model_type 'log-spectrum' is registered already"):
        registry.register(LogSpectrum)
    with pytest.raises(ValueError, match="the encoder name 'spectrum' is registered already"):
        registry.register(type("Other", (LogSpectrum,), {"model_type": "other"}))


def test_extraction_takes_a_registered_encoder(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, corpus: Path
) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings
    from svc.store import open_store

    example = EXAMPLES["an encoder of this file"]
    example.save(example.make(0), tmp_path / "spectrum")
    settings = ExtractSettings(encoder=str(tmp_path / "spectrum"), layers=(1, 2), f0="dio")
    assert not extract([corpus / "alto"], tmp_path / "s.zarr", settings).refused
    store = open_store(tmp_path / "s.zarr")
    assert store.columns["hidden/2"].settings["encoder"]["kind"] == "log-spectrum"
    assert store[0].hidden(2).shape == (store[0].row.unit_frames, 201)
