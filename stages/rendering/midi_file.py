"""A melody as a standard MIDI file: read as a target f0, written from an f0.

What is between semitones is pitch bend. Reading respects tempo changes and the bend range (RPN 0).
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import mido
import numpy as np
from numpy.typing import NDArray

from ...common.errors import UserError
from ...common.text import clock, count
from ...pipeline import frames
from ...pipeline.pitch.melody import semitones
from ...pipeline.pitch.notes import split_notes

MAGIC = b"MThd"
CHOOSE = "choose by track and channel (svc render --midi-track N --midi-channel N)"
SUFFIXES = (".mid", ".midi")
DRUMS = 9  # channel 10 of General MIDI
MOST_BYTES = 1 << 22  # an hour of what `dumps` writes has 1.3 MB
TEMPO = 500_000  # microseconds a beat, until a file says otherwise
TICKS = 480  # a beat, of what is written: 1.04 ms
BEND_RANGE = 2.0  # semitones, until a file says otherwise
WRITTEN_RANGE = 12  # semitones, of what is written: steps of 0.15 cents
WHEEL = 8192
MOST_WHEEL = WHEEL - 1
TOGETHER = 0.005  # s: notes that begin within this time are a chord
HIGHEST_NOTE = 107  # B7: an f0 file takes 4000 Hz at most
OURS = "f0 of svc"  # a text in written files, which identifies them


@dataclass(frozen=True)
class MidiChoice:
    """Which notes of a file are the melody: those of a track, of a channel, both counted from 1; None is any."""

    track: int | None = None
    channel: int | None = None


@dataclass
class Melody:
    """The notes and bends of one channel of one track.

    Attributes:
        track, channel: counted from 1.
        name: of its track.
        notes: begin and end in ticks, and MIDI note number.
        bends: ticks and semitones, in order.
    """

    track: int
    channel: int
    name: str
    notes: list[tuple[int, int, int]] = field(default_factory=list)
    bends: list[tuple[int, float]] = field(default_factory=lambda: [(0, 0.0)])

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"track {self.track}{name} channel {self.channel}, {count(len(self.notes), 'note')}"


class SeveralMelodiesError(UserError):
    """A file has notes on several tracks or channels, and none was chosen. `melodies` are these."""

    def __init__(self, melodies: list[Melody]):
        listed = "; ".join(map(str, melodies[:8])) + ("; ..." if len(melodies) > 8 else "")
        super().__init__(f"expected one melody, found {len(melodies)} ({listed})", CHOOSE)
        self.melodies = melodies


def is_midi(data: bytes) -> bool:
    """Whether a file's bytes are a standard MIDI file's."""
    return data.startswith(MAGIC)


def is_ours(data: bytes) -> bool:
    """Whether `dumps` wrote these bytes, so that they may be replaced."""
    return is_midi(data) and OURS.encode() in data


def loads(data: bytes, length: int, choice: MidiChoice | None = None) -> NDArray[np.float32]:
    """f0 float32 (length,) in Hz at mel centres, 0 where no note sounds. A note ends where the next begins.

    `choice` says which notes are the melody, where a file has notes on several tracks or channels.

    Raises:
        UserError: it is damaged, holds no melody or chords, or a note is above HIGHEST_NOTE.
        SeveralMelodiesError: it holds several melodies.
    """
    melody, times = _melody(data, choice or MidiChoice())
    starts, ends = times(melody.notes, 0), times(melody.notes, 1)
    numbers = np.array([number for _, _, number in melody.notes], np.float64)
    if (chord := np.flatnonzero(np.diff(starts) < TOGETHER)).size:
        raise UserError(
            f"expected one note at a time, found several that begin at {clock(float(starts[chord[0]]))}",
            "Keep the melody's notes alone",
        )
    centres = frames.mel_centres(0, length)
    note = np.searchsorted(starts, centres, "right") - 1
    bend = np.searchsorted(times(melody.bends, 0), centres, "right") - 1
    heights = numbers[note] + np.array([height for _, height in melody.bends])[bend]
    sounds = (note >= 0) & (centres < ends[note])
    if (highest := max(numbers.max(), heights[sounds].max(initial=0.0))) > HIGHEST_NOTE:
        raise UserError(f"expected notes up to B7 ({HIGHEST_NOTE}), found {highest:g}", "Transpose the melody down")
    return np.where(sounds, 440 * 2 ** ((heights - 69) / 12), 0).astype(np.float32)


def dumps(f0: NDArray[np.float32]) -> bytes:
    """f0 (M,) in Hz at mel centres, 0 = unvoiced, as a MIDI file of one track: notes, and their pitch as bends."""
    track = mido.MidiTrack()
    edges = frames.mel_centres(0, len(f0) + 1) - frames.mel_seconds(1) / 2  # where each frame begins, s
    ticks = np.maximum(np.round(edges * TICKS * 1e6 / TEMPO), 0).astype(int)
    track += [mido.MetaMessage("text", text=OURS), mido.MetaMessage("set_tempo", tempo=TEMPO)]
    for control, value in ((101, 0), (100, 0), (6, WRITTEN_RANGE), (38, 0)):
        track.append(mido.Message("control_change", control=control, value=value))
    at, wheel = 0, 0
    for note in split_notes(f0):
        offsets = semitones(f0[note.start : note.end]) - note.number
        wheels = np.clip(np.round(offsets / WRITTEN_RANGE * WHEEL), -WHEEL, MOST_WHEEL).astype(int)
        for frame, value in enumerate(wheels.tolist(), note.start):
            if value != wheel:
                track.append(mido.Message("pitchwheel", pitch=value, time=int(ticks[frame]) - at))
                at, wheel = int(ticks[frame]), value
            if frame == note.start:
                track.append(mido.Message("note_on", note=min(max(note.number, 0), 127), time=int(ticks[frame]) - at))
                at = int(ticks[frame])
        track.append(mido.Message("note_off", note=min(max(note.number, 0), 127), time=int(ticks[note.end]) - at))
        at = int(ticks[note.end])
    out = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=TICKS, tracks=[track]).save(file=out)
    return out.getvalue()


class _Times:
    """Seconds of ticks, by a file's tempo changes."""

    def __init__(self, file: mido.MidiFile):
        changes = {0: TEMPO}
        for track in file.tracks:
            for tick, message in _absolute(track):
                if message.type == "set_tempo":
                    changes[tick] = message.tempo
        self._ticks = np.array(sorted(changes), np.float64)
        self._rates = np.array([changes[int(tick)] for tick in self._ticks]) / 1e6 / file.ticks_per_beat
        self._seconds = np.concatenate([[0.0], np.cumsum(np.diff(self._ticks) * self._rates[:-1])])

    def __call__(self, rows: list[tuple[int, int, int]] | list[tuple[int, float]], column: int) -> NDArray[np.float64]:
        ticks = np.array([row[column] for row in rows], np.float64)
        last = np.searchsorted(self._ticks, ticks, "right") - 1
        return np.asarray(self._seconds[last] + (ticks - self._ticks[last]) * self._rates[last])


def _melody(data: bytes, choice: MidiChoice) -> tuple[Melody, _Times]:
    """The one melody of a file, or that which is chosen. Raises UserError for none or several."""
    if len(data) > MOST_BYTES:
        raise UserError(f"it has {len(data)} bytes; expected at most {MOST_BYTES}")
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
        if file.type == 2 or file.ticks_per_beat <= 0:
            raise UserError("expected one song whose times are in beats", "Save it as a MIDI file of type 0 or 1")
        found = [each for number, track in enumerate(file.tracks, 1) for each in _melodies(track, number) if each.notes]
        bends = _bends(file)
        times = _Times(file)
    except UserError:
        raise
    except Exception as error:  # mido's errors for a damaged file are of many kinds
        raise UserError(f"it is damaged: {error or type(error).__name__}") from error
    if not found:
        raise UserError("expected a melody, found no notes outside the drums")
    chosen = [m for m in found if choice.track in (None, m.track) and choice.channel in (None, m.channel)]
    if not chosen:
        asked = " ".join(f"{name} {value}" for name, value in asdict(choice).items() if value)
        raise UserError(f"expected notes on {asked}, found {'; '.join(map(str, found[:8]))}", CHOOSE)
    if len(chosen) > 1:
        raise SeveralMelodiesError(chosen)
    chosen[0].bends += bends[chosen[0].channel]
    return chosen[0], times


def _bends(file: mido.MidiFile) -> dict[int, list[tuple[int, float]]]:
    """Ticks and semitones of each channel's pitch bends, on whatever track they are; channels from 1."""
    listed = [
        (tick, message)
        for track in file.tracks
        for tick, message in _absolute(track)
        if message.type in ("pitchwheel", "control_change")
    ]
    found: dict[int, list[tuple[int, float]]] = defaultdict(list)
    ranges: dict[int, float] = {}
    parameters: dict[int, dict[int, int]] = {}
    for tick, message in sorted(listed, key=lambda each: each[0]):
        channel = message.channel
        if message.type == "pitchwheel":
            found[channel + 1].append((tick, message.pitch / WHEEL * ranges.get(channel, BEND_RANGE)))
            continue
        controls = parameters.setdefault(channel, {})
        controls[message.control] = message.value
        if controls.get(101) == controls.get(100) == 0 and message.control in (6, 38):
            ranges[channel] = controls.get(6, BEND_RANGE) + controls.get(38, 0) / 100
    return found


def _named(track: mido.MidiTrack) -> str:
    """A track's name: mido reads Latin-1, most programs write UTF-8."""
    return str(track.name).encode("latin-1", "replace").decode("utf-8", "replace")[:60]


def _melodies(track: mido.MidiTrack, number: int) -> list[Melody]:
    """The melodies of a track, one a channel, without their bends."""
    found: dict[int, Melody] = {}
    sounding: dict[tuple[int, int], int] = {}
    tick = 0
    for tick, message in _absolute(track):
        channel = getattr(message, "channel", DRUMS)
        if channel == DRUMS:
            continue
        melody = found.setdefault(channel, Melody(number, channel + 1, _named(track)))
        if message.type in ("note_on", "note_off"):
            if (began := sounding.pop((channel, message.note), None)) is not None:
                melody.notes.append((began, tick, message.note))
            if message.type == "note_on" and message.velocity:
                sounding[channel, message.note] = tick
    for (channel, note), began in sounding.items():  # never ended: until the track does
        found[channel].notes.append((began, tick, note))
    for melody in found.values():
        melody.notes = sorted(note for note in melody.notes if note[1] > note[0])
    return list(found.values())


def _absolute(track: mido.MidiTrack) -> Iterator[tuple[int, mido.Message | mido.MetaMessage]]:
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message
