"""Media types of the files that are sent, by the ending of their names."""

from __future__ import annotations

MEDIA = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".aiff": "audio/aiff",
    ".aif": "audio/aiff",
    ".zip": "application/zip",
}
BINARY = "application/octet-stream"
