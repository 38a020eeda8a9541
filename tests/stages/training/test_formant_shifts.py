"""Formant-shifted columns: hidden states with another vocal tract, for training, and for conversions back to the
recording.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from svc.common.progress import Progress
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.formant_shift import shift_formants
from svc.stages.extraction.extract import extract
from svc.stages.features import Waveform, formant_shift_of, hidden_column
from svc.stages.run import Run
from svc.stages.settings import ExtractSettings, TrainSettings
from svc.stages.training import conversion_probe as probing
from svc.stages.training.acoustic_task import AcousticTask
from svc.stages.training.conversion_tasks import FRAMES
from svc.stages.training.corpus import Corpus, gather_corpus
from svc.stages.training.crops import Augmentation, Crops, CropSpec, completed
from svc.stages.training.distributed import DistributedContext
from svc.stages.training.train import train
from svc.store import open_store

COLUMNS = {-3: "hidden_down3/4", 4: "hidden_up4/4"}


@pytest.fixture(scope="module")
def formant_shifted(tmp_path_factory: pytest.TempPathFactory, store: Path, corpus: Path) -> Path:
    """The store, with two formant-shifted columns added."""
    path = tmp_path_factory.mktemp("warped") / "s.zarr"
    shutil.copytree(store, path)
    report = extract([corpus], path, ExtractSettings(formant_shifts=(-3, 4)))
    assert sorted(report.cells) == sorted(COLUMNS.values())  # and nothing else was computed
    return path


@pytest.fixture
def voices(formant_shifted: Path) -> Corpus:
    return gather_corpus([open_store(formant_shifted)], Progress())


def test_a_column_s_name_says_its_warp() -> None:
    for semitones, name in COLUMNS.items():
        assert hidden_column(4, semitones) == name
        assert formant_shift_of(name) == (semitones, 4)
    assert hidden_column(12) == "hidden/12"
    assert [formant_shift_of(name) for name in ("hidden/12", "mel_up/4", "mel", "soft")] == [None] * 4


def test_a_warped_voice_is_what_the_encoder_hears_of_another_throat(voices: Corpus, encoder: Path) -> None:
    from svc.pipeline import audio

    content, clip = load_encoder(str(encoder), "cpu"), voices.train[0]
    recording = audio.scan(Path(clip.utterance.corpus, clip.utterance.source))
    for semitones, name in COLUMNS.items():
        wave = Waveform.read(recording, clip.row.start, clip.row.end).shift_formants(semitones)
        truth = content.encode(torch.from_numpy(wave.at(16_000)), (4,))[4].numpy()
        got = clip.read(name).astype(np.float32)
        assert np.linalg.norm(got - truth) < 1e-2 * np.linalg.norm(truth)
        assert np.linalg.norm(got - clip.hidden(4)) > 2e-2 * np.linalg.norm(truth)


def test_new_recordings_get_the_warps_that_the_store_has(tmp_path: Path, formant_shifted: Path, corpus: Path) -> None:
    shutil.copytree(formant_shifted, tmp_path / "s.zarr")
    wav = (corpus / "bass" / "phrase_0.wav").read_bytes()
    (tmp_path / "more" / "carl").mkdir(parents=True)
    (tmp_path / "more" / "carl" / "new.wav").write_bytes(wav[:-8_000])
    extract([tmp_path / "more"], tmp_path / "s.zarr", ExtractSettings())
    clips = list(open_store(tmp_path / "s.zarr"))
    assert "carl/new" in {clip.id for clip in clips}
    assert not any(clip.missing() for clip in clips)


def test_half_of_the_crops_hear_a_warped_voice_and_their_mel_stays(voices: Corpus) -> None:
    assert voices.formant_shifts("hidden/4") == COLUMNS
    assert voices.formant_shifts("hidden/2") == {}
    clip = voices.train[0]
    crops = Crops([clip], [clip.speaker], "hidden/4", 60, 20, 0, Augmentation({}, 0.0, COLUMNS))
    drawn = [cut.formant_shift for step in range(20) for cut in crops.specs(step)]
    assert set(drawn) == {0, -3, 4}
    assert 0.4 < drawn.count(0) / len(drawn) < 0.6
    plain, up = (crops.read(CropSpec(clip, 10, 50, formant_shift=formant_shift)) for formant_shift in (0, 4))
    first, last = clip.mel2ph[10] - 1, clip.mel2ph[49]
    np.testing.assert_array_equal(up["hidden"], clip.read("hidden_up4/4", first, last).astype(np.float32))
    for name in ("mel", "f0", "mel2ph", "loudness"):
        np.testing.assert_array_equal(up[name], plain[name])


def test_what_is_drawn_without_warps_is_what_was_drawn_before_there_were_any(store: Path) -> None:
    clips = gather_corpus([open_store(store)], Progress()).train
    plain, with_warps = (
        Crops(clips, ["alto", "bass"], "hidden/4", 60, 8, 0, Augmentation({}, 6.0, formant_shifts))
        for formant_shifts in ({}, COLUMNS)
    )
    for step in range(5):
        assert plain.specs(step) == [dataclasses.replace(cut, formant_shift=0) for cut in with_warps.specs(step)]


def test_a_warp_undone_is_one_and_a_copy_of_what_was_put_in_is_zero(
    tmp_path: Path,
    formant_shifted: Path,
    voices: Corpus,
    train_settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train([formant_shifted], tmp_path / "r", train_settings, only="units")
    task = AcousticTask(Run.open(tmp_path / "r"), voices, DistributedContext("cpu"))
    probe = task.probe
    assert (
        len({(cut.clip.id, cut.formant_shift) for cut in probe.inversions})
        == len(probe.inversions)
        == 2 * len(probe.tasks)
    )
    assert {cut.formant_shift for cut in probe.inversions} == {-3, 4}

    collated = completed(probe.formant_shifted.collate(probe.inversions, FRAMES), "cpu")
    arrays = {name: value.numpy() for name, value in collated.items()}

    def recorded(*_: object) -> torch.Tensor:
        return torch.from_numpy(arrays["mel"])

    def put_in(*_: object) -> torch.Tensor:
        rows = zip(arrays["mel"], arrays["f0"] * arrays["voiced"], probe.inversions, strict=True)
        return torch.from_numpy(np.stack([shift_formants(mel, f0, cut.formant_shift) for mel, f0, cut in rows]))

    for drawn, truth in ((recorded, 1.0), (put_in, 0.0)):
        monkeypatch.setattr(probing, "sample", drawn)
        assert probe.formant_inversion(task.average, task.projection) == pytest.approx(truth, abs=1e-5)


def test_a_run_logs_it_and_keeps_to_the_columns_that_it_began_with(
    tmp_path: Path, formant_shifted: Path, store: Path, corpus: Path, train_settings: TrainSettings
) -> None:
    settings = dataclasses.replace(train_settings, steps=4, validate_every=2, unit_steps=10, schedule="constant")
    train([formant_shifted], tmp_path / "r", settings)
    for line in map(json.loads, (tmp_path / "r" / "log.jsonl").read_text().splitlines()):
        shares = [line[name] for name in ("content", "speaker", "pitch", "variance")]
        assert line["score"] == pytest.approx(np.prod(shares) ** 0.25 * max(0, line["formant_inversion"]), abs=1e-3)
    shutil.copytree(store, tmp_path / "s.zarr")
    begun, whole = (tmp_path / name for name in ("begun", "whole"))
    train([tmp_path / "s.zarr"], whole, settings)
    train([tmp_path / "s.zarr"], begun, dataclasses.replace(settings, steps=2))
    extract([corpus], tmp_path / "s.zarr", ExtractSettings(formant_shifts=(-3, 4), pitch_shifts=(2,)))
    train([tmp_path / "s.zarr"], begun, settings)
    assert (begun / "last.safetensors").read_bytes() == (whole / "last.safetensors").read_bytes()
