"""`svc evaluate` of songs for which no true result is known.

The result is compared with its target (f0, voicing, loudness, the song's phones and words) and with the target
speaker's utterances in the store (voice, variance, mean spectrum).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ... import __version__
from ...common.errors import UserError
from ...common.files import make_folder
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
from ..devices import pick_device
from ..rendering.run_converter import RunConverter
from ..run import Run
from ..run_stores import open_stores
from ..settings import RenderSettings
from ..training.corpus import gather_corpus
from .page import Report
from .result import MADE_BY, Evaluation, check_out, converted, safe, write
from .song_results import SongResult, SourceScores, listed, mean_speech, means, section, song_record, song_tables
from .speech_models import SpeechModels, words_of
from .verdict import song_verdict

UTTERANCES = 60  # of a speaker that the speaker classifier is trained on, at most


def evaluate_songs(
    run: Path,
    songs: Sequence[Path],
    out: Path,
    speaker: str | None = None,
    key: float | str = 0.0,
    device: str = "auto",
    progress: Progress | None = None,
    whisper: Sequence[str] = (),
    speaker_encoder: str | None = None,
    language: str | None = None,
    stores: Sequence[str] = (),
) -> Evaluation:
    """Convert songs with a run, and measure the results without a true result.

    Songs that cannot be used are named in the report, and the rest is done.

    Args:
        speaker: the target voice; None is the run's first.
        key: semitones up, `auto` or `auto-semitone`.
        whisper, speaker_encoder, language: SpeechModels.load.
        stores: that the run was trained on, which have its voices' own utterances; those that it recorded, if left out.

    Raises:
        UserError: the run's store is gone or has changed, `speaker` is a mixture, `out` holds files of the user's, or
            no song can be used.
        ModelError: a named model cannot be loaded.
    """
    progress = progress or Progress()
    check_out(out)
    opened = Run.open(run)
    target = speaker or opened.speakers[0]
    if target not in opened.speakers:
        raise UserError(
            f"a result is compared with one voice of the run, and {target!r} is none; its voices are "
            f"{', '.join(opened.speakers)}"
        )
    corpus = gather_corpus(open_stores(opened, stores), progress)
    clips = {name: [clip for clip in corpus.clips if clip.speaker == name] for name in opened.speakers}
    own = {name: [clip.mel.astype(np.float32) for clip in theirs[:UTTERANCES]] for name, theirs in clips.items()}
    models = SpeechModels.load(whisper, speaker_encoder, language, clips[target], pick_device(device))
    converter = RunConverter(opened, RenderSettings(speaker=speaker, key=key, device=device))
    classifier = PhoneGroupClassifier.load()
    make_folder(out)
    done: list[SongResult] = []
    refused: dict[Path, str] = {}
    for song in songs:
        name = song.stem if sum(other.stem == song.stem for other in songs) == 1 else song.name
        try:
            source = _read(song)
            result, semitones = converted(converter, source, out, name, progress, song)
        except AudioError as error:
            refused[song] = str(error)
            continue
        before, after = AudioFeatures(source), AudioFeatures(result)
        done.append(
            SongResult(
                name=song.name,
                key=semitones,
                source=source,
                result=result,
                picture=(out / f"{name}.{safe(target)}.png").read_bytes(),
                scores=score_against_source(before, after, semitones, target, own),
                phones=score_phones(classifier, before, after, converter.vocoder),
                speech=models.score(before, after, words_of(song)),
            )
        )
    if not done:
        raise UserError("\n".join(["no song can be used:", *(f"{song}: {why}" for song, why in refused.items())]))
    metadata = {
        "svc": __version__,
        "run": str(run.absolute()),
        "step": converter.step,
        "speaker": target,
        "key": key,
        "songs": {each.name: song_record(each) for each in done},
        "refused": {str(song): why for song, why in refused.items()},
        "models": models.metadata,
    }
    report = Report(
        title=f"{opened.name}: {listed(done)} as {target}",
        facts=converter.about(),
        verdict=song_verdict(means([each.figures() for each in done]), mean_speech(done), target),
        notes=[
            f"No true result of these songs is known: they are compared with the song, and with {target}'s own "
            f"utterances.",
            *models.notes,
        ],
        warnings=[f"{song} was refused: {why}" for song, why in refused.items()],
        tables=song_tables(done),
        sections=[section(each, target) for each in done],
    )
    where = write(out, report, metadata)
    lines = [line for table in report.tables for line in (f"{table.caption}:", "", *table.markdown(), "")]
    return Evaluation(out, [*lines, *report.verdict, *where], {"made": MADE_BY, **metadata}, refused)


def score_against_source(
    source: AudioFeatures, result: AudioFeatures, key: float, target: str, own: Mapping[str, Sequence[Samples]]
) -> SourceScores:
    """Compare a result with its song, and with the utterances of the run's speakers.

    Args:
        key: semitones by which the result should be higher than the song.
        target: whose voice it should be.
        own: log mels (M, 128) of the speakers' utterances, by name.
    """
    f0 = conversion.pitch(result.f0, source.f0 * np.float32(2 ** (key / 12)))
    count = min(len(source.f0), len(result.f0))
    song_mel, mel = source.mel, result.mel
    shares = SpeakerClassifier({**own, "": [song_mel]}).shares(mel)
    theirs = np.concatenate([mel_cepstra(each)[loud(each)] for each in own[target]]).astype(np.float64)
    mine = mel_cepstra(mel)[loud(mel)].astype(np.float64)
    mean = np.concatenate([each[loud(each)] for each in own[target]]).mean(0)
    counted = conversion.audible(source.wav, len(source.f0))[:count]
    return SourceScores(
        **asdict(f0),
        loudness=conversion.loudness_correlation(result.loudness[:count], source.loudness[:count], counted),
        target_share=shares[target],
        source_share=shares[""],
        variance_ratio=conversion.variance_ratio(mine, theirs),
        spectrum_db=_shape_distance(mel[loud(mel)].mean(0), mean),
        source_spectrum_db=_shape_distance(song_mel[loud(song_mel)].mean(0), mean),
    )


def score_phones(
    classifier: PhoneGroupClassifier, source: AudioFeatures, result: AudioFeatures, vocoder: Vocoder
) -> PhoneAgreement:
    """How many phones of a song are kept in a result, and in the song's own mel and f0 through the vocoder."""
    copied = AudioFeatures(vocoder(source.mel, pitch.repair(source.f0)[: len(source.mel)]))
    return phone_agreement.compare(classifier, source.mel, result.mel, copied.mel)


def _shape_distance(a: Samples, b: Samples) -> float:
    """The RMS difference of two mean ln mels (128,) in dB, after their levels were made equal."""
    return float(20 / np.log(10) * np.std(a - b))


def _read(song: Path) -> Samples:
    """A song, float32 (T,) at 44.1 kHz. Raises AudioError."""
    found = audio.scan(song)
    length = resampled_length(found.samples, found.sample_rate, MEL_RATE)
    return audio.resample(audio.read(found, 0, found.frames), found.sample_rate, MEL_RATE, length)
