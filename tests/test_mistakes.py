"""Frequent mistakes of users of such programs: one message that says what to do, and its exit code.

0 is done, 1 done but for what was refused by name, 2 not done. There is never a traceback.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from svc.cli import main
from svc.pipeline import audio
from svc.store import open_store

RATE = 44_100


def svc(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def told(result: Result, code: int, *says: str) -> None:
    assert result.exit_code == code, (result.output, result.exception)
    for text in says:
        assert text in result.output
    assert "Traceback" not in result.output


def tone(seconds: float, hz: float = 220.0) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


# The corpus.


def test_a_wrong_folder(tmp_path: Path, encoder: Path) -> None:
    told(svc("extract", tmp_path / "corpsu", "--encoder", encoder), 2, "corpsu does not exist", "speakers' folders")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "lyrics.txt").write_text("la")
    (tmp_path / "texts" / "song.mid").write_bytes(b"MThd")
    told(svc("extract", tmp_path / "texts", "--encoder", encoder), 2, "no recordings in", "1 .txt", "SPEAKER/*.wav")
    audio.write(tmp_path / "a.wav", tone(1))
    told(svc("extract", tmp_path / "a.wav", "--encoder", encoder), 2, "is a file; give the folder that it lies in")


def test_a_folder_that_is_a_store_and_a_store_that_is_a_folder(tmp_path: Path, store: Path, corpus: Path) -> None:
    told(
        svc("extract", store),
        2,
        "is a store, which svc extract made, not a corpus",
        f"svc extract CORPUS --store {store}",
    )
    for command in (("train", "--store"), ("verify",), ("compact",), ("inspect",)):
        told(svc(*command, corpus), 2, f"{corpus} is a folder of recordings", f"svc extract {corpus}")
    told(svc("extract", corpus, "--store", corpus), 2, "exists and is no unit store; give another --store")
    assert not (corpus / "ledger").exists()


def test_clips_that_are_too_short_to_use_are_named(tmp_path: Path, encoder: Path) -> None:
    (tmp_path / "solo").mkdir()
    audio.write(tmp_path / "solo" / "blip.wav", tone(0.05))
    told(svc("extract", tmp_path / "solo", "--encoder", encoder), 2, "blip.wav: is too short: 50 ms")
    audio.write(tmp_path / "solo" / "good.wav", tone(1.5))
    told(svc("extract", tmp_path / "solo", "--encoder", encoder), 0, "blip.wav: is too short", "1 utterance,")


def test_clips_shorter_than_a_crop_and_an_empty_split(tmp_path: Path, encoder: Path) -> None:
    """One utterance of half a second: it is trained on whole, and said that nothing could be held out."""
    (tmp_path / "solo").mkdir()
    audio.write(tmp_path / "solo" / "only.wav", tone(0.5))
    told(svc("extract", tmp_path / "solo", "--encoder", encoder), 0)
    result = svc("train", "--store", tmp_path / "solo.zarr", "--out", tmp_path / "run", "--steps", 2)
    told(result, 0, "nothing can be held out")


def test_no_sound(tmp_path: Path, encoder: Path) -> None:
    (tmp_path / "solo").mkdir()
    audio.write(tmp_path / "solo" / "muted.wav", np.zeros(RATE, np.float32))
    told(svc("extract", tmp_path / "solo", "--encoder", encoder), 2, "muted.wav: is silent")


NAMES = ["노래 テスト", "שיר", "naïve é e\u0301", "🎤", "-rf", "a'b\"c $HOME;ls", "x" * 200, "%s{}"]


def test_names_in_any_script(tmp_path: Path, encoder: Path) -> None:
    """Of the corpus's folder, the speakers, the recordings and the store; two spellings of a name are one (NFC)."""
    corpus = tmp_path / "나의 노래"
    for number, name in enumerate(NAMES):
        (corpus / name).mkdir(parents=True)
        audio.write(corpus / name / f"{name}.wav", tone(0.5 + number / 50))
    path = tmp_path / "스토어 %s.zarr"
    told(svc("extract", corpus, "--encoder", encoder, "--store", path), 0)
    names = [unicodedata.normalize("NFC", name) for name in NAMES]
    assert {(clip.speaker, clip.id) for clip in open_store(path)} == {(name, f"{name}/{name}") for name in names}
    told(svc("verify", path), 0, "every byte is as it was written")
    told(svc("inspect", path), 0, *names)


def test_a_name_that_is_no_text_at_all(tmp_path: Path, encoder: Path) -> None:
    folder = os.fsencode(tmp_path / "corpus" / "solo")
    os.makedirs(folder)
    audio.write(tmp_path / "corpus" / "solo" / "good.wav", tone(1, 330))
    audio.write(tmp_path / "a.wav", tone(1))
    os.rename(tmp_path / "a.wav", folder + b"/caf\xe9.wav")
    result = svc("extract", tmp_path / "corpus", "--encoder", encoder)
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    assert "solo/good" in {clip.id for clip in open_store(tmp_path / "corpus.zarr")}


# The disk.


@contextmanager
def no_privileges() -> Iterator[None]:
    """Root may read and write everything; without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH permissions apply to it."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    before, data = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    if libc.capget(header, before):
        pytest.skip("this root's privileges cannot be told")
    ctypes.memmove(data, before, ctypes.sizeof(before))
    data[0] &= ~0b110  # of the effective ones; they are still permitted, and so can be taken back
    libc.capset(header, data)
    try:
        yield
    finally:
        libc.capset(header, before)


def test_no_permission(tmp_path: Path, corpus: Path, encoder: Path, store: Path) -> None:
    shutil.copytree(corpus / "alto", tmp_path / "alto")
    shutil.copytree(store, tmp_path / "s.zarr")
    (tmp_path / "locked").mkdir()
    with no_privileges():
        (tmp_path / "locked").chmod(0o500)
        told(
            svc("extract", tmp_path / "alto", "--encoder", encoder, "--store", tmp_path / "locked" / "s.zarr"),
            2, "Permission denied", "locked",
        )  # fmt: skip
        (tmp_path / "alto" / "phrase_0.wav").chmod(0)
        result = svc("extract", tmp_path / "alto", "--encoder", encoder, "--store", tmp_path / "t.zarr")
        told(result, 0, "phrase_0.wav: cannot be read: Permission denied", "1 recording refused")
        (tmp_path / "alto").chmod(0)
        told(svc("extract", tmp_path / "alto", "--encoder", encoder), 2, "alto cannot be read: Permission denied")
        (tmp_path / "s.zarr" / "mel" / "c").chmod(0)
        told(svc("verify", tmp_path / "s.zarr"), 2, "Permission denied")
        for path in (tmp_path / "alto", tmp_path / "s.zarr" / "mel" / "c", tmp_path / "locked"):
            path.chmod(0o700)


def test_no_space(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {made.stderr.strip()}")
    try:
        result = svc("extract", corpus / "alto", "--encoder", encoder, "--store", disk / "s.zarr")
        told(result, 2, "No space left on device", "Free some space", "the same command continues")
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        told(svc("extract", corpus / "alto", "--encoder", encoder, "--store", disk / "s.zarr"), 0)
        told(svc("verify", disk / "s.zarr"), 0)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# What was made before.


def test_the_wrong_encoder_for_a_store_and_for_a_run(
    tmp_path: Path, corpus: Path, store: Path, run: Path, song: Path, save_encoder: Callable[..., None]
) -> None:
    save_encoder(tmp_path / "other", seed=1)
    result = svc("extract", corpus, "--store", store, "--encoder", tmp_path / "other")
    told(result, 2, "made with other settings", "sha256", "another one with --store")
    told(svc("render", song, "-m", run, "--encoder", tmp_path / "other", "-o", tmp_path / "a.wav"), 2, "encoder")
    assert not (tmp_path / "a.wav").exists()


def test_a_run_of_another_version_and_a_folder_that_is_none(tmp_path: Path, run: Path, song: Path) -> None:
    shutil.copytree(run, tmp_path / "old")
    metadata = json.loads((run / "run.json").read_text())
    (tmp_path / "old" / "run.json").write_text(json.dumps({**metadata, "version": 99}))
    told(svc("render", song, "-m", tmp_path / "old"), 2, "run format 99", "train a new run")
    told(svc("render", song, "-m", tmp_path), 2, "is not a run", "svc train")


def test_a_store_of_another_version(tmp_path: Path, store: Path, corpus: Path) -> None:
    from svc.store.checksummed_json import add_checksum, check_checksum

    shutil.copytree(store, tmp_path / "s.zarr")
    path = tmp_path / "s.zarr" / "ledger" / "store.json"
    path.write_bytes(add_checksum({**check_checksum(path.read_bytes(), ""), "version": 99}))
    for command in (("verify",), ("inspect",), ("compact",), ("train", "--store"), ("extract", corpus, "--store")):
        told(svc(*command, tmp_path / "s.zarr"), 2, "version 99")


def test_old_features_and_pickles_of_other_programs(tmp_path: Path, run: Path, song: Path) -> None:
    """Their checkpoints in place of ours."""
    import torch

    shutil.copytree(run, tmp_path / "r")
    torch.save({"model": {}}, tmp_path / "r" / "best.safetensors")
    told(svc("render", song, "-m", tmp_path / "r"), 2, "best.safetensors is damaged, or no checkpoint", "another --out")


def test_a_run_goes_on_and_never_starts_at_0_again(tmp_path: Path, store: Path, run: Path) -> None:
    told(svc("train", "--store", store, "--out", tmp_path / "nowhere", "--resume"), 2, "no run in", "to resume")
    shutil.copytree(run, tmp_path / "r")
    told(svc("train", "--store", store, "--out", tmp_path / "r"), 2, "begun with other settings", "another --out")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--unit-dim", 0], "unit_dim must be at least 1"),
        (["--preset", "huge"], "choose tiny, base, large"),
        (["--compare", ""], "no width and no kind of units; give such as 256"),
        (["--compare", "256,wide"], "'wide' is no width and no kind of units"),
        (["--compare", "256,256"], "units 256 are asked for twice"),
        (["--compare", "--only", "diffusion"], "--compare is about units"),
        (["--truth", "songs.zarr"], "--truth is what --compare measures by"),
        (["--base", "nothere"], "nothere is not a run"),
        (["--units", "hubert-soft"], "svc extract --encoder hubert-soft"),
    ],
)
def test_what_cannot_be_trained_is_told_before_anything_is_written(
    tmp_path: Path, store: Path, given: list[object], says: str
) -> None:
    told(svc("train", "--store", store, "--out", tmp_path / "r", "--preset", "tiny", *given), 2, says)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_damage_is_told_with_what_mends_it(tmp_path: Path, corpus: Path, store: Path) -> None:
    shutil.copytree(store, tmp_path / "s.zarr")
    table = tmp_path / "s.zarr" / "ledger" / "utterances.json"
    table.write_bytes(table.read_bytes()[:-9] + b"X" + table.read_bytes()[-8:])
    told(svc("verify", tmp_path / "s.zarr"), 1, "utterances.json is damaged", "--check")
    told(svc("extract", corpus, "--store", tmp_path / "s.zarr"), 2, "utterances.json is damaged")
    result = svc("extract", corpus, "--store", tmp_path / "s.zarr", "--check")
    told(result, 0, "cells computed: nothing")
    told(svc("verify", tmp_path / "s.zarr"), 0)


def test_places_that_are_no_place_for_a_result(tmp_path: Path, run: Path, song: Path) -> None:
    """A file where a folder is meant, and a folder where a file is: told before anything is loaded."""
    (tmp_path / "file").write_text("mine")
    told(svc("render", song, "-m", run, "-o", tmp_path / "file"), 2, f"{tmp_path / 'file'} is a file, not a folder")
    told(svc("render", song, "-m", run, "--report", tmp_path), 2, f"{tmp_path} is a folder; give the name of a page")
    told(svc("evaluate", run, song, "-o", tmp_path / "file"), 2, f"{tmp_path / 'file'} is a file, not a folder")
    told(svc("live", "-m", run, "--file", song, "-o", tmp_path / "no" / "a.wav"), 2, "no does not exist")
    assert (tmp_path / "file").read_text() == "mine"


LOADED = """
import sys
from svc.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stopped:
    print("torch" in sys.modules, stopped.code)
"""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["render", "nosuch.wav"], "nosuch.wav: cannot be read"),
        (["render", "song.wav", "-o", "nowhere/x.wav"], "the folder nowhere does not exist"),
        (["render", "song.wav", "--format", "xyz"], "format 'xyz' is not written"),
        (["render", "song.wav", "--f0-max", "3"], "it must lie within 20 to 4000 Hz"),
        (["render", "song.wav", "--rate", "44100.5"], "expected a whole number or song"),
        (["render", "empty"], "empty holds no song"),
        (["evaluate", "run", "nosuch.wav"], "nosuch.wav: cannot be read"),
        (["train"], "no store in"),
        (["train", "--store", "nosuch"], "nosuch is no unit store"),
        (["train", "--store", "empty", "--preset", "tiny"], "empty is no unit store"),
        (["train", "--store", "song.wav"], "song.wav is a recording, not a store"),
    ],
)
def test_cheap_mistakes_are_named_before_torch_is_loaded(tmp_path: Path, arguments: list[str], says: str) -> None:
    audio.write(tmp_path / "song.wav", tone(1))
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[-2:] == ["False", "2"], (done.stdout, done.stderr)
    assert says in done.stderr
