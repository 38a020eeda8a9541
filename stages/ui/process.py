"""A worker process seen from the server: started, given jobs, watched, ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

Message = dict[str, Any]
GRACE_SECONDS = 10.0


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now; 0 where the system has no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class WorkerProcess:
    """`python -m svc.stages.ui.worker`: JSON lines in on its standard input, JSON lines out of its standard output.

    It ends by itself when its standard input closes, so a killed server leaves no worker behind.
    """

    def __init__(self, name: str, nice: int = 0):
        self.name = name
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "svc.stages.ui.worker", str(nice)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C goes to the server, which then ends its workers in order
        )
        self._messages: queue.Queue[Message | None] = queue.Queue()
        threading.Thread(target=self._read, name=f"{name} reader", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, message: Message) -> None:
        """Send a message. Raises OSError if the worker has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def receive(self, seconds: float) -> Message | None:
        """The next message, or None after some time without one. Raises EOFError if the worker has ended."""
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            return None
        if message is None:
            raise EOFError
        return message

    def resident_bytes(self) -> int:
        """Memory that it holds now; 0 where the system has no /proc."""
        return resident_bytes(self.pid)

    def end(self, seconds: float = GRACE_SECONDS) -> None:
        """Close its input, and kill it if that does not suffice."""
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it and its child processes."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                with contextlib.suppress(ValueError):
                    self._messages.put(json.loads(line))
        self._messages.put(None)
