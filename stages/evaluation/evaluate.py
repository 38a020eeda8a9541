"""`svc evaluate`: how well a run converts.

Where the truth is known, the run's rows stand beside what trivial methods reach. Where it is not, the result is held
against what was asked (f0, voicing, loudness) and against the target's own utterances in the store (who is heard, how
lively, how far off on average).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...pipeline import audio
from ...pipeline.audio import AudioError
from ...pipeline.frames import MEL_RATE, resampled_length
from ...pipeline.judging import metrics
from ...pipeline.judging.listeners import SpeakerListener, loud, mel_cepstra
from ...pipeline.pitch import pitch
from ...pipeline.pitch.pitch import PitchSettings
from ...store import StoreError, open_store
from ...store.files import write_whole
from ..devices import pick_device
from ..errors import UserError
from ..parallel import Singers
from ..progress import Progress
from ..rendering.render import Singer
from ..run import Run
from ..settings import RenderSettings
from ..training.dataset import Corpus, gather_corpus
from .ears import Ears, Heard
from .page import Section, write_page
from .quality import HEADINGS, Row, Truth, level, mel_of, misses, shown, table

Samples = NDArray[np.float32]
TAUGHT = 60  # utterances of a speaker that the listener learns from, at most


@dataclass(frozen=True)
class Evaluation:
    """What was found: `lines` to print, `facts` as JSON, where both lie with the page, and useless songs."""

    out: Path
    lines: list[str]
    facts: dict[str, Any]
    refused: dict[Path, str] = field(default_factory=dict)


def evaluate_truth(
    run: Path, singers: Singers, out: Path, device: str = "auto", progress: Progress | None = None
) -> Evaluation:
    """Have a run trained on parallel singers sing the source's songs as the target, and judge it with the truth.

    Raises:
        UserError: the run has no such speaker.
    """
    progress = progress or Progress()
    opened = Run.open(run)
    target = singers.voices[1].name
    if target not in opened.speakers:
        raise UserError(
            f"{run} has no speaker {target!r}: it was not trained on these singers; it has {opened.speakers}"
        )
    singer = Singer(opened, RenderSettings(speaker=target, device=device))
    out.mkdir(parents=True, exist_ok=True)
    with progress.bar("truth", 1, "pair") as bar:
        truth = Truth(singers)
        songs = [truth.song(name) for name in singers.songs]
        bar.advance()
    name = f"this run, step {singer.step}"
    results: dict[str, list[Samples]] = {name: []}
    for song in songs:
        results[name].append(_sung(singer, song.source, out, song.name, progress)[0])
    with progress.bar("trivial methods", len(songs), "song") as bar:
        for song in songs:
            for system, make in truth.trivial().items():
                results.setdefault(system, []).append(make(song))
            bar.advance()
    scored = {
        system: [truth.judge(wav, song) for wav, song in zip(wavs, songs, strict=True)]
        for system, wavs in results.items()
    }
    rows = {system: Row.mean(each) for system, each in scored.items()}
    gates = {gate: misses(rows[name], gate) for gate in ("G1", "G2")}
    verdicts = [
        f"{gate} ({meaning}): " + ("passed" if not gates[gate] else "not passed: " + "; ".join(gates[gate]))
        for gate, meaning in (("G1", "it converts"), ("G2", "better than anything trivial"))
    ]
    notes = [
        f"{singers.voices[0].name}'s songs sung by {target}: means over {len(songs)} songs, against what {target} "
        f"truly sings. spkA and spkB: taken for the source, for the target.",
        *verdicts,
    ]
    facts = {
        "svc": __version__,
        "run": str(run.absolute()),
        "step": singer.step,
        "singers": asdict(singers),
        "rows": {system: _plain(asdict(row)) for system, row in rows.items()},
        "songs": {
            song.name: {system: _plain(asdict(each[place])) for system, each in scored.items()}
            for place, song in enumerate(songs)
        },
        "gates": {gate: {"passed": not missed, "misses": missed} for gate, missed in gates.items()},
    }
    sections = [
        Section(
            song.name,
            {system: wavs[place] for system, wavs in results.items()},
            (out / f"{song.name}.{_safe(target)}.png").read_bytes(),
        )
        for place, song in enumerate(songs)
    ]
    grid = [["system", *HEADINGS.values()]]
    grid += [[system, *(shown(getattr(row, each.name)) for each in fields(Row))] for system, row in rows.items()]
    _write(out, f"{run.name}: conversion against the truth", notes, facts, [("Means", grid)], sections)
    return Evaluation(out, [table(rows), "", *verdicts, *_where(out)], facts)


@dataclass(frozen=True)
class Own:
    """What can be said of a conversion whose truth nobody knows.

    Attributes:
        cents, gpe50, vuv_f1: the result's f0 beside the song's in the key asked, both tracked.
        loudness: correlation with the song's.
        as_target, as_source: shares of half-second pieces that a listener, who knows the run's speakers and the song,
            takes for the target and for the song's own singer (leakage).
        lively: variance of mel cepstra over that of the target's own utterances; under 1 is over-smoothed.
        off_db, source_off_db: how far the mean spectrum is from the target's, and how far the song's own was.
    """

    cents: float
    gpe50: float
    vuv_f1: float
    loudness: float
    as_target: float
    as_source: float
    lively: float
    off_db: float
    source_off_db: float


OWN_HEADINGS = ("f0 cents", "GPE50", "V/UV", "loudness", "as target", "as source", "lively", "off dB", "source off dB")


def evaluate_songs(
    run: Path,
    songs: Sequence[Path],
    out: Path,
    speaker: str | None = None,
    key: float | str = 0.0,
    device: str = "auto",
    progress: Progress | None = None,
    whisper: str | None = None,
    speaker_encoder: str | None = None,
    language: str | None = None,
) -> Evaluation:
    """Have a run sing songs, and say of the results what can be said without the truth.

    `whisper` and `speaker_encoder` are folders or hub ids of models that listen too (stages.evaluation.ears).

    Songs that cannot be used are named in the result, and the rest goes on.

    Raises:
        UserError: there is nothing to compare with (the run's store is gone or has changed), nobody to compare with (a
            mixture of voices), or no song can be used.
        ModelError: a model that is to listen cannot be loaded.
    """
    progress = progress or Progress()
    opened = Run.open(run)
    target = speaker or opened.speakers[0]
    if target not in opened.speakers:
        raise UserError(
            f"a result is compared with one voice of the run, and {target!r} is none; its voices are "
            f"{', '.join(opened.speakers)}"
        )
    singer = Singer(opened, RenderSettings(speaker=speaker, key=key, device=device))
    corpus = _corpus_of(opened, progress)
    own = {
        name: [clip.mel.astype(np.float32) for clip in [*corpus.train, *corpus.held_out] if clip.speaker == name][
            :TAUGHT
        ]
        for name in opened.speakers
    }
    target_clips = [clip for clip in [*corpus.train, *corpus.held_out] if clip.speaker == target]
    ears = Ears(whisper, speaker_encoder, language, target_clips, pick_device(device))
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Own] = {}
    told: dict[str, Heard] = {}
    keys: dict[str, float] = {}
    refused: dict[Path, str] = {}
    sections = []
    for song in songs:
        name = song.stem if sum(other.stem == song.stem for other in songs) == 1 else song.name
        try:
            found = audio.scan(song)
            source = audio.resample(
                audio.read(found, 0, found.frames),
                found.sample_rate,
                MEL_RATE,
                resampled_length(found.samples, found.sample_rate, MEL_RATE),
            )
            result, keys[song.name] = _sung(singer, source, out, name, progress)
        except AudioError as error:
            refused[song] = str(error)
            continue
        rows[song.name] = judge_own(source, result, keys[song.name], target, own)
        told[song.name] = ears(song, source, result)
        picture = (out / f"{name}.{_safe(target)}.png").read_bytes()
        sections.append(Section(song.name, {"the song": source, f"as {target}": result}, picture))
    if not rows:
        raise UserError("\n".join(["no song can be used:", *(f"{song}: {why}" for song, why in refused.items())]))
    notes = [
        f"Sung by {target}. No truth is known of these songs. A listener who knows the run's speakers and the song "
        f"tells who is heard; lively and off compare with {target}'s own utterances.",
        *(f"{song} was refused: {why}" for song, why in refused.items()),
    ]
    grid = [["song", "key", *OWN_HEADINGS]]
    grid += [
        [name, f"{keys[name]:+g}", *(shown(value) for value in asdict(row).values())] for name, row in rows.items()
    ]
    for place, heading in ears.columns.items():
        grid[0].append(heading)
        for line, heard in zip(grid[1:], told.values(), strict=True):
            line.append(shown(getattr(heard, place)))
    notes += ears.notes
    facts = {
        "svc": __version__,
        "run": str(run.absolute()),
        "step": singer.step,
        "speaker": target,
        "key": key,
        "songs": {name: _plain({"key": keys[name], **asdict(row), **asdict(told[name])}) for name, row in rows.items()},
        "refused": {str(song): why for song, why in refused.items()},
        "ears": ears.facts,
    }
    _write(out, f"{run.name}: {target}", notes, facts, [("Songs", grid)], sections)
    lines = ["| " + " | ".join(row) + " |" for row in grid]
    lines.insert(1, "|---" * len(grid[0]) + "|")
    return Evaluation(out, [*lines, *_where(out)], facts, refused)


def judge_own(source: Samples, result: Samples, key: float, target: str, own: dict[str, list[Samples]]) -> Own:
    """A result (T,) beside its song (T,), both at 44.1 kHz, and log mels (M, 128) of the run's speakers."""
    settings = PitchSettings()
    asked, sung = pitch.track(source, settings) * np.float32(2 ** (key / 12)), pitch.track(result, settings)
    f0 = metrics.pitch(sung, asked)
    count = min(len(asked), len(sung))
    song_mel, mel = mel_of(source), mel_of(result)
    shares = SpeakerListener({**own, "": [song_mel]}).shares(mel)
    theirs = np.concatenate([mel_cepstra(each)[loud(each)] for each in own[target]]).astype(np.float64)
    mine = mel_cepstra(mel)[loud(mel)].astype(np.float64)
    mean = np.concatenate([each[loud(each)] for each in own[target]]).mean(0)
    judged = metrics.audible(source, len(asked))[:count]
    return Own(
        **asdict(f0),
        loudness=metrics.loudness_correlation(level(result)[:count], level(source)[:count], judged),
        as_target=shares[target],
        as_source=shares[""],
        lively=metrics.variance_ratio(mine, theirs),
        off_db=_apart(mel[loud(mel)].mean(0), mean),
        source_off_db=_apart(song_mel[loud(song_mel)].mean(0), mean),
    )


def _apart(a: Samples, b: Samples) -> float:
    """RMS difference of two mean ln mels in dB, whatever their level."""
    return float(20 / np.log(10) * np.std(a - b))


def _corpus_of(run: Run, progress: Progress) -> Corpus:
    try:
        return gather_corpus([open_store(path) for path in run.facts["stores"]], progress)
    except StoreError as error:
        raise UserError(
            f"a run is compared with its speakers' own utterances, and their store is missing: {error}"
        ) from error


def _sung(singer: Singer, source: Samples, out: Path, name: str, progress: Progress) -> tuple[Samples, float]:
    """The run's conversion of a song (T,), left in `out` as `svc render` leaves it, and the key it is in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.wav"
        audio.write(path, source)
        report = singer.render(path, out / f"{name}.{_safe(singer.speaker)}.wav", progress)
    found = audio.scan(report.wav)
    return audio.read(found, 0, found.frames)[: len(source)], report.key


def _safe(speaker: str) -> str:
    return "".join("_" if letter in '/\\:*?"<>|' else letter for letter in speaker)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Figures as JSON has them."""
    return {
        name: value if value is None or isinstance(value, str) else None if np.isnan(value) else round(float(value), 4)
        for name, value in values.items()
    }


def _write(
    out: Path,
    title: str,
    notes: list[str],
    facts: dict[str, Any],
    tables: list[tuple[str, list[list[str]]]],
    sections: list[Section],
) -> None:
    write_whole(out / "evaluation.json", (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    write_page(out / "evaluation.html", title, notes, tables, sections)


def _where(out: Path) -> list[str]:
    return [f"{out / 'evaluation.html'}: listen and look; {out / 'evaluation.json'}: all figures, song by song"]
