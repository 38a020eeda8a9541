"""`svc evaluate` of songs whose truth nobody knows.

The result is held against what was asked (f0, voicing, loudness, the phones heard in the song) and against the target's
own utterances in the store (who is heard, how lively, how far off on average).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ... import __version__
from ...common.errors import UserError
from ...common.progress import Progress
from ...pipeline import audio
from ...pipeline.audio import AudioError
from ...pipeline.frames import MEL_RATE, resampled_length
from ...pipeline.metrics import conversion, phone_agreement
from ...pipeline.metrics.audio_features import AudioFeatures, Samples
from ...pipeline.metrics.cepstra import loud, mel_cepstra
from ...pipeline.metrics.classifiers import SpeakerClassifier
from ...pipeline.metrics.phone_agreement import PhoneAgreement, PhoneGroupClassifier
from ...pipeline.pitch import pitch
from ...pipeline.vocoder.vocoder import Vocoder
from ...store import StoreError, open_store
from ..devices import pick_device
from ..rendering.run_converter import RunConverter
from ..run import Run
from ..settings import RenderSettings
from ..training.dataset import Corpus, gather_corpus
from .asr_and_similarity import AsrAndSimilarity, Findings
from .page import Section
from .result import Evaluation, plain, safe, sung, where, write
from .scores import shown

TAUGHT = 60  # utterances of a speaker that the listener learns from, at most


@dataclass(frozen=True)
class SourceScores:
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


SOURCE_HEADINGS = (
    "f0 cents",
    "GPE50",
    "V/UV",
    "loudness",
    "as target",
    "as source",
    "lively",
    "off dB",
    "source off dB",
)
KEPT_HEADINGS = ("phones", "phones copied", "phones by chance")


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
    """Convert songs with a run, and measure the results without a reference.

    `whisper` and `speaker_encoder` are folders or hub ids of models that measure words and similarity
    (stages.evaluation.asr_and_similarity).

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
    singer = RunConverter(opened, RenderSettings(speaker=speaker, key=key, device=device))
    corpus = _corpus_of(opened, progress)
    clips = {name: [clip for clip in corpus.clips if clip.speaker == name] for name in opened.speakers}
    own = {name: [clip.mel.astype(np.float32) for clip in theirs[:TAUGHT]] for name, theirs in clips.items()}
    listener = PhoneGroupClassifier.load()
    models = AsrAndSimilarity(whisper, speaker_encoder, language, clips[target], pick_device(device))
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, float]] = {}
    told: dict[str, Findings] = {}
    keys: dict[str, float] = {}
    refused: dict[Path, str] = {}
    sections = []
    for song in songs:
        name = song.stem if sum(other.stem == song.stem for other in songs) == 1 else song.name
        try:
            found = audio.scan(song)
            mono = audio.read(found, 0, found.frames)
            length = resampled_length(found.samples, found.sample_rate, MEL_RATE)
            source = audio.resample(mono, found.sample_rate, MEL_RATE, length)
            result, keys[song.name] = sung(singer, source, out, name, progress)
        except AudioError as error:
            refused[song] = str(error)
            continue
        asked, got = AudioFeatures(source), AudioFeatures(result)
        heard = score_against_source(asked, got, keys[song.name], target, own)
        kept = judge_phones(listener, asked, got, singer.vocoder)
        rows[song.name] = {**asdict(heard), **asdict(kept)}
        told[song.name] = models(song, asked, got)
        picture = (out / f"{name}.{safe(target)}.png").read_bytes()
        sections.append(Section(song.name, {"the song": source, f"as {target}": result}, picture))
    if not rows:
        raise UserError("\n".join(["no song can be used:", *(f"{song}: {why}" for song, why in refused.items())]))
    notes = [
        f"Sung by {target}. No truth is known of these songs. A listener who knows the run's speakers and the song "
        f"tells who is heard; lively and off compare with {target}'s own utterances. phones: share of the song's loud "
        f"frames at which a listener, taught by synthetic singers, hears the same kind of phone in the result; copied: "
        f"in the song through the vocoder alone; by chance: if the same sounds came at any other time.",
        *(f"{song} was refused: {why}" for song, why in refused.items()),
    ]
    grid = [["song", "key", *SOURCE_HEADINGS, *KEPT_HEADINGS]]
    grid += [[name, f"{keys[name]:+g}", *map(shown, values.values())] for name, values in rows.items()]
    for place, heading in models.columns.items():
        grid[0].append(heading)
        for line, each in zip(grid[1:], told.values(), strict=True):
            line.append(shown(getattr(each, place)))
    notes += models.notes
    metadata = {
        "svc": __version__,
        "run": str(run.absolute()),
        "step": singer.step,
        "speaker": target,
        "key": key,
        "songs": {name: plain({"key": keys[name], **values, **asdict(told[name])}) for name, values in rows.items()},
        "refused": {str(song): why for song, why in refused.items()},
        "ears": models.metadata,
    }
    write(out, f"{run.name}: {target}", notes, metadata, [("Songs", grid)], sections)
    lines = ["| " + " | ".join(row) + " |" for row in grid]
    lines.insert(1, "|---" * len(grid[0]) + "|")
    return Evaluation(out, [*lines, *where(out)], metadata, refused)


def score_against_source(
    source: AudioFeatures, result: AudioFeatures, key: float, target: str, own: dict[str, list[Samples]]
) -> SourceScores:
    """A result beside its song, and beside log mels (M, 128) of the run's speakers."""
    f0 = conversion.pitch(result.f0, source.f0 * np.float32(2 ** (key / 12)))
    count = min(len(source.f0), len(result.f0))
    song_mel, mel = source.mel, result.mel
    shares = SpeakerClassifier({**own, "": [song_mel]}).shares(mel)
    theirs = np.concatenate([mel_cepstra(each)[loud(each)] for each in own[target]]).astype(np.float64)
    mine = mel_cepstra(mel)[loud(mel)].astype(np.float64)
    mean = np.concatenate([each[loud(each)] for each in own[target]]).mean(0)
    judged = conversion.audible(source.wav, len(source.f0))[:count]
    return SourceScores(
        **asdict(f0),
        loudness=conversion.loudness_correlation(result.loudness[:count], source.loudness[:count], judged),
        as_target=shares[target],
        as_source=shares[""],
        lively=conversion.variance_ratio(mine, theirs),
        off_db=_apart(mel[loud(mel)].mean(0), mean),
        source_off_db=_apart(song_mel[loud(song_mel)].mean(0), mean),
    )


def judge_phones(
    listener: PhoneGroupClassifier, source: AudioFeatures, result: AudioFeatures, vocoder: Vocoder
) -> PhoneAgreement:
    """Which phones of a song survive in a result, and in the song's own mel and f0 through the vocoder alone."""
    copied = AudioFeatures(vocoder(source.mel, pitch.repair(source.f0)[: len(source.mel)]))
    return phone_agreement.compare(listener, source.mel, result.mel, copied.mel)


def _apart(a: Samples, b: Samples) -> float:
    """RMS difference of two mean ln mels in dB, whatever their level."""
    return float(20 / np.log(10) * np.std(a - b))


def _corpus_of(run: Run, progress: Progress) -> Corpus:
    try:
        return gather_corpus([open_store(path) for path in run.config.stores], progress)
    except StoreError as error:
        raise UserError(
            f"a run is compared with its speakers' own utterances, and their store is missing: {error}"
        ) from error
