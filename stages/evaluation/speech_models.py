"""Models of speech that score a conversion: Whisper (words), a speaker encoder (similarity), DNSMOS (naturalness).

All three are optional. Installed ones are used; a model that the user names must be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...common.errors import UserError
from ...pipeline import audio
from ...pipeline.audio import AudioError
from ...pipeline.frames import MEL_HOP, MEL_RATE
from ...pipeline.metrics import ge2e, naturalness
from ...pipeline.metrics.audio_features import AudioFeatures, Samples
from ...pipeline.metrics.naturalness import Dnsmos
from ...pipeline.metrics.speaker_encoder import Embedding, SpeakerEncoder, load_speaker_encoder, mean_embedding
from ...pipeline.metrics.transcriber import LONGEST_SECONDS, Transcriber, character_error_rate
from ...pipeline.slicing import SliceSettings, slice_at_silence
from ...store import Clip
from .speech_scores import NAN, SpeechScores, WordScore

SHORTEST = 1.0  # seconds of a recording that a speaker is embedded from
RECORDINGS = 60  # of the target's recordings for its mean embedding, at most


@dataclass(frozen=True)
class SpeechDescription:
    """The models' results for one recording.

    Attributes:
        pieces: the pieces that the models got, as samples at 44.1 kHz.
        languages, texts: by recogniser; a recogniser of English alone gives no text for another language.
        embedding: of the voice, (D,); None without a speaker encoder, or where the recording is too short.
        dnsmos: naturalness.
    """

    pieces: tuple[slice, ...]
    languages: tuple[str | None, ...] = ()
    texts: tuple[str | None, ...] = ()
    embedding: Embedding | None = None
    dnsmos: float = NAN


@dataclass(frozen=True)
class TargetVoice:
    """The target for a speaker encoder: the mean embedding (D,), and its recordings' mean similarity with it."""

    embedding: Embedding
    own_secs: float

    @classmethod
    def of(cls, encoder: SpeakerEncoder, recordings: Iterable[Samples], rate: int) -> TargetVoice:
        """From recordings, float32 (T,) at `rate` Hz, at least one."""
        found = np.stack([encoder.embed(wav, rate) for wav in recordings])
        total = found.sum(axis=0)
        others = total - found  # of each: the sum of the others
        own = (
            [float(a @ b / np.linalg.norm(b)) for a, b in zip(found, others, strict=True)] if len(found) > 1 else [NAN]
        )
        return cls(np.asarray(total / np.linalg.norm(total)), float(np.mean(own)))


@dataclass
class SpeechModels:
    """The models that are there, and the target's voice."""

    transcribers: Sequence[Transcriber] = ()
    speakers: SpeakerEncoder | None = None
    target: TargetVoice | None = None
    naturalness: Dnsmos | None = None
    language: str | None = None
    notes: Sequence[str] = ()  # what is not measured, and what to do

    @classmethod
    def load(
        cls,
        whisper: Sequence[str] = (),
        speaker_encoder: str | None = None,
        language: str | None = None,
        target: Sequence[Clip] | None = None,
        device: str = "cpu",
    ) -> SpeechModels:
        """Load the named and the installed models.

        Args:
            whisper: folders or hub ids of recognisers.
            speaker_encoder: of an x-vector model, or a `.pt`; None is Resemblyzer, where it is installed.
            language: of the words, such as `ko`; None is what the recogniser detects in the song.
            target: the target's utterances; None: `compare` is given a target.

        Raises:
            ModelError: a model cannot be loaded.
            UserError: a package for a named model is missing.
        """
        notes = []
        if not whisper:
            notes.append(
                "Words were not transcribed: name a recogniser with --whisper (openai/whisper-base, a folder)."
            )
        elif find_spec("rapidfuzz") is None:
            raise UserError(
                "errors in words are counted by rapidfuzz, which is not installed", "pip install 'svc[ears]'"
            )
        recognisers = [Transcriber(source, device) for source in whisper]
        speakers, voice = None, None
        if speaker_encoder or (ge2e.packaged_weights() and find_spec("webrtcvad")):
            speakers = load_speaker_encoder(speaker_encoder, device)
            try:
                voice = None if target is None else TargetVoice.of(speakers, recorded(target), MEL_RATE)
            except UserError as error:
                if speaker_encoder:
                    raise
                speakers = None
                notes.append(f"Similarity was not measured: {error}")
        else:
            notes.append(
                "Similarity was not measured: pip install 'svc[ears]' and pip install --no-deps Resemblyzer, or name a "
                "model with --speaker-encoder."
            )
        dnsmos = Dnsmos() if naturalness.packaged_model() and find_spec("onnxruntime") else None
        if dnsmos is None:
            notes.append("Naturalness was not measured: pip install 'svc[ears]'.")
        return cls(recognisers, speakers, voice, dnsmos, language, notes)

    @property
    def metadata(self) -> dict[str, Any]:
        """Which models they are."""
        return {
            "whisper": [each.source for each in self.transcribers],
            "speaker_encoder": self.speakers and self.speakers.source,
            "naturalness": self.naturalness and self.naturalness.source,
            "language": self.language,
        }

    def score(self, source: AudioFeatures, result: AudioFeatures, text: str | None = None) -> SpeechScores:
        """Score a result beside its song, both at 44.1 kHz and on one time axis.

        Args:
            text: the words that are sung, where they are known.
        """
        before = self.describe(source.wav, phrases(source), self.language)
        after = self.describe(result.wav, before.pieces, self.language, before)
        return self.compare(before, after, text)

    def describe(
        self,
        wav: Samples,
        pieces: Sequence[slice],
        language: str | None = None,
        source: SpeechDescription | None = None,
    ) -> SpeechDescription:
        """Run the models on a recording, float32 (T,) at 44.1 kHz.

        Args:
            pieces: the input of each call of a model (`phrases`).
            language: of the words; None is what each recogniser detects.
            source: the song's description, if this is its conversion: its languages are used.
        """
        parts = [part for piece in pieces if len(part := wav[piece])]
        languages, texts = [], []
        for number, recogniser in enumerate(self.transcribers):
            spoken = source.languages[number] if source else language or recogniser.language(parts, MEL_RATE)
            foreign = not recogniser.multilingual and spoken not in (None, "en")
            languages.append(spoken)
            texts.append(None if foreign else recogniser(parts, MEL_RATE, spoken))
        long = [part for part in parts if len(part) >= SHORTEST * MEL_RATE]
        return SpeechDescription(
            pieces=tuple(pieces),
            languages=tuple(languages),
            texts=tuple(texts),
            embedding=mean_embedding(self.speakers, long, MEL_RATE) if self.speakers and long else None,
            dnsmos=self.naturalness.overall(np.concatenate(parts), MEL_RATE) if self.naturalness and parts else NAN,
        )

    def compare(
        self,
        source: SpeechDescription,
        result: SpeechDescription,
        text: str | None = None,
        target: TargetVoice | None = None,
    ) -> SpeechScores:
        """Score a described result beside its described song.

        Args:
            text: the words that are sung, where they are known.
            target: whose voice it should be; None is the models' own.
        """
        voice = target or self.target
        words = []
        for number, recogniser in enumerate(self.transcribers):
            said, source_said = result.texts[number], source.texts[number]
            if said is None or source_said is None:
                continue
            words.append(
                WordScore(
                    model=recogniser.name,
                    cer=character_error_rate(said, source_said if text is None else text),
                    source_cer=NAN if text is None else character_error_rate(source_said, text),
                    text=said,
                    source_text=source_said,
                    language=source.languages[number],
                )
            )
        secs, source_secs = (
            float(each.embedding @ voice.embedding) if voice and each.embedding is not None else NAN
            for each in (result, source)
        )
        own = voice.own_secs if voice else NAN
        return SpeechScores(tuple(words), secs, source_secs, own, result.dnsmos, source.dnsmos)


def phrases(source: AudioFeatures) -> list[slice]:
    """A song in pieces of LONGEST_SECONDS at most, as samples at 44.1 kHz: all of it where it is shorter.

    A longer song is cut in its silences, and neighbouring slices are joined while they fit.
    """
    samples, most = len(source.wav), int(LONGEST_SECONDS * MEL_RATE)
    if samples <= most:
        return [slice(0, samples)]
    out: list[slice] = []
    for span in slice_at_silence(source.loudness, SliceSettings()):
        start, end = span.start * MEL_HOP, min(samples, span.end * MEL_HOP)
        if out and end - out[-1].start <= most:
            out[-1] = slice(out[-1].start, end)
        else:
            out.append(slice(start, end))
    return out or [slice(0, most)]


def words_of(song: Path) -> str | None:
    """The words of a song, from `song.txt` beside `song.wav`; None where there is none.

    Raises UserError if they are not UTF-8.
    """
    path = song.with_suffix(".txt")
    try:
        return path.read_text("utf-8") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected the song's words in UTF-8: {error}") from error


def recorded(clips: Sequence[Clip]) -> list[Samples]:
    """Some of a speaker's utterances as they were recorded, float32 (T,) at 44.1 kHz, spread over all of them.

    Raises:
        UserError: none of the recordings can be read.
    """
    long = [clip for clip in clips if clip.seconds >= SHORTEST]
    chosen = long[:: max(1, -(-len(long) // RECORDINGS))]
    out, missing = [], ""
    for clip in chosen:
        path = Path(clip.utterance.corpus, clip.utterance.source)
        try:
            found = audio.scan(path)
            with audio.Reader(found) as reader:
                mono = reader.read(clip.row.start, clip.row.end)
            out.append(audio.resample(mono, found.sample_rate, MEL_RATE, (clip.row.end - clip.row.start) * MEL_HOP))
        except AudioError as error:
            missing = str(error)
    if not out:
        raise UserError(
            f"the target's voice is compared by its recordings, and none can be read: {missing or 'none lasts 1 s'}"
        )
    return out
