"""Packs: the places of utterances, which never change."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from svc.store import DamagedError, StoreError
from svc.store.layout import Layout
from svc.store.packs import NewRow, fill, read_packs, write_packs
from svc.store.schema import MEL, UNIT, Pack, PackSize

SIZE = PackSize(unit=50, mel=80)


def piece(number: int, unit: int, mel: int) -> NewRow:
    return NewRow(f"{number:064x}", number, number + mel, bool(number % 2), unit, mel)


lengths = st.tuples(st.integers(1, SIZE.unit), st.integers(1, SIZE.mel))
short = st.tuples(st.integers(1, 9), st.integers(1, 9))
pieces_of = st.lists(lengths | short, max_size=40).map(lambda found: [piece(i, *two) for i, two in enumerate(found)])
property_of_fill = settings(max_examples=200, deadline=None, database=None)


@property_of_fill
@given(pieces_of, st.integers(0, 10**6))
def test_every_piece_lies_once_whole_and_in_order(pieces: list[NewRow], first: int) -> None:
    packs = fill(pieces, SIZE, first)
    rows = [row for pack in packs for row in pack.rows]
    laid = [NewRow(r.audio, r.start, r.end, r.joined, r.unit_frames, r.mel_frames) for r in rows]
    assert laid == pieces
    assert [pack.number for pack in packs] == list(range(first, first + len(packs)))
    assert all(pack.rows for pack in packs)


@property_of_fill
@given(pieces_of)
def test_no_pack_holds_more_than_it_has_room_for(pieces: list[NewRow]) -> None:
    for pack in fill(pieces, SIZE, 0):
        assert sum(row.unit_frames for row in pack.rows) <= SIZE.unit
        assert sum(row.mel_frames for row in pack.rows) <= SIZE.mel


@property_of_fill
@given(pieces_of)
def test_rows_lie_end_to_end_on_both_axes(pieces: list[NewRow]) -> None:
    for pack in fill(pieces, SIZE, 0):
        for axis in (UNIT, MEL):
            places = [row.place(axis) for row in pack.rows]
            assert [offset for offset, _ in places] == [0, *accumulate(length for _, length in places)][:-1]


@property_of_fill
@given(pieces_of)
def test_next_pack_begins_only_when_the_next_piece_does_not_fit(pieces: list[NewRow]) -> None:
    for pack, following in pairwise(fill(pieces, SIZE, 0)):
        rows = [*pack.rows, following.rows[0]]
        over_unit = sum(row.unit_frames for row in rows) > SIZE.unit
        over_mel = sum(row.mel_frames for row in rows) > SIZE.mel
        assert over_unit or over_mel


def test_by_hand() -> None:
    """Mel is full after the second piece, unit after the fourth."""
    packs = fill([piece(0, 10, 50), piece(1, 10, 30), piece(2, 25, 1), piece(3, 25, 1), piece(4, 1, 1)], SIZE, 7)
    assert [(pack.number, [(r.unit_offset, r.mel_offset) for r in pack.rows]) for pack in packs] == [
        (7, [(0, 0), (10, 50)]),
        (8, [(0, 0), (25, 1)]),
        (9, [(0, 0)]),
    ]


def test_nothing_makes_no_pack() -> None:
    assert fill([], SIZE, 3) == []


def test_piece_as_long_as_a_pack_fits() -> None:
    assert len(fill([piece(0, 50, 80), piece(1, 50, 80)], SIZE, 0)) == 2


@pytest.mark.parametrize(("unit", "mel"), [(51, 1), (1, 81), (51, 81)])
def test_piece_longer_than_a_pack_raises(unit: int, mel: int) -> None:
    with pytest.raises(StoreError, match="longer than a pack"):
        fill([piece(0, 1, 1), piece(1, unit, mel)], SIZE, 0)


@pytest.mark.parametrize("seconds", [0, 4 * 3600, 4 * 3600 + 1, 1e12])
def test_packs_for_a_corpus_hold_whole_inner_chunks_and_as_much_mel_as_units(seconds: float) -> None:
    size = PackSize.for_seconds(seconds)
    assert size.unit == (65_536 if seconds > 4 * 3600 else 8_192)
    assert size.unit % 128 == size.mel % 128 == 0
    assert 0 <= size.mel / (44100 / 512) - size.unit / 50 < 128 / (44100 / 512)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Layout, list[Pack]]:
    layout = Layout(tmp_path)
    packs = fill([piece(number, 20, 20) for number in range(9)], SIZE, 0)
    assert len(packs) == 5
    write_packs(layout, packs)
    return layout, packs


def digests(packs: list[Pack]) -> list[str]:
    return [pack.digest for pack in packs]


def test_packs_come_back(written: tuple[Layout, list[Pack]]) -> None:
    layout, packs = written
    assert read_packs(layout, digests(packs)) == packs
    assert read_packs(layout, digests(packs[:3])) == packs[:3]  # the rest are of a run that was stopped


def test_no_packs_is_no_error(tmp_path: Path) -> None:
    assert read_packs(Layout(tmp_path), []) == []


@pytest.mark.parametrize("number", [0, 1, 4])
def test_missing_pack_is_noticed(written: tuple[Layout, list[Pack]], number: int) -> None:
    layout, packs = written
    (layout.root / layout.pack(number)).unlink()
    with pytest.raises(DamagedError, match=layout.pack(number)):
        read_packs(layout, digests(packs))


@pytest.mark.parametrize("number", range(5))
def test_flipped_bit_in_a_pack_is_noticed(
    written: tuple[Layout, list[Pack]], number: int, flip: Callable[..., None]
) -> None:
    layout, packs = written
    flip(layout.root / layout.pack(number), np.random.default_rng(number))
    with pytest.raises(DamagedError, match=layout.pack(number)):
        read_packs(layout, digests(packs))


def test_exchanged_packs_are_noticed(written: tuple[Layout, list[Pack]]) -> None:
    layout, packs = written
    one, two = (layout.root / layout.pack(number) for number in (1, 2))
    one.rename(one.with_name("aside"))
    two.rename(one)
    one.with_name("aside").rename(two)
    with pytest.raises(DamagedError, match="is not the pack"):
        read_packs(layout, digests(packs))


def test_pack_under_another_number_is_noticed(written: tuple[Layout, list[Pack]]) -> None:
    layout, packs = written
    (layout.root / layout.pack(4)).rename(layout.root / layout.pack(7))
    with pytest.raises(DamagedError):
        read_packs(layout, digests(packs))


def test_digest_tells_any_change_of_a_pack() -> None:
    """Receipts name packs by it, so that a shard is never read by another pack's rows."""
    base = [piece(0, 3, 5), piece(1, 4, 6)]
    others = [
        [piece(0, 3, 5)],
        [piece(1, 4, 6), piece(0, 3, 5)],
        [piece(0, 3, 5), piece(1, 4, 7)],
        [piece(0, 3, 5), piece(1, 5, 6)],
        [piece(0, 3, 5), piece(2, 4, 6)],
    ]
    digests = {fill(pieces, SIZE, 0)[0].digest for pieces in [base, *others]} | {fill(base, SIZE, 1)[0].digest}
    assert len(digests) == 7
    assert fill(base, SIZE, 0)[0].digest == fill(base, SIZE, 0)[0].digest
