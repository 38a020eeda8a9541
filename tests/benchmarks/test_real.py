"""Parts of benchmarks/real.py, on synthetic voices and stand-ins for the models of speech."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from svc.pipeline.frames import MEL_RATE
from svc.stages.evaluation.speech_models import SpeechModels
from svc.stages.evaluation.speech_scores import SpeechScores, WordScore

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAN = float("nan")


def benchmark(name: str) -> ModuleType:
    """A module of benchmarks/."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def real() -> ModuleType:
    return benchmark("real")


@pytest.fixture(scope="module")
def recordings() -> ModuleType:
    return benchmark("real_recordings")


class Recogniser:
    """Transcribes a recording as one letter for each half second, by its loudness."""

    source, name, multilingual = "tiny", "tiny", True

    def language(self, phrases: list[np.ndarray], rate: int) -> str:
        return "en"

    def __call__(self, phrases: list[np.ndarray], rate: int, language: str) -> str:
        halves = [half for wav in phrases for half in np.array_split(wav, max(1, len(wav) // (rate // 2)))]
        return "".join(chr(97 + min(25, int(50 * np.abs(half).mean()))) for half in halves)


class Voices:
    """Embeds a recording by its peak."""

    source = "peaks"

    def embed(self, wav: np.ndarray, rate: int) -> np.ndarray:
        peak = float(np.abs(wav).max())
        return np.array([np.cos(peak), np.sin(peak)])


class Quality:
    source = "quality"

    def overall(self, wav: np.ndarray, rate: int) -> float:
        return 3.0


def stand_ins(*_: object) -> SpeechModels:
    return SpeechModels([Recogniser()], Voices(), None, Quality())  # type: ignore[list-item, arg-type]  # stand-ins


def test_it_converts_scores_and_writes(
    real: ModuleType, run: Path, corpus: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One song converted to one voice by an existing run: the four rows beside it, tables, figures, and a page."""
    monkeypatch.setattr(real.SpeechModels, "load", stand_ins)
    monkeypatch.setattr(benchmark("real_recordings"), "SECONDS", 3.0)
    arguments = ["--source", song, "--target", f"alto={corpus / 'alto'}", "--run", f"mine={run}", "--render", "steps=2"]
    real.main([str(tmp_path / "out"), *map(str, arguments)])
    rows = json.loads((tmp_path / "out" / "real.json").read_text("utf-8"))
    systems, systems_module = [row["system"] for row in rows], benchmark("real_systems")
    assert systems[:3] == [systems_module.SOURCE, systems_module.VOCODED, systems_module.NEAREST]
    assert systems[3].startswith("mine, step ")
    assert systems[4] == real.OWN
    source = rows[0]["clips"][0]
    assert source["words"][0]["cer"] == 0
    assert source["secs"] == source["source_secs"]
    assert all(row["clips"][0]["dnsmos"] == 3 for row in rows)
    page = (tmp_path / "out" / "real.html").read_text("utf-8")
    assert page.count("<audio") == 4
    assert "median CER (tiny)" in page
    assert "| system | CER (tiny) |" in (tmp_path / "out" / "real.md").read_text("utf-8")


def test_rates_over_one_count_as_one_and_unknown_ones_do_not_count(real: ModuleType) -> None:
    words = [WordScore("w", cer, NAN, "", "", None) for cer in (0.2, 3.0, NAN)]
    row = real.Row("a", "song", "b", [SpeechScores((word,), secs=0.5) for word in words])
    figures = row.figures(["w", "other"])
    assert figures["CER (w)"] == pytest.approx(0.6)
    assert figures["median CER (w)"] == pytest.approx(0.6)
    assert np.isnan(figures["CER (other)"])
    assert figures["SECS"] == pytest.approx(0.5)


def test_the_recordings_that_it_names_are_there(recordings: ModuleType, shared: Path) -> None:
    sources = recordings.shared_sources(shared / "audio")
    targets = recordings.shared_targets(shared / "audio")
    assert all(source.path.exists() for source in sources)
    assert all(folder.is_dir() for folder in targets.values() if "*" not in folder.name)
    short = [source.kind for source in sources if source.short]
    assert (short.count("speech"), short.count("song")) == (3, 2)
    assert all(target not in source.path.parts for source in sources for target in targets)
    assert [source.name for source in sources if source.name.startswith("ja_f_song070")] == ["ja_f_song070_004"]
    assert len(sources[-1].samples()) == recordings.SECONDS * MEL_RATE


def test_the_targets_own_clips_have_words_by_their_transcripts(
    real: ModuleType, recordings: ModuleType, corpus: Path, tmp_path: Path
) -> None:
    """The recogniser's own error: 0 where it transcribes what transcripts.tsv has."""
    clips = sorted((corpus / "alto").iterdir())[:2]
    folder = recordings.own_folder("voice", clips[0].parent / f"{clips[0].stem[:-1]}*", tmp_path)
    copied = [path.stem for path in sorted(folder.iterdir())]
    assert folder == tmp_path / "voice"
    assert clips[0].stem in copied
    right = Recogniser()([recordings.read(clips[0])], MEL_RATE, "en")
    (folder / "transcripts.tsv").write_text(f"{clips[0].stem}\t{right}\n", "utf-8")
    target = recordings.open_target("voice", folder, stand_ins())
    assert target.texts[copied.index(clips[0].stem)] == right
    assert target.texts.count(None) == len(copied) - 1
    row = real.own_row(target, stand_ins())
    assert row.figures(["tiny"])["CER (tiny)"] == 0
    assert row.figures(["tiny"])["SECS"] == pytest.approx(target.voice.own_secs)


def test_recognisers_are_made_from_packages_or_named_by_hub_id(
    recordings: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "MODEL_MAKER", tmp_path / "absent.py")
    assert recordings.default_recognisers(tmp_path) == ["openai/whisper-base", "openai/whisper-tiny.en"]
    maker = tmp_path / "models.py"
    maker.write_text(
        "import pathlib, sys\n"
        "assert sys.argv[2:] == ['whisper-base', 'tiny.en']\n"
        "for name in ('whisper-base', 'whisper-tiny.en'): (pathlib.Path(sys.argv[1]) / name).mkdir(parents=True)\n"
    )
    monkeypatch.setattr(recordings, "MODEL_MAKER", maker)
    made = recordings.default_recognisers(tmp_path / "models")
    assert [Path(folder).name for folder in made] == ["whisper-base", "whisper-tiny.en"]
    maker.unlink()
    maker.write_text("raise SystemExit('made twice')")
    assert recordings.default_recognisers(tmp_path / "models") == made


def test_short_and_full_exclude_each_other(real: ModuleType, tmp_path: Path) -> None:
    assert not real.parse([str(tmp_path), "--short"]).full
    assert real.parse([str(tmp_path), "--full"]).steps == real.FULL_STEPS
    with pytest.raises(SystemExit):
        real.parse([str(tmp_path), "--short", "--full"])
