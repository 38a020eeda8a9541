"""The clips of one or more stores that a run is trained on, and those that are held out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from ...common.errors import UserError
from ...common.progress import Progress
from ...common.text import count
from ...store import Clip, Store
from ..features import formant_shift_of, hidden_column, pitch_shift_of

HELD_OUT = 0.05  # of each speaker's utterances, at least one


@dataclass(frozen=True)
class Corpus:
    """The clips of one or more stores that have every column, split in two for good."""

    train: list[Clip]
    held_out: list[Clip]
    speakers: list[str]

    @property
    def clips(self) -> list[Clip]:
        """All utterances, the held-out ones last."""
        return [*self.train, *self.held_out]

    @property
    def digest(self) -> str:
        """A digest of the data: equal for the same clips with the same split."""
        lines = [
            f"{clip.row.audio} {clip.row.start} {clip.row.end} {clip.speaker} {clips is self.held_out}"
            for clips in (self.train, self.held_out)
            for clip in clips
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    @property
    def pitch_shifts(self) -> dict[int, str]:
        """The columns of pitch-shifted mels, by semitones."""
        return {shift: name for name in self.train[0].store.columns if (shift := pitch_shift_of(name))}

    def formant_shifts(self, column: str) -> dict[int, str]:
        """The columns of a hidden layer, `column`, computed from audio with shifted formants, by semitones."""
        found = {
            name: formant_shift for name in self.train[0].store.columns if (formant_shift := formant_shift_of(name))
        }
        return {semitones: name for name, (semitones, layer) in found.items() if column == hidden_column(layer)}


def gather_corpus(stores: list[Store], progress: Progress) -> Corpus:
    """Collect the usable clips of stores made with the same settings.

    An utterance is held out by a hash of its recording, so that the same ones are held out when a corpus grows.

    Raises:
        UserError: the stores differ, or have no usable clip.
    """
    first = stores[0]
    for other in stores[1:]:
        for name, column in first.columns.items():
            theirs = other.columns.get(name)
            if theirs is None or theirs.made_by != column.made_by:
                raise UserError(
                    f"{other.location} has no column {name} made as in {first.location}; "
                    f"stores that are trained on together must be extracted with the same settings"
                )
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    unusable = 0
    for store in stores:
        for clip in store:
            if clip.missing():
                unusable += 1
            else:
                by_speaker[clip.speaker].append(clip)
    if unusable:
        progress.warn(f"left out, for want of columns: {count(unusable, 'utterance')}; svc extract again computes them")
    if not by_speaker:
        raise UserError(
            f"{', '.join(s.location for s in stores)} holds no complete utterance to train on; "
            f"run `svc extract` again, and look at what it refused"
        )
    train: list[Clip] = []
    held_out: list[Clip] = []
    for clips in by_speaker.values():
        ranked = sorted(clips, key=lambda clip: (clip.row.audio, clip.row.start))
        # A single utterance must be trained on; validation then uses it, too.
        most = max(1, round(HELD_OUT * len(ranked))) if len(ranked) > 1 else 0
        held_out += ranked[:most]
        train += ranked[most:]
    if not held_out:
        progress.warn("there is one utterance a speaker: nothing can be held out, so validation is on what is learnt")
        held_out = list(train)
    return Corpus(train, held_out, sorted(by_speaker))
