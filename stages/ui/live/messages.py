"""Messages between a browser and the server besides sound: JSON texts on the web socket of `/api/v1/live`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from ..schemas import ErrorBody, Strict
from ..schemas.takes import Formants, Share, SpeakerMix


class LiveChange(Strict):
    """Settings of the conversion from now on. The fields are those of `svc live`."""

    speaker: SpeakerMix | None = None
    key: Annotated[float, Field(ge=-24, le=24)] = 0.0
    formants: Formants = 0.0
    retrieve: Share | None = None
    gate_db: Annotated[float, Field(ge=-120, le=0)] | None = -60.0
    bypass: bool = False


class LiveStart(LiveChange):
    """The first message of a browser: the voice, and the settings to begin with."""

    voice: str


class LiveEventKind(StrEnum):
    """The kinds of the server's messages."""

    loading = "loading"  # the voice is loaded
    ready = "ready"  # the server accepts sound
    changed = "changed"  # the settings have changed
    status = "status"  # statistics
    late = "late"  # hops were dropped
    error = "error"  # invalid settings, or the reason before the socket is closed


class LiveStatus(BaseModel):
    """Statistics of a live conversion.

    Attributes:
        delay_ms: from the arrival of sound at the server to its return, without the network.
        hop_ms: of sound that are converted at a time.
        hop_p50_ms, hop_p99_ms: computing time of a hop, median and 99th percentile.
        converted, dropped: hops.
        missing_ms: of sound that was not ready in time.
    """

    delay_ms: float
    hop_ms: float
    hop_p50_ms: float = 0.0
    hop_p99_ms: float = 0.0
    converted: int = 0
    dropped: int = 0
    missing_ms: float = 0.0


class LiveEvent(BaseModel):
    """A message of the server, with the fields of its kind."""

    event: LiveEventKind
    text: str = ""
    status: LiveStatus | None = None
    error: ErrorBody | None = None
