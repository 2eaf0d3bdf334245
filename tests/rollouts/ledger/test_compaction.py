"""Compaction: the same rows in fewer files, whoever is at work beside it and whenever it is killed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rollouts.ledger.compaction import compact
from rollouts.ledger.segments import Segments
from tests.rollouts.ledger.test_segments import COLUMNS, KIND, SCHEMA, keys, rows


@pytest.fixture(params=["", "memory://"], ids=["local", "memory"])
def root(request, tmp_path):
    return f"{request.param}{tmp_path}/calls"


def test_compaction_merges_the_small_in_order_drops_duplicates_and_leaves_the_large(root):
    segments = Segments(root, KIND)
    noise = random.Random(1)
    big = rows(*(f"big{n}-{noise.random()}" for n in range(3000)))
    small = [rows("a", "b"), rows("b", "c", value="later"), rows(), rows("c", "d"), rows("d", value="later")]
    segments.append(small[0])
    large = segments.append(big).rsplit("/", 1)[1]
    for frame in small[1:]:
        segments.append(frame)
    sizes = segments.store.sizes()
    report = compact(segments, target=20_000)
    merged, kept = segments.names()[1], segments.names()[0]
    assert kept == large and segments.store.sizes()[large] == sizes[large]
    assert (report.segments_before, report.segments_after, report.rows, report.duplicates) == (6, 2, 4, 3)
    assert report.bytes_before == sum(sizes.values()) - sizes[large]
    assert report.bytes_after == segments.store.sizes()[merged]
    got = segments.read(COLUMNS, [merged])
    assert got["key"].to_list() == ["a", "b", "c", "d"]
    assert got["value"].to_list() == ["v-a", "v-b", "later-c", "v-d"]
    assert compact(segments, target=20_000).rows == 0 and segments.names() == [kept, merged]
    assert keys(segments.read(["key"])) == sorted([*big["key"], "a", "b", "c", "d"])


def test_compaction_begins_a_new_segment_at_the_target(tmp_path, monkeypatch):
    monkeypatch.setattr("rollouts.ledger.compaction.GROUP_ROWS", 100)
    segments = Segments(str(tmp_path), KIND)
    noise = random.Random(1)
    frames = [rows(*(f"{noise.random()}" for _ in range(150))) for _ in range(20)]
    for frame in frames:
        segments.append(frame)
    compact(segments, target=20_000)
    *full, _ = segments.store.sizes().values()
    assert len(full) > 2 and all(20_000 <= size < 40_000 for size in full)
    assert_frame_equal(segments.read(COLUMNS), pl.concat(frames))
    assert compact(segments, target=20_000).rows == 0


frames_of_keys = st.lists(st.lists(st.one_of(st.none(), st.text("abcdef", max_size=2)), max_size=6), max_size=8)


@settings(max_examples=30, deadline=None)
@given(frames_of_keys, st.sampled_from([1, 2, 100]), st.sampled_from([1, 1500, 10**9]))
def test_compaction_keeps_the_set_of_rows(lists, group_rows, target):
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollouts.ledger.compaction.GROUP_ROWS", group_rows)
        patch.setattr(os, "fsync", lambda _: None)
        segments = Segments(root, KIND)
        for number, names in enumerate(lists):
            values = [f"{number}-{n}" for n in range(len(names))]
            segments.append(pl.DataFrame({"key": names, "value": values, "time": 0.0}, schema=SCHEMA))
        before = segments.read(COLUMNS)
        report = compact(segments, target)
        after = segments.read(COLUMNS)
        assert report.duplicates == before.height - after.height
        if target == 1:
            expected = before  # all are large
        elif target == 10**9 and len(lists) > 1:
            first = pl.col("key").is_first_distinct() | pl.col("key").is_null()
            expected = before.filter(first)
            assert len(segments.names()) <= 1
        else:
            assert set(after["key"]) == set(before["key"]) and set(after.rows()) <= set(before.rows())
            return
        assert_frame_equal(after, expected)


def test_old_leftovers_of_killed_writers_go_and_young_ones_stay(tmp_path):
    segments = Segments(str(tmp_path), KIND)
    segments.append(rows("a"))
    for name, age in [("old", 90_000), ("young", 80_000)]:
        path = tmp_path / f"{name}.parquet.tmp"
        path.write_bytes(b"half a segm")
        os.utime(path, (time.time() - age,) * 2)
    assert keys(segments.read(["key"])) == ["a"]
    compact(segments)
    assert sorted(path.name for path in tmp_path.glob("*.tmp")) == ["young.parquet.tmp"] and not segments.set_aside


def test_an_input_that_goes_or_turns_out_damaged_makes_compaction_plan_anew(tmp_path, monkeypatch):
    """The first of two equal rows is in a segment whose key pages are good and whose other pages are not."""
    root = str(tmp_path)
    first = Segments(root, KIND)
    first.append(rows("z"))
    noise = random.Random(3).randbytes(3000).hex()
    path = first.append(pl.DataFrame({"key": ["a"], "value": [noise], "time": [0.5]}))
    data = bytearray(Path(path).read_bytes())
    at = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset + 500
    data[at] ^= 0xFF
    Path(path).write_bytes(data)
    first.append(rows("a", "b"))
    first.append(rows("c"))
    segments = Segments(root, KIND)
    report = compact(segments)
    assert len(segments.set_aside) == 1 and (report.rows, report.duplicates) == (4, 0)
    assert keys(segments.read(COLUMNS)) == ["a", "b", "c", "z"] and len(segments.names()) == 1


PROGRAM = """
import os, random, signal, sys
import polars as pl
from rollouts.ledger import compaction
from rollouts.ledger.kinds import SegmentKind
from rollouts.ledger.segments import Segments

root = sys.argv[1]
schema = pl.Schema({"key": pl.String, "value": pl.String, "time": pl.Float64})
kind = SegmentKind("test calls", schema, "key", 2, "test.version")

def write(times):
    segments = Segments(root, kind)
    for n in range(int(times)):
        keys = [f"{segments.writer}/{n}/{m}" for m in range(3)]
        segments.append(pl.DataFrame({"key": keys, "value": "v", "time": 0.0}, schema=schema))
        os.write(1, (" ".join(keys) + chr(10)).encode())

def compact():
    segments = Segments(root, kind)
    os.write(1, b"ready" + os.linesep.encode())
    while True:
        compaction.compact(segments)

def killed(moment):  # at that file system event, of 120 or more
    events = iter(range(int(moment)))
    def count(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.scandir") and next(events, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
    compaction.GROUP_ROWS = 200
    segments = Segments(root, kind)
    sys.addaudithook(count)
    compaction.compact(segments, 4000)

for line in sys.stdin:  # one process each; forked, as an interpreter's start would take most of the test's time
    role, *arguments = line.split()
    if os.fork() == 0:
        try:
            globals()[role](*arguments)
        except BaseException as error:
            os.write(1, f"{role} failed: {error!r}".encode())
        os._exit(0)
    if role == "killed":
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
while role == "write":
    try:
        os.wait()
    except ChildProcessError:
        break
"""


class Others:
    """Processes at work in the folder; `order` starts one more."""

    def __init__(self, root):
        command = [sys.executable, "-c", PROGRAM, str(root)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
        self.process = subprocess.Popen(command, **pipes)
        self.lines = self.process.stdout

    def order(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.process.stdin.close()
        self.lines.close()

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_no_row_is_lost_while_two_write_two_compact_and_one_reads(tmp_path):
    written, polled, reads = set(), set(), 0
    poller = Segments(str(tmp_path), KIND)
    with Others(tmp_path) as compactors, Others(tmp_path) as writers:
        for _ in range(2):
            compactors.order("compact")
            assert compactors.lines.readline() == "ready\n"
        for _ in range(2):
            writers.order("write 80")
        writers.process.stdin.close()
        done = threading.Event()

        def follow():
            for line in writers.lines:
                written.update(line.split())
            done.set()

        threading.Thread(target=follow).start()
        while not done.is_set():
            visible = written.copy()
            assert visible <= set(Segments(str(tmp_path), KIND).read(["key"])["key"])
            polled |= set(poller.news(["key"])["key"])
            assert visible <= polled
            reads += 1
        polled |= set(poller.news(["key"])["key"])
        compactors.stop()
        assert compactors.lines.read() == ""
    segments = Segments(str(tmp_path), KIND)
    assert len(written) == 480 and reads > 3
    assert set(segments.read(["key"])["key"]) == written == polled
    assert any("-merged-" in name for name in segments.names())
    compact(segments)
    assert len(segments.names()) == 1 and keys(segments.read(["key"])) == sorted(written)
    assert not (tmp_path / "set_aside").exists()


def test_no_row_is_lost_when_compactions_are_killed(tmp_path, monkeypatch):
    dice = random.Random(7)
    segments = Segments(str(tmp_path), KIND)
    written, killed, torn = set(), 0, 0
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with Others(tmp_path) as others:
        for turn in range(10):
            for n in range(20):
                names = [f"{turn}/{n}/{dice.random()}" for _ in range(30)]
                segments.append(rows(*names))
                written |= set(names)
            others.order(f"killed {dice.randrange(110)}")
            killed += int(others.lines.readline()) == -signal.SIGKILL
            got = segments.read(["key"])["key"]
            assert set(got) == written
            torn += len(got) > len(written)
    compact(segments)
    assert keys(segments.read(["key"])) == sorted(written) and not segments.set_aside
    assert killed == 10
    assert torn, "none was killed between the new segment and the end of its inputs"
