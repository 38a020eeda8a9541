"""Rendering and training give the acoustic model the same input: the same recording makes the same batch in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from svc.pipeline.diffusion.batch import PADDING, Batch, collate, condition_inputs
from svc.stages.rendering import mel_predictor
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import RenderSettings
from svc.stages.training.crops import Crops, to_batch
from svc.store import open_store
from torch import Tensor


def test_a_recording_makes_the_same_batch_in_training_and_in_rendering(
    run: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Run.open(run)
    clip = next(clip for clip in open_store(store) if clip.speaker == "bass")
    crops = Crops([clip], opened.speakers, opened.config.unit_column.name, clip.row.mel_frames, 1, seed=0)
    trained = to_batch(crops.whole(clip, clip.row.mel_frames), opened.load_units()[1], "cpu")
    given: list[Batch] = []

    def spy(model: object, batch: Batch, *_: object) -> Tensor:
        given.append(batch)
        return torch.zeros(*batch.mask.shape, 128)

    monkeypatch.setattr(mel_predictor, "sample", spy)
    settings = RenderSettings(speaker="bass", retrieve=0.0, precision="fp32", vocoder="plain", key=0.0)
    converter = RunConverter(opened, settings)
    wav, rate = soundfile.read(Path(clip.utterance.corpus) / clip.utterance.source, dtype="float32")
    frames = -(-len(wav) // 512)
    f0 = np.zeros(frames, np.float32)
    f0[clip.row.start : clip.row.end] = clip.f0
    converter.convert(wav, rate, f0=f0, measured=False)
    (rendered,) = given
    assert rendered.mask.shape == trained.mask.shape
    for name in ("mel2ph", "f0", "voiced", "mask", "speaker"):
        torch.testing.assert_close(getattr(rendered, name), getattr(trained, name), rtol=0, atol=0, msg=name)
    torch.testing.assert_close(rendered.loudness, trained.loudness, rtol=0, atol=1e-3)
    units = rendered.units.shape[1]
    torch.testing.assert_close(rendered.units, trained.units[:, :units], rtol=0, atol=0.02)


def test_padding_is_silent_and_unvoiced() -> None:
    f0, loudness = np.array([0, 220, 0, 440], np.float32), np.full(4, -20, np.float32)
    long = {**condition_inputs(np.array([1, 1, 2, 2]), f0, loudness), "units": torch.ones(2, 3)}
    short = {**condition_inputs(np.array([1]), f0, loudness[:1], slice(0, 1)), "units": torch.ones(1, 3)}
    batch = collate([long, short])
    assert batch["mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert batch["f0"][0].tolist() == pytest.approx([220, 220, 220 * 2**0.5, 440])  # bridged in log f0
    assert batch["f0"][1].tolist() == pytest.approx([220, *[PADDING["f0"]] * 3])  # bridged before it was cut
    assert batch["voiced"][1].tolist() == [0, 0, 0, 0]
    assert batch["loudness"][1].tolist() == [-20, -100, -100, -100]
    assert batch["mel2ph"][1].tolist() == [1, 0, 0, 0]
    assert batch["units"][1].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert collate([short], frames=3, unit_frames=5)["units"].shape == (1, 5, 3)
