"""The report describes a corpus and its faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from click.testing import CliRunner
from svc.cli import main
from svc.data.singers.harmonic import VOICES, Note, sing
from svc.pipeline import audio
from svc.stages.corpus_report import corpus_report
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import open_store


def test_a_corpus_with_faults(tmp_path: Path, encoder: Path) -> None:
    corpus, rng = tmp_path / "c", np.random.default_rng(0)
    for name in ("clean", "poor"):
        (corpus / name).mkdir(parents=True)
    for number, low in enumerate((50, 57)):
        wav, _ = sing([Note(low + step, 0.5, "", "a") for step in (0, 2, 4, 5, 7)], VOICES[0], number)
        audio.write(corpus / "clean" / f"{number}.wav", 0.5 * wav)
    first, _ = soundfile.read(corpus / "clean" / "0.wav")
    soundfile.write(corpus / "poor" / "copy.flac", first * 0.9, 44_100)
    loud, _ = sing([Note(60 + step, 0.5, "", "a") for step in (0, 3, 1)], VOICES[0], 5)
    hiss = rng.normal(0, 0.02, len(loud) + 44_100)
    hiss[22_050 : 22_050 + len(loud)] += np.clip(loud / np.abs(loud).max(), -0.3, 0.3)
    soundfile.write(corpus / "poor" / "bad.wav", hiss, 44_100)
    (corpus / "poor" / "empty.wav").write_bytes(b"")
    extract([corpus], tmp_path / "s.zarr", ExtractSettings(encoder=str(encoder)))

    report = corpus_report(open_store(tmp_path / "s.zarr"))
    clean, poor = report.speakers["clean"], report.speakers["poor"]
    assert json.loads(json.dumps(report.to_json()))["speakers"]["clean"]["utterances"] == clean.utterances == 2
    assert clean.recordings_read == clean.recordings == 2
    assert next(iter(clean.notes)) == "D3"  # 50 and up to 64
    assert list(clean.notes)[-1] in ("D#4", "E4")
    assert clean.notes["A3"] > 0.8  # it is in both songs
    assert clean.notes["C#3"] < 0.3 if "C#3" in clean.notes else True
    assert clean.clipped_share is not None
    assert clean.clipped_share < 1e-4
    assert poor.snr_db is not None
    assert clean.snr_db is not None
    assert poor.snr_db < 30 < clean.snr_db
    assert report.copies in ([("clean/0", "poor/copy")], [("poor/copy", "clean/0")])
    assert report.unusable == {f"{corpus}/poor/empty.wav": "is empty (0 bytes)"}
    assert any("noise lies only" in warning for warning in poor.warnings)
    assert "noisy" in poor.faults
    assert len(poor.faults) == len(poor.warnings)

    told = CliRunner().invoke(main, ["inspect", str(tmp_path / "s.zarr"), "--report"])
    assert told.exit_code == 0, told.output
    assert "  clean: 0." in told.output
    assert "sound the same" in told.output
    (corpus / "clean" / "1.wav").unlink()
    assert corpus_report(open_store(tmp_path / "s.zarr")).speakers["clean"].recordings_read == 1
