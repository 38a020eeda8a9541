"""A recording's file, and whether it has changed since it was hashed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...pipeline import audio
from ...pipeline.audio import AudioError, Recording


@dataclass(frozen=True)
class FileState:
    """The attributes that change when a file is written to. Unlike `mtime_ns`, `ctime_ns` cannot be set back."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Raises AudioError when there is no such file."""
        try:
            found = path.stat()
        except OSError as error:
            raise AudioError(f"cannot be read: {error.strerror or error}") from error
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@dataclass(frozen=True)
class Source:
    """A recording's file as it was when it was hashed."""

    path: str
    sha256: str
    state: FileState

    @classmethod
    def of(cls, path: Path) -> Source:
        """Hash a file. Raises AudioError when it cannot be read, or is being written."""
        for _ in range(3):
            before = FileState.of(path)
            sha256 = audio.file_hash(path)
            if FileState.of(path) == before:
                return cls(str(path), sha256, before)
        raise AudioError("is being written at this moment; run again when it is finished")

    def scan(self) -> Recording:
        """Stream through it. Raises AudioError when it cannot be used, or has changed since it was hashed."""
        self.check()
        recording = audio.scan(Path(self.path))
        self.check()
        return recording

    def check(self) -> None:
        """Raises AudioError if the file has changed since it was hashed.

        Call it after reading, to verify what was read.
        """
        path = Path(self.path)
        if FileState.of(path) != self.state and Source.of(path).sha256 != self.sha256:
            raise AudioError("changed while it was being extracted; run again")
