from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.pipeline.projection import gather
from svc.stages import checkpoint
from svc.stages.run import Run, at_work
from svc.stages.settings import PRESETS, TrainSettings
from svc.stages.settings.choice import replaced
from svc.stages.training.acoustic_task import TIE, AcousticTask
from svc.stages.training.corpus import gather_corpus
from svc.stages.training.crops import Augmentation, Crops, CropSpec, Tensors, completed
from svc.stages.training.distributed import DistributedContext
from svc.stages.training.train import train
from svc.store import open_store


def weights(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / "last.safetensors")[0]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_held_out_is_not_trained_on_and_stays_so(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    held, trained = ({c.id for c in clips} for clips in (corpus.held_out, corpus.train))
    assert not held & trained
    assert {c.speaker for c in corpus.held_out} == set(corpus.speakers) == {"alto", "bass"}
    assert {c.id for c in gather_corpus([open_store(store)], Progress()).held_out} == held


def test_a_batch_depends_on_seed_and_step_alone(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    a, b = (Crops(corpus.train, corpus.speakers, "hidden/4", 60, 4, seed=3) for _ in range(2))
    a.batch(0)  # what was drawn before does not matter
    for name, value in a.batch(7).items():
        np.testing.assert_array_equal(value, b.batch(7)[name])
    assert not np.array_equal(a.batch(7)["mel"], a.batch(8)["mel"])


def test_a_crop_s_units_are_those_that_sound_in_it(store: Path) -> None:
    """Gathered through the crop's own mel2ph, they equal the whole clip's gathered, then cut."""
    clip = open_store(store)[3]
    crops = Crops([clip], [clip.speaker], "hidden/4", 60, 1, seed=0)
    whole = torch.from_numpy(clip.hidden(4).astype(np.float32))[None]
    everywhere = gather(whole, torch.from_numpy(clip.mel2ph.astype(np.int64))[None])[0]
    for start in (0, 1, 37, clip.row.mel_frames - 60):
        crop = completed(crops.collate([CropSpec(clip, start, start + 60)]), "cpu")
        units = gather(crop["hidden"], crop["mel2ph"])[0]
        torch.testing.assert_close(units, everywhere[start : start + 60])


def test_clips_shorter_than_a_crop_are_used_whole_and_masked(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    longest = max(c.row.mel_frames for c in corpus.train)
    batch = Crops(corpus.train, corpus.speakers, "hidden/4", longest + 100, 6, seed=0).batch(0)
    lengths = batch["mask"].sum(1).int().tolist()
    assert set(lengths) <= {c.row.mel_frames for c in corpus.train}
    for row, length in enumerate(lengths):
        assert (batch["mel2ph"][row, :length] > 0).all()
        assert (batch["mel2ph"][row, length:] == 0).all()


def test_training_needs_neither_encoder_nor_recordings(
    tmp_path: Path, store: Path, corpus: Path, encoder: Path, train_settings: TrainSettings
) -> None:
    """In a process where nothing of transformers can be imported, from a copy of the store alone."""
    shutil.copytree(store, tmp_path / "s.zarr")
    settings = dataclasses.asdict(dataclasses.replace(train_settings, steps=2, unit_steps=5))
    code = (
        "import sys; sys.modules['transformers'] = None; from pathlib import Path; import dataclasses\n"
        "from svc.stages.training.train import train; from svc.stages.settings import TrainSettings\n"
        "from svc.common.records import read_record\n"
        f"train([Path('s.zarr')], Path('run'), read_record(TrainSettings, {settings!r}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_it_learns(run: Path) -> None:
    import json

    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60]
    first, second, third = (line["held_out"] for line in lines)
    assert first > second > third
    _, metadata = checkpoint.load(run / "units.safetensors")
    assert metadata["accuracy"] > 3 * metadata["chance"]
    assert (run / "held_out.png").read_bytes().startswith(b"\x89PNG")


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path: Path, store: Path, run: Path, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: stopped in step 30, of which 10 are lost, and in 41, where one is."""
    real, seen = AcousticTask.train_step, []

    def interrupted(self: AcousticTask, step: int, tensors: Tensors) -> torch.Tensor:
        if step in (30, 41) and step not in seen:
            seen.append(step)
            raise KeyboardInterrupt
        return real(self, step, tensors)

    monkeypatch.setattr(AcousticTask, "train_step", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train([store], tmp_path / "r", train_settings)
    train([store], tmp_path / "r", train_settings)
    assert seen == [30, 41]
    assert equal(weights(tmp_path / "r"), weights(run))
    assert (tmp_path / "r" / "log.jsonl").read_text() == (run / "log.jsonl").read_text()


@pytest.mark.long  # test_kills.py kills a few times by default
def test_killed_again_and_again_equals_uninterrupted(
    tmp_path: Path, store: Path, run: Path, train_settings: TrainSettings
) -> None:
    code = (
        "import sys; from pathlib import Path; from svc.stages.training.train import train\n"
        "from svc.stages.settings import TrainSettings; from svc.common.records import read_record\n"
        f"train([Path({str(store)!r})], Path('r'), read_record(TrainSettings, {dataclasses.asdict(train_settings)!r}))"
    )
    kills = 0
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        # Kill as soon as something more is on disk than the last time: in the middle of writing, often.
        before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("r/*")}
        while process.poll() is None and {p: p.stat().st_mtime_ns for p in tmp_path.glob("r/[a-z]*")} == before:
            time.sleep(0.002)
        if process.poll() is not None or kills == 5:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.wait() == 0
    assert kills >= 3
    assert equal(weights(tmp_path / "r"), weights(run))


def test_a_run_is_not_mixed_with_other_settings_or_data(
    tmp_path: Path, store: Path, run: Path, corpus: Path, encoder: Path, train_settings: TrainSettings
) -> None:
    copy = tmp_path / "r"
    shutil.copytree(run, copy)
    with pytest.raises(UserError, match="channels: 64 in the run, 32 asked for"):
        train([store], copy, replaced(train_settings, {"channels": 32}))
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    extract([corpus / "alto"], tmp_path / "other.zarr", ExtractSettings(encoder=str(encoder)))
    with pytest.raises(UserError, match="other data"):
        train([tmp_path / "other.zarr"], copy, train_settings)


def test_stores_with_other_encoders_are_not_mixed(
    tmp_path: Path, store: Path, corpus: Path, train_settings: TrainSettings
) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    origin = open_store(store).columns["hidden/4"].origin
    extract([corpus / "alto"], tmp_path / "d.zarr", ExtractSettings(encoder=origin, f0="dio"))
    with pytest.raises(UserError, match="no column f0 made as in"):
        train([store, tmp_path / "d.zarr"], tmp_path / "r", train_settings)


def test_two_stores_are_trained_on_together(
    tmp_path: Path, corpus: Path, encoder: Path, train_settings: TrainSettings
) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    stores = []
    for voice in ("alto", "bass"):
        stores.append(tmp_path / f"{voice}.zarr")
        extract([corpus / voice], stores[-1], ExtractSettings(encoder=str(encoder)))
    train(stores, tmp_path / "r", dataclasses.replace(train_settings, steps=2))
    assert Run.open(tmp_path / "r").speakers == ["alto", "bass"]


def test_one_utterance_is_enough(tmp_path: Path, corpus: Path, encoder: Path, train_settings: TrainSettings) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    (tmp_path / "solo").mkdir()
    shutil.copy(corpus / "alto" / "phrase_0.wav", tmp_path / "solo")
    extract([tmp_path / "solo"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
    train([tmp_path / "s.zarr"], tmp_path / "r", dataclasses.replace(train_settings, steps=2))
    assert (tmp_path / "r" / "best.safetensors").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, store: Path, train_settings: TrainSettings) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a run"):
        train([store], tmp_path, train_settings)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_training_that_comes_apart_says_so_and_keeps_what_was_good(
    tmp_path: Path, store: Path, run: Path, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "r"
    shutil.copytree(run, copy)
    good = (copy / "last.safetensors").read_bytes(), (copy / "best.safetensors").read_bytes()
    real = AcousticTask.train_step

    def diverging(self: AcousticTask, step: int, tensors: Tensors) -> torch.Tensor:
        loss = real(self, step, tensors)
        with torch.no_grad():
            self.average.denoiser.output.weight.fill_(torch.nan)
        return loss

    monkeypatch.setattr(AcousticTask, "train_step", diverging)
    with pytest.raises(UserError, match="diverged before step 80"):
        train([store], copy, dataclasses.replace(train_settings, steps=80))
    assert ((copy / "last.safetensors").read_bytes(), (copy / "best.safetensors").read_bytes()) == good


def test_a_run_killed_in_its_first_write_is_begun_again(
    tmp_path: Path, store: Path, train_settings: TrainSettings
) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".run.json.123.partial").write_bytes(b"{")
    train([store], tmp_path / "r", train_settings, only="units")
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["lock", "run.json", "units.safetensors"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path, run: Path) -> None:
    for data in (b"", b"\x80\x04garbage", (run / "best.safetensors").read_bytes()[:-10]):
        (tmp_path / "c.safetensors").write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            checkpoint.load(tmp_path / "c.safetensors")


@pytest.mark.parametrize("change", [{"steps": 0}, {"objective": "gan"}, {"crop_seconds": 0.0}, {"precision": "fp8"}])
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change)).split("_")[0]):
        TrainSettings(**change)


def test_the_presets_have_the_sizes_that_they_say() -> None:
    assert PRESETS["tiny"].architecture.channels < PRESETS["base"].architecture.channels
    assert PRESETS["base"].architecture.channels < PRESETS["large"].architecture.channels


@pytest.mark.parametrize("objective", ["flow", "ddpm"])
def test_overfitting_one_crop_reaches_it(
    tmp_path: Path, store: Path, train_settings: TrainSettings, objective: str
) -> None:
    """With one clip to learn, the sampled mel comes close: its error in ln mel is under half of the first."""
    corpus = gather_corpus([open_store(store)], Progress())
    corpus = dataclasses.replace(corpus, train=corpus.train[:1], held_out=corpus.train[:1])
    depth = 0.3 if objective == "flow" else 0.1
    settings = dataclasses.replace(
        train_settings, objective=objective, shallow_depth=depth, steps=300, validate_every=300, ema=0.97
    )
    untrained = train([store], tmp_path / "r", dataclasses.replace(settings, steps=1)).mel_error
    for name in ("last", "best"):
        (tmp_path / "r" / f"{name}.safetensors").unlink()
    (tmp_path / "r" / "log.jsonl").unlink()
    run = Run.open(tmp_path / "r")
    run = Run(run.path, dataclasses.replace(run.config, settings=settings))
    task = AcousticTask(run, corpus, DistributedContext("cpu"))
    task.loop().fit(Progress())
    assert task.reconstruct() < 0.5 * untrained


# The input of training


def test_batches_have_one_shape(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    crops = Crops(corpus.train, corpus.speakers, "hidden/4", 10_000, 3, seed=0)
    shapes = {tuple((name, value.shape) for name, value in crops.batch(step).items()) for step in range(6)}
    assert len(shapes) == 1


def test_clips_are_drawn_in_proportion_to_their_length(store: Path) -> None:
    corpus = gather_corpus([open_store(store)], Progress())
    crops = Crops(corpus.train, corpus.speakers, "hidden/4", 60, 50, seed=0)
    seen = [cut.clip.id for step in range(60) for cut in crops.specs(step)]
    total = sum(clip.row.mel_frames for clip in corpus.train)
    for clip in corpus.train:
        share = clip.row.mel_frames / total
        assert seen.count(clip.id) / len(seen) == pytest.approx(share, abs=4 * (share / len(seen)) ** 0.5)


def test_a_louder_crop_is_louder_in_mel_and_loudness_alike(store: Path) -> None:
    clip = open_store(store)[3]
    crops = Crops([clip], [clip.speaker], "hidden/4", 60, 1, seed=0)
    plain, softer, louder = (
        {name: value[0].numpy() for name, value in completed(crops.collate([spec]), "cpu").items()}
        for spec in (CropSpec(clip, 20, 80, 0, gain) for gain in (0.0, -6.0, 60.0))
    )
    sounding = softer["mel"] > np.log(1e-5) + 0.01
    np.testing.assert_allclose((softer["mel"] - plain["mel"])[sounding], -6 * np.log(10) / 20, atol=1e-4)
    assert softer["mel"].min() >= np.float32(np.log(1e-5))
    np.testing.assert_allclose(softer["loudness"] - plain["loudness"], -6, atol=1e-4)
    assert louder["loudness"].max() == pytest.approx(-3, abs=1e-3)  # never so loud that it would clip


def test_a_shifted_crop_is_another_column_with_its_f0(tmp_path: Path, store: Path) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    corpus_folder = tmp_path / "c" / "alto"
    corpus_folder.mkdir(parents=True)
    source = Path(open_store(store).columns["hidden/4"].origin)
    from svc.data.singers.harmonic import VOICES, practice, sing
    from svc.pipeline import audio

    for number in range(2):
        audio.write(corpus_folder / f"{number}.wav", sing(practice(VOICES[0], 1.5, number), VOICES[0], number)[0])
    extract([tmp_path / "c"], tmp_path / "s.zarr", ExtractSettings(encoder=str(source), pitch_shifts=(-3, 4)))
    corpus = gather_corpus([open_store(tmp_path / "s.zarr")], Progress())
    assert corpus.pitch_shifts == {4: "mel_up/4", -3: "mel_down/3"}
    clip = corpus.train[0]
    crops = Crops([clip], [clip.speaker], "hidden/4", 60, 20, 0, Augmentation(corpus.pitch_shifts, 0.0))
    assert {cut.pitch_shift for step in range(5) for cut in crops.specs(step)} == {0, -3, 4}
    plain, up = (crops.read(CropSpec(clip, 10, 50, shift)) for shift in (0, 4))
    np.testing.assert_array_equal(up["mel"], clip.read("mel_up/4", 10, 50))
    np.testing.assert_allclose(up["f0"], plain["f0"] * 2 ** (4 / 12), rtol=1e-6)
    assert (int(plain["shift"]), int(up["shift"])) == (0, 4)
    np.testing.assert_array_equal(up["hidden"], plain["hidden"])


@pytest.mark.parametrize(("units", "width"), [("hidden", 256), ("linear", 48)])
def test_units_without_codes_are_trained_and_sung_with(
    tmp_path: Path, store: Path, song: Path, train_settings: TrainSettings, units: str, width: int
) -> None:
    from svc.stages.rendering.render_file import render_file
    from svc.stages.rendering.run_converter import RunConverter
    from svc.stages.settings import RenderSettings

    settings = dataclasses.replace(train_settings, units=units, unit_dim=48, steps=2, unit_steps=3)
    report = train([store], tmp_path / "r", settings)
    assert report.code_accuracy is None
    run = Run.open(tmp_path / "r")
    assert run.config.shape.unit_dim == 256
    assert run.new_model().condition.units.in_features == width
    render_file(RunConverter(run, RenderSettings(steps=2)), song, tmp_path / "sung.wav")
    assert (tmp_path / "sung.wav").exists()


def test_units_of_any_width_go_all_the_way(tmp_path: Path, store: Path, train_settings: TrainSettings) -> None:
    settings = dataclasses.replace(train_settings, unit_dim=1024, steps=2, unit_steps=3)
    train([store], tmp_path / "r", settings)
    model, _ = Run.open(tmp_path / "r").load_best("cpu")
    assert model.condition.units.in_features == 1024


def test_a_layer_that_is_not_stored_is_asked_for(tmp_path: Path, store: Path, train_settings: TrainSettings) -> None:
    with pytest.raises(UserError, match="add it: svc extract --layers 3"):
        train([store], tmp_path / "r", dataclasses.replace(train_settings, code_layer=3))
    with pytest.raises(UserError, match="extract --encoder hubert-soft"):
        train([store], tmp_path / "r", dataclasses.replace(train_settings, units="hubert-soft"))


def test_two_trainings_of_one_run_are_kept_apart(
    tmp_path: Path, store: Path, run: Path, train_settings: TrainSettings
) -> None:
    with at_work(run), pytest.raises(UserError, match="another svc train is at work"):
        train([store], run, train_settings)
    assert train([store], run, train_settings).steps == 60  # and it goes on once the other is done


def test_the_log_says_how_it_converts(run: Path) -> None:
    import json

    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for line in lines:
        shares = [line[name] for name in ("content", "speaker", "pitch", "variance")]
        assert all(0 <= share <= 1 for share in shares)
        assert line["score"] == pytest.approx(np.prod(np.maximum(shares, 1e-6)) ** 0.25, abs=1e-3)
    _, metadata = checkpoint.load(run / "best.safetensors")
    highest = max(line["score"] for line in lines)
    best = min((line for line in lines if line["score"] >= highest * (1 - TIE)), key=lambda line: line["held_out"])
    assert metadata["step"] == best["step"]


def test_tensorboard_has_numbers_pictures_and_sound(run: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tensorboard = event_accumulator.EventAccumulator(str(run / "tensorboard"))
    tensorboard.Reload()
    tags = tensorboard.Tags()
    assert {"loss", "held_out", "score", "pitch", "waited"} <= set(tags["scalars"])
    assert [event.step for event in tensorboard.Scalars("held_out")] == [20, 40, 60]
    assert len(tags["images"]) == len(tags["audio"]) == 1


def test_units_of_a_hubert_soft_are_trained_on_and_sung_with(
    tmp_path: Path,
    corpus: Path,
    encoder: Path,
    song: Path,
    train_settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is projected in training; in rendering the encoder's own head is."""
    from svc.pipeline.checkpoints.model_folder import ModelFolder
    from svc.pipeline.encoder.hubert import Hubert
    from svc.pipeline.encoder.network import EncoderSettings
    from svc.pipeline.projection import SoftHead
    from svc.stages.extraction.extract import extract
    from svc.stages.rendering.render_file import render_file
    from svc.stages.rendering.run_converter import RunConverter
    from svc.stages.settings import ExtractSettings, RenderSettings

    head = SoftHead.of(torch.randn(32, 256), torch.randn(32), torch.randn(10, 32))
    real = Hubert.from_folder

    def with_head(folder: ModelFolder, settings: EncoderSettings) -> Hubert:
        found = real(folder, settings)
        return Hubert(found.model, found.normalize, settings, head)

    with monkeypatch.context() as patched:
        patched.setattr(Hubert, "from_folder", with_head)
        extract([corpus / "alto"], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
        settings = dataclasses.replace(train_settings, units="hubert-soft", steps=2, unit_steps=3)
        assert train([tmp_path / "s.zarr"], tmp_path / "r", settings).code_accuracy is None
        run = Run.open(tmp_path / "r")
        assert run.config.shape.unit_dim == 32
        clip = open_store(tmp_path / "s.zarr")[0]
        hidden = torch.from_numpy(clip.hidden(run.config.unit_column.layer).astype(np.float32))
        sung_from = run.projection(head)(hidden).numpy()
        np.testing.assert_allclose(sung_from, clip.read("soft"), atol=0.02 * np.abs(sung_from).max())
        render_file(RunConverter(run, RenderSettings(steps=2)), song, tmp_path / "sung.wav")
    with pytest.raises(UserError, match="no soft head"):
        RunConverter(run, RenderSettings(steps=2))
