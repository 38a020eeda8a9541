"""Progress in a log."""

import time

import pytest
from svc.commands import terminal


def test_a_log_gets_a_line_every_30_s_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(terminal.Terminal, "say", lambda self, text: lines.append(text))
    with terminal.Terminal().bar("training", 1_000, "step", done=100) as bar:
        bar.note("loss 0.5, 1.00 steps/s")
        for _ in range(900):
            clock[0] += 1.0
            bar.advance()
    assert lines[0] == "training: 130 of 1,000 steps, loss 0.5, 1.00 steps/s, 14:30 min left"
    assert len(lines) == 30  # one in 30 s, but for the last, which says that it is done
    assert lines[-1] == "training: 1,000 steps done"
