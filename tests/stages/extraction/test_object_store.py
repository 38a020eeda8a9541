"""Extraction, training and rendering with a store in S3, computed by workers that share only its URL."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from svc.cli import main
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings, TrainSettings
from svc.stages.training.train import train
from svc.store import open_store
from svc.store.folder import open_folder


def test_extract_train_inspect_and_compact_in_s3(
    bucket: str, tmp_path: Path, corpus: Path, encoder: Path, store: Path, train_settings: TrainSettings
) -> None:
    mine, url = tmp_path / "choir", f"{bucket}/choir.zarr"
    shutil.copytree(corpus, mine)
    report = extract([mine], url, ExtractSettings(str(encoder), device="cpu", workers=1))
    assert not report.refused
    there, here = open_store(url), open_store(store)
    names = {name for name in open_folder(store).files("") if "/c/" in name or "receipts" in name}
    assert names
    for name in names:
        assert open_folder(url).read(name) == open_folder(store).read(name), name
    assert [clip.id for clip in there] == [clip.id for clip in here]
    done = train([url], tmp_path / "run", replace(train_settings, steps=4, validate_every=4, unit_steps=4))
    assert done.steps == 4
    for command, says in (["inspect", "10 utterances"], ["verify", "every byte is as it was written"]):
        result = CliRunner().invoke(main, [command, url])
        assert result.exit_code == 0, result.output
        assert says in result.output
    (mine / "bass" / "phrase_0.wav").unlink()
    extract([mine], url, ExtractSettings())
    result = CliRunner().invoke(main, ["compact", url])
    assert "1 pack became 1, 1 utterance dropped" in result.output
    assert CliRunner().invoke(main, ["verify", url]).exit_code == 0
    assert len(open_store(url)) == 9
