"""The embedded encoder is there, small, and an encoder: on singers that it never heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import svc.data
from svc.data.make_mini import FIRST_PROBE_SEED, Clip, augment, cluster, hidden_spans, mfcc, sing_clip
from svc.data.probe_mini import features_of, phones, random_like
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.registry import load_encoder

FOLDER = Path(svc.data.__file__).parent / "mini"


@pytest.fixture(scope="module")
def content() -> Hubert:
    found = load_encoder("mini")
    assert isinstance(found, Hubert)
    return found


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [sing_clip(FIRST_PROBE_SEED + 500 + number, 4.0) for number in range(36)]


def test_it_is_small_and_loads_from_any_folder(
    content: Hubert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 15e6
    monkeypatch.chdir(tmp_path)
    again = load_encoder("mini")
    assert again.fingerprint == content.fingerprint
    assert again.origin == "mini"
    assert (content.hidden_size, content.layers, content.normalize) == (256, 6, True)
    assert {p.dtype for p in content.model.parameters()} == {next(content.model.parameters()).dtype}
    assert str(next(content.model.parameters()).dtype) == "torch.float32"


def test_it_tells_phones_of_unseen_singers_better_than_mfccs_and_a_random_network_does_not(
    content: Hubert, clips: list[Clip]
) -> None:
    wavs = [clip.wav.astype(np.float32) / 32767 for clip in clips]

    def told(states: list[np.ndarray]) -> float:
        return phones(states[:24], states[24:], clips)

    mine, cepstra, chance = features_of(content), mfcc, features_of(random_like(content))
    score = told([mine(wav)["layer 6"] for wav in wavs])
    assert score > told([cepstra(wav) for wav in wavs]) + 0.05
    assert score > told([chance(wav)["layer 6"] for wav in wavs]) + 0.2


# What its training is made of


def test_what_is_heard_is_as_loud_as_ever_and_has_its_labels() -> None:
    clip = sing_clip(3, 6.0)
    for seed in range(4):
        wav, labels = augment(clip, np.random.default_rng(seed))
        assert wav.shape == (64_000,)
        assert labels.shape == (200,)
        assert wav.std() == pytest.approx(1, abs=1e-3)
        assert set(labels) <= set(clip.labels) | {0}
    again, _ = augment(clip, np.random.default_rng(0))
    np.testing.assert_array_equal(again, augment(clip, np.random.default_rng(0))[0])


def test_hidden_spans_are_spans_of_about_the_share_asked() -> None:
    hidden = np.stack([hidden_spans(200, 0.55, 10, np.random.default_rng(seed)) for seed in range(50)])
    assert 0.35 < hidden.mean() < 0.55  # spans overlap
    runs = np.diff(np.flatnonzero(np.diff(np.pad(hidden[0].astype(int), 1)) != 0))[::2]
    assert runs.min() >= 10


def test_mfccs_are_at_unit_frames_and_clusters_are_numbers_of_them() -> None:
    wavs = [np.random.default_rng(seed).normal(0, 0.1, 16_000 * 3).astype(np.float32) for seed in range(3)]
    features = [mfcc(wav) for wav in wavs]
    assert features[0].shape == (150, 39)
    codes = cluster(features, 0)
    assert [len(code) for code in codes] == [150] * 3
    assert max(code.max() for code in codes) < 100
