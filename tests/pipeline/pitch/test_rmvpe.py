"""A narrow RMVPE with random weights: reading a user's file, refusals, and the decoding of salience."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.pitch import made_by, track
from svc.pipeline.pitch.rmvpe import Rmvpe, log_mel
from svc.pipeline.pitch.rmvpe_network import RmvpeNetwork, network_of
from svc.pipeline.pitch.salience import BINS, bin_hertz, local_average, viterbi, within_range
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.pitch.tracker import MissingLibraryError

RATE = 44_100


@pytest.fixture(scope="module")
def network() -> RmvpeNetwork:
    torch.manual_seed(0)
    made = RmvpeNetwork(width=2, levels=3, inner=2, blocks=2, recurrent=8, bins=BINS)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]  # it keeps one
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return made.eval()


def noise(seconds: float) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(0).standard_normal(round(RATE * seconds))).astype(np.float32)


@pytest.mark.parametrize("form", ["pt", "safetensors", "in a dict"])
def test_a_file_of_the_user_is_read(tmp_path: Path, network: RmvpeNetwork, form: str) -> None:
    path = tmp_path / f"rmvpe.{'safetensors' if form == 'safetensors' else 'pt'}"
    state = network.state_dict()
    save_file(state, path) if form == "safetensors" else torch.save({"model": state} if "in" in form else state, path)
    settings = PitchSettings(f"rmvpe:{path}")
    f0 = track(noise(1.0), settings)
    assert f0.shape == (RATE // 512,)
    assert np.isfinite(f0).all()
    assert len(made_by(settings)["weights"]) == 64
    signal = noise(0.5)[:7_777]
    with torch.inference_mode():
        mel = log_mel(torch.from_numpy(signal))
        mel = torch.nn.functional.pad(mel[None], (0, -mel.shape[1] % 8), mode="reflect")
        truth = network(mel)[0, : 7_777 // 160 + 1].numpy()
    np.testing.assert_allclose(Rmvpe(str(path)).salience(signal), truth, atol=1e-6)


def test_the_released_sizes_have_the_released_number_of_tensors() -> None:
    """741 tensors, as RVC's rmvpe.pt has; compared with RVC's own network by its output when this was written."""
    with torch.device("meta"):
        made = RmvpeNetwork(width=16, levels=5, inner=4, blocks=4, recurrent=256, bins=360)
    assert len(made.state_dict()) == 741


def test_its_mel_is_torchaudio_s() -> None:
    from torchaudio.transforms import MelSpectrogram

    signal = torch.from_numpy(noise(0.5))
    mel = MelSpectrogram(
        16_000, 1024, hop_length=160, f_min=30.0, f_max=8000.0, n_mels=128, power=1.0, norm="slaney", mel_scale="htk"
    )
    torch.testing.assert_close(log_mel(signal), mel(signal).clamp(min=1e-5).log(), atol=1e-4, rtol=1e-4)


def test_without_a_file_it_says_what_to_do() -> None:
    with pytest.raises(MissingLibraryError, match=r"come with no package\n.*rmvpe:FOLDER/rmvpe\.pt; or take swift-f0"):
        track(noise(0.2), PitchSettings("rmvpe"))
    with pytest.raises(MissingLibraryError, match=r"rmvpe\.pt of nobody/here is not on this machine"):
        track(noise(0.2), PitchSettings("rmvpe:nobody/here"))


def test_what_is_no_rmvpe_is_refused(tmp_path: Path, network: RmvpeNetwork) -> None:
    state = network.state_dict()
    wrong = {
        "expected the tensors of RMVPE; found a dict of a": {"a": torch.ones(1)},
        "expected .* as cnn.bias; found nothing": {k: v for k, v in state.items() if k != "cnn.bias"},
        r"expected \(3,\) as cnn.bias; found \(7,\)": {**state, "cnn.bias": torch.ones(7)},
        "1 tensors are not of RMVPE: more": {**state, "more": torch.ones(1)},
        "expected 1 to 64 levels of the encoder, .*; found 67": {
            **state,
            **{f"unet.encoder.layers.{i}.x": torch.ones(1) for i in range(67)},
        },
        "found a list": [1],
    }
    for number, (message, found) in enumerate(wrong.items()):
        path = tmp_path / f"{number}.pt"
        torch.save(found, path)
        with pytest.raises(MissingLibraryError, match=rf"RMVPE cannot be loaded from .*: {message}|.*{message}"):
            track(noise(0.2), PitchSettings(f"rmvpe:{path}"))
    os.mkfifo(tmp_path / "fifo.pt")
    with pytest.raises(MissingLibraryError, match="found a FIFO"):
        track(noise(0.2), PitchSettings(f"rmvpe:{tmp_path / 'fifo.pt'}"))
    pitch._trackers.clear()


def test_weights_in_half_precision_are_computed_in_float32(network: RmvpeNetwork) -> None:
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }
    assert {p.dtype for p in network_of(half).parameters()} == {torch.float32}


# Salience


def bump(hertz: float, height: float = 0.8) -> NDArray[np.float32]:
    """Salience around a frequency, as CREPE is taught: 25 cents wide."""
    cents = 1200 * np.log2(bin_hertz() / hertz)
    return (height * np.exp(-(cents**2) / (2 * 25**2))).astype(np.float32)


def test_the_local_average_is_finer_than_the_bins() -> None:
    hertz = np.array([55.0, 223.4, 440.0, 1234.5, 1990.0])
    salience = np.stack([bump(one) for one in hertz])
    found = local_average(salience, salience.argmax(1))
    assert np.abs(1200 * np.log2(found / hertz))[:-1].max() < 2
    assert np.abs(1200 * np.log2(found / hertz))[-1] < 25  # its other side lies beyond the last bin
    assert local_average(np.zeros((1, BINS), np.float32), np.array([5]))[0] == 0


def test_viterbi_does_not_follow_an_octave_of_one_frame() -> None:
    salience = np.stack([bump(220.0) for _ in range(9)])
    salience[4] = 0.7 * bump(220.0) + bump(440.0)
    assert salience[4].argmax() != salience[3].argmax()
    assert len(set(viterbi(salience))) == 1
    assert viterbi(salience[:1]).tolist() == [int(salience[0].argmax())]
    assert len(viterbi(salience[:0])) == 0


def test_viterbi_is_the_likeliest_path() -> None:
    """Against a search without vectors, over the first bins of random salience."""
    salience = np.random.default_rng(0).random((6, BINS)).astype(np.float32)
    weights = np.maximum(12 - np.abs(np.subtract.outer(np.arange(BINS), np.arange(BINS))), 0)
    odds = np.exp(salience.astype(np.float64))
    best, came = odds[0], []
    for frame in range(1, 6):
        reached = best[:, None] * weights
        came.append(reached.argmax(0))
        best = reached.max(0) * odds[frame]
    path = [int(best.argmax())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    assert viterbi(salience).tolist() == path[::-1]


def test_a_range_removes_the_bins_outside() -> None:
    salience = np.ones((2, BINS), np.float32)
    kept = bin_hertz()[within_range(salience, 100.0, 400.0)[0] > 0]
    assert 98 < kept.min() < 102
    assert 396 < kept.max() < 405
