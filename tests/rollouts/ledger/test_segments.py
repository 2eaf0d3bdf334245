"""Segments of rows: no row is lost, whoever writes, merges, damages or dies beside the reader."""

import itertools
import os
import random
import threading
from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from rollouts.ledger import segments as module
from rollouts.ledger.compaction import compact
from rollouts.ledger.kinds import SegmentKind, SegmentVersionError
from rollouts.ledger.segments import Segments

SCHEMA = pl.Schema({"key": pl.String, "value": pl.String, "time": pl.Float64})
COLUMNS = SCHEMA.names()
KIND = SegmentKind("test calls", SCHEMA, "key", 2, "test.version", {1: lambda old: old.rename({"text": "value"})})


def rows(*keys, value="v"):
    return pl.DataFrame({"key": keys, "value": [f"{value}-{key}" for key in keys], "time": 0.5}, schema=SCHEMA)


def keys(frame):
    return sorted(frame["key"].to_list())


@pytest.fixture(params=["", "memory://"], ids=["local", "memory"])
def root(request, tmp_path):
    return f"{request.param}{tmp_path}/deep/er"


def put(root, name, data):
    """Write bytes into the folder as another program would."""
    fs, path = fsspec.url_to_fs(str(root))
    fs.pipe_file(f"{path}/{name}", data)


def get(path, root):
    return fsspec.url_to_fs(root)[0].cat_file(path)


def test_rows_come_back_as_they_went_in_and_in_order(root):
    segments = Segments(root, KIND)
    assert segments.read(COLUMNS).is_empty() and segments.names() == []
    odd = pl.DataFrame({"key": ["a", "", "é\n"], "value": [None, "x" * 100_000, "y"], "time": [0.1, None, -1e300]})
    paths = [segments.append(frame) for frame in (rows("b"), odd, rows())]
    assert [path.rsplit("/", 1)[1] for path in paths] == segments.names()
    assert all(name.startswith(segments.writer) for name in segments.names())
    again = Segments(root, KIND)
    assert_frame_equal(again.read(COLUMNS), pl.concat([rows("b"), odd]))
    assert_frame_equal(again.read(["time", "key"]), pl.concat([rows("b"), odd]).select("time", "key"))
    assert_frame_equal(again.read(COLUMNS, again.names()[1:2]), odd)
    assert_frame_equal(pl.concat(again.batches(COLUMNS, rows=1)), pl.concat([rows("b"), odd]))
    assert [frame.height for frame in again.batches(["key"], again.names()[:2], rows=4)] == [4]


def test_batches_are_short_where_rows_are_long(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP_BYTES", 100_000)
    segments = Segments(str(tmp_path), KIND)
    long = pl.DataFrame({"key": [f"k{n}" for n in range(50)], "value": [f"{n:05d}" * 4_000 for n in range(50)]})
    long = long.with_columns(time=pl.lit(1.0))
    segments.append(long)
    heights = [frame.height for frame in segments.batches(COLUMNS, rows=50)]
    assert sum(heights) == 50 and max(heights) <= 10
    assert [frame.height for frame in segments.batches(["key"], rows=50)] == [50]
    compact(segments)
    assert_frame_equal(segments.read(COLUMNS), long)


def test_a_caller_s_mistake_is_told_and_sets_nothing_aside(root):
    segments = Segments(root, KIND)
    segments.append(rows("a"))
    for ask in (["key", "nonsense"], []):
        with pytest.raises(ValueError, match=r"test calls: asked for .*, there are key, value, time"):
            segments.read(ask)
        with pytest.raises(ValueError, match="asked for"):
            list(segments.batches(ask))
    for frame, reason in [
        (rows("b").drop("time"), "lacks the columns time"),
        (rows("b").with_columns(more=1), "no column more"),
        (rows("b").with_columns(time=pl.lit("late")), "time is String instead of Float64"),
    ]:
        with pytest.raises(ValueError, match=reason):
            segments.append(frame)
    assert keys(segments.read(["key"])) == ["a"] and not segments.set_aside


def test_news_are_what_others_wrote_since(root):
    one, two = Segments(root, KIND), Segments(root, KIND)
    one.append(rows("a"))
    assert keys(two.news(["key"])) == ["a"] and two.news(["key"]).is_empty()
    two.append(rows("b"))
    assert two.news(["key"]).is_empty() and keys(one.news(["key"])) == ["b"]
    two.append(rows("c"))
    assert keys(one.read(["key"])) == ["a", "b", "c"] and one.news(["key"]).is_empty()
    two.append(rows("d"))
    list(one.batches(["key"]))
    assert one.news(["key"]).is_empty()
    two.append(rows("e"))
    compact(Segments(root, KIND))
    assert "e" in keys(one.news(["key"])) and one.news(["key"]).is_empty()


# What cannot be read


def parquet(frame, version=b"2", **options):
    sink = pa.BufferOutputStream()
    table = frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame
    table = table.replace_schema_metadata({} if version is None else {b"test.version": version})
    pq.write_table(table, sink, write_page_checksum=True, **options)
    return sink.getvalue().to_pybytes()


WHOLE = parquet(rows(*map(str, range(100))))
UNREADABLE = {
    "empty": (b"", "size is 0 bytes"),
    "truncated": (WHOLE[:-100], ""),
    "head-only": (WHOLE[: len(WHOLE) // 2], ""),
    "text": (b"not parquet at all", "magic bytes"),
    "no-version": (parquet(rows("x"), None), "metadata have no test.version"),
    "odd-version": (parquet(rows("x"), b"two"), "metadata have no test.version"),
    "other-columns": (parquet(rows("x").drop("value")), "lacks the columns value"),
    "other-types": (parquet(rows("x").with_columns(time=pl.lit("now"))), "time is String instead of Float64"),
}


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("way", ["read", "batches", "news", "compact"])
def test_the_unreadable_is_set_aside_and_the_rest_is_read(root, case, way, caplog):
    data, reason = UNREADABLE[case]
    Segments(root, KIND).append(rows("a"))
    put(root, "0-broken.parquet", data)
    Segments(root, KIND).append(rows("b"))
    segments = Segments(root, KIND)
    if way == "compact":
        compact(segments)
    else:
        frames = [segments.read(["key"])] if way == "read" else [segments.news(["key"])]
        assert keys(pl.concat(segments.batches(["key"]) if way == "batches" else frames)) == ["a", "b"]
    (aside,) = segments.set_aside
    assert aside.endswith("/set_aside/0-broken.parquet") and get(aside, root) == data
    assert "0-broken.parquet cannot be read (" in caplog.text and reason in caplog.text
    assert "0-broken.parquet" not in segments.names() and keys(segments.read(["key"])) == ["a", "b"]
    put(root, "0-broken.parquet", b"again, of that name")
    assert keys(segments.read(["key"])) == ["a", "b"] and get(aside, root) == data and len(segments.set_aside) == 2


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path):
    segments, other = Segments(str(tmp_path), KIND), Segments(str(tmp_path), KIND)
    whole = rows(*(f"{n}-{random.Random(n).random()}" for n in range(300)))
    path = segments.append(whole)
    data = Path(path).read_bytes()
    other.append(rows("other"))
    footer = int.from_bytes(data[-8:-4], "little") + 8
    dice = random.Random(4)
    noticed = 0
    for _ in range(60):
        at = dice.randrange(4, len(data) - footer)
        Path(path).write_bytes(data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :])
        before = len(segments.set_aside)
        got = segments.read(COLUMNS).filter(pl.col("key") != "other")
        if len(segments.set_aside) > before:
            assert got.is_empty()
            noticed += 1
        else:
            assert_frame_equal(got, whole)
    assert noticed > 50  # the rest are bits that decode to the same rows


def test_a_fault_of_the_store_is_not_the_segment_s(root, monkeypatch):
    segments = Segments(root, KIND)
    segments.append(rows("a"))
    fault = OSError(5, "the line is down")

    def down(*_, **__):
        raise fault

    monkeypatch.setattr(os, "pread", down)
    monkeypatch.setattr(type(segments.store._fs), "cat_file", down)
    with pytest.raises(OSError, match="the line is down"):
        segments.read(COLUMNS)
    monkeypatch.undo()
    assert keys(segments.read(COLUMNS)) == ["a"] and not segments.set_aside


def test_two_processes_set_the_same_file_aside(tmp_path):
    root = str(tmp_path)
    put(root, "broken.parquet", b"broken")
    readers = [Segments(root, KIND) for _ in range(8)]
    barrier, got = threading.Barrier(8), []

    def read(segments):
        barrier.wait()
        got.append(segments.read(COLUMNS).height)

    threads = [threading.Thread(target=read, args=(segments,)) for segments in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [0] * 8 and len(os.listdir(tmp_path / "set_aside")) == 1


# Versions


def test_an_older_version_is_read_and_a_newer_or_forgotten_one_refused(root):
    segments = Segments(root, KIND)
    put(root, "0-old.parquet", parquet(rows("old").rename({"value": "text"}), b"1"))
    segments.append(rows("new"))
    assert segments.read(["value", "key"]).rows() == [("v-old", "old"), ("v-new", "new")]
    assert_frame_equal(pl.concat(segments.batches(COLUMNS)), rows("old", "new"))
    assert compact(segments).rows == 2
    assert_frame_equal(
        Segments(root, SegmentKind("k", SCHEMA, "key", 2, "test.version")).read(COLUMNS), rows("old", "new")
    )
    before = segments.names()
    for version, reason in [
        (b"3", r"has version 3, this Touchstone reads up to 2"),
        (b"0", "cannot read version 0 any"),
    ]:
        put(root, "0-other.parquet", parquet(rows("x"), version))
        for attempt in (segments.read, segments.news, lambda columns: list(segments.batches(columns))):
            with pytest.raises(SegmentVersionError, match=reason):
                attempt(["key"])
        with pytest.raises(SegmentVersionError, match=reason):
            compact(segments)
        assert segments.names() == sorted(["0-other.parquet", *before]) and not segments.set_aside


def test_a_column_that_was_added_later_has_its_value_in_older_rows(root):
    schema = pl.Schema({**SCHEMA, "draws": pl.Int64})
    wider = SegmentKind("test calls", schema, "key", 2, "test.version", KIND.upgrade, {"draws": 3})
    Segments(root, KIND).append(rows("a", "b"))
    newer = Segments(root, wider)
    newer.append(rows("c").with_columns(draws=pl.lit(5, pl.Int64)))
    assert sorted(newer.read(["key", "draws"]).iter_rows()) == [("a", 3), ("b", 3), ("c", 5)]
    assert sorted(newer.read(["draws"])["draws"]) == [3, 3, 5], "also where none of the columns asked for is there"
    assert keys(Segments(root, KIND).read(COLUMNS)) == ["a", "b", "c"], "an older reader passes over it"
    compact(newer)
    assert sorted(Segments(root, wider).read(list(schema)).select("key", "draws").iter_rows())[0] == ("a", 3)
    assert not newer.set_aside


def test_an_upgrade_that_fails_moves_nothing(tmp_path):
    put(tmp_path, "0-old.parquet", parquet(rows("old").rename({"value": "words"}), b"1"))
    segments = Segments(str(tmp_path), KIND)
    with pytest.raises(SegmentVersionError, match=r"0-old.parquet could not be made one of version 2: .*text"):
        segments.read(COLUMNS)
    assert segments.names() == ["0-old.parquet"]


def test_files_of_other_writers_with_dictionaries_and_other_string_types_are_read(tmp_path):
    table = pa.table(
        {
            "time": pa.array([1.0, 2.0]),
            "key": pa.array(["a", "b"]).dictionary_encode(),
            "value": pa.array(["x", "x"], pa.string_view()),
            "more": pa.array([1, 2]),
        }
    )
    put(tmp_path, "a.parquet", parquet(table))
    rows("c").write_parquet(tmp_path / "b.parquet", metadata={"test.version": "2"})
    frame = Segments(str(tmp_path), KIND).read(COLUMNS)
    assert frame.schema == SCHEMA and frame["key"].to_list() == ["a", "b", "c"]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    segments = Segments(str(tmp_path), KIND)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        segments.append(rows("a"))
    assert os.listdir(tmp_path) == []


# Others at work


@pytest.mark.parametrize("way", ["read", "named", "batches", "news"])
def test_a_segment_merged_between_listing_and_reading_is_found_again(root, way, monkeypatch):
    for key in "abc":
        Segments(root, KIND).append(rows(key))
    reader = Segments(root, KIND)
    source, calls = reader.store.source, itertools.count()

    def merged_first(name):
        if next(calls) < 2:  # another compaction before each of the first two files is opened
            other = Segments(root, KIND)
            other.append(rows("later"))
            compact(other)
        return source(name)

    reader.store.threads = 1
    monkeypatch.setattr(reader.store, "source", merged_first)
    got = {
        "read": lambda: reader.read(["key"]),
        "named": lambda: reader.read(["key"], reader.names()[:2]),
        "batches": lambda: pl.concat(reader.batches(["key"])),
        "news": lambda: reader.news(["key"]),
    }[way]()
    assert set(got["key"]) >= set("ab" if way == "named" else "abc")


def test_a_listing_that_shows_neither_the_old_segment_nor_the_new_is_mended(tmp_path, monkeypatch):
    """A folder is not listed in one instant: part before the merged file came, part after its inputs went."""
    reader = Segments(str(tmp_path), KIND)
    for key in "ab":
        Segments(str(tmp_path), KIND).append(rows(key))
    compact(Segments(str(tmp_path), KIND))
    names, calls = reader.names, itertools.count()
    monkeypatch.setattr(reader, "names", lambda: [] if next(calls) == 0 else names())
    assert keys(reader.read(["key"])) == ["a", "b"]
