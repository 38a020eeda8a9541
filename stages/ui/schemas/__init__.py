"""Requests and answers of the API, as pydantic models, from which the OpenAPI document is made."""

from .base import ErrorBody, Name, Strict, Text
from .jobs import Job, JobKind, JobProgress, JobState
from .results import ExportRequest, RenderRequest, Result
from .server import Event, EventKind, Health, Session, SettingsBody, StoreInfo
from .songs import NewPart, Phrase, Song, SongChange, SongState
from .takes import Breaths, ConvertRequest, PickRecord, Picks, Take, TakeScores, TakeSettings
from .voices import (
    Advice,
    NewVoice,
    Recording,
    RecordingChange,
    SpeakerInfo,
    TrainRequest,
    Validation,
    Voice,
    VoiceChange,
    VoiceRecord,
    VoiceState,
)

__all__ = [
    "Advice",
    "Breaths",
    "ConvertRequest",
    "ErrorBody",
    "Event",
    "EventKind",
    "ExportRequest",
    "Health",
    "Job",
    "JobKind",
    "JobProgress",
    "JobState",
    "Name",
    "NewPart",
    "NewVoice",
    "Phrase",
    "PickRecord",
    "Picks",
    "Recording",
    "RecordingChange",
    "RenderRequest",
    "Result",
    "Session",
    "SettingsBody",
    "Song",
    "SongChange",
    "SongState",
    "SpeakerInfo",
    "StoreInfo",
    "Strict",
    "Take",
    "TakeScores",
    "TakeSettings",
    "Text",
    "TrainRequest",
    "Validation",
    "Voice",
    "VoiceChange",
    "VoiceRecord",
    "VoiceState",
]
