"""Voices: the vocal tract and glottal source of a singer, drawn from a seed.

The length of the vocal tract scales all formants, pharynx and mouth scale differently (Fant, 1966: non-uniform
scaling), and formants of one vowel differ by 5 to 10 % between speakers of a group (Hillenbrand et al., 1995). Open
quotient, glottal formant and tilt are those of Doval, d'Alessandro and Henrich (2006); a singer's formant is a cluster
of the third to the fifth (Sundberg, 1974); the piriform fossae absorb energy at 4 to 5 kHz (Dang and Honda, 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .phones import NAMES, PHONES


@dataclass(frozen=True)
class Voice:
    """A singer's voice. `draw_voice` makes one from a seed.

    Attributes:
        name: for folders.
        seed: of its formant deviations and its noise.
        tract: all formants, as a multiple of an average man's: more for a shorter vocal tract.
        pharynx, mouth: further factors of F1, and of F2 and F3.
        habit: standard deviation of each phone's formants, as a share.
        bandwidth: of formants, as a multiple.
        open_quotient: share of a cycle for which the glottis is open.
        tilt_hz: corner of the source's spectral tilt, in a loud voice.
        ring: 0 to 1, strength of the singer's formant: how far F4 and F5 approach F3.
        breath: amplitude of glottal noise, the voice's being 1.
        jitter, shimmer: deviation of a cycle's length and strength, as a share.
        hiss: factor of the frequencies of friction.
        fossa_hz: frequency that the piriform fossae absorb.
        colour_db: individual gains at COLOUR_HZ.
        midi: the middle of its range, MIDI pitch.
    """

    name: str
    seed: int
    tract: float = 1.0
    pharynx: float = 1.0
    mouth: float = 1.0
    habit: float = 0.03
    bandwidth: float = 1.0
    open_quotient: float = 0.6
    tilt_hz: float = 4000.0
    ring: float = 0.2
    breath: float = 0.01
    jitter: float = 0.002
    shimmer: float = 0.03
    hiss: float = 1.0
    fossa_hz: float = 4500.0
    colour_db: tuple[float, ...] = (0.0,) * 8
    midi: float = 54.0

    def formants(self) -> NDArray[np.float64]:
        """F1 to F3 of every phone of `phones.NAMES`, Hz: float64 (phones, 3)."""
        table = np.array([PHONES[name].formants for name in NAMES], float)
        own = 1 + self.habit * np.random.default_rng([self.seed, 7]).standard_normal(table.shape)
        return table * self.tract * np.array([self.pharynx, self.mouth, self.mouth]) * np.clip(own, 0.9, 1.1)


COLOUR_HZ = (100.0, 300.0, 800.0, 1600.0, 3000.0, 5000.0, 8000.0, 13_000.0)


def draw_voice(seed: int, high: bool | None = None, name: str | None = None) -> Voice:
    """The voice of a seed.

    `high` has a shorter vocal tract and a higher range, False a longer and lower; None: either.
    """
    generator = np.random.default_rng([seed, 0])
    if high is None:
        high = bool(generator.random() < 0.5)
    uniform = generator.uniform
    return Voice(
        name or f"singer-{seed}",
        seed,
        tract=uniform(1.08, 1.26) if high else uniform(0.88, 1.06),
        pharynx=uniform(0.94, 1.06),
        mouth=uniform(0.95, 1.05),
        habit=uniform(0.02, 0.04),
        bandwidth=uniform(0.8, 1.5),
        open_quotient=uniform(0.45, 0.8),
        tilt_hz=float(np.exp(uniform(np.log(2000), np.log(9000)))),
        ring=uniform(0.0, 0.6),
        breath=float(np.exp(uniform(np.log(0.003), np.log(0.04)))),
        jitter=uniform(0.0005, 0.003),
        shimmer=uniform(0.01, 0.06),
        hiss=uniform(0.88, 1.15) * (1.06 if high else 0.97),
        fossa_hz=uniform(3900, 5200),
        colour_db=tuple(float(gain) for gain in generator.normal(0, 2.0, len(COLOUR_HZ))),
        midi=uniform(58, 67) if high else uniform(45, 55),
    )
