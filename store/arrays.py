"""The files by which any zarr v3 reader opens a store: zarr.json, and the length of each row.

They are derived from the ledger, made by zarr-python in memory, and written whole like everything else.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .checksummed_json import read_checksummed, write_checksummed
from .errors import DamagedError, MissingError
from .layout import Layout
from .schema import INNER_FRAMES, MEL, UNIT, Column, Pack, PackSize


def write_arrays(layout: Layout, columns: Iterable[Column], packs: list[Pack], size: PackSize) -> None:
    """Write the files that have changed, and record the sha256 of all."""
    files = describe(columns, packs, size)
    present = layout.folder.read_all(files)
    for name, data in files.items():
        if present.get(name) != data:
            layout.folder.write(name, data)
    write_checksummed(
        layout.folder, layout.arrays, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    )


def check_arrays(layout: Layout) -> list[str]:
    """A sentence for each of these files that differs from the recorded sha256."""
    findings = []
    try:
        recorded = read_checksummed(layout.folder, layout.arrays)
    except (MissingError, DamagedError) as error:
        return [str(error)]
    for name, sha256 in sorted(recorded.items()):
        try:
            if layout.folder.sha256(name) != sha256:
                findings.append(f"{layout.folder.where(name)} is damaged: its sha256 is not the one recorded")
        except MissingError:
            findings.append(f"{layout.folder.where(name)} is gone")
    return findings


def arrays_are_current(layout: Layout, column: Column, frames: int) -> bool:
    """Whether all arrays were written since a column has that many frames, by their record, which is written last."""
    name = f"{column.name}/zarr.json"
    try:
        recorded = read_checksummed(layout.folder, layout.arrays)
        data = layout.folder.read(name)
        shape = json.loads(data)["shape"]
    except (MissingError, DamagedError, ValueError, KeyError, TypeError):
        return False
    return bool(recorded.get(name) == hashlib.sha256(data).hexdigest() and shape[0] == frames)


def recorded_columns(layout: Layout) -> list[str]:
    """The columns that existed when the arrays were last written; none if that is not known."""
    try:
        names = read_checksummed(layout.folder, layout.arrays)
    except (MissingError, DamagedError):
        return []
    inside = [name.removesuffix("/zarr.json") for name in names if name.endswith("/zarr.json")]
    groups = {name.split("/")[0] for name in inside if "/" in name}
    return [name for name in inside if name not in groups and name != "ledger" and not name.endswith("_row_size")]


def describe(columns: Iterable[Column], packs: list[Pack], size: PackSize) -> dict[str, bytes]:
    """The files by their path in the store. The same ledger gives the same bytes."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    files: dict[str, Any] = {}
    memory = MemoryStore(files)
    group = zarr.create_group(memory, zarr_format=3, attributes={"Conventions": "CF-1.12"})
    group.create_group("ledger")  # so that zarr readers find a group there
    for column in sorted(columns, key=lambda column: column.name):
        group.create_array(
            column.name,
            shape=(len(packs) * size.of(column.axis), *column.frame_shape),
            chunks=(INNER_FRAMES, *column.frame_shape),
            shards=(size.of(column.axis), *column.frame_shape),
            dtype=column.numpy_dtype,
            compressors=[Crc32cCodec()],
            fill_value=0,
            dimension_names=[f"{column.axis}_frame", f"{column.name.replace('/', '_')}_bin"][
                : 2 if column.width else 1
            ],
            attributes={"units": column.unit, "settings": _sorted(column.settings)},
        )
    for axis in (UNIT, MEL):
        # CF contiguous ragged array: the length of every row, the unused rest of each pack as one more.
        rows = [[row.place(axis)[1] for row in pack.rows] for pack in packs]
        lengths = [length for pack in rows for length in [*pack, size.of(axis) - sum(pack)]]
        note = "frames; each pack's last row is unused room"
        array = group.create_array(
            f"{axis}_row_size",
            shape=(len(lengths),),
            chunks=(max(1, len(lengths)),),
            dtype=np.dtype("<i4"),
            dimension_names=["row"],
            attributes={"sample_dimension": f"{axis}_frame", "long_name": note},
        )
        array[:] = np.array(lengths, np.int32)
    with warnings.catch_warnings():
        # One file with all metadata opens faster, in xarray above all; zarr warns that the spec is not final.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(memory, zarr_format=3)
    return {name: buffer.to_bytes() for name, buffer in sorted(files.items())}


def _sorted(value: Any) -> Any:
    return {key: _sorted(value[key]) for key in sorted(value)} if isinstance(value, dict) else value
