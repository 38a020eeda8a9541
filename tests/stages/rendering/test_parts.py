"""--parts: several voices over stems and parts of one song, each with its own key, gain and time, in one mix."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from svc.common.errors import SvcError, UserError
from svc.stages.rendering.converter import AudioChunk, ConversionPlan, Converter
from svc.stages.rendering.parts_file import Part, read_parts
from svc.stages.rendering.render_parts import PartsBatch
from svc.stages.rendering.stopwatch import Stopwatch
from svc.stages.settings import RenderSettings

RATE, HOP = 44_100, 512


class Tone(Converter):
    """A sine of its own frequency wherever the song sounds; the key moves it."""

    def __init__(self, hertz: float):
        self.hertz, self.name = hertz, f"{hertz:g}"

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        for phrase in plan.source.phrases:
            if phrases is None or phrase.number in phrases:
                at = np.arange(phrase.start * HOP, phrase.end * HOP) / RATE
                hertz = self.hertz * 2 ** (plan.target.key / 12)
                wav = 0.2 * np.sin(2 * np.pi * hertz * at)
                yield AudioChunk(phrase.number, phrase.start, wav.astype(np.float32), True, True)


def stem(path: Path, seconds: float, channels: int = 1) -> None:
    """A steady vowel, so that all of it is one phrase."""
    t = np.arange(round(seconds * RATE)) / RATE
    wav = 0.1 * sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 10))
    soundfile.write(path, np.stack([wav * (1 - 0.5 * channel) for channel in range(channels)], 1), RATE)


def level(wav: np.ndarray, hertz: float, start: float, end: float) -> float:
    """The amplitude of a sine between two times in seconds."""
    piece = wav[round(start * RATE) : round(end * RATE)]
    at = np.arange(round(start * RATE), round(end * RATE)) / RATE
    return float(2 * abs(np.mean(piece * np.exp(-2j * np.pi * hertz * at))))


def mixed(tmp_path: Path, parts: list[tuple[Part, Converter | None]]) -> tuple[np.ndarray, dict[str, Any]]:
    settings = RenderSettings(bit_depth="float")
    batch = PartsBatch([part for part, _ in parts], [each for _, each in parts], tmp_path / "mix.wav", settings)
    report = batch.render()
    assert report.lines()[-1].startswith(f"{tmp_path / 'mix.wav'}: ")
    return soundfile.read(tmp_path / "mix.wav", always_2d=True)[0], json.loads((tmp_path / "mix.json").read_text())


def test_two_voices_and_a_backing_are_mixed(tmp_path: Path) -> None:
    """Each voice in its own key and with its own gain; the result lasts as long as the longest stem."""
    stem(tmp_path / "lead.wav", 3.0)
    stem(tmp_path / "band.wav", 4.0, channels=2)
    settings = RenderSettings(bit_depth="float")
    wav, said = mixed(
        tmp_path,
        [
            (Part(tmp_path / "lead.wav", settings), Tone(1_050)),
            (Part(tmp_path / "lead.wav", dataclasses.replace(settings, key=12), gain_db=-6.0), Tone(1_550)),
            (Part(tmp_path / "band.wav", settings, sing=False, gain_db=6.0), None),
        ],
    )
    assert wav.shape == (4 * RATE, 2)
    for channel, band in ((0, 0.2), (1, 0.1)):
        assert level(wav[:, channel], 1_050, 1, 2) == pytest.approx(0.2, rel=0.02)
        assert level(wav[:, channel], 3_100, 1, 2) == pytest.approx(0.1, rel=0.03)
        assert level(wav[:, channel], 200, 3.2, 3.8) == pytest.approx(band, rel=0.03)
        assert level(wav[:, channel], 1_050, 3.3, 3.8) < 1e-3
    assert [part["sing"] for part in said["parts"]] == [True, True, False]
    assert [part.get("key") for part in said["parts"]] == [0, 12, None]
    assert said["made"] == "svc render"


def test_parts_of_one_song_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    """Two voices share a stem: where one ends the other begins, and together they are as loud as one."""
    stem(tmp_path / "a.wav", 4.0)
    settings = RenderSettings(bit_depth="float")
    wav, _ = mixed(
        tmp_path,
        [
            (Part(tmp_path / "a.wav", settings, end=2.0), Tone(1_000)),
            (Part(tmp_path / "a.wav", settings, start=2.0), Tone(1_000)),
        ],
    )
    alone, _ = mixed(tmp_path, [(Part(tmp_path / "a.wav", settings), Tone(1_000))])
    np.testing.assert_allclose(wav, alone, atol=1e-5)
    first, _ = mixed(tmp_path, [(Part(tmp_path / "a.wav", settings, end=2.0), Tone(1_000))])
    assert not first[round(2.02 * RATE) :].any()
    np.testing.assert_array_equal(first[: round(1.98 * RATE)], alone[: round(1.98 * RATE)])


def test_what_a_file_of_parts_says(tmp_path: Path) -> None:
    file = tmp_path / "parts.json"
    parts = [
        {"song": "lead.wav", "model": "runs/a", "speaker": "alto", "key": "auto", "end": "1:02.5"},
        {"song": "band.wav", "sing": False, "gain_db": -3},
    ]
    file.write_text(json.dumps({"parts": parts}))
    lead, band = read_parts(file, RenderSettings(seed=7, breaths=0.5))
    assert lead == Part(
        tmp_path / "lead.wav",
        RenderSettings(seed=7, breaths=0.5, speaker="alto", key="auto"),
        model=tmp_path / "runs" / "a",
        end=62.5,
    )
    assert (band.sing, band.gain_db, band.settings.seed) == (False, -3.0, 7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON"),
        ("[]", "no list of 1 to 64 parts"),
        ('{"parts": []}', "no list of 1 to 64 parts"),
        ('{"parts": [{}]}', 'part 1 has no "song"'),
        ('{"parts": [{"song": "a.wav", "kye": 3}]}', "part 1: kye not known"),
        ('{"parts": [{"song": "a.wav", "sing": 3}]}', '"sing" is true or false'),
        ('{"parts": [{"song": "a.wav", "sing": false}]}', "no part would be converted"),
        ('{"parts": [{"song": "a.wav", "key": "high"}]}', "expected a number of semitones"),
        ('{"parts": [{"song": "a.wav", "key": [1]}]}', "part 1"),
        ('{"parts": [{"song": "a.wav", "start": 5, "end": "0:04"}]}', "ends at 4 s and begins at 5 s"),
        ('{"parts": [{"song": "a.wav", "start": "x:1"}]}', "is no time"),
        ('{"parts": [{"song": "a.wav", "gain_db": 100}]}', "between -60 and 24 dB"),
        ('{"parts": [{"song": "a.wav", "gain_db": NaN}]}', "must be a number"),
        ('{"parts": [{"song": "a.wav", "speaker": 5}]}', "part 1: speaker: expected text"),
        ('{"parts": [{"song": "a.wav", "seed": 1.5}]}', "part 1: seed: expected a whole number"),
        ('{"parts": [{"song": "a.wav", "steps": "x"}]}', "part 1: steps: expected a whole number"),
        ('{"parts": [{"song": "a.wav", "formants": true}]}', "part 1: formants: expected a number"),
        ('{"parts": [{"song": "a.wav", "method": []}]}', "part 1: method: expected text"),
        ('{"parts": [{"song": "a\\u0000b"}]}', "cannot be the path of a file"),
        ('{"parts": [{"song": "a.wav", "model": "\\ud800"}]}', "cannot be the path of a file"),
    ],
)
def test_mistakes_in_it_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UserError) as error:
        read_parts(tmp_path / "p.json", RenderSettings())
    assert says in str(error.value)
    with pytest.raises(UserError, match="cannot be read"):
        read_parts(tmp_path / "none.json", RenderSettings())


def test_the_command_mixes_parts(tmp_path: Path, run: Path, song: Path) -> None:
    from click.testing import CliRunner
    from svc.cli import main

    voices = [{"song": str(song), "speaker": name, "steps": 1} for name in ("alto", "bass")]
    (tmp_path / "duet.json").write_text(json.dumps({"parts": voices}))
    found = CliRunner().invoke(main, ["render", "--parts", str(tmp_path / "duet.json"), "-m", str(run)])
    assert found.exit_code == 0, found.output
    said = json.loads((tmp_path / "duet.mix.json").read_text())
    assert [part["settings"]["speaker"] for part in said["parts"]] == ["alto", "bass"]
    assert soundfile.info(tmp_path / "duet.mix.wav").frames > 0
    both = CliRunner().invoke(main, ["render", str(song), "--parts", str(tmp_path / "duet.json"), "-m", str(run)])
    assert both.exit_code == 2
    assert "either songs or --parts" in both.output


@pytest.mark.parametrize("option", [["--voice", "a.wav"], ["--report", "a.html"], ["--f0-only"], ["--separate"]])
def test_options_of_single_songs_are_refused(option: list[str]) -> None:
    from click.testing import CliRunner
    from svc.cli import main

    found = CliRunner().invoke(main, ["render", "--parts", "p.json", *option])
    assert found.exit_code == 2
    assert "--parts takes none of" in found.output


def test_every_part_is_checked_before_the_first_is_converted(tmp_path: Path, run: Path, song: Path) -> None:
    """A mistake in the last of 20 parts costs seconds, not an hour; the song and the setting are named."""
    first = {"song": str(song)}
    for second, says in (
        ({"song": "gone.wav"}, "gone.wav: cannot be read"),
        ({"song": str(song), "speaker": "tenor"}, "there is no speaker 'tenor'"),
        ({"song": str(song), "method": "pndm"}, "method 'pndm' does not suit this run"),
    ):
        (tmp_path / "p.json").write_text(json.dumps({"parts": [first, second]}))
        with pytest.raises(SvcError, match=says):
            PartsBatch.open(tmp_path / "p.json", RenderSettings(), run)
