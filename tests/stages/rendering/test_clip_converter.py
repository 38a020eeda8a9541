"""A voice from recordings, without training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from svc.cli import main
from svc.common.errors import UserError
from svc.pipeline import audio
from svc.stages.rendering.clip_converter import ClipConverter, moved_formants, to_mel_frames
from svc.stages.settings import RenderSettings

RATE = 44_100


@pytest.fixture(scope="module")
def clips(corpus: Path) -> list[Path]:
    return sorted((corpus / "alto").glob("*.wav"))


@pytest.fixture(scope="module")
def converter(clips: list[Path], encoder: Path) -> ClipConverter:
    return ClipConverter(clips, RenderSettings(encoder=str(encoder), device="cpu", precision="fp32"))


def test_its_own_clip_comes_back(converter: ClipConverter, clips: list[Path]) -> None:
    """Every frame selects itself, so only the vocoder has an effect: the same f0, and the mel of copy synthesis."""
    wav, rate = soundfile.read(clips[0], dtype="float32")
    done = converter.convert(wav, rate)
    assert done.measured is not None
    assert (done.measured.within(50) or 0) > 0.95
    recording = audio.scan(clips[0])
    assert len(done.samples) == round(recording.seconds * RATE)
    plan = done.plan
    heard = plan.features.f0 > 0
    np.testing.assert_allclose(plan.target.f0[heard], plan.features.f0[heard], rtol=0.02)
    loud = plan.features.loudness > plan.features.loudness.max() - 30
    off = done.measured.loudness[: len(loud)][loud] - plan.features.loudness[loud]
    assert np.median(np.abs(off)) < 3  # dB


def test_phrases_alone_and_again_give_the_same_bytes(converter: ClipConverter, song: Path) -> None:
    wav, rate = soundfile.read(song, dtype="float32")
    plan = converter.plan(converter.analyse(converter.open(wav, rate)))
    assert len(plan.source.phrases) > 1
    whole = [chunk for chunk in converter.stream(plan) if chunk.phrase == 1]
    alone = list(converter.stream(plan, [1]))
    assert [chunk.start for chunk in whole] == [chunk.start for chunk in alone]
    for one, other in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_the_command(tmp_path: Path, clips: list[Path], encoder: Path, song: Path) -> None:
    (tmp_path / "voice").mkdir()
    for path in clips:
        shutil.copy(path, tmp_path / "voice" / path.name)
    out = tmp_path / "out.wav"
    call = ["render", str(song), "--voice", str(tmp_path / "voice"), "--encoder", str(encoder), "-k", "auto"]
    result = CliRunner().invoke(main, [*call, "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert f"voice phrase_0 ({len(clips)} clips" in result.output
    assert "no training" in result.output
    about = json.loads(out.with_suffix(".json").read_text())
    assert str(tmp_path) not in json.dumps(about["converter"] if "converter" in about else about["settings"])
    info = soundfile.info(song)
    assert soundfile.info(out).frames == round(info.frames * RATE / info.samplerate)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--voice", "nothing.wav"], "nothing.wav does not exist"),
        (["--voice", "{clip}", "-m", "run"], "either --voice or --model"),
        (["--voice", "{clip}", "--vocoder", "world"], "leave --vocoder out"),
        (["--voice", "{clip}", "-s", "alto"], "leave --speaker out"),
        (["--voice", "{short}"], "a voice needs 3 s at least"),
        (["--voice", "{noise}"], "noise.wav"),
        (["--voice", "/dev/null"], "--voice /dev/null: is no regular file"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, clips: list[Path], encoder: Path, song: Path, given: list[str], says: str
) -> None:
    wav, rate = soundfile.read(clips[0], dtype="float32")
    soundfile.write(tmp_path / "short.wav", wav[: rate // 2], rate)
    (tmp_path / "noise.wav").write_bytes(b"no sound at all")
    names = {"clip": clips[0], "short": tmp_path / "short.wav", "noise": tmp_path / "noise.wav"}
    filled = [each.format(**names) for each in given]
    result = CliRunner().invoke(main, ["render", str(song), *filled, "--encoder", str(encoder), "-o", str(tmp_path)])
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output


def test_too_much_sound_is_for_training(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svc.stages.rendering.clip_converter.MOST_SECONDS", 4.0)
    time = np.arange(6 * RATE) / RATE
    soundfile.write(tmp_path / "long.wav", 0.3 * np.sin(2 * np.pi * 220 * time), RATE)
    with pytest.raises(UserError, match="minutes at most"):
        ClipConverter([tmp_path / "long.wav"], RenderSettings(encoder=str(encoder), device="cpu"))


def test_to_mel_frames_interpolates() -> None:
    ramp = np.arange(50, dtype=np.float32)[:, None] + 0.5  # unit centres, in units of 20 ms
    mel = to_mel_frames(ramp, 86)
    centres = (np.arange(86) + 0.5) * 512 / RATE * 50
    np.testing.assert_allclose(mel[:, 0], np.clip(centres, 0.5, 49.5), atol=1e-4)
    assert to_mel_frames(ramp[:0], 3).shape == (3, 1)
    assert to_mel_frames(ramp[:1], 3).shape == (3, 1)


def test_moved_formants() -> None:
    level = np.zeros((1, 1025), np.float32)
    level[0, 100] = 1
    assert moved_formants(level, 12)[0].argmax() == 200
    assert moved_formants(level, -12)[0].argmax() == 50
    assert moved_formants(level, 0) is level
