"""Mixing the channels of a recording to mono."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common.text import time_ranges

PART_SECONDS = 0.25  # the mix is judged in parts of this length
FADE_SECONDS = 0.02  # length of a fade from one mix to another
CANCELLED = 0.1  # of a channel's energy; if the mix has less, the channels cancel
LOUD_PART = 1e-6  # of the loudest part's energy; parts with less are not judged


@dataclass(frozen=True)
class Mixdown:
    """How channels become mono: (channels @ weights - offset) * gain.

    Where `knots` are given the weights change with time: `knots[i]` is a sample of the recording, `knot_weights[i]` are
    the weights there, with straight lines in between. `means` are then the channels' constant offsets.
    """

    weights: tuple[float, ...]
    offset: float = 0.0
    gain: float = 1.0
    knots: tuple[int, ...] = ()
    knot_weights: tuple[tuple[float, ...], ...] = ()
    means: tuple[float, ...] = ()

    def __call__(self, block: NDArray[np.float32], start: int = 0) -> NDArray[np.float32]:
        """float32 (n, channels), the samples of the recording from `start` on -> float32 (n,)."""
        # Channel after channel, not as a matrix product, whose rounding may depend on where a block begins.
        clean = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        mono = np.zeros(len(block), np.float32)
        if not self.knots:
            for channel, weight in enumerate(self.weights):
                mono += clean[:, channel] * np.float32(weight)
            return (mono - np.float32(self.offset)) * np.float32(self.gain)
        places = np.arange(start, start + len(block))
        for channel, mean in enumerate(self.means):
            weights = np.interp(places, self.knots, [at[channel] for at in self.knot_weights]).astype(np.float32)
            mono += (clean[:, channel] - np.float32(mean)) * weights
        return mono * np.float32(self.gain)

    def scaled(self, gain: float) -> Mixdown:
        """The same mix at another gain."""
        return replace(self, gain=gain)


def choose_mixdown(mean: NDArray[np.float64], power: NDArray[np.float64]) -> tuple[Mixdown, list[str]]:
    """The mix for a whole recording: the mean of the channels that are not silent, or one channel if they cancel in the
    mean.

    Args:
        mean: float64 (channels,), each channel's mean.
        power: float64 (channels, channels), mean products of channels.

    Returns:
        The mix, and sentences about what was done.
    """
    covariance = power - np.outer(mean, mean)
    energy = np.diagonal(covariance)
    sounding = energy > energy.max() * 1e-6
    weights = sounding / sounding.sum()
    notes = []
    if weights @ covariance @ weights < CANCELLED * energy[sounding].mean():
        weights = (np.arange(len(energy)) == energy.argmax()).astype(float)
        notes.append(f"its channels cancel each other; only channel {energy.argmax() + 1} was used")
    offset = float(weights @ mean)
    if abs(offset) > 0.01:
        notes.append(f"a constant offset of {offset:+.2f} was removed")
    return Mixdown(tuple(weights.tolist()), offset), notes


def repair_parts(
    mixdown: Mixdown,
    mean: NDArray[np.float64],
    mono_energy: NDArray[np.float64],
    channel_energy: NDArray[np.float64],
    sample_rate: int,
) -> tuple[Mixdown, list[str]]:
    """In parts where the channels cancel in the mix, use the part's loudest channel alone, with short fades.

    Args:
        mean: float64 (channels,), each channel's mean.
        mono_energy: float64 (parts,), the mix's energy in parts of `PART_SECONDS`.
        channel_energy: float64 (parts, channels), the channels'.

    Returns:
        The mix, unchanged where nothing cancels, and sentences about what was done.
    """
    loudest = channel_energy.max(1)
    wrong = (mono_energy < CANCELLED * loudest) & (loudest > LOUD_PART * loudest.max(initial=0))
    if not wrong.any():
        return mixdown, []
    cancelled = wrong.copy()
    # A part that cancels only from its middle on is not detected: include the neighbours.
    wrong[1:] |= cancelled[:-1]
    wrong[:-1] |= cancelled[1:]
    length = round(PART_SECONDS * sample_rate)
    fade = round(FADE_SECONDS * sample_rate)
    knots: list[int] = []
    weights: list[tuple[float, ...]] = []
    used = set()
    edges = np.flatnonzero(np.diff(np.r_[False, wrong, False].astype(int))).reshape(-1, 2)
    for first, last in edges.tolist():
        channel = int(channel_energy[first:last].sum(0).argmax())
        used.add(channel + 1)
        alone = tuple(float(number == channel) for number in range(channel_energy.shape[1]))
        start, stop = first * length, last * length
        knots += [start, start + fade, stop - fade, stop]
        weights += [mixdown.weights, alone, alone, mixdown.weights]
        if first == 0:
            weights[-4] = alone
        if last == len(wrong):
            weights[-1] = alone
    where = time_ranges([(first * PART_SECONDS, last * PART_SECONDS) for first, last in edges.tolist()])
    channels = "channel " + ", ".join(map(str, sorted(used)))
    note = f"its channels cancel each other at {where}; only {channels} was used there"
    return replace(mixdown, knots=tuple(knots), knot_weights=tuple(weights), means=tuple(mean.tolist())), [note]
