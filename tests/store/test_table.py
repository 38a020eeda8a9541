"""The table of a large corpus is a file of columns; such a store behaves like a small one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from svc.pipeline import audio
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from svc.store import DamagedError, MissingError, ledger, open_store
from svc.store.compact import compact
from svc.store.layout import Layout
from svc.store.schema import Column, Pack, Row, Utterance
from svc.store.table import UtteranceTable, rows_of_pack, total_frames, used_packs
from svc.store.verify import verify, verify_at


def corpus_of(count: int) -> tuple[list[Utterance], list[Pack]]:
    """Two speakers, three utterances a recording, ten a pack."""
    rows, utterances = [], []
    for n in range(count):
        start, audio_hash = 100 * (n % 3), f"{n // 3:064x}"
        place = n % 10
        rows.append(Row(audio_hash, start, start + 100, n % 3 > 0, 58 * place, 58, 100 * place, 100))
        speaker = "a" if n < count // 2 else "a-b"
        utterances.append(
            Utterance(
                f"{speaker}/노래 {n:05d}",
                speaker,
                "/c",
                f"{speaker}/{n // 3}.wav",
                audio_hash,
                start,
                start + 100,
                n // 10,
                place,
            )
        )
    packs = [Pack(n, tuple(rows[10 * n : 10 * n + 10])) for n in range(-(-count // 10))]
    return utterances, packs


def test_what_is_written_is_read() -> None:
    utterances, packs = corpus_of(95)
    data = UtteranceTable.of(utterances, packs).to_bytes()
    table = UtteranceTable.from_bytes(data, "here")
    assert list(table) == utterances
    assert table[-1] == utterances[-1]
    assert table[10:20] == utterances[10:20]
    assert [table.place(at) for at in range(95)] == [packs[u.pack].rows[u.row] for u in utterances]
    assert UtteranceTable.of(utterances, packs).to_bytes() == data
    assert used_packs(table) == used_packs(utterances) == list(range(10))
    assert total_frames(table) == total_frames(utterances) == 9500
    assert rows_of_pack(table, 9) == rows_of_pack(utterances, 9)
    assert len(list(table.recordings())) == 32
    with pytest.raises(IndexError):
        table[95]


def test_every_utterance_is_found_by_its_id() -> None:
    utterances, packs = corpus_of(95)
    table = UtteranceTable.of(utterances, packs)
    assert [table.find(u.id) for u in utterances] == list(range(95))
    for name in ("a", "a/", "a/노래", "b/노래 00001", "a/노래 00094", ""):
        assert table.find(name) is None
    assert table.find_endings("/노래 00007") == [7]
    assert table.find_endings("/nothing") == []


def test_an_empty_table() -> None:
    table = UtteranceTable.from_bytes(UtteranceTable.of([], []).to_bytes(), "here")
    assert list(table) == []
    assert table.find("a") is None


def test_other_bytes_are_damage() -> None:
    utterances, packs = corpus_of(20)
    data = UtteranceTable.of(utterances, packs).to_bytes()
    for wrong in (b"", data[:-1], data + b"x", b"other" + data, data[:100], b"svctable" + b"\xff" * 40):
        with pytest.raises(DamagedError):
            UtteranceTable.from_bytes(wrong, "here")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for speaker in ("anna", "ben"):
        (tmp_path / "c" / speaker).mkdir(parents=True)
        for number in range(3):
            t = np.arange(44_100 * (1 + 17 * (number == 2))) / 44_100
            hertz = 200 + 40 * number + 10 * (speaker == "ben")
            wav = 0.2 * np.sum([np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 5)], 0)
            audio.write(tmp_path / "c" / speaker / f"{number}.wav", wav.astype(np.float32))
    return tmp_path / "c"


def test_a_store_with_such_a_table(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExtractSettings(encoder=str(encoder))
    extract([corpus], tmp_path / "small.zarr", settings)
    monkeypatch.setattr(ledger, "JSON_ROWS", 0)
    path = tmp_path / "large.zarr"
    extract([corpus], path, settings)
    small, large = open_store(tmp_path / "small.zarr"), open_store(path)
    assert isinstance(large.table, UtteranceTable)
    assert [clip.id for clip in large] == [clip.id for clip in small]
    assert large.speakers == small.speakers
    assert large.seconds == small.seconds
    assert large.incomplete() == 0
    for clip in large:
        other = small[clip.id]
        assert clip.row == other.row
        assert large[clip.id].utterance == other.utterance
        for name in small.columns:
            assert np.array_equal(clip.read(name), other.read(name))
    assert np.array_equal(large.array("mel").compute(), small.array("mel").compute())
    assert large.utterances.equals(small.utterances)
    with pytest.raises(MissingError, match="names 2 utterances: anna/0, ben/0"):
        large["0"]
    assert verify(large) == []

    again = extract([corpus], path, ExtractSettings())
    assert (again.cells_computed, str(again.changes)) == (0, "none changed")
    (corpus / "anna" / "0.wav").rename(corpus / "anna" / "renamed.wav")
    (corpus / "ben" / "1.wav").unlink()
    changed = extract([corpus], path, ExtractSettings())
    assert str(changed.changes) == "1 renamed, 1 removed"
    assert len(list((path / "ledger" / "tables").iterdir())) == 1  # the table before is gone
    compact(path)
    assert verify(open_store(path)) == []
    assert [clip.id for clip in open_store(path)][:3] == ["anna/1", "anna/2#001", "anna/2#002"]


def test_damage_to_a_large_store_is_found_and_repaired(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "JSON_ROWS", 0)
    path = tmp_path / "s.zarr"
    extract([corpus], path, ExtractSettings(encoder=str(encoder)))
    table = next((path / "ledger" / "tables").iterdir())
    pack = path / "ledger" / "packs" / "000000.json"
    for file in (table, pack):
        whole = file.read_bytes()
        for data in (whole[:-1], whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], None):
            file.unlink() if data is None else file.write_bytes(data)
            assert [found.kind for found in verify_at(path)] == ["damaged"]
            if file == table:
                with pytest.raises(DamagedError):
                    open_store(path)
            else:  # the table knows where the utterance's frames lie
                assert len(open_store(path)[0].read("f0"))
            if data is None:
                assert extract([corpus], path, ExtractSettings(), check=True).cells_computed == 0
                assert verify_at(path) == []
            file.write_bytes(whole)


def test_verify_goes_on_where_it_was_stopped(
    tmp_path: Path, corpus: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svc.store import receipts
    from svc.store import verify as module

    path = tmp_path / "s.zarr"
    extract([corpus], path, ExtractSettings(encoder=str(encoder)))
    hashed: list[str] = []
    original = receipts.check_sha256

    def check(layout: Layout, column: Column, pack: Pack, receipt: receipts.Receipt) -> None:
        hashed.append(column.name)
        if len(hashed) == 3:
            raise KeyboardInterrupt
        original(layout, column, pack, receipt)

    monkeypatch.setattr(module, "check_sha256", check)
    store = open_store(path)
    with pytest.raises(KeyboardInterrupt):
        verify(store, resume=tmp_path / "progress", threads=1)
    assert verify(store, resume=tmp_path / "progress", threads=1) == []
    assert sorted(hashed) == sorted([*store.columns, hashed[2]])  # each once, but for the one that was under way
