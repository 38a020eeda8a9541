"""The home folder of the page, and the paths in it.

HOME/
    voices/ID/corpus/SLUG/     recordings of a voice, under names of ours
    voices/ID/left-out/        recordings that the user left out
    stores/SLUG-ID.zarr        its store
    runs/SLUG-ID/              its run
    songs/ID/                  a song, its analysis, and takes/
    results/                   what was exported
    .svc-ui/                   state.sqlite, token

No name in it comes from a request: ids are random, and a slug holds letters, digits and hyphens only.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...common.errors import UserError
from ...common.files import write_whole
from ...pipeline.audio import SUFFIXES

MAX_SCANNED = 2_000  # entries of a folder that are read


def new_id() -> str:
    """A random id of 12 hex digits."""
    return secrets.token_hex(6)


def slug_of(name: str) -> str:
    """Letters, digits and single hyphens of a name; `voice` where none are left."""
    letters = "".join(letter if letter.isalnum() else "-" for letter in name)
    return "-".join(part for part in letters.split("-") if part)[:40] or "voice"


def suffix_of(name: str) -> str | None:
    """The ending of an uploaded file, if it is one that libsndfile may read."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in SUFFIXES else None


def id_of(path: Path) -> str:
    """The id of a run or store that was found: the same after a restart."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


@dataclass(frozen=True)
class Home:
    """The paths of the home folder. Folders are made when they are needed."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> Home:
        """Raises UserError when it is no folder or cannot be written to."""
        path = path.expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; --home is the folder that the page works in")
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / ".svc-ui").mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written to: {error.strerror}", "give another folder with --home"
            ) from error
        return cls(path.resolve())

    @property
    def state(self) -> Path:
        """Folder of the page's own files."""
        return self.path / ".svc-ui"

    @property
    def database(self) -> Path:
        """Path of the database."""
        return self.state / "state.sqlite"

    @property
    def results(self) -> Path:
        """Folder of exported files."""
        return self.path / "results"

    def voice(self, id: str) -> Path:
        """Folder of a voice that was made in the page."""
        return self.path / "voices" / id

    def corpus(self, id: str, slug: str) -> Path:
        """Folder of a voice's recordings, named after the voice, since `svc extract` uses the name."""
        return self.voice(id) / "corpus" / slug

    def left_out(self, id: str) -> Path:
        """Folder of recordings that the user left out."""
        return self.voice(id) / "left-out"

    def store(self, id: str, slug: str) -> Path:
        """Path of a voice's store."""
        return self.path / "stores" / f"{slug}-{id}.zarr"

    def run(self, id: str, slug: str) -> Path:
        """Path of a voice's run."""
        return self.path / "runs" / f"{slug}-{id}"

    def song(self, id: str) -> Path:
        """Folder of a song."""
        return self.path / "songs" / id

    def takes(self, song: str) -> Path:
        """Folder of a song's takes."""
        return self.song(song) / "takes"

    def free_bytes(self) -> int:
        """Free bytes of the disk."""
        return shutil.disk_usage(self.path).free

    def token(self) -> str:
        """The token of this home, made when it is first needed; readable by its owner only."""
        path = self.state / "token"
        if not path.exists():
            write_whole(path, secrets.token_urlsafe(32).encode())
            path.chmod(0o600)
        return path.read_text("ascii").strip()

    def found_runs(self) -> dict[str, Path]:
        """Runs in the home folder, in runs/ and one level below, by id."""
        return {id_of(path): path for path in self._folders() if (path / "run.json").is_file()}

    def found_stores(self) -> dict[str, Path]:
        """Stores that lie in the home folder, by id."""
        return {id_of(path): path for path in self._folders() if (path / "ledger").is_dir()}

    def _folders(self) -> list[Path]:
        """Folders at most two levels down that are neither hidden nor links."""
        here = _subfolders(self.path)
        ours = ("voices", "songs", "results")
        below = [sub for folder in here if folder.name not in ours for sub in _subfolders(folder)]
        return [folder for folder in (*here, *below) if folder.name not in ours]


def _subfolders(folder: Path) -> list[Path]:
    if folder.suffix == ".zarr":
        return []
    try:
        with os.scandir(folder) as entries:
            found = [
                Path(entry.path)
                for _, entry in zip(range(MAX_SCANNED), entries, strict=False)
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    except OSError:
        return []
    return sorted(found)
