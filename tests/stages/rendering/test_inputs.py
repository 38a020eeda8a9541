"""Folders of songs, the page with players, and separated mixes."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.common.progress import Progress
from svc.pipeline.sample_buffer import SampleBuffer
from svc.stages.rendering.inputs import find_songs
from svc.stages.rendering.render_report import RenderReport
from svc.stages.rendering.report import check_page_writable, write_page
from svc.stages.rendering.separation import load_demucs, separate


def test_a_folder_is_its_songs_without_results(tmp_path: Path) -> None:
    for name in ("b.flac", "deep/-a 노래.MP3", ".hidden.wav", "notes.txt", "b.alto.wav", "c.alto.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b.alto.json").write_text('{"made": "svc render", "result": "b.alto.wav"}')
    songs = [tmp_path / name for name in ("b.flac", "c.alto.wav", "deep/-a 노래.MP3")]
    assert find_songs([tmp_path]) == songs
    assert find_songs([songs[2], tmp_path]) == [songs[2], *songs[:2]]
    assert find_songs([tmp_path / "gone.wav"]) == [tmp_path / "gone.wav"]  # refused later, with the others going on
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no song: expected files that end in"):
        find_songs([tmp_path / "empty"])


def test_a_page_holds_all_that_it_shows(tmp_path: Path) -> None:
    wav = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    soundfile.write(tmp_path / "<song>.flac", np.stack([wav, wav], 1), 48_000)
    soundfile.write(tmp_path / "r.wav", wav, 44_100)
    (tmp_path / "r.png").write_bytes(b"\x89PNG picture")
    report = RenderReport(
        song=tmp_path / "<song>.flac",
        wav=tmp_path / "r.wav",
        picture=tmp_path / "r.png",
        speaker="al<to",
        key=-12,
        seconds=1.0,
        took=0.5,
        delivered=0.4,
        median_cents=2.0,
        within_20_cents=0.97,
        within_50_cents=1.0,
        notes=("a <note>",),
        timings={"f0": 0.1},
        first_sound=0.2,
    )
    page = tmp_path / "out.html"
    check_page_writable(page)
    write_page(page, [report], [(tmp_path / "bad.wav", "is silent")])
    check_page_writable(page)  # ours, to write again
    text = page.read_text()
    for there in ("&lt;song&gt;.flac", "al&lt;to", "a &lt;note&gt;", "97.0%", "bad.wav was refused: is silent"):
        assert there in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    sounds = re.findall(r"data:audio/mpeg;base64,([^\"]+)", text)
    assert len(sounds) == 2
    for number, sound in enumerate(sounds):
        (tmp_path / "s.mp3").write_bytes(base64.b64decode(sound))
        info = soundfile.info(tmp_path / "s.mp3")
        assert info.channels == (2, 1)[number]
        assert info.duration == pytest.approx((1.0, 48_000 / 44_100)[number], abs=0.1)
    assert base64.b64encode(b"\x89PNG picture").decode() in text


def test_a_page_without_pictures_has_none(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", np.zeros(4_410), 44_100)
    values = dict.fromkeys(("median_cents", "within_20_cents", "within_50_cents", "first_sound", "picture"))
    report = RenderReport(
        song=tmp_path / "s.wav", wav=tmp_path / "s.wav", speaker="a", key=0, seconds=0.1, took=1, delivered=1, notes=(),
        timings={}, **values,
    )  # fmt: skip
    write_page(tmp_path / "out.html", [report])
    assert "<img" not in (tmp_path / "out.html").read_text()


def test_a_page_of_others_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("<html>precious")
    with pytest.raises(UserError, match="no report of svc"):
        check_page_writable(tmp_path / "mine.html")
    with pytest.raises(UserError, match="does not exist"):
        check_page_writable(tmp_path / "no" / "a.html")


def half(mix: np.ndarray) -> np.ndarray:
    """A separator with a known result: the whole mix, half as loud."""
    return mix / 2


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(3.0, 44_100, 2), (7.3, 48_000, 1), (130.0, 44_100, 2)])
def test_stems_are_together_the_mix(tmp_path: Path, seconds: float, rate: int, channels: int) -> None:
    """With and without joins between blocks; at 44.1 kHz to the rounding of floats."""
    generator = np.random.default_rng(0)
    wav = (0.1 * generator.standard_normal((int(seconds * rate), channels))).astype(np.float32)
    stems = separate(SampleBuffer.of(wav, rate), tmp_path, "cpu", Progress(), half)
    voice, backing = (stem.read(0, len(stem)) for stem in (stems.voice, stems.backing))
    assert voice.shape == backing.shape
    assert voice.shape == (pytest.approx(seconds * 44_100, abs=1), 2)
    np.testing.assert_allclose(voice, backing, atol=1e-6)
    if rate == 44_100:
        np.testing.assert_allclose(voice + backing, wav, atol=1e-6)
    assert list(tmp_path.iterdir()) == []
    stems.close()


def test_without_demucs_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "demucs.apply", None)
    with pytest.raises(UserError, match=r"pip install 'svc\[separate\]'"):
        load_demucs("cpu")


def test_demucs_is_called_with_the_parameters_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with demucs 4.1's own names of modules, functions and parameters."""
    import types

    import torch

    def apply_model(
        model: object,
        mix: torch.Tensor,
        shifts: int = 1,
        split: bool = True,
        overlap: float = 0.25,
        transition_power: float = 1.0,
        progress: bool = False,
        device: object = None,
    ) -> torch.Tensor:
        return torch.stack([mix * 0.25, mix * 0.75], 1)

    network = types.SimpleNamespace(sources=["drums", "vocals"])
    for name, members in (
        ("demucs", {}),
        ("demucs.apply", {"apply_model": apply_model}),
        ("demucs.pretrained", {"get_model": lambda name: network}),
    ):
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(__import__("sys").modules, name, module)
    mix = np.random.default_rng(0).standard_normal((2, 1_000)).astype(np.float32)
    np.testing.assert_allclose(load_demucs("cpu")(mix), 0.75 * mix + 0.25 * mix.mean(), atol=1e-6)
