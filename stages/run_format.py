"""Reading and writing run.json.

Format 3 is `RunConfig`, field by field. Format 2 (svc 0.1) is converted when it is read, and becomes format 3 when the
run is next saved.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..common.errors import UserError
from ..common.files import write_whole
from ..common.records import RecordError, load_json, read_record
from ..pipeline.diffusion.shape import Architecture
from ..pipeline.slicing import SliceSettings
from .run_config import EncoderRecord, FrameRates, RunConfig, Speaker, UnitColumn
from .settings import TrainSettings

FORMAT, VERSION = "svc run", 3


def read_config(path: Path) -> RunConfig:
    """Read a run.json of format 2 or 3.

    Raises:
        FileNotFoundError: there is none.
        UserError: it is damaged, of another format, or does not fit the schema.
    """
    record = load_json(path)
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise UserError(f"{path} is damaged, or was not written by svc train: its format is not {FORMAT!r}")
    version = record.pop("version", None)
    if type(version) is not int or version not in (2, VERSION):
        raise UserError(
            f"{path} has run format {version!r}; this svc reads formats 2 and {VERSION}",
            "Use the svc that made the run, or train a new run",
        )
    try:
        return _from_format_2(record) if version == 2 else read_record(RunConfig, record)
    except ValueError as error:  # a RecordError, or a record's own ValueError
        raise UserError(
            f"{path} does not fit the format of a run: {error}", "Restore it from a copy, or train a new run"
        ) from error


def write_config(path: Path, config: RunConfig) -> None:
    """Write a run.json of format 3, whole or not at all."""
    write_whole(path, config_text(config).encode())


def config_text(config: RunConfig) -> str:
    """A run.json of format 3."""
    record = {"format": FORMAT, "version": VERSION, **asdict(config)}
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class _Identity:
    slices: SliceSettings
    unit_frame_rate: float
    mel_frame_rate: float
    algorithm: int


@dataclass(frozen=True)
class _Format2:
    """run.json as svc 0.1 wrote it."""

    settings: dict[str, Any]
    precision: str
    stores: tuple[str, ...]
    data: str
    held_out: tuple[str, ...]
    speakers: tuple[Speaker, ...]
    code_layer: int
    unit_column: str
    unit_layer: int
    identity: _Identity
    encoder: dict[str, Any]
    encoder_origin: str
    pitch: dict[str, Any]
    shape: dict[str, Any]
    encoder_precision: str = "fp32"
    augmented: tuple[str, ...] | None = None
    base: str | None = None


def _from_format_2(record: dict[str, Any]) -> RunConfig:
    old = read_record(_Format2, record)
    inner = {field.name for field in fields(Architecture)}
    given = {"shallow_depth" if name == "depth" else name: value for name, value in old.settings.items()}
    architecture = {name: given.pop(name) for name in inner & given.keys()}
    settings = read_record(TrainSettings, {**given, "architecture": architecture}, "settings")
    # The acoustic model's shape was kept beside the settings; a column's width was not kept.
    width = old.encoder.get("hidden_size") if settings.units == "soft" else old.shape.get("unit_dim")
    if type(width) is not int:
        raise RecordError("encoder.hidden_size or shape.unit_dim: expected a whole number")
    config = RunConfig(
        settings=settings,
        precision=old.precision,
        stores=old.stores,
        data_digest=old.data,
        held_out=old.held_out,
        speakers=old.speakers,
        code_layer=old.code_layer,
        unit_column=UnitColumn(old.unit_column, old.unit_layer, width),
        encoder=EncoderRecord(old.encoder, old.encoder_origin, old.encoder_precision),
        slices=old.identity.slices,
        pitch=old.pitch,
        augmented=old.augmented,
        init_from=old.base,
        frame_rates=FrameRates(old.identity.unit_frame_rate, old.identity.mel_frame_rate),
        algorithm=old.identity.algorithm,
        svc="0.1.0",
    )
    shape = asdict(config.shape)
    if old.shape != {**shape.pop("architecture"), **shape}:
        raise RecordError(f"shape: expected {config.shape}, which follows from the settings, found {old.shape}")
    return config
