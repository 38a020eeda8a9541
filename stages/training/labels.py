"""Phones with their times from `.lab` files beside the recordings, if there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...common.errors import UserError
from ...pipeline.frames import mel_seconds, unit_centres
from ...store import Clip


def labels_of(clip: Clip) -> list[str] | None:
    """The phone at each of a clip's unit frames, from `recording.lab` beside `recording.wav`; None if there is none.

    A line of it is `START END PHONE`, in seconds from the recording's start, as singing corpora have it. Frames that no
    line covers have the phone "".

    Raises:
        UserError: a line is something else.
    """
    path = Path(clip.utterance.corpus, clip.utterance.source).with_suffix(".lab")
    if not path.is_file():
        return None
    times = mel_seconds(clip.row.start) + unit_centres(clip.row.unit_frames)
    out = [""] * len(times)
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            start, end, phone = line.split(maxsplit=2)
            inside = np.flatnonzero((times >= float(start)) & (times < float(end)))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: expected `START END PHONE` in seconds, found {line!r}") from error
        for frame in inside:
            out[frame] = phone.strip()
    return out
