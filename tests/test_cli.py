"""The command line: messages, exit codes, defaults."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner, Result
from safetensors import safe_open
from svc.cli import main


def svc(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def one_message(result: Result, says: str) -> None:
    """The user's mistake: exit code 2, a message, no traceback."""
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output


def test_help_names_every_command() -> None:
    result = svc("--help")
    for name in ("extract", "train", "render", "inspect", "verify", "compact", "evaluate", "demo"):
        assert name in result.output


def test_help_names_what_there_is() -> None:
    """Help is printed without importing torch, so that it is fast; the names in it must match the registries."""
    from svc.commands.options import ENCODERS, METHOD, METHODS
    from svc.pipeline.encoder.registry import short_names
    from svc.pipeline.pitch.pitch import METHODS as there
    from svc.pipeline.pitch.settings import PitchSettings

    assert set(ENCODERS.split(", ")) == set(short_names())
    assert set(METHODS.replace(" or ", ", ").replace(":FILE", "").split(", ")) == set(there)
    assert PitchSettings().method == METHOD


def test_a_dry_run_an_addition_and_a_removal(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    shutil.copytree(corpus, tmp_path / "choir")
    foreseen = svc("extract", tmp_path / "choir", "--encoder", encoder, "--dry-run")
    assert foreseen.exit_code == 0
    cells = "f0 1, hidden/2 1, hidden/4 1, hidden_down4/4 1, hidden_up4/4 1, loudness 1, mel 1, mel2ph 1"
    assert f"would compute, in cells: {cells}" in foreseen.output
    assert not (tmp_path / "choir.zarr").exists()
    assert svc("extract", tmp_path / "choir", "--encoder", encoder).exit_code == 0
    (tmp_path / "choir" / "alto" / "phrase_0.wav").unlink()
    removed = svc("extract", tmp_path / "choir")
    assert "1 removed" in removed.output
    assert f"svc compact {tmp_path / 'choir.zarr'}" in removed.output
    compacted = svc("compact", tmp_path / "choir.zarr")
    assert compacted.exit_code == 0
    assert "1 pack became 1, 1 utterance dropped" in compacted.output
    assert svc("verify", tmp_path / "choir.zarr").exit_code == 0
    again = svc("extract", tmp_path / "choir", "--json")
    assert json.loads(again.stdout)["cells_computed"] == 0


def test_the_three_commands_with_no_other_option(
    tmp_path: Path, corpus: Path, encoder: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their defaults, but for the encoder (no hub can be reached here) and the number of steps."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(corpus, "choir")
    shutil.copy(song, "song.flac")
    done = svc("extract", "choir/", "--encoder", encoder)
    assert done.exit_code == 0, done.output
    assert "choir.zarr" in done.output
    done = svc("train", "--store", "choir.zarr", "--steps", 3)
    assert done.exit_code == 0, done.output
    assert "runs/choir" in done.output
    done = svc("render", "song.flac")
    assert done.exit_code == 0, done.output
    assert "runs/choir" in done.output
    assert "alto" in done.output
    assert sorted(p.name for p in tmp_path.glob("song*")) == [
        "song.alto.json", "song.alto.png", "song.alto.wav", "song.flac"
    ]  # fmt: skip


def test_a_refused_recording_does_not_break_a_chain_of_commands(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    """`svc extract && svc train`: one bad file among good ones is a warning, unless --strict is given."""
    shutil.copytree(corpus / "alto", tmp_path / "alto")
    (tmp_path / "alto" / "broken.wav").write_text("not a sound")
    result = svc("extract", tmp_path / "alto", "--encoder", encoder)
    assert result.exit_code == 0, result.output
    assert "broken.wav: is no audio" in result.output
    assert "warning: 1 recording refused; the exit code is 0 all the same (--strict makes it 1)" in result.stderr
    report = json.loads((tmp_path / "alto.zarr" / "ledger" / "report.json").read_text())
    assert [Path(r["path"]).name for r in report["refused"]] == ["broken.wav"]
    strict = svc("extract", tmp_path / "alto", "--strict")
    assert strict.exit_code == 1
    assert strict.stderr.endswith("warning: 1 recording refused\n")


def test_help_says_what_the_exit_codes_mean() -> None:
    said = svc("--help").output
    assert [line.split()[0] for line in said.partition("Exit codes:")[2].strip().splitlines()] == ["0", "1", "2", "130"]
    for command in ("extract", "render", "evaluate"):
        assert "--strict" in svc(command, "--help").output.partition("Exit codes:")[2]


@pytest.mark.parametrize("command", ["extract", "train", "render", "evaluate"])
def test_everyday_options_fit_a_screen(command: str) -> None:
    """40 lines of 80 characters, before the group of research options."""
    everyday, found, _ = svc(command, "--help").output.partition("Research options:")
    assert found
    assert len(everyday.splitlines()) <= 40
    assert max(map(len, everyday.splitlines())) <= 80
    assert everyday.index("Everyday options:") < everyday.index("--device")


def test_help_is_quick() -> None:
    """Half a second, of the processor's time: a busy machine makes no difference."""
    code = "import resource, sys; sys.argv = ['svc', 'render', '--help']\ntry:\n from svc.cli import main; main()\n"
    code += "finally:\n used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) < 0.5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["extract", "nowhere"], "nowhere does not exist"),
        (["extract", "empty"], "no recordings in"),
        (["extract", "choir", "--encoder", "./gone"], "no encoder in ./gone"),
        (["extract", "choir", "--layers", "7;12"], "such as 7,12"),
        (["extract", "choir", "--f0-min", "500", "--f0-max", "100"], "f0 range"),
        (["extract", "choir", "--device", "tpu9"], "tpu9"),
        (["train"], "--store"),
        (["train", "--store", "nowhere.zarr"], "is no unit store"),
        (["train", "--store", "empty"], "is no unit store"),
        (["train", "--store", "made/choir.zarr", "--preset", "huge"], "choose tiny, base, large"),
        (["train", "--store", "made/choir.zarr", "--steps", "0"], "steps must be at least 1"),
        (["train", "--store", "made/choir.zarr", "--resume"], "no run in"),
        (["render", "song.wav"], "no run to render with"),
        (["render", "song.wav", "-m", "empty"], "is not a run"),
        (["render", "song.wav", "--steps", "0"], "steps must be 1 to 1000"),
        (["render", "song.wav", "-k", "99"], "four octaves"),
        (["render", "song.wav", "-k", "high"], "'high': expected a number of semitones, auto or auto-semitone"),
        (["render", "song.wav", "--rate", "fast"], "'fast': expected a whole number or song"),
        (["render", "song.wav", "--rate", "inf"], "'inf': expected a whole number or song"),
        (["render", "song.wav", "--format", "aac"], "choose wav, flac, mp3, ogg"),
        (["render", "song.wav", "--loudness", "2"], "an amount from 0 to 1"),
        (["render", "song.wav", "--f0", "yin"], "choose swift-f0"),
        (["render", "song.wav", "--depth", "8"], "choose 16, 24 or float"),
        (["render", "song.wav", "--report", "no/a.html"], "no does not exist"),
        (
            ["train", "--store", "made/choir.zarr", "--only", "vocoder", "--objective", "flow"],
            "not an option of the vocoder",
        ),
        (["train", "--store", "made/choir.zarr", "--only", "vocoder", "--out", "empty"], "is not a run"),
        (["train", "--store", "made/choir.zarr", "--seed", "-1"], "a seed is a whole number from 0"),
        (["render", "song.wav", "--seed", "99999999999999999999"], "a seed is a whole number from 0"),
        (["train", "--store", "made/choir.zarr", "--truth", "songs.zarr"], "--compare 128,256"),
        (["train", "--store", "made/choir.zarr", "--only", "vocoder", "--base", "empty"], "--base gives a voice"),
        (["train", "--store", "made/choir.zarr", "--compare", "128", "--base", "empty"], "--base gives a voice"),
        (["train", "--store", "made/choir.zarr", "--units", "hidden", "--unit-dim", "512"], "have a fixed width"),
        (["train", "--store", "made/choir.zarr", "--k-step", "1001"], "not in the range 1<=x<=1000"),
        (["train", "--store", "made/choir.zarr", "--preset", "diff-svc", "--k-step", "100"], "has no decoder"),
        (["train", "--store", "made/choir.zarr", "--compare", ""], "is no width and no kind of units"),
        (["evaluate", "choir/alto/phrase_0.wav"], "svc evaluate RUN choir/alto/phrase_0.wav"),
        (["evaluate", "empty", "-k", "3"], "are for SONGs"),
        (["evaluate", "empty", "song.wav", "-k", "up"], "expected a number of semitones, auto or auto-semitone"),
        (["evaluate", "empty", "song.wav", "--singers", "empty"], "give one of them"),
        (["inspect", "nowhere"], "does not exist"),
        (["inspect", "empty"], "neither a store"),
        (["verify", "empty"], "is no unit store"),
        (["compact", "empty"], "is no unit store"),
        (["extract", "choir", "--workers", "2", "--scheduler", "tcp://a:1"], "give one of them"),
        (["extract", "choir", "--workers", "-1"], "cannot be"),
        (["extract", "choir", "--precision", "int8"], "fp32, bf16, fp16"),
        (["extract", "choir", "--f0", "yin"], "choose swift-f0"),
        (["extract", "choir", "--store", "nosuch://a/b.zarr"], "nosuch"),
        (["extract", "choir", "--encoder", "choir/alto/phrase_0.wav"], "expected a file that torch.save wrote"),
        (["sing"], "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_get_one_message(
    tmp_path: Path, corpus: Path, store: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "choir.zarr").symlink_to(store)
    (tmp_path / "choir").symlink_to(corpus)
    (tmp_path / "song.wav").symlink_to(corpus / "alto" / "phrase_0.wav")
    one_message(svc(*arguments), says)


def test_train_takes_the_only_store_of_the_folder(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one_message(svc("train"), "no store in")
    (tmp_path / "one.zarr").symlink_to(store)
    shown = json.loads(svc("train", "--show").stdout)
    assert shown["out"] == str(Path("runs") / "one")
    (tmp_path / "two.zarr").symlink_to(store)
    one_message(svc("train", "--show"), "several stores: one.zarr, two.zarr")


def test_names_with_terminal_escapes_are_printed_escaped(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    """A speaker's name may come from a stranger: neither text nor JSON has control characters."""
    name = "\x1b[31mred\x9b2J\u202e"
    shutil.copytree(corpus / "alto", tmp_path / "c" / name)
    told = svc("extract", tmp_path / "c", "--encoder", encoder)
    assert told.exit_code == 0, told.output
    for arguments in (["inspect"], ["inspect", "--json"], ["verify"], ["inspect", "--utterance", f"{name}/phrase_0"]):
        said = svc(*arguments[:1], tmp_path / "c.zarr", *arguments[1:]).output
        assert not [c for c in said + told.output if c in "\x1b\x9b\u202e"], arguments
    assert list(json.loads(svc("inspect", tmp_path / "c.zarr", "--json").stdout)["speakers"]) == [name]


def test_mistakes_about_a_run(tmp_path: Path, run: Path, store: Path, song: Path) -> None:
    one_message(svc("render", song, "-m", store), "is a store, not a run")
    one_message(svc("render", song, "-m", run, "-s", "tenor"), "there are alto, bass")
    one_message(svc("render", tmp_path / "no.wav", "-m", run), f"{tmp_path / 'no.wav'}: cannot be read")
    one_message(svc("render", song, "-m", run, "-o", tmp_path / "no" / "a.wav"), "does not exist")
    old = tmp_path / "old"
    shutil.copytree(run, old)
    metadata = json.loads((old / "run.json").read_text())
    (old / "run.json").write_text(json.dumps({**metadata, "version": 99}))
    one_message(svc("render", song, "-m", old), "run format 99")
    (old / "run.json").write_text("{")
    one_message(svc("render", song, "-m", old), "damaged")


def test_one_bad_song_among_good_ones(tmp_path: Path, run: Path, song: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"")
    result = svc("render", tmp_path / "bad.wav", song, "-m", run, "-o", tmp_path / "out", "--steps", 2, "--strict")
    assert result.exit_code == 1
    assert "is empty (0 bytes)" in result.output
    assert (tmp_path / "out" / f"{song.stem}.alto.wav").exists()


def test_every_option_of_render_at_once(tmp_path: Path, run: Path, song: Path) -> None:
    """A folder of songs into another format, with everything that can be asked for, and a page of it."""
    (tmp_path / "songs").mkdir()
    shutil.copy(song, tmp_path / "songs" / "-a 노래.flac")
    (tmp_path / "songs" / "broken.wav").write_text("not a sound")
    options = shlex.split(
        "-k auto -s alto:0.5,bass:0.5 --vocoder world --steps 2 --method heun --k-step 100 --seed 3 --f0 dio "
        "--f0-min 70 --f0-max 900 --f0-smooth 60 --f0-octaves --formants 1 --loudness 0.5 --threshold -60 "
        "--retrieve 0.3 --depth 24 --rate song --format flac --precision fp32 --batch 2 -v"
    )
    page = tmp_path / "page.html"
    result = svc("render", tmp_path / "songs", "-m", run, "-o", tmp_path / "out", *options, "--report", page)
    assert result.exit_code == 0, result.output
    assert "warning: 1 song refused" in result.stderr
    out = tmp_path / "out" / "-a 노래.alto_0.5,bass_0.5.flac"
    info, source = soundfile.info(out), soundfile.info(song)
    assert (info.subtype, info.samplerate, info.frames) == ("PCM_24", source.samplerate, source.frames)
    assert "of real time  diffusion" in result.output
    assert "first sound after" in result.output
    assert "broken.wav" in page.read_text()
    metadata = json.loads(out.with_suffix(".json").read_text())
    assert metadata["settings"]["k_step"] == 100
    again = svc("render", tmp_path / "songs", "-m", run, "-o", tmp_path / "out", *options)
    assert again.exit_code == 0
    assert json.loads(out.with_suffix(".json").read_text())["result_sha256"] == metadata["result_sha256"]


def test_a_vocoder_of_ones_own_is_trained_and_sings(tmp_path: Path, run: Path, store: Path, song: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")
    result = svc("train", "--store", store, "-o", own, "--only", "vocoder", "--steps", 2, "--batch", 1)
    assert result.exit_code == 0, result.output
    assert "vocoder trained to step 2" in result.output
    result = svc("render", song, "-m", own, "--out", tmp_path / "a.wav", "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "vocoder own" in result.output
    one_message(svc("render", song, "-m", run, "-o", tmp_path / "b.wav", "--vocoder", "own"), "--vocoder plain")
    one_message(svc("render", song, "-m", run, "-o", tmp_path / "b.wav", "--vocoder", tmp_path), "0 checkpoints")


def test_a_song_whose_name_starts_with_a_dash(
    tmp_path: Path, run: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(song, tmp_path / "-k.flac")
    assert svc("render", "-m", run, "--steps", 2, "--", "-k.flac").exit_code == 0
    assert (tmp_path / "-k.alto.wav").exists()


def test_inspect(tmp_path: Path, store: Path, run: Path) -> None:
    result = svc("inspect", store)
    assert "10 utterances of 2 speakers" in result.output
    assert "hidden/4: float16 x 256" in result.output
    metadata = json.loads(svc("inspect", store, "--json").stdout)
    assert metadata["speakers"]["alto"]["utterances"] == 5
    clip = json.loads(svc("inspect", store, "--utterance", "alto/phrase_1", "--json").stdout)
    assert clip["shapes"]["mel"] == [clip["mel_frames"], 128]
    assert svc("inspect", store, "--plot", tmp_path / "p.png").exit_code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    metadata = json.loads(svc("inspect", run, "--json").stdout)
    assert metadata["trained"] is True
    assert metadata["last_validation"]["step"] == 60
    told = svc("inspect", run).output
    assert f"step 60 of 60, best at {metadata['best_validation']['step']}" in told
    assert "units: soft, 256 wide, of hidden/4; codes of hidden/2" in told
    assert "alto: f0 from" in told
    one_message(svc("inspect", store, "--utterance", "nobody"), "no utterance 'nobody'")
    one_message(svc("inspect", run, "--utterance", "a"), "this is a run")


def test_verify_names_the_utterances_of_a_damaged_cell(tmp_path: Path, store: Path) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(store, copy)
    assert svc("verify", copy).exit_code == 0
    shard = copy / "mel" / "c" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    result = svc("verify", copy)
    assert result.exit_code == 1
    assert "damaged mel of alto/phrase_0" in result.output


def test_train_show_prints_the_settings(store: Path) -> None:
    shown = json.loads(svc("train", "--store", store, "--preset", "base", "--show", "--unit-dim", 512).stdout)
    assert (shown["preset"], shown["unit_dim"], shown["architecture"]["channels"]) == ("base", 512, 512)


def test_units_are_made_of_the_layers_that_are_asked_for(tmp_path: Path, store: Path) -> None:
    """Here the other way round: the higher layer is clustered, and units are made of the lower."""
    asked = shlex.split("--only units --codes 12 --code-layer 4 --unit-layer 2 --unit-dim 32")
    done = svc("train", "--store", store, "--out", tmp_path / "run", *asked)
    assert done.exit_code == 0, done.output
    told = svc("inspect", tmp_path / "run").output
    assert "units: soft, 32 wide, of hidden/2; codes of hidden/4" in told
    with safe_open(tmp_path / "run" / "units.safetensors", "np") as units:
        assert units.get_slice("codebook.centroids").get_shape()[0] == 12


@pytest.mark.parametrize("option", ["--code-layer", "--unit-layer"])
def test_a_layer_that_is_not_stored_is_said(tmp_path: Path, store: Path, option: str) -> None:
    done = svc("train", "--store", store, "--out", tmp_path / "run", option, 3)
    one_message(done, "has layers 2, 4, not 3; add it: svc extract --layers 3")
    assert not (tmp_path / "run" / "run.json").exists()


def test_ctrl_c_says_that_the_same_command_continues(tmp_path: Path, corpus: Path, encoder: Path) -> None:
    command = [sys.executable, "-m", "svc.cli", "extract", str(corpus), "--encoder", str(encoder)]
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as in the foreground
        "from svc.cli import main; sys.argv = ['svc'] + sys.argv[1:]; main()"
    )
    command = [sys.executable, "-c", code, *command[3:], "--store", str(tmp_path / "s.zarr")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "s.zarr" / "ledger" / "utterances.json").exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "continues from here" in errors
    assert "Traceback" not in errors


def test_evaluate_wants_truth_or_songs(run: Path, song: Path, tmp_path: Path) -> None:
    one_message(svc("evaluate", run), f"give songs to convert: svc evaluate {run} song.wav")
    one_message(svc("evaluate", run, "--singers", tmp_path), "`svc demo` makes parallel singers")
    done = svc("evaluate", run, song, "-s", "bass", "-k", -12, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["songs"][song.name]["vuv_f1"] > 0.5


def test_the_embedded_encoder_warns_of_real_voices(corpus: Path, tmp_path: Path) -> None:
    done = svc("extract", corpus, "--store", tmp_path / "s.zarr", "--encoder", "mini", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "of real speech about one letter of five" in done.output
