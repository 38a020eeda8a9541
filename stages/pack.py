"""`svc pack`: a run as one voice file, for others to render with, or as a base for others to train from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..common.errors import UserError
from ..common.progress import Progress
from ..common.text import count
from ..pipeline.encoder.registry import looks_like_path, short_names
from ..pipeline.frames import UNIT_RATE
from . import checkpoint, voice_file
from .checkpoint_records import BestRecord, VocoderRecord
from .retrieval_index import load_index, write_index
from .run import BEST, CONFIG, INDEX, UNITS, VOCODER, Run, newest_run
from .run_config import RunConfig
from .run_format import config_text
from .run_stores import open_stores
from .training_log import TrainingLog

FORMAT = "svc voice"
SCORES = ("score", "content", "speaker", "pitch", "variance", "held_out")
HALVED = 1024  # elements: smaller tensors take no room
NAMED = 8  # speakers that are listed by name
NO_LICENCE = "The maker of this voice has not said on which terms it may be used: ask before using it."


@dataclass(frozen=True)
class PackReport:
    """The result of `svc pack`: the file, its size in bytes, its card, whether the maker named a licence, and whether
    it is a base to train from.
    """

    path: Path
    size: int
    card: dict[str, Any]
    licensed: bool
    base: bool = False

    def lines(self) -> list[str]:
        """The result and the next step, as text."""
        encoder = self.card["encoder"]["name"] or "an encoder that has no public name: pass it on too"
        names = [speaker["name"] for speaker in self.card["speakers"]]
        shown = ", ".join(names) if len(names) <= NAMED else count(len(names), "speaker")
        whole = f"{self.path}: {self.size / 1e6:.1f} MB, {shown}"
        if self.base:
            return [f"{whole}, a base to train from", f"  it needs a store of {encoder}", self._next()]
        said = [
            f"{whole}, vocoder {self.card['vocoder']}, {self.card['retrieval_minutes']:.1f} minutes to retrieve from",
            f"  it needs {encoder}",
        ]
        if not self.licensed:
            said.append("  it says nothing about how others may use the voice; say it with --licence TEXT")
        return [*said, self._next()]

    def _next(self) -> str:
        if self.base:
            return f"next: svc train --store STORE --base {self.path}"
        return f"next: svc render song.wav -m {self.path}"


def pack(
    run: Path | None = None,
    out: Path | None = None,
    licence: str = "",
    stores: Sequence[str] = (),
    progress: Progress | None = None,
    base: bool = False,
) -> PackReport:
    """Write a run's voice, vocoder and retrieval index into one file, with a card.

    Paths of this machine and names of recordings are left out. The same run gives the same bytes.

    Args:
        run: None is the newest in runs/.
        out: None is NAME.svc in the current folder.
        licence: on which terms others may use the voice, in the maker's words.
        stores: where the run's stores are now, for a run that has no index yet.
        base: make a base to train from (`svc train --base FILE`): without vocoder and index, and with weights in
            float16, half as large.

    Raises:
        UserError: the run was not trained, has no index and its stores cannot be opened, or `out` is another file.
    """
    opened = Run.open(run or newest_run())
    out = out or Path(f"{opened.name}{voice_file.SUFFIX}")
    _check_out(out, opened)
    model, step = opened.load_best("cpu")
    del model  # loading it was a check
    opened.load_units()
    if not base and not opened.index.exists():
        write_index(opened, open_stores(opened, stores), progress or Progress())
    config = _without_paths(opened.config)
    card = _card(opened, config, step, licence, base)
    members: dict[str, Path | bytes] = {
        voice_file.CARD: (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(),
        "README.md": _readme(card).encode(),
        CONFIG: config_text(config).encode(),
        UNITS: opened.units,
        BEST: _half(opened.best) if base else opened.best,
    }
    if not base:
        members[INDEX] = opened.index
        if opened.vocoder.exists():
            members[VOCODER] = opened.vocoder
    voice_file.write(out, members)
    return PackReport(out, out.stat().st_size, card, bool(licence), base)


def read_card(path: Path) -> dict[str, Any]:
    """The card of a voice file. Raises UserError when it is not one."""
    try:
        card = json.loads(voice_file.read_member(path, voice_file.CARD))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: its card is not JSON") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise UserError(f"{path} is not a voice file: its card is not of the format {FORMAT!r}")
    return card


def _check_out(out: Path, run: Run) -> None:
    """Raises UserError unless `out` can be written without loss."""
    if out.exists():
        if not out.is_file():
            raise UserError(f"{out} is not a file", "Name a file: --out FILE")
        try:
            read_card(out)
        except UserError as error:
            raise UserError(f"{out} exists and is not a voice file of svc", "Give another --out") from error
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} is not a folder: {out} cannot be written there")
    if run.file is not None:
        raise UserError(f"{run.file} is a voice file already")


def _without_paths(config: RunConfig) -> RunConfig:
    """A record without data of the maker's machine: locations, and names of recordings."""
    origin = config.encoder.origin
    public = origin in short_names() or not looks_like_path(origin)
    encoder = replace(config.encoder, origin=origin if public else "")
    return replace(config, stores=(), held_out=(), init_from=None, encoder=encoder)


def _half(path: Path) -> bytes:
    """A checkpoint with its weights in float16; scales and other small tensors stay as they are."""
    tensors, metadata = checkpoint.load(path)
    halves = {name: tensor.half() if tensor.numel() >= HALVED else tensor for name, tensor in tensors.items()}
    return checkpoint.to_bytes(halves, metadata)


def _card(run: Run, config: RunConfig, step: int, licence: str, base: bool) -> dict[str, Any]:
    """The card of the voice, as JSON."""
    lengths = [] if base else load_index(run.index)[1].lengths
    best = next((line for line in TrainingLog(run.log).read() if line["step"] == step), {})
    vocoder = "plain"
    if run.vocoder.exists() and not base:
        vocoder = f"own (step {checkpoint.load_record(run.vocoder, VocoderRecord)[1].step})"
    return {
        "format": FORMAT,
        "version": 1,
        "name": run.name,
        "svc": config.svc,
        "speakers": [asdict(speaker) for speaker in config.speakers],
        "step": checkpoint.load_record(run.best, BestRecord)[1].step,
        "scores": {name: best[name] for name in SCORES if name in best},
        "encoder": {
            "name": config.encoder.origin,
            "layer": config.unit_column.layer,
            "description": config.encoder.description,
        },
        "vocoder": vocoder,
        "retrieval_minutes": round(sum(map(sum, lengths)) / UNIT_RATE / 60, 2),
        "licence": licence or NO_LICENCE,
        "synthetic": "Everything that is rendered with it is a synthetic voice.",
    }


def _readme(card: dict[str, Any]) -> str:
    """The card as text."""
    speakers = "\n".join(
        f"- {speaker['name']}"
        + (f": {speaker['f0_low']:.0f} to {speaker['f0_high']:.0f} Hz" if speaker["f0_low"] is not None else "")
        for speaker in card["speakers"]
    )
    scores = ", ".join(f"{name} {value:.3f}" for name, value in card["scores"].items())
    return (
        f"# {card['name']}: a singing voice for svc\n\n"
        f"{count(len(card['speakers']), 'voice')}:\n\n{speakers}\n\n"
        f"Acoustic model of step {card['step']:,}{f' ({scores})' if scores else ''}, vocoder {card['vocoder']}, "
        f"{card['retrieval_minutes']:.1f} minutes of units to retrieve from. "
        f"Encoder: {card['encoder']['name'] or 'not public; ask the maker'}, layer {card['encoder']['layer']}.\n\n"
        f"    svc render song.wav -m FILE\n\n## Licence\n\n{card['licence']}\n\n{card['synthetic']}\n"
    )
