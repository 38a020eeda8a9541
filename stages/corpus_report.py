"""A description of a store's corpus: the minutes and notes of each speaker, and faults of the recordings.

Computed from the columns f0, loudness and mel; clipping, noise and other voices from some recordings of each speaker,
if the files are still there. `svc inspect STORE --report` prints it; the page shows its JSON.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.progress import Progress
from ..common.text import count, note_name
from ..pipeline import audio, frames
from ..pipeline.audio import AudioError
from ..pipeline.pitch.melody import semitones
from ..pipeline.recording_quality import clipped_share, fingerprint, harmonic_share, reverberation_seconds
from ..pipeline.slicing import gated_loudness, is_tonal, noise_floor
from ..store import Clip, Store
from ..store.checksummed_json import read_checksummed
from ..store.errors import StoreError
from .extraction.corpus_scan import in_parallel

RECORDINGS = 40  # of a speaker, that are read
WINDOWS = 40  # of a recording, that are examined for other voices
COPY = 0.985  # similarity of fingerprints from which two utterances count as copies
ENOUGH_MINUTES = 10.0
CLIPPED, NOISY_DB, REVERBERANT_SECONDS, ALONE = 1e-4, 30.0, 0.8, 0.8  # beyond which a warning is given


@dataclass
class SpeakerReport:
    """One speaker's part of a corpus.

    Attributes:
        minutes, voiced_minutes: in all, and with a pitch.
        f0_low, f0_median, f0_high: Hz, the 1st, 50th and 99th percentile.
        notes: seconds by note name, from the lowest to the highest.
        loudness_db: gated loudness, dBFS. spread_db: from the softest to the loudest tenth of what is voiced.
        reverberation_seconds: in which sound decays by 60 dB, a rough estimate.
        clipped_share: of samples. noise_db: dBFS; snr_db: loudness over noise. A quarter of the
            recordings are no better.
        harmonic_share: share of the power in voiced frames that lies at multiples of f0; music_share: share of unvoiced
            sound that is tonal. Both are None if no recording could be read.
        warnings, faults: sentences on faults, and a word for each: `few_minutes`, `clipped`, `noisy`, `reverberant`,
            `other_voices`, `music`, `rare_notes`.
        recordings, recordings_read: how many there are, and how many were read for these.
    """

    minutes: float = 0.0
    voiced_minutes: float = 0.0
    utterances: int = 0
    f0_low: float | None = None
    f0_median: float | None = None
    f0_high: float | None = None
    notes: dict[str, float] = field(default_factory=dict)
    loudness_db: float | None = None
    spread_db: float | None = None
    reverberation_seconds: float | None = None
    clipped_share: float | None = None
    noise_db: float | None = None
    snr_db: float | None = None
    harmonic_share: float | None = None
    music_share: float | None = None
    recordings: int = 0
    recordings_read: int = 0
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class CorpusReport:
    """A corpus, by speaker. `copies` are pairs of utterances; `unusable` are inputs and utterances with the reason."""

    store: str
    minutes: float
    speakers: dict[str, SpeakerReport]
    copies: list[tuple[str, str]]
    unusable: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """As a record for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a reader."""
        said = [f"{self.store}: {count(len(self.speakers), 'speaker')}, {self.minutes:.1f} minutes"]
        for name, speaker in self.speakers.items():
            said += _speaker_lines(name, speaker)
        said += [f"  {one} and {other} sound the same; one of them is enough" for one, other in self.copies[:20]]
        if len(self.copies) > 20:
            said.append(f"  and {len(self.copies) - 20} more pairs that sound the same; see --json")
        said += [f"  not usable: {name}: {reason}" for name, reason in self.unusable.items()]
        return said


def corpus_report(store: Store, progress: Progress | None = None, read_recordings: bool = True) -> CorpusReport:
    """Describe a store's corpus.

    Args:
        read_recordings: whether recordings are read for measures that columns do not give (clipping, noise, other
            voices).

    Raises:
        DamagedError: a cell is not what was written.
    """
    progress = progress or Progress()
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    unusable = _refused(store)
    for clip in store:
        missing = clip.missing()
        if {"f0", "loudness", "mel"} & set(missing):
            unusable.setdefault(clip.id, f"has no {', '.join(missing)}: run svc extract again")
        else:
            by_speaker[clip.speaker].append(clip)
    prints: list[tuple[str, int, NDArray[np.float32]]] = []
    speakers = {}
    with progress.bar("reading", len(store), "utterance") as bar:
        for name, clips in sorted(by_speaker.items()):
            speakers[name] = _describe(clips, prints, bar.advance)
            if read_recordings:
                _read_recordings(clips, speakers[name])
            found = _warnings(speakers[name])
            speakers[name].faults, speakers[name].warnings = list(found), list(found.values())
    minutes = sum(clip.seconds for clip in store) / 60
    return CorpusReport(store.location, round(minutes, 2), speakers, _copies(prints), unusable)


def _describe(clips: list[Clip], prints: list[tuple[str, int, NDArray[np.float32]]], advance: Any) -> SpeakerReport:
    """A speaker's figures from the store's columns. Adds the fingerprints of the utterances to `prints`."""
    out = SpeakerReport(utterances=len(clips), recordings=len({clip.utterance.audio for clip in clips}))
    f0s, levels, decays = [], [], []
    for clip in clips:
        f0, loudness = clip.f0, clip.loudness
        f0s.append(f0)
        levels.append(loudness)
        decay = reverberation_seconds(loudness, f0, frames.MEL_FRAME_RATE)
        decays += [] if decay is None else [decay]
        prints.append((clip.id, len(f0), fingerprint(clip.mel)))
        advance()
    f0, loudness = np.concatenate(f0s), np.concatenate(levels)
    voiced = f0[f0 > 0]
    out.minutes = round(frames.mel_seconds(len(f0)) / 60, 3)
    out.voiced_minutes = round(frames.mel_seconds(len(voiced)) / 60, 3)
    out.loudness_db = round(gated_loudness(loudness), 1)
    out.reverberation_seconds = round(float(np.median(decays)), 2) if decays else None
    if len(voiced):
        low, middle, high = np.percentile(voiced, [1, 50, 99])
        out.f0_low, out.f0_median, out.f0_high = (round(float(value), 1) for value in (low, middle, high))
        softest, loudest = np.percentile(loudness[f0 > 0], [10, 90])
        out.spread_db = round(float(loudest - softest), 1)
        notes, counts = np.unique(np.round(semitones(voiced)).astype(int), return_counts=True)
        held = dict(zip(notes.tolist(), counts.tolist(), strict=True))
        first, last = (round(float(semitones(value))) for value in (low, high))
        out.notes = {note_name(n): round(frames.mel_seconds(held.get(n, 0)), 2) for n in range(first, last + 1)}
    return out


def _read_recordings(clips: list[Clip], out: SpeakerReport) -> None:
    """Figures from the recordings themselves, of some of them, evenly chosen."""
    by_recording: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_recording[clip.utterance.audio].append(clip)
    chosen = list(by_recording.values())
    chosen = [chosen[n] for n in np.unique(np.linspace(0, len(chosen) - 1, min(RECORDINGS, len(chosen))).astype(int))]
    found = [result for _, result in in_parallel(_examine, chosen) if not isinstance(result, AudioError)]
    out.recordings_read = len(found)
    if not found:
        return
    clipped, noise, snr, harmonic, music = (np.array([item[n] for item in found], float) for n in range(5))
    out.clipped_share = float(f"{clipped.mean():.2g}")
    out.noise_db = round(float(np.percentile(noise, 75, method="higher")), 1)
    out.snr_db = round(float(np.percentile(snr, 25, method="lower")), 1)
    out.harmonic_share = round(float(np.nanmedian(harmonic)), 3) if np.isfinite(harmonic).any() else None
    out.music_share = round(float(np.nanmean(music)), 3) if np.isfinite(music).any() else None


def _examine(clips: list[Clip]) -> tuple[float, float, float, float, float]:
    """Clipped share, noise (dBFS), signal over noise (dB), harmonic share and music share of one recording."""
    first = clips[0].utterance
    path = Path(first.corpus, first.source)
    recording = audio.scan(path)
    level, flatness = recording.level_db, recording.flatness
    assert flatness is not None
    noise, loudness = noise_floor(level, flatness), gated_loudness(level)
    clip = max(clips, key=lambda clip: clip.row.mel_frames)
    wav = audio.read(recording, clip.row.start, clip.row.end)
    if audio.file_hash(path) != first.audio:
        raise AudioError("is no longer what was extracted")
    f0 = clip.f0
    inside = slice(clip.row.start, clip.row.end)
    own_level = level[inside]
    unvoiced = (f0[: len(own_level)] == 0) & (own_level > loudness - 35)
    tonal = is_tonal(flatness[inside]) & unvoiced
    # The ends of a voice are tonal without a pitch; longer tonal sound is not the voice.
    music = _long_runs(tonal, 26).sum() / len(own_level)
    return clipped_share(wav), noise, loudness - noise, _harmonic(wav, recording.sample_rate, f0), float(music)


def _long_runs(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Only those runs of True that are at least so long."""
    out = np.zeros_like(mask)
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(np.int8))).reshape(-1, 2)
    for start, end in edges[edges[:, 1] - edges[:, 0] >= least].tolist():
        out[start:end] = True
    return out


def _harmonic(wav: NDArray[np.float32], rate: int, f0: NDArray[np.float32]) -> float:
    """The median harmonic share of windows with a steady pitch; NaN where there are none."""
    width = 8  # frames, 93 ms
    shares = []
    starts = [n for n in range(0, len(f0) - width, width) if (f0[n : n + width] > 0).all()]
    steady = [n for n in starts if np.ptp(np.log2(f0[n : n + width])) < 30 / 1200]
    for n in steady[:: max(1, len(steady) // WINDOWS)]:
        begin, end = (frames.mel_frame_start(at, rate) for at in (n, n + width))
        if end <= len(wav):
            shares.append(harmonic_share(wav[begin:end], rate, float(np.median(f0[n : n + width]))))
    return float(np.median(shares)) if shares else float("nan")


def _copies(prints: list[tuple[str, int, NDArray[np.float32]]]) -> list[tuple[str, str]]:
    """Pairs of utterances of nearly equal length that sound the same."""
    ordered = sorted(prints, key=lambda item: item[1])
    lengths = np.array([length for _, length, _ in ordered])
    vectors = np.stack([vector for _, _, vector in ordered]) if ordered else np.zeros((0, 1), np.float32)
    found = []
    for place, (name, length, vector) in enumerate(ordered):
        end = int(np.searchsorted(lengths, length * 1.02 + 2, side="right"))
        alike = np.flatnonzero(vectors[place + 1 : end] @ vector > COPY)
        found += [(name, ordered[place + 1 + other][0]) for other in alike.tolist()]
    return found


def _refused(store: Store) -> dict[str, str]:
    """Inputs that the last run did not use, by name, with the reason."""
    try:
        report = read_checksummed(store.layout.folder, store.layout.report)
        return {str(item["path"]): str(item["reason"]) for item in report["refused"]}
    except (StoreError, KeyError, TypeError):
        return {}


def _warnings(speaker: SpeakerReport) -> dict[str, str]:
    """Faults of a speaker's recordings: a word and a sentence each."""
    said = {}
    if speaker.minutes < ENOUGH_MINUTES:
        said["few_minutes"] = f"only {speaker.minutes:.1f} minutes; {ENOUGH_MINUTES:.0f} or more give a better voice"
    if (speaker.clipped_share or 0) > CLIPPED:
        said["clipped"] = f"{speaker.clipped_share:.2%} of samples are clipped; record with a lower gain"
    if speaker.snr_db is not None and speaker.snr_db < NOISY_DB:
        said["noisy"] = (
            f"the noise lies only {speaker.snr_db:.0f} dB under the voice; remove it, or record in a quiet room"
        )
    if (speaker.reverberation_seconds or 0) > REVERBERANT_SECONDS:
        said["reverberant"] = (
            f"it is reverberant (sound decays in about {speaker.reverberation_seconds:.1f} s); use dry ones"
        )
    if speaker.harmonic_share is not None and speaker.harmonic_share < ALONE:
        said["other_voices"] = "there are other voices or instruments; separate the voice first"
    elif (speaker.music_share or 0) > 0.05:
        said["music"] = "there is tonal sound where the voice is silent; separate the voice first"
    rare = [note for note, seconds in speaker.notes.items() if seconds < 1.0]
    if rare:
        said["rare_notes"] = (
            f"under a second of {', '.join(rare[:8])}{' ...' if len(rare) > 8 else ''} within its range"
        )
    return said


def _speaker_lines(name: str, speaker: SpeakerReport) -> Iterable[str]:
    yield f"  {name}: {speaker.minutes:.1f} minutes ({speaker.voiced_minutes:.1f} voiced), " + count(
        speaker.utterances, "utterance"
    )
    if speaker.f0_low and speaker.f0_median and speaker.f0_high:
        low, middle, high = (
            f"{note_name(round(float(semitones(hertz))))} ({hertz:.0f} Hz)"
            for hertz in (speaker.f0_low, speaker.f0_median, speaker.f0_high)
        )
        yield f"    pitch {low} to {high}, mostly around {middle}; {_coverage(speaker.notes)}"
    measured = [f"loudness {speaker.loudness_db} dBFS"]
    if speaker.spread_db is not None:
        measured.append(f"soft to loud {speaker.spread_db} dB")
    if speaker.noise_db is not None:
        measured.append(f"noise {speaker.noise_db} dBFS")
    if speaker.reverberation_seconds is not None:
        measured.append(f"decay about {speaker.reverberation_seconds} s")
    yield f"    {', '.join(measured)}"
    if speaker.recordings_read < speaker.recordings:
        yield f"    noise, clipping and other voices: by {speaker.recordings_read} of {speaker.recordings} recordings"
    yield from (f"    warning: {warning}" for warning in speaker.warnings)


def _coverage(notes: dict[str, float]) -> str:
    held = Counter(seconds >= 1.0 for seconds in notes.values())
    return f"{held[True]} of {len(notes)} semitones have a second or more"
