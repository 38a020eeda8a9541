"""What the API takes and gives, as pydantic models; the OpenAPI document is made from them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ..training.verdict import Trend

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Text = Annotated[str, StringConstraints(max_length=2_000)]


class Strict(BaseModel):
    """A request: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(BaseModel):
    """Every error."""

    code: str = Field(description="A stable word for programs.")
    message: str = Field(description="A sentence for people.")
    detail: Any = Field(None, description="Whatever more is known.")


class JobState(StrEnum):
    """How far a job is."""

    queued = "queued"
    running = "running"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


class JobKind(StrEnum):
    """What a job does."""

    analyse = "analyse"
    convert = "convert"
    export = "export"
    render = "render"
    single = "single"
    prepare = "prepare"
    train = "train"
    sample = "sample"


class JobProgress(BaseModel):
    """How far a job is."""

    stage: str = ""
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    note: str = ""
    seconds_left: float | None = None


class Job(BaseModel):
    """Something that a worker does. `subject` is the id of the voice or song that it is about."""

    id: str
    kind: JobKind
    subject: str
    state: JobState = JobState.queued
    params: dict[str, Any] = {}
    progress: JobProgress = JobProgress()
    log: list[str] = []
    result: dict[str, Any] | None = None
    error: ErrorBody | None = None
    attempts: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None


class SpeakerInfo(BaseModel):
    """A speaker of a voice, and its f0 range in training, Hz (5th, 50th, 95th percentile)."""

    name: str
    f0_low: float | None = None
    f0_median: float | None = None
    f0_high: float | None = None


class Validation(BaseModel):
    """A line of a run's log."""

    step: int
    values: dict[str, float]


class VoiceState(StrEnum):
    """How far a voice is."""

    empty = "empty"
    recorded = "recorded"
    prepared = "prepared"
    training = "training"
    ready = "ready"


class Advice(BaseModel):
    """Whether more training would help, as facts: for a page in any language."""

    trend: Trend
    since_step: Annotated[int, Field(description="The first step that was as good as the best, within 1 %.")] = 0
    more_steps: Annotated[int, Field(description="What to train to where more would help.")] = 0


class VoiceRecord(BaseModel):
    """A voice as it is kept: what was dropped on the page."""

    id: str
    name: str
    slug: str
    created: float
    consent: str = ""
    encoder: str = "mini"
    verdict: str = ""
    advice: Advice | None = None


class Voice(BaseModel):
    """A voice: recordings, a store, a run, as far as they are there."""

    id: str
    name: str
    state: VoiceState
    created: float
    made_here: bool = Field(description="Whether its recordings were uploaded here; else it is a run that was found.")
    consent: str = ""
    encoder: str = ""
    recordings: int = 0
    speakers: list[SpeakerInfo] = []
    steps: int = 0
    steps_wanted: int = 0
    best_step: int = 0
    verdict: Annotated[str, Field(description="Whether more training would help, in English.")] = ""
    advice: Annotated[Advice | None, Field(description="The same as facts.")] = None
    validations: list[Validation] = []
    examples: Annotated[list[str], Field(description="Names of players: held-out takes as training went on.")] = []
    job: Annotated[str | None, Field(description="The id of the job at work on it.")] = None


class NewVoice(Strict):
    """A voice to make."""

    name: Name
    consent: Text = ""
    encoder: Name = "mini"


class VoiceChange(Strict):
    """Changes of a voice; null leaves a value as it is."""

    name: Name | None = None
    consent: Text | None = None
    encoder: Name | None = None


class Recording(BaseModel):
    """An uploaded recording. `file` is a name of ours."""

    id: str
    voice: str
    name: str
    file: str
    bytes: int
    left_out: bool = False
    created: float = 0.0


class RecordingChange(Strict):
    """Whether a recording is left out of training."""

    left_out: bool


class TrainRequest(Strict):
    """How to train: a preset, and how long."""

    preset: Annotated[str, StringConstraints(pattern="^(tiny|base|large)$")] = "tiny"
    steps: Annotated[int, Field(ge=10, le=1_000_000)] = 1_200
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0


class Phrase(BaseModel):
    """A stretch of a song that is converted by itself. Seconds."""

    index: int
    start: float
    end: float
    joined: bool = Field(description="Whether the phrase before ends here in mid-sound.")


class SongState(StrEnum):
    """How far a song is."""

    analysing = "analysing"
    ready = "ready"
    failed = "failed"


class Song(BaseModel):
    """A song, or a part of one (then `parent` is the song)."""

    id: str
    name: str
    file: str
    bytes: int
    created: float
    parent: str | None = None
    role: str = "sing"
    gain_db: float = 0.0
    begins: Annotated[float, Field(description="Seconds before which a part is silent in the mix.")] = 0.0
    ends: Annotated[float | None, Field(description="Seconds after which it is; null is its end.")] = None
    state: SongState = SongState.analysing
    error: ErrorBody | None = None
    seconds: float = 0.0
    sample_rate: int = 0
    frames: int = 0
    phrases: list[Phrase] = []
    notes: list[str] = []
    f0_low: float | None = None
    f0_median: float | None = None
    f0_high: float | None = None
    f0_edited: bool = False
    f0_times: Annotated[dict[int, float], Field(description="When the f0 of a phrase was changed last.")] = {}
    tiles: int = 0
    rms_db: float = -20.0
    mixdown_gain: Annotated[float, Field(description="What its sound was multiplied with to fit full scale.")] = 1.0


class NewPart(Strict):
    """A part that is the same recording as its song."""

    name: Name


class SongChange(Strict):
    """Changes of a song; null leaves a value as it is. `ends` 0 is the recording's end."""

    name: Name | None = None
    role: Annotated[str, StringConstraints(pattern="^(sing|keep)$")] | None = None
    gain_db: Annotated[float, Field(ge=-60, le=24)] | None = None
    begins: Annotated[float, Field(ge=0, le=86_400)] | None = None
    ends: Annotated[float, Field(ge=0, le=86_400)] | None = None


Breaths = Annotated[
    Annotated[float, Field(ge=0, le=1)] | Literal["keep", "sing"],
    Field(description="`keep` the song's own breaths, `sing` them, or multiply converted breaths with 0 to 1."),
]


class TakeSettings(Strict):
    """How a phrase is converted; the fields are those of `svc render`."""

    voice: str
    speaker: Annotated[str, StringConstraints(max_length=500)] | None = None
    key: Annotated[float, Field(ge=-48, le=48)] | str = 0.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    formants: Annotated[float, Field(ge=-12, le=12)] = 0.0
    retrieve: Annotated[float, Field(ge=0, le=1)] | None = None
    loudness: Annotated[float, Field(ge=0, le=1)] = 0.0
    breaths: Breaths = "sing"
    smooth_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    fix_octaves: bool = False
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None


class TakeScores(BaseModel):
    """How good a take is, by measures that need no reference; shares from 0 to 1.

    `in_tune`: of the frames asked voiced, within 50 cents. `phones`: of the loud frames, the same kind of phone as in
    the song. `loudness`: correlation with the song's. `overall`: their weighted mean.
    """

    overall: float
    in_tune: float | None = None
    phones: float | None = None
    loudness: float | None = None


class Take(BaseModel):
    """A phrase as it was converted once. `start`: seconds at which its audio begins in the song."""

    id: str
    song: str
    phrase: int
    settings: TakeSettings
    key: float
    start: float
    seconds: float
    rms_db: float
    scores: TakeScores
    created: float
    run_sha256: str = ""
    f0_sha256: str = ""


class ConvertRequest(Strict):
    """Convert phrases of a song (all that lack a take with these settings, if none are named)."""

    settings: TakeSettings
    phrases: Annotated[list[int], Field(max_length=5_000)] | None = None
    takes: Annotated[int, Field(ge=1, le=16)] = 1


class Picks(Strict):
    """Of each phrase the id of the take that is chosen, or null for silence. Phrases left out keep their choice."""

    picks: dict[int, str | None]


class ExportRequest(Strict):
    """What to export, and in which format."""

    what: Annotated[str, StringConstraints(pattern="^(whole|stems|takes)$")] = "whole"
    format: Annotated[str, StringConstraints(pattern="^(wav|flac|mp3|ogg)$")] = "wav"


class RenderRequest(Strict):
    """Render all parts of a song at once, as `svc render --parts` does, without takes.

    `settings`: how each part that is converted is, by its id. Gains, times and f0 are those of the parts.
    """

    settings: Annotated[dict[str, TakeSettings], Field(max_length=64)]
    format: Annotated[str, StringConstraints(pattern="^(wav|flac|mp3|ogg)$")] = "wav"


class Result(BaseModel):
    """A file that was made. `file` is a name of ours; `label` is what it is saved as."""

    id: str
    song: str | None = None
    label: str
    file: str
    bytes: int
    created: float
    media: str
    about: dict[str, Any] = {}


class StoreInfo(BaseModel):
    """A store under the home folder."""

    id: str
    name: str
    utterances: int
    seconds: float
    speakers: list[str]
    columns: list[str]


class SettingsBody(Strict):
    """Settings that the page keeps."""

    values: Annotated[dict[str, Any], Field(max_length=100)]


class Session(Strict):
    """The token that a browser signs in with."""

    token: Annotated[str, StringConstraints(max_length=500)]


class Health(BaseModel):
    """The server's version, limits, and what it offers."""

    version: str
    token_needed: bool
    host: str
    encoders: list[str]
    presets: dict[str, int]
    limits: dict[str, float]


class EventKind(StrEnum):
    """What an event is about."""

    job = "job"
    take = "take"
    song = "song"
    voice = "voice"
    result = "result"


class Event(BaseModel):
    """One message of an event stream."""

    kind: EventKind
    subject: str
    data: dict[str, Any] = {}


class PickRecord(BaseModel):
    """The takes that were chosen by hand, as they are kept."""

    picks: dict[int, str | None]
