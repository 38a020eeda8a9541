"""Ears that a user brings: a speech recogniser for the words, a speaker encoder for the voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...common.errors import UserError
from ...pipeline import audio
from ...pipeline.audio import AudioError
from ...pipeline.frames import MEL_HOP, MEL_RATE
from ...pipeline.metrics.audio_features import AudioFeatures, Samples
from ...pipeline.metrics.speaker_encoder import SpeakerEncoder
from ...pipeline.metrics.transcriber import Transcriber, character_errors
from ...pipeline.slicing import SliceSettings, slice_at_silence
from ...store import Clip

SHORTEST = 1.0  # seconds of a phrase that a voice is told by
KNOWN = 20  # of the target's utterances that its voice is known by, at most


@dataclass(frozen=True)
class Findings:
    """What they say of a result. NaN and None where nobody listened.

    Attributes:
        cer: share of the letters that are heard otherwise in the result than in the song, or than `song.txt` has them.
        source_cer: the same of the song itself, where there is a `song.txt`: no conversion is likely to be better.
        similar: cosine of the result's voice with the target's utterances.
        source_similar: the same of the song's own singer, whom the target is not to be like.
        own_similar: the same of one half of the target's utterances with the other: no more can be asked.
        words, source_words: what was heard.
    """

    cer: float = float("nan")
    source_cer: float = float("nan")
    similar: float = float("nan")
    source_similar: float = float("nan")
    own_similar: float = float("nan")
    words: str | None = None
    source_words: str | None = None


class AsrAndSimilarity:
    """Those that were brought, and the target's voice as the speaker encoder knows it.

    Args:
        whisper, speaker_encoder: folders or hub ids; None: nobody listens for that.
        language: of the words, such as `ko`; None: what the recogniser thinks of the song.
        target: the target's utterances.

    Raises:
        ModelError: a model cannot be loaded.
        UserError: the recordings that the target's voice is to be known by are gone.
    """

    def __init__(
        self,
        whisper: str | None,
        speaker_encoder: str | None,
        language: str | None,
        target: Sequence[Clip],
        device: str = "cpu",
    ):
        if whisper and find_spec("rapidfuzz") is None:
            raise UserError("errors in words are counted by rapidfuzz, which is missing: pip install 'svc[words]'")
        self.language = language
        self.transcriber = Transcriber(whisper, device) if whisper else None
        self.speakers = SpeakerEncoder(speaker_encoder, device) if speaker_encoder else None
        if self.speakers:
            own = recorded(target)
            self.voice = self.speakers(own, MEL_RATE)
            halves = [self.speakers(half, MEL_RATE) for half in (own[::2], own[1::2]) if half]
            self.own_similar = float(halves[0] @ halves[1]) if len(halves) == 2 else float("nan")

    @property
    def columns(self) -> dict[str, str]:
        """Which of Heard's figures they have, and what those are called in a table."""
        words = {"cer": "CER", "source_cer": "song's CER"} if self.transcriber else {}
        voice = {"similar": "like target", "source_similar": "song like target", "own_similar": "target like itself"}
        return {**words, **(voice if self.speakers else {})}

    @property
    def notes(self) -> list[str]:
        """What those are, in words."""
        out = []
        if self.transcriber:
            out.append(
                f"CER: share of the letters that {self.transcriber.source} hears otherwise in the result than in the "
                f"song, or than song.txt beside it has them (then the song's own CER is given too)."
            )
        if self.speakers:
            out.append(
                f"like target: cosine of {self.speakers.source}'s embedding with the target's utterances; the song's "
                f"own singer's, and that of two halves of the target's utterances, stand beside it."
            )
        return out

    @property
    def metadata(self) -> dict[str, Any]:
        return {
            "whisper": self.transcriber and self.transcriber.source,
            "speaker_encoder": self.speakers and self.speakers.source,
            "language": self.language,
        }

    def __call__(self, song: Path, source: AudioFeatures, result: AudioFeatures) -> Findings:
        """Of a result beside its song, cut at the song's silences."""
        spans = slice_at_silence(source.loudness, SliceSettings())
        sung, heard = (
            [wav[s.start * MEL_HOP : s.end * MEL_HOP] for s in spans if s.start * MEL_HOP < len(wav)]
            for wav in (source.wav, result.wav)
        )
        found: dict[str, Any] = {}
        if self.transcriber:
            language = self.language or self.transcriber.language(sung, MEL_RATE)
            found["words"] = self.transcriber(heard, MEL_RATE, language)
            found["source_words"] = self.transcriber(sung, MEL_RATE, language)
            truth = words_of(song)
            found["cer"] = character_errors(found["words"], found["source_words"] if truth is None else truth)
            if truth is not None:
                found["source_cer"] = character_errors(found["source_words"], truth)
        if self.speakers:
            for name, each in (("similar", heard), ("source_similar", sung)):
                long = [phrase for phrase in each if len(phrase) >= SHORTEST * MEL_RATE]
                found[name] = float(self.speakers(long, MEL_RATE) @ self.voice) if long else float("nan")
            found["own_similar"] = self.own_similar
        return Findings(**found)


def words_of(song: Path) -> str | None:
    """What is sung, from `song.txt` beside `song.wav`; None where there is none."""
    path = song.with_suffix(".txt")
    try:
        return path.read_text("utf-8") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected the song's words in UTF-8: {error}") from error


def recorded(clips: Sequence[Clip]) -> list[Samples]:
    """Some of a speaker's utterances as they were recorded, (T,) at 44.1 kHz, spread over all of them.

    Raises:
        UserError: none of the recordings is there any more.
    """
    long = [clip for clip in clips if clip.seconds >= SHORTEST]
    chosen = long[:: max(1, -(-len(long) // KNOWN))]
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
            f"a speaker encoder knows the target by its recordings, and none can be read: {missing or 'none lasts 1 s'}"
        )
    return out
