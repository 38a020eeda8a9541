"""The table of units, on voices with a known true result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline.metrics.probes import probe_accuracy, purity
from svc.stages.settings import TrainSettings
from svc.stages.training.compare import compare
from svc.stages.training.corpus import gather_corpus
from svc.stages.training.labels import labels_of
from svc.stages.training.unit_kinds import of_kind
from svc.stages.training.unit_measures import parallel_songs
from svc.stages.training.unit_table import table
from svc.store import open_store


@pytest.fixture(scope="module")
def choirs(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> tuple[Path, Path]:
    """Two voices with songs of their own and labels beside them; and a store in which they sing the same."""
    from svc.pipeline import audio
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    root = tmp_path_factory.mktemp("choirs")
    for name, high in (("ann", True), ("ben", False)):
        voice = draw_voice(3, high=high, name=name)
        for corpus, seeds in (("own", [100 * high + n for n in range(3)]), ("same", [900])):
            folder = root / corpus / name
            folder.mkdir(parents=True)
            for number, seed in enumerate(seeds):
                score = draw_score("en", 2.5, seed)
                audio.write(folder / f"{number}.wav", sing(score, voice, seed))
                bounds = zip(score.phones, score.bounds[:-1], score.bounds[1:], strict=True)
                lines = [f"{start:.5f} {end:.5f} {phone}" for phone, start, end in bounds]
                (folder / f"{number}.lab").write_text("\n".join(lines) + "\n")
    for corpus in ("own", "same"):
        extract([root / corpus], root / f"{corpus}.zarr", ExtractSettings(encoder=str(encoder)))
    return root / "own.zarr", root / "same.zarr"


def test_labels_are_the_phones_that_sound(choirs: tuple[Path, Path]) -> None:
    for clip in open_store(choirs[1]):
        score = draw_score("en", 2.5, 900)
        begin = clip.row.start * 512 / 44_100
        times = begin + (np.arange(clip.row.unit_frames) + 0.5) * 0.02
        truth = [score.phones[int(np.searchsorted(score.bounds, t, "right")) - 1] for t in times]
        got = labels_of(clip)
        assert got is not None
        assert sum(a != b for a, b in zip(got, truth, strict=True)) <= 1  # a bound that was rounded


def test_a_line_that_is_no_label_is_named(choirs: tuple[Path, Path], tmp_path: Path) -> None:
    clip = open_store(choirs[0])[0]
    clip.utterance = dataclasses.replace(clip.utterance, corpus=str(tmp_path), source="x.wav")
    assert labels_of(clip) is None
    (tmp_path / "x.lab").write_text("0.0 0.5 a\nhello\n")
    with pytest.raises(UserError, match=r"x.lab, line 2: expected `START END PHONE`.*'hello'"):
        labels_of(clip)


def test_the_table_says_what_is_known_and_goes_on_after_an_interruption(
    choirs: tuple[Path, Path], tmp_path: Path, train_settings: TrainSettings
) -> None:
    settings = dataclasses.replace(train_settings, steps=2, unit_steps=20, validate_every=2)
    lines = compare([choirs[0]], tmp_path / "c", settings, ["16", "hidden"], str(choirs[1]), "cpu")
    soft, hidden = lines
    assert (soft.units, hidden.units) == ("soft 16", "hidden")
    assert hidden.accuracy is None
    assert hidden.purity is None
    assert soft.accuracy is not None
    assert 0.1 < soft.accuracy < 1
    for line in lines:
        assert 0 < (line.speakers or 0) <= 1
        assert 0.1 < (line.phones or 0) < 1
        assert (line.distance_db or 0) > 1
        assert line.way is not None
        assert line.way < 1
    text = (tmp_path / "c" / "compare.md").read_text().splitlines()
    assert text == table(lines)
    assert text[0].count("|") == text[2].count("|") == 10
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "c").rglob("*.safetensors")}
    again = compare([choirs[0]], tmp_path / "c", settings, ["16", "hidden"], str(choirs[1]), "cpu")
    assert again == lines
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "c").rglob("*.safetensors")} == written
    assert [row["units"] for row in json.loads((tmp_path / "c" / "compare.json").read_text())] == ["soft 16", "hidden"]


def test_a_truth_without_songs_in_common_is_refused(choirs: tuple[Path, Path], store: Path) -> None:
    corpus = gather_corpus([open_store(choirs[0])], Progress())
    with pytest.raises(UserError, match="no song that two voices of ann, ben sing"):
        parallel_songs(str(store), corpus)
    pairs = parallel_songs(str(choirs[1]), corpus)
    assert {(a.speaker, b.speaker) for a, b in pairs} == {("ann", "ben"), ("ben", "ann")}
    for a, b in pairs:
        assert a.row.mel_frames == b.row.mel_frames
        both = (a.f0 > 0) & (b.f0 > 0)
        assert np.median(1200 * np.abs(np.log2(a.f0[both] / b.f0[both]))) < 20


def test_kinds_by_name() -> None:
    settings = TrainSettings()
    assert of_kind(settings, "512") == dataclasses.replace(settings, unit_dim=512)
    assert of_kind(settings, "linear-128") == dataclasses.replace(settings, units="linear", unit_dim=128)
    with pytest.raises(ValueError, match="'plenty' is no width and no kind"):
        of_kind(settings, "plenty")


def test_what_is_in_a_feature_is_told_and_what_is_not_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (3_000,), generator=generator)
    heard, deaf = torch.randn(4, 12, generator=generator)[labels], torch.zeros(3_000, 12)
    noise = torch.randn(3_000, 12, generator=generator)
    for features, low, high in ((heard + 0.3 * noise, 0.95, 1.0), (deaf + noise, 0.15, 0.35)):
        share = probe_accuracy((features[:2_000], labels[:2_000]), (features[2_000:], labels[2_000:]), 4)
        assert low <= share <= high


def test_purity_is_the_share_of_the_commonest_label() -> None:
    codes, labels = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([5, 5, 1, 2, 3, 3])
    assert purity(codes, labels) == pytest.approx((2 + 1 + 1) / 6)
