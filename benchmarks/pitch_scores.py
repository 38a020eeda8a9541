"""The accuracy, the steadiness and the cost of an f0 method."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from pitch_methods import PANEL, Frames, Method, Samples
from pitch_sounds import Clip
from svc.pipeline.frames import MEL_HOP, MEL_RATE


def score(clips: list[Clip], found: list[Frames]) -> dict[str, float]:
    """Cents and shares over all clips' frames; nan where a set has no such frames.

    right: of all frames, unvoiced rightly or voiced within 50 cents (mir_eval's overall accuracy). cents: median of
    |error| where both are voiced; off: share of those more than 50 cents off; octave: share more than 600 off.
    missed: of truly voiced; false: of truly unvoiced.
    """
    certain = np.concatenate([clip.certain for clip in clips])
    truth = np.concatenate([clip.truth for clip in clips])[certain]
    f0 = np.concatenate(found)[certain]
    voiced, said = truth > 0, f0 > 0
    both = voiced & said
    error = np.abs(1200 * np.log2(f0[both] / truth[both]))

    def share(part: NDArray[np.bool_]) -> float:
        return float(part.mean()) if len(part) else float("nan")

    return {
        "right": (float((error <= 50).sum()) + float((~voiced & ~said).sum())) / max(1, len(truth)),
        "cents": float(np.median(error)) if len(error) else float("nan"),
        "off": share(error > 50),
        "octave": share(error > 600),
        "missed": share(~said[voiced]),
        "false": share(said[~voiced]),
    }


def against_the_majority(found: dict[str, list[Frames]], name: str) -> dict[str, float]:
    """A method against the other families' majority, on recordings without truth.

    A frame is voiced if three quarters of them are voiced and agree within 50 cents (the truth is their median), and
    unvoiced if three quarters are unvoiced; other frames do not count.
    """
    family = next((family for family in PANEL if family in name), name)
    others = [found[other] for kin, other in PANEL.items() if kin != family and other in found]
    if len(others) < 4:
        return dict.fromkeys(("right", "cents", "off", "octave", "missed", "false"), float("nan"))
    clips = []
    for several in zip(*others, strict=True):
        rows = np.stack(several)
        voiced = rows > 0
        middle = np.ma.median(np.ma.masked_equal(rows, 0.0), axis=0).filled(0.0)
        near = voiced & (np.abs(np.log2(np.where(voiced, rows, 1.0) / np.where(middle > 0, middle, 1.0))) < 50 / 1200)
        sung_, silent = near.mean(0) >= 0.75, voiced.mean(0) <= 0.25
        clips.append(Clip(np.zeros(0, np.float32), np.where(sung_, middle, 0.0), sung_ | silent))
    return score(clips, found[name])


def unsteadiness(method: Method, wav: Samples) -> float:
    """Share of frames that differ (in voicing, or by over 20 cents) when 10-s slices are tracked alone."""
    whole = method(wav)
    step = round(10 * MEL_RATE / MEL_HOP)
    parts = np.concatenate([method(wav[i * MEL_HOP : (i + step) * MEL_HOP]) for i in range(0, len(whole), step)])
    parts = parts[: len(whole)]
    both = (whole > 0) & (parts > 0)
    moved = np.zeros(len(whole), bool)
    moved[both] = np.abs(np.log2(whole[both] / parts[both])) > 20 / 1200
    return float((moved | ((whole > 0) != (parts > 0))).mean())


def costs(methods: dict[str, Method], wav: Samples, rounds: int) -> dict[str, float]:
    """CPU seconds of this process for a second of audio, one thread, warm: medians of interleaved rounds."""
    spent: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            begun = time.process_time()
            method(wav)
            spent[name].append(time.process_time() - begun)
    return {name: float(np.median(values)) * MEL_RATE / len(wav) for name, values in spent.items()}
