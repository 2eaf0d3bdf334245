import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from records.trajectory import Rollout
from rollouts.ledger import ledger as module
from rollouts.ledger.kinds import SegmentVersionError
from rollouts.ledger.ledger import CALLS, Ledger


def rollout(name, setting="s", sample=0, correct=True):
    return Rollout(
        rollout_id=name, question_id="q", arm="direct", model_fingerprint="m", prompt_fingerprint="p", setting=setting,
        sampling="{}", tool_versions="{}", sample_index=sample, prompt=[], messages=[], answer="4", tool_calls=[],
        prompt_tokens=1, completion_tokens=1, seconds=0.5, stop_reason="answered", correct=correct,
    )  # fmt: skip


async def test_a_finished_call_is_made_once_and_a_failed_one_again(tmp_path):
    made = []

    async def make():
        made.append(1)
        if len(made) == 1:
            raise ConnectionError
        return {"text": "é\n", "n": 3}

    with Ledger(str(tmp_path)) as ledger:
        with pytest.raises(ConnectionError):
            await ledger.once("r", "model", "k", make)
        assert await ledger.once("r", "model", "k", make) == {"text": "é\n", "n": 3}
    with Ledger(str(tmp_path)) as again:
        assert await again.once("r", "model", "k", make) == {"text": "é\n", "n": 3}
        assert len(made) == 2 and again.made["model"] == 0 and again.reused["model"] == 1


KILLED = """
import os, sys, time
from rollouts.ledger.ledger import Ledger

class Telling(Ledger):
    def flush(self):
        before = put
        super().flush()
        os.write(1, f"{before}\\n".encode())

put = 0
ledger = Telling(sys.argv[1], flush_seconds=0.2)
for n in range(100_000):
    ledger.put("r", "model", f"k{n}", {"n": n})
    put = n + 1
    time.sleep(0.01)
"""


def test_a_kill_loses_at_most_what_came_since_the_last_flush(tmp_path):
    """Flushes happen by themselves, and all that was put before one of them began is there after it."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    flushed = [int(process.stdout.readline()) for _ in range(5)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert flushed[0] > 0 and flushed == sorted(set(flushed))
    assert flushed[-1] < 1000, "100 calls, if they are flushed every 0.2 s and one is put every 0.01 s"
    with Ledger(str(tmp_path)) as ledger:
        kept = [n for n in range(flushed[-1] + 1000) if ledger.get("r", f"k{n}")]
    assert kept == list(range(len(kept))) and len(kept) >= flushed[-1]


def test_memory_holds_the_calls_of_unfinished_rollouts_alone(tmp_path):
    with Ledger(str(tmp_path), 60) as ledger:
        for name in ("done", "begun"):
            ledger.put(name, "model", f"{name}/0", {"n": 1})
        ledger.finish(rollout("done"))
        assert list(ledger._calls_of_unfinished_rollouts()) == ["begun"]
    with Ledger(str(tmp_path)) as again:
        assert again.get("begun", "begun/0") == {"n": 1} and again.get("done", "done/0") is None
        assert list(again._calls_of_unfinished_rollouts()) == ["begun"]


def test_rollouts_are_found_by_what_is_known_of_them_and_read_whole(tmp_path):
    rows = [rollout("a"), rollout("b", "t"), rollout("c", sample=1, correct=False)]
    for _ in range(2):  # as two runs at once may do: the same rollout comes once
        with Ledger(str(tmp_path)) as ledger:
            for row in rows:
                ledger.finish(row)
    with Ledger(str(tmp_path)) as ledger:
        found = ledger.select(["rollout_id", "setting", "correct"], pl.col("setting") == "s")
        assert sorted(found.rows()) == [("a", "s", True), ("c", "s", False)]
        whole = pl.concat(ledger.full(pl.col("setting") == "s"))
        assert sorted(whole.select("rollout_id", "answer").unique().rows()) == [("a", "4"), ("c", "4")]


def test_what_another_writer_finishes_is_seen(tmp_path):
    with Ledger(str(tmp_path)) as one, Ledger(str(tmp_path)) as other:
        one.select(["rollout_id"], pl.lit(True))
        other.finish(rollout("a", "s", 3))
        other.flush()
        assert one.found("s", "q", 3) is None
        one.look_around()
        assert one.found("s", "q", 3).correct is True and one.found("s", "q", 2) is None


def test_what_another_writer_finishes_is_seen_though_its_segment_was_read_for_something_else(tmp_path):
    with Ledger(str(tmp_path)) as one, Ledger(str(tmp_path)) as other:
        one.select(["rollout_id"], pl.lit(True))
        other.finish(rollout("a", "s", 3))
        other.flush()
        assert one.select(["rollout_id"], pl.col("setting") == "t").is_empty()
        one.look_around()
        assert one.found("s", "q", 3).correct is True


def test_a_damaged_segment_is_set_aside_and_the_rest_is_read(tmp_path):
    with Ledger(str(tmp_path)) as ledger:
        ledger.put("r", "model", "k", {"n": 1})
    (good,) = tmp_path.glob("*.parquet")
    (tmp_path / "torn.parquet").write_bytes(good.read_bytes()[:-40])
    with Ledger(str(tmp_path)) as ledger:
        assert ledger.get("r", "k") == {"n": 1}
        assert [path.rsplit("/", 1)[1] for path in ledger.set_aside] == ["torn.parquet"]


def test_a_newer_segment_is_refused_rather_than_paid_for_again(tmp_path, monkeypatch):
    newer = module.SegmentKind(CALLS.name, CALLS.schema, CALLS.key, 7, CALLS.version_key)
    module.Segments(str(tmp_path), newer).append(CALLS.schema.to_frame())
    with Ledger(str(tmp_path)) as ledger, pytest.raises(SegmentVersionError, match="version 7"):
        ledger.get("r", "k")
    assert len(list(tmp_path.glob("*.parquet"))) == 1


def test_what_could_not_be_flushed_waits_and_is_written_later(tmp_path, monkeypatch):
    ledger = Ledger(str(tmp_path), 0.05)
    append, broken = ledger.calls.append, [True]

    def sometimes(frame):
        if broken[0]:
            raise OSError("disk full")
        return append(frame)

    monkeypatch.setattr(ledger.calls, "append", sometimes)
    ledger.put("r", "model", "k", {"n": 1})
    time.sleep(0.3)
    broken[0] = False
    ledger.close()
    with Ledger(str(tmp_path)) as again:
        assert again.get("r", "k") == {"n": 1}


def test_what_was_put_before_a_flush_is_on_disk_after_it(tmp_path, monkeypatch):
    """Also when the thread that flushes regularly has just taken it, and is not done writing."""
    with Ledger(str(tmp_path), 0.05) as ledger:
        append = ledger.calls.append
        monkeypatch.setattr(ledger.calls, "append", lambda frame: time.sleep(0.5) or append(frame))
        ledger.put("r", "model", "k", {"n": 1})
        time.sleep(0.3)
        ledger.flush()
        assert ledger.calls.read(["key"])["key"].to_list() == ["k"]


def test_closing_merges_many_segments(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MANY_SEGMENTS", 4)
    with Ledger(str(tmp_path), 60) as ledger:
        for n in range(6):
            ledger.put("r", "model", f"k{n}", {"n": n})
            ledger.flush()
        assert len(ledger.calls.names()) == 6
    with Ledger(str(tmp_path)) as again:
        assert len(again.calls.names()) == 1 and again.get("r", "k5") == {"n": 5}


def test_memory_store():
    with Ledger("memory://ledger") as ledger:
        ledger.put("r", "model", "k", {"n": 1})
    with Ledger("memory://ledger") as again:
        assert again.get("r", "k") == {"n": 1}
