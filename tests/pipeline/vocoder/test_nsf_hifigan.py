"""OpenVPI's checkpoints: compared with the reference's output, and synthesis in pieces with synthesis at once."""

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from svc.pipeline.pitch import pitch
from svc.pipeline.vocoder import nsf_hifigan as module
from svc.pipeline.vocoder.excitation import phase_at_starts
from svc.pipeline.vocoder.nsf_hifigan import Generator, NsfHifiGan, Shape, chirp, sines
from svc.pipeline.vocoder.nsf_hifigan_files import fold_weight_norm, load
from svc.pipeline.vocoder.vocoder import VocoderError

RATE, HOP = 44_100, 512


def small(mini: bool, noise_sigma: float = 0.0, bf16: bool = False) -> NsfHifiGan:
    torch.manual_seed(0)
    shape = Shape((8, 8, 2, 2, 2), (16, 16, 4, 4, 4), 32, (3, 7, 11), ((1, 3, 5),) * 3, 128, RATE, mini, noise_sigma)
    generator = Generator(shape)
    for parameter in generator.parameters():  # large enough that every layer has an effect
        parameter.data *= 2.0
    return NsfHifiGan(generator, {}, bf16=bf16)


def test_nsf_gives_the_references_waveform(shared: Path) -> None:
    vocoder = load(shared / "fixtures" / "nsf_hifigan")
    case = np.load(shared / "fixtures" / "nsf_hifigan" / "case.npz")
    f0 = case["f0"][0].astype(np.float64)
    waves, _ = sines(f0, phase_at_starts(f0 * HOP / RATE), np.zeros(9))
    wav = vocoder.generator(torch.from_numpy(case["mel"]), torch.from_numpy(waves)[None])
    assert vocoder.name == "nsf-hifigan"
    assert np.abs(case["wav"]).max() > 0.01
    np.testing.assert_allclose(wav.numpy(), case["wav"], atol=1e-4)


def test_pc_nsf_gives_the_references_waveform(shared: Path) -> None:
    vocoder = load(shared / "fixtures" / "pc_nsf_hifigan")
    case = np.load(shared / "fixtures" / "pc_nsf_hifigan" / "case.npz")
    start = case["f0"][0].astype(np.float64)
    end = np.append(start[1:], start[-1])
    cycles = (64 * start + 0.5 * (end - start) * 63) / (RATE / 8)
    source = chirp(start, end, phase_at_starts(cycles), 64, RATE / 8)
    wav = vocoder.generator(torch.from_numpy(case["mel"]), torch.from_numpy(source)[None])
    assert vocoder.name == "pc-nsf-hifigan"
    assert np.abs(case["wav"]).max() > 0.01
    np.testing.assert_allclose(wav.numpy(), case["wav"], atol=1e-4)


def test_the_nine_noises_are_mixed_to_their_power() -> None:
    """The noise that is drawn once has the same level after the mix as nine noises."""
    vocoder, frames = small(False), 200
    weight = vocoder.generator.m_source.l_linear.weight.detach().numpy()[0]
    source = vocoder._sines(np.zeros(frames, np.float32))(0, frames)
    mixed = weight @ source
    assert source.dtype == np.float32
    assert mixed.std() == pytest.approx(module.NOISE_UNVOICED * np.linalg.norm(weight), rel=0.02)


@pytest.mark.parametrize("mini", [False, True])
def test_bf16_is_as_exact_as_its_eight_bits(mini: bool) -> None:
    mel = np.random.default_rng(0).normal(-4, 2, (60, 128)).astype(np.float32)
    exact, rough = (small(mini, bf16=bf16)(mel, np.full(60, 220, np.float32)) for bf16 in (False, True))
    assert exact.dtype == rough.dtype == np.float32
    assert 0 < np.linalg.norm(rough - exact) < 0.05 * np.linalg.norm(exact)


@pytest.mark.parametrize(("mini", "sigma"), [(False, 0.0), (True, 0.0), (True, 0.1)])
def test_pieces_are_as_the_whole(mini: bool, sigma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = small(mini, sigma)
    generator = np.random.default_rng(0)
    frames = 300
    mel = generator.normal(-4, 2, (frames, 128)).astype(np.float32)
    f0 = np.where(np.arange(frames) % 90 < 70, 200 + 50 * np.sin(np.arange(frames) / 20), 0).astype(np.float32)
    at_once = vocoder(mel, f0)
    monkeypatch.setattr("svc.pipeline.vocoder.vocoder.PIECE", 64)
    mels = mel[:100], mel[100:101], mel[101:]
    assert [len(piece) for piece in vocoder.generate(iter(mels), f0)] == [64 * HOP] * 4 + [44 * HOP]
    assert np.abs(at_once).max() > 0.01
    np.testing.assert_allclose(np.concatenate(list(vocoder.stream(iter(mels), f0))), at_once, atol=1e-5)


@pytest.mark.parametrize("mini", [False, True])
def test_the_source_sounds_at_the_f0_asked_for(mini: bool) -> None:
    """Its strongest partial, counted over a glide: cycles turned are the integral of f0."""
    vocoder = small(mini)
    seconds = (np.arange(200) + 0.5) * HOP / RATE
    f0 = (150 * 2**seconds).astype(np.float32)
    source = (vocoder._mini(f0) if mini else vocoder._sines(f0))(0, 200)[0]
    source = np.convolve(source, np.ones(9), "same")  # its hiss would cross zero by itself
    crossings = np.flatnonzero((source[:-1] < 0) & (source[1:] >= 0))
    rate = RATE / 8 if mini else RATE
    at = (crossings[1:] + crossings[:-1] + 1) / 2 / rate
    middle = slice(10, -10)
    smooth = np.convolve(rate / np.diff(crossings), np.ones(15) / 15, "same")
    truth = np.convolve(150 * 2**at, np.ones(15) / 15, "same")
    cents = 1200 * np.log2(smooth / truth)[middle]
    assert np.abs(np.median(cents)) < 3


@pytest.mark.parametrize("spelling", ["old", "new"])
def test_weight_norm_is_folded_as_pytorch_does(spelling: str) -> None:
    torch.manual_seed(1)
    plain = torch.nn.ConvTranspose1d(4, 3, 8, 4)
    if spelling == "new":
        normed = torch.nn.utils.parametrizations.weight_norm(plain)
    else:
        normed = torch.nn.utils.weight_norm(plain)
    folded = fold_weight_norm({name: value * 1.5 for name, value in normed.state_dict().items()})
    for value in normed.state_dict().values():
        value.mul_(1.5)
    again = torch.nn.ConvTranspose1d(4, 3, 8, 4)
    again.load_state_dict(folded)
    x = torch.randn(1, 4, 9)
    torch.testing.assert_close(again(x), normed(x))


def test_another_mel_is_refused_with_the_difference(shared: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shared / "fixtures" / "nsf_hifigan", tmp_path / "v", copy_function=shutil.copyfile)
    folder.chmod(0o755)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "fmax": 22050, "n_fft": 1024}))
    with pytest.raises(VocoderError, match=r"n_fft: 1024 there, 2048 here\n  fmax: 22050 there, 16000.0 here"):
        load(folder)


def test_what_is_no_vocoder_is_refused_with_what_is_expected(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(VocoderError, match="no vocoder at"):
        load(tmp_path / "none")
    with pytest.raises(VocoderError, match="0 checkpoints"):
        load(tmp_path)
    (tmp_path / "model.ckpt").write_bytes(b"torn")
    with pytest.raises(VocoderError, match=r"no config\.json beside it"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(VocoderError, match=r"config\.json is no vocoder's"):
        load(tmp_path)
    shutil.copyfile(shared / "fixtures" / "nsf_hifigan" / "config.json", tmp_path / "config.json")
    with pytest.raises(VocoderError, match="cannot be read"):
        load(tmp_path)
    torch.save({"model": {}}, tmp_path / "model.ckpt")
    with pytest.raises(VocoderError, match="holds a dict of model"):
        load(tmp_path)
    shutil.copyfile(shared / "fixtures" / "pc_nsf_hifigan" / "model.ckpt", tmp_path / "model.ckpt")
    with pytest.raises(VocoderError, match=r"does not fit its config\.json"):
        load(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("pwned"),))


def test_nothing_in_a_checkpoint_runs(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(shared / "fixtures" / "nsf_hifigan" / "config.json", tmp_path / "config.json")
    torch.save({"generator": {"x": Evil()}}, tmp_path / "model.ckpt")
    with pytest.raises(VocoderError):
        load(tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_initial_channel": 20_000}, "does not fit its config.json: .* expected"),
        ({"upsample_initial_channel": 10**9}, "upsample_initial_channel is '1000000000'; expected a whole number"),
        ({"upsample_rates": [1] * 10_000}, "upsample_rates is"),
        ({"resblock_dilation_sizes": [[1] * 100_000]}, "resblock_dilation_sizes is"),
        ({"upsample_rates": "8"}, "upsample_rates is"),
        ({"num_mels": None}, "it has no num_mels"),
        ({"resblock": "2"}, "resblock is '2'; expected one of 1"),
        ({"upsample_initial_channel": 33}, "cannot be halved"),
    ],
)
def test_a_config_that_asks_for_too_much_is_refused_before_memory_is(
    shared: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """20,000 channels took 12.8 GB before they were compared with the file's tensors."""
    folder = shutil.copytree(shared / "fixtures" / "nsf_hifigan", tmp_path / "v", copy_function=shutil.copyfile)
    folder.chmod(0o755)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VocoderError, match=message):
        load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("name", ["model.ckpt", "config.json"])
def test_a_pipe_is_not_waited_for(shared: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(shared / "fixtures" / "nsf_hifigan", tmp_path / "v", copy_function=shutil.copyfile)
    folder.chmod(0o755)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(VocoderError, match="FIFO"):
        load(folder)


def test_pc_nsf_is_given_f0_without_gaps() -> None:
    f0 = np.array([0, 0, 220, 220, 0, 0, 440, 0], np.float32)
    assert pitch.continuous(f0).min() > 0
    source = small(True)._mini(f0)(0, 8)
    assert source.shape == (1, 8 * 64)
    assert np.abs(source[:, :64]).max() > 0.5
    assert module.CONTEXT > 15
