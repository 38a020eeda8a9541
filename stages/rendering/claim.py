"""One render at a time to one output: a second one raises an error before it computes anything."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...common.errors import UserError
from .output_paths import STANDARD, same_name


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Lock an output while it is made. The system releases the lock when the process ends in any way.

    Raises:
        UserError: another svc of this user on this machine is making the same output.
    """
    import filelock

    if out == STANDARD:
        yield
        return
    # The lock's name is the output's real folder and its name without ending, which its files share.
    name = same_name(Path(os.path.realpath(out.parent)) / out.stem)
    lock = filelock.FileLock(_lock_folder() / f"{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()}")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError(f"another svc is writing {out}", "Wait for it, or give another place with -o") from error
    try:
        yield
    finally:
        lock.release()


def _lock_folder() -> Path:
    """A folder for locks that is this user's alone."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"svc-locks-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise UserError(f"{folder} belongs to another user", "Name another folder in the environment's TMPDIR")
    return folder
