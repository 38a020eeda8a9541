"""A worker process: carries out jobs, one at a time, and keeps loaded models for the next.

`python -m svc.stages.ui.worker NICE`. JSON lines come in on standard input: `{job, kind, params}` and `{cancel}`. JSON
lines go out on what was standard output; other output is redirected to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import traceback
from typing import Any

from ...common.errors import SvcError
from ...pipeline.audio import AudioError
from .channel import Cancelled, Channel, ChannelProgress
from .errors import FULL_TEXT, body, code_of, is_on_full_disk
from .tasks import TASKS


def main() -> None:
    """Read jobs from standard input, one at a time, and answer on standard output."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if len(sys.argv) > 1 and hasattr(os, "nice"):
        os.nice(int(sys.argv[1]))
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    current: list[Channel] = []
    threading.Thread(target=_listen, args=(orders, current), daemon=True).start()
    while True:
        order = orders.get()
        channel = Channel(out, order["job"])
        current[:] = [channel]
        try:
            result = TASKS[order["kind"]](order["params"], channel, ChannelProgress(channel))
            channel.send(event="done", result=result)
        except Cancelled:
            channel.send(event="cancelled")
        except SvcError as error:
            said = error.message
            if isinstance(error, AudioError) and "name" in order["params"]:  # its message does not name the file
                said = f"{order['params']['name']} {said}"
            channel.send(event="error", error=described(error, order["params"], said, error.hint or None))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            traceback.print_exc()
            channel.send(event="error", error=described(error, order["params"], str(error) or type(error).__name__))
        finally:
            current.clear()


def described(error: BaseException, params: dict[str, Any], message: str, hint: str | None = None) -> dict[str, Any]:
    """The JSON body of a job's error. Many libraries do not report a full disk, so it is checked."""
    code = code_of(error)
    if code == "disk_full" or is_on_full_disk(params):
        return body("disk_full", FULL_TEXT, message)
    return body(code, message, hint)


def _listen(orders: queue.Queue[dict[str, Any]], current: list[Channel]) -> None:
    """Read jobs; this process ends when the server has ended."""
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if "cancel" not in message:
                orders.put(message)
                continue
            for channel in current:
                if channel.job == message["cancel"]:
                    channel.cancelled.set()
    os._exit(0)


if __name__ == "__main__":
    main()
