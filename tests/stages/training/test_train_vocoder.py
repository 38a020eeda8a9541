"""Our own vocoder is trained, resumed, used by render, and its errors are reported."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.pipeline import audio
from svc.pipeline.vocoder.vocoder import VocoderError
from svc.stages import checkpoint
from svc.stages.rendering.vocoders import load_vocoder
from svc.stages.run import LAST_VOCODER, VOCODER, Run, at_work
from svc.stages.run_format import read_config
from svc.stages.settings import VocoderSettings
from svc.stages.training.train_vocoder import train_vocoder
from svc.stages.training.waveforms import Recordings
from svc.store import open_store

SMALL = VocoderSettings(
    channels=16,
    layers=1,
    steps=8,
    batch=2,
    crop_seconds=0.3,
    discriminator_after=4,
    discriminator_channels=2,
    validate_every=2,
)


def new_run(path: Path, store: Path) -> Path:
    config = read_config(Path(__file__).parents[1] / "run_format_2.json")
    Run(path, dataclasses.replace(config, stores=(str(store),))).save()
    return path


class Killed(Progress):
    """Kills the training in its step `after`."""

    def __init__(self, after: int):
        self.left = after

    @contextmanager
    def bar(self, label: str, total: float, unit: str, done: float = 0) -> Iterator["Killed"]:
        self.counts = "training" in label
        yield self

    def advance(self, amount: float = 1) -> None:
        self.left -= self.counts
        if self.left == 0:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    run = new_run(tmp_path_factory.mktemp("vocoders") / "run", store)
    train_vocoder([store], run, SMALL)
    return run


def test_a_killed_training_goes_on_to_the_same_bytes(trained: Path, store: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", store)
    with pytest.raises(KeyboardInterrupt):
        train_vocoder([store], run, SMALL, progress=Killed(5))
    assert checkpoint.load(run / LAST_VOCODER)[1]["step"] == 4
    report = train_vocoder([store], run, SMALL)
    assert report.steps == 8
    assert (run / VOCODER).read_bytes() == (trained / VOCODER).read_bytes()
    lines = [json.loads(line) for line in (run / "vocoder.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    left = sorted(path.name for path in run.iterdir())
    assert left == sorted(["lock", "run.json", LAST_VOCODER, VOCODER, "vocoder.jsonl"])


def test_it_learns(store: Path, tmp_path: Path) -> None:
    """60 steps bring held-out sound nearer to the recordings than the first guess is."""
    settings = VocoderSettings(
        channels=32,
        layers=2,
        steps=60,
        batch=4,
        crop_seconds=0.4,
        discriminator_after=60,
        validate_every=60,
        ema=0.9,
        learning_rate=3e-3,
    )
    report = train_vocoder([store], new_run(tmp_path / "run", store), settings)
    assert report.mel_error < 0.95 * report.untrained_mel_error


def test_the_runs_own_is_taken_if_there_is_one(trained: Path, store: Path, tmp_path: Path) -> None:
    mel, f0 = np.full((40, 128), -4, np.float32), np.full(40, 200, np.float32)
    run = Run.open(trained)
    own = load_vocoder(None, run, "cpu")
    assert (own.name, own.metadata["step"]) == ("own", 8)
    for name in ("own", str(trained), str(trained / VOCODER)):
        assert load_vocoder(name, run, "cpu")(mel, f0).tobytes() == own(mel, f0).tobytes()
    for name in ("plain", "world"):
        assert load_vocoder(name, run, "cpu").name == name
    bare = Run.open(new_run(tmp_path / "bare", store))
    assert load_vocoder(None, bare, "cpu").name == "plain"
    with pytest.raises(VocoderError, match=r"no vocoder 'wrold': it is own .* plain or world"):
        load_vocoder("wrold", run, "cpu")
    with pytest.raises(VocoderError, match=r"no vocoder of its own yet(.|\n)*--only vocoder"):
        load_vocoder("own", bare, "cpu")


def test_one_for_another_mel_is_refused(trained: Path, tmp_path: Path) -> None:
    tensors, metadata = checkpoint.load(trained / VOCODER)
    metadata["mel"]["hop"] = 256
    checkpoint.save(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(VocoderError, match="hop: 256 there, 512 here"):
        load_vocoder(str(tmp_path / "other.safetensors"), Run.open(trained), "cpu")
    checkpoint.save(tmp_path / "no.safetensors", {}, {})
    with pytest.raises(VocoderError, match="is no vocoder of svc"):
        load_vocoder(str(tmp_path / "no.safetensors"), Run.open(trained), "cpu")


def test_other_settings_are_refused_but_more_steps_and_another_batch_are_not(
    trained: Path, store: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    with pytest.raises(UserError, match="channels: 16 in the run, 24 asked for"):
        train_vocoder([store], run, dataclasses.replace(SMALL, channels=24))
    assert train_vocoder([store], run, dataclasses.replace(SMALL, steps=9, batch=3)).steps == 9


def test_two_trainings_of_one_run_are_kept_apart(trained: Path, store: Path) -> None:
    with at_work(trained), pytest.raises(UserError, match="another svc train is at work"):
        train_vocoder([store], trained, SMALL)


def test_recordings_are_what_was_extracted(store: Path, tmp_path: Path) -> None:
    clips = list(open_store(store))
    recordings = Recordings(clips, tmp_path / "audio.npy", Progress())
    for number, clip in list(enumerate(clips))[::3]:
        path = Path(clip.utterance.corpus) / clip.utterance.source
        truth = audio.read(audio.scan(path), clip.row.start, clip.row.end)
        np.testing.assert_array_equal(recordings.read(number, 0, clip.row.mel_frames), truth)
    written = recordings.path.stat().st_mtime_ns
    Recordings(clips, tmp_path / "audio.npy", Progress())
    assert recordings.path.stat().st_mtime_ns == written  # what is decoded once is used again
    recordings.forget()
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_that_is_gone_or_changed_is_said(corpus: Path, encoder: Path, tmp_path: Path) -> None:
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    own = tmp_path / "corpus"
    shutil.copytree(corpus, own)
    extract([own], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))
    clips = list(open_store(tmp_path / "s.zarr"))
    first = own / clips[0].speaker / Path(clips[0].utterance.source).name
    wav, rate = soundfile.read(first)
    soundfile.write(first, wav / 2, rate)
    warned: list[str] = []

    class Told(Progress):
        def warn(self, text: str) -> None:
            warned.append(text)

    left = Recordings(clips, tmp_path / "audio.npy", Told()).clips
    assert len(left) == len(clips) - 1
    assert "it has changed since it was extracted" in warned[0]
    shutil.rmtree(own)
    with pytest.raises(UserError, match=r"8 recordings cannot be read(.|\n)*Put the corpus back"):
        train_vocoder([tmp_path / "s.zarr"], new_run(tmp_path / "run", tmp_path / "s.zarr"), SMALL)


def test_a_run_is_needed(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        train_vocoder([store], tmp_path / "none", SMALL)
