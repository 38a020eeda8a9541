"""A run as one file: it renders as the run does, has a licence, and no data of the maker's machine."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from svc.common.errors import UserError
from svc.stages import voice_file
from svc.stages.inspect import describe, lines
from svc.stages.pack import pack, read_card
from svc.stages.rendering.render_file import render_file
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.settings import RenderSettings


@pytest.fixture(scope="module")
def voice(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voices") / "choir.svc"
    report = pack(run, path, "CC BY 4.0, by the choir")
    assert report.size == path.stat().st_size
    return path


def test_it_renders_as_the_run_does_where_the_store_is_not(
    run: Path, voice: Path, song: Path, encoder: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.wav"
    wav, rate = soundfile.read(song, frames=96_000)
    soundfile.write(short, wav, rate)
    for name, model in (("a", run), ("b", voice)):
        converter = RunConverter(Run.open(model), RenderSettings(encoder=str(encoder), device="cpu"))
        render_file(converter, short, tmp_path / f"{name}.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    about = json.loads((tmp_path / "b.json").read_text())
    assert about["run"] == str(voice)
    assert about["settings"]["retrieve"] == 0.5


def test_an_encoder_without_a_public_name_must_be_named(voice: Path) -> None:
    with pytest.raises(UserError, match=r"no public name(.|\n)*--encoder FOLDER"):
        RunConverter(Run.open(voice), RenderSettings())


def test_it_names_nothing_of_the_makers_machine(run: Path, voice: Path) -> None:
    data = voice.read_bytes()
    told = json.loads((run / "run.json").read_text())
    for private in ("/tmp", "/root", "/home", str(Path.home()), str(run.parent), *told["held_out"], *told["stores"]):
        assert private.encode() not in data, private
    opened = Run.open(voice)
    assert (opened.config.stores, opened.config.held_out, opened.config.encoder.origin) == ((), (), "")


def test_its_card_says_what_it_is(voice: Path) -> None:
    card = read_card(voice)
    assert [speaker["name"] for speaker in card["speakers"]] == Run.open(voice).speakers
    assert card["licence"] == "CC BY 4.0, by the choir"
    assert card["retrieval_minutes"] > 0.2
    assert card["scores"]["score"] > 0
    assert "CC BY 4.0" in voice_file.read_member(voice, "README.md").decode()
    found = describe(voice)
    assert found["kind"] == "voice file"
    assert "CC BY 4.0" in "\n".join(lines(found))


def test_the_same_run_gives_the_same_bytes_and_other_files_are_kept(run: Path, voice: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.svc"
    pack(run, again, "CC BY 4.0, by the choir")
    assert again.read_bytes() == voice.read_bytes()
    pack(run, again)  # over its own kind
    assert "ask before using it" in read_card(again)["licence"]
    again.write_bytes(b"my letter")
    with pytest.raises(UserError, match="is not a voice file of svc"):
        pack(run, again)
    assert again.read_bytes() == b"my letter"
    with pytest.raises(UserError, match="voice file already"):
        pack(voice, tmp_path / "x.svc")


def test_a_run_without_an_index_needs_its_store(run: Path, store: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "r")
    (tmp_path / "r" / "index.safetensors").unlink()
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    (tmp_path / "r" / "run.json").write_text(json.dumps({**record, "stores": ["gone.zarr"]}))
    with pytest.raises(UserError, match="cannot be opened"):
        pack(tmp_path / "r", tmp_path / "v.svc")
    pack(tmp_path / "r", tmp_path / "v.svc", stores=[str(store)])


Change = Callable[[str, bytes], list[tuple[str, bytes, int]]]


def rewritten(voice: Path, out: Path, change: Change) -> Path:
    with zipfile.ZipFile(voice) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            for name, data, kind in change(info.filename, source.read(info)):
                target.writestr(zipfile.ZipInfo(name), data, compress_type=kind)
    return out


STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda name, data: [(name.replace("README.md", "../evil"), data, STORED)], "evil"),
        (lambda name, data: [(name.replace("README.md", "evil.py"), data, STORED)], "evil.py"),
        (lambda name, data: [(name, data, DEFLATED)], "compressed"),
        (lambda name, data: [(name, data, STORED)] * (1 + (name == "run.json")), "run.json"),
        (lambda name, data: [] if name == "best.safetensors" else [(name, data, STORED)], "lacks best.safetensors"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_archives_are_refused(voice: Path, tmp_path: Path, change: Change, problem: str) -> None:
    strange = rewritten(voice, tmp_path / "strange.svc", change)
    with pytest.raises(UserError, match=problem):
        Run.open(strange)
    assert not (tmp_path / "evil").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path, voice: Path) -> None:
    data = voice.read_bytes()
    for number, content in enumerate((b"", b"PK", b"PK\x03\x04garbage", data[: len(data) // 2], struct.pack("<Q", 8))):
        path = tmp_path / f"{number}.svc"
        path.write_bytes(content)
        with pytest.raises(UserError, match="voice file"):
            Run.open(path)


def test_a_flipped_bit_in_its_weights_is_found(voice: Path, tmp_path: Path) -> None:
    def flip(name: str, data: bytes) -> list[tuple[str, bytes, int]]:
        if name == "best.safetensors":
            data = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        return [(name, data, STORED)]

    strange = Run.open(rewritten(voice, tmp_path / "flipped.svc", flip))
    with pytest.raises(UserError, match="checksum"):
        strange.load_best("cpu")
