"""MIDI as f0: notes, tempo changes and bends give the frequencies that they stand for; f0 comes back within a cent."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import mido
import numpy as np
import pytest
from svc.common.errors import UserError
from svc.pipeline.frames import mel_centres, mel_seconds
from svc.pipeline.pitch.melody import semitones
from svc.pipeline.pitch.notes import split_notes
from svc.stages.rendering import f0_file, midi_file
from svc.stages.rendering.midi_file import MidiChoice, SeveralMelodiesError

BEAT = 480


def saved(*tracks: list[mido.Message | mido.MetaMessage], kind: int = 1) -> bytes:
    file, out = mido.MidiFile(type=kind, ticks_per_beat=BEAT), io.BytesIO()
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(file=out)
    return out.getvalue()


def note(number: int, beats: float, wait: float = 0, channel: int = 0) -> list[mido.Message]:
    return [
        mido.Message("note_on", note=number, channel=channel, time=round(wait * BEAT)),
        mido.Message("note_off", note=number, channel=channel, time=round(beats * BEAT)),
    ]


def at(f0: np.ndarray, seconds: float) -> float:
    return float(f0[int(np.argmin(np.abs(mel_centres(0, len(f0)) - seconds)))])


def test_notes_have_their_times_and_frequencies() -> None:
    """120 beats a minute: A4 from 0.5 to 1 s, A5 from 1 to 2 s."""
    f0 = midi_file.loads(saved(note(69, 1, wait=1) + note(81, 2)), 200)
    centres = mel_centres(0, 200)
    expected = np.select([(centres >= 0.5) & (centres < 1), (centres >= 1) & (centres < 2)], [440.0, 880.0], 0.0)
    np.testing.assert_allclose(f0, expected, rtol=1e-6)


def test_a_tempo_change_in_another_track() -> None:
    """One beat of 0.5 s, then beats of 1 s: a note of three beats ends after 2.5 s."""
    tempo = [mido.MetaMessage("set_tempo", tempo=1_000_000, time=BEAT)]
    f0 = midi_file.loads(saved(tempo, note(69, 3)), 300)
    assert (np.flatnonzero(f0)[-1] + 1) == pytest.approx(2.5 / mel_seconds(1), abs=1)


def test_bends_follow_the_range_that_the_file_sets() -> None:
    bend = [mido.Message("pitchwheel", pitch=4096), *note(69, 1)]
    assert at(midi_file.loads(saved(bend), 50), 0.2) == pytest.approx(440 * 2 ** (1 / 12), rel=1e-5)
    wide = [mido.Message("control_change", control=c, value=v) for c, v in ((101, 0), (100, 0), (6, 12))]
    assert at(midi_file.loads(saved(wide + bend), 50), 0.2) == pytest.approx(440 * 2 ** (6 / 12), rel=1e-5)


def test_a_note_ends_where_the_next_begins() -> None:
    legato = [
        mido.Message("note_on", note=69),
        mido.Message("note_on", note=71, time=BEAT),
        mido.Message("note_off", note=69, time=100),
        mido.Message("note_on", note=71, velocity=0, time=BEAT),  # which is an end too
    ]
    f0 = midi_file.loads(saved(legato), 150)
    assert at(f0, 0.4) == pytest.approx(440)
    assert at(f0, 0.55) == pytest.approx(440 * 2 ** (2 / 12))


def test_drums_are_no_melody() -> None:
    f0 = midi_file.loads(saved(note(69, 1), note(36, 1, channel=9)), 100)
    assert set(f0[f0 > 0].tolist()) == {440.0}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"MThd\0\0", "is damaged"),
        (saved(note(69, 1))[:-8], "is damaged"),
        (saved([]), "expected a melody, found no notes"),
        (saved(note(36, 1, channel=9)), "found no notes outside the drums"),
        (
            saved(
                [mido.MetaMessage("track_name", name="Lead"), *note(69, 1)],
                [mido.MetaMessage("track_name", name="Bass"), *note(40, 1)],
            ),
            r"expected one melody, found 2 \(track 1 'Lead' channel 1, 1 note; track 2 'Bass' channel 1, 1 note\)",
        ),
        (
            saved([mido.Message("note_on", note=n, time=0) for n in (60, 64)] + note(67, 1)),
            r"found several that begin at 0:00",
        ),
        (saved(note(108, 1)), r"expected notes up to B7 \(107\), found 108"),
        (saved(note(69, 1), kind=2), "type 0 or 1"),
        (b"MThd" + bytes(midi_file.MOST_BYTES), "expected at most"),
    ],
)
def test_what_is_no_melody_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "a.mid").write_bytes(data)
    with pytest.raises(UserError, match=rf"a.mid is no f0 file: (.|\n)*{says}"):
        f0_file.check_readable(tmp_path / "a.mid")


def test_any_bytes_are_read_or_refused() -> None:
    generator, whole = np.random.default_rng(0), saved(note(69, 1, wait=1) + note(81, 2))
    for _ in range(300):
        data = bytearray(whole)
        for place in generator.integers(4, len(data), 3):
            data[place] = generator.integers(256)
        with contextlib.suppress(UserError):
            assert midi_file.loads(bytes(data), 100).shape == (100,)


def sung() -> np.ndarray:
    """Three seconds: silence, a note with a vibrato of 40 cents, a glide of a fifth, silence, a note off the scale."""
    seconds = mel_centres(0, round(3 / mel_seconds(1)))
    pitch = 69 + 0.4 * np.sin(2 * np.pi * 5.5 * seconds)
    pitch = np.where(seconds > 1.2, 69 + 7 * np.clip((seconds - 1.2) / 0.4, 0, 1), pitch)
    pitch = np.where(seconds > 2.2, 64.37, pitch)
    quiet = (seconds < 0.2) | ((seconds > 2.0) & (seconds < 2.2)) | (seconds > 2.8)
    return np.where(quiet, 0, 440 * 2 ** ((pitch - 69) / 12)).astype(np.float32)


def test_what_is_written_is_read_within_a_cent(tmp_path: Path) -> None:
    f0 = sung()
    f0_file.write(tmp_path / "a.mid", f0)
    again = f0_file.read(tmp_path / "a.mid", len(f0))
    assert np.array_equal(again > 0, f0 > 0)
    voiced = f0 > 0
    assert np.abs(semitones(again[voiced]) - semitones(f0[voiced])).max() < 0.01


def test_notes_are_those_that_were_sung() -> None:
    found = split_notes(sung())
    assert (found[0].number, found[-1].number) == (69, 64)
    assert [each.number for each in found[:-1]] == sorted(each.number for each in found[:-1])
    assert mel_seconds(found[0].start) == pytest.approx(0.2, abs=0.02)
    assert mel_seconds(found[0].end) == pytest.approx(1.25, abs=0.1)  # the vibrato is one note
    assert split_notes(np.zeros(50, np.float32)) == []


def test_bends_on_another_track_bend_the_notes_of_their_channel() -> None:
    bend = [mido.Message("pitchwheel", pitch=4096), mido.Message("pitchwheel", pitch=-8192, channel=1)]
    assert at(midi_file.loads(saved(bend, note(69, 1)), 50), 0.2) == pytest.approx(440 * 2 ** (1 / 12), rel=1e-5)


def test_a_melody_is_chosen_by_track_and_channel(tmp_path: Path) -> None:
    named = [mido.MetaMessage("track_name", name="소리".encode().decode("latin-1"))]
    path = tmp_path / "a.mid"
    path.write_bytes(saved(named + note(60, 1), note(64, 1, channel=2) + note(67, 1, channel=3)))
    for seconds, number, choice in (
        (0.1, 60, MidiChoice(track=1)),
        (0.1, 64, MidiChoice(channel=3)),
        (0.7, 67, MidiChoice(2, 4)),
    ):
        found = f0_file.read(path, 100, choice)
        assert at(found, seconds) == pytest.approx(440 * 2 ** ((number - 69) / 12), rel=1e-5)
        assert np.unique(found).size == 2
    with pytest.raises(SeveralMelodiesError, match="found 3") as error:
        f0_file.loads(path.read_bytes(), 40)
    assert [(each.track, each.channel, each.name) for each in error.value.melodies] == [
        (1, 1, "소리"),
        (2, 3, ""),
        (2, 4, ""),
    ]
    with pytest.raises(UserError, match=r"a.mid is no f0 file: expected notes on track 4, found track 1 '소리'"):
        f0_file.read(path, 40, MidiChoice(track=4))
    (tmp_path / "a.csv").write_text("0,220\n")
    with pytest.raises(UserError, match="expected a MIDI file, because a track or channel was chosen"):
        f0_file.read(tmp_path / "a.csv", 40, MidiChoice(track=1))


def test_a_midi_file_of_the_users_own_is_not_replaced(tmp_path: Path) -> None:
    f0_file.write(tmp_path / "ours.mid", sung())
    f0_file.check_ours(tmp_path / "ours.mid")
    (tmp_path / "mine.mid").write_bytes(saved(note(69, 1)))
    with pytest.raises(UserError, match=r"mine.mid exists and is no f0 file"):
        f0_file.check_ours(tmp_path / "mine.mid")
