"""The process that converts live, `python -m svc.stages.ui.live.worker`: `svc live` with the server as its device.

Packets come in on standard input and go out on what was standard output; other output is redirected to standard error.
The first packet is a record {run, settings}; later records are settings (messages.LiveChange), and each packet of
sound is answered by one of as many samples. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ....common.errors import SvcError
from ....pipeline import frames
from ....pipeline.streaming.timing import StreamTiming
from ...live.live_converter import LiveSettings
from ...live.session import LiveSession, working
from ...settings import RenderSettings
from ..errors import body, code_of, message_of
from .messages import LiveEventKind
from .packets import Kind, packed, read

TIMING = {"hop": 0.10, "context": 1.0, "lookahead": 0.035}  # seconds, the defaults of svc live
MARGIN_SECONDS = 0.10
STATUS_SECONDS = 0.5  # between two status records


class Packets:
    """Packets to the server, from any thread."""

    def __init__(self, out: BinaryIO):
        self._out, self._lock = out, threading.Lock()

    def send(self, kind: Kind, payload: bytes) -> None:
        """Send a packet."""
        with self._lock:
            self._out.write(packed(kind, payload))
            self._out.flush()

    def tell(self, event: LiveEventKind, **more: Any) -> None:
        """Send a record: a messages.LiveEvent."""
        self.send(Kind.record, json.dumps({"event": event, **more}).encode())


def settings_of(record: dict[str, Any]) -> LiveSettings:
    """The settings of a stream. Raises ValueError for invalid ones."""
    values = {name: value for name, value in record.items() if name not in ("gate_db", "bypass")}
    return LiveSettings(RenderSettings(**values), record["gate_db"])


class Stream:
    """A run that converts the server's sound."""

    def __init__(self, session: LiveSession, packets: Packets, bypass: bool):
        self.session, self.packets = session, packets
        self.engine = session.engine(self._late)
        self.engine.bypass = bypass
        self._told = 0.0

    def run(self, incoming: Iterator[tuple[Kind, bytes]]) -> None:
        """Answer packets until there are no more."""
        with working(self.engine):
            self.packets.tell(LiveEventKind.ready, text=self.session.header(), status=self.status())
            for kind, payload in incoming:
                if kind == Kind.sound:
                    recorded = np.nan_to_num(np.frombuffer(payload, "<f4"), nan=0.0, posinf=0.0, neginf=0.0)
                    self.packets.send(kind, self.engine.callback(recorded).astype("<f4").tobytes())
                else:
                    self.change(json.loads(payload))
                if time.monotonic() - self._told > STATUS_SECONDS:
                    self._told = time.monotonic()
                    self.packets.tell(LiveEventKind.status, status=self.status())

    def change(self, record: dict[str, Any]) -> None:
        """Use other settings from the next window on; invalid ones are reported, and nothing changes."""
        self.engine.bypass = record["bypass"]
        try:
            self.session.change(settings_of(record))
        except (ValueError, SvcError) as error:
            self.packets.tell(LiveEventKind.error, error=body("not_changed", message_of(error)))
        else:
            self.packets.tell(LiveEventKind.changed)

    def status(self) -> dict[str, Any]:
        """The state of the conversion: the fields of messages.LiveStatus."""
        report, timing = self.engine.report, self.engine.stream.timing
        return {
            "delay_ms": 1000 * self.engine.delay / frames.MEL_RATE,
            "hop_ms": 1000 * frames.mel_seconds(timing.hop),
            "hop_p50_ms": 1000 * report.quantile(0.5),
            "hop_p99_ms": 1000 * report.quantile(0.99),
            "converted": report.converted,
            "dropped": report.dropped,
            "missing_ms": 1000 * report.missing / frames.MEL_RATE,
        }

    def _late(self, text: str) -> None:
        self.packets.tell(LiveEventKind.late, text=text)


def main() -> None:
    """Take a run and settings from standard input, then sound."""
    packets = Packets(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    incoming = _packets(sys.stdin.buffer)
    try:
        order = json.loads(next(incoming)[1])
        timing, bypass = StreamTiming.of_seconds(**TIMING), order["settings"]["bypass"]

        def say(text: str) -> None:
            packets.tell(LiveEventKind.loading, text=text)

        settings = settings_of(order["settings"])
        session = LiveSession.open(settings, timing, MARGIN_SECONDS, say, Path(order["run"]))
        Stream(session, packets, bypass).run(incoming)
    except (StopIteration, BrokenPipeError):
        pass
    except Exception as error:
        if not isinstance(error, ValueError | SvcError):
            traceback.print_exc()
        packets.tell(LiveEventKind.error, error=body(code_of(error), message_of(error)))


def _packets(stream: BinaryIO) -> Iterator[tuple[Kind, bytes]]:
    while True:
        try:
            yield read(stream)
        except EOFError:
            return


if __name__ == "__main__":
    main()
