import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from rollouts import ledger as module
from rollouts.ledger import Ledger, LedgerVersionError


def segments(root):
    return sorted(root.glob("*.parquet"))


async def test_a_finished_call_is_made_once_and_a_failed_one_again(tmp_path):
    made = []

    async def make():
        made.append(1)
        if len(made) == 1:
            raise ConnectionError
        return {"text": "é\n", "n": 3}

    with Ledger(str(tmp_path)) as ledger:
        with pytest.raises(ConnectionError):
            await ledger.once("model", "k", make)
        assert await ledger.once("model", "k", make) == {"text": "é\n", "n": 3}
    with Ledger(str(tmp_path)) as again:
        assert await again.once("model", "k", make) == {"text": "é\n", "n": 3}
        assert len(made) == 2 and again.made["model"] == 0 and again.reused["model"] == 1


KILLED = """
import sys, time
from rollouts.ledger import Ledger
ledger = Ledger(sys.argv[1], flush_seconds=0.2)
for n in range(10_000):
    ledger.put("model", f"k{n}", {"n": n})
    print(n, time.monotonic(), flush=True)
    time.sleep(0.01)
"""


def test_a_kill_loses_at_most_one_flush_interval(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline().split() for _ in range(150)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with Ledger(str(tmp_path)) as ledger:
        kept = [n for n, _ in lines if ledger.get(f"k{n}")]
        assert kept == [n for n, _ in lines[: len(kept)]]
        lost = float(lines[-1][1]) - float(lines[len(kept) - 1][1])
        assert lost < 2 and len(kept) > 20  # 0.2 s of flush interval and a busy machine's delay


def test_two_writers_lose_nothing_and_merge_their_own_segments(tmp_path):
    first, second = Ledger(str(tmp_path), 60), Ledger(str(tmp_path), 60)
    for n in range(3):
        first.put("model", f"a{n}", {"n": n})
        first.flush()
        second.put("tool", f"b{n}", {"n": n})
        second.flush()
    assert len(segments(tmp_path)) == 6
    first.close()
    second.close()
    assert len(segments(tmp_path)) == 2
    with Ledger(str(tmp_path)) as ledger:
        assert ledger.size == 6 and ledger.get("b2") == {"n": 2}


def test_damaged_and_foreign_segments_are_set_aside_and_the_rest_is_read(tmp_path):
    with Ledger(str(tmp_path)) as ledger:
        ledger.put("model", "k", {"n": 1})
    good = segments(tmp_path)[0]
    (tmp_path / "torn.parquet").write_bytes(good.read_bytes()[:-40])
    (tmp_path / "empty.parquet").write_bytes(b"")
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "foreign.parquet")
    (tmp_path / "half.parquet.tmp").write_bytes(b"PAR1")
    with Ledger(str(tmp_path)) as ledger:
        assert ledger.get("k") == {"n": 1}
        assert len(ledger.set_aside) == 3
    assert segments(tmp_path) == [good]


def test_a_newer_segment_is_refused_rather_than_paid_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SCHEMA_VERSION", 7)
    with Ledger(str(tmp_path)) as ledger:
        ledger.put("model", "k", {})
    monkeypatch.undo()
    with pytest.raises(LedgerVersionError, match="version 7"):
        Ledger(str(tmp_path))
    assert len(segments(tmp_path)) == 1


def test_what_could_not_be_flushed_waits_and_is_written_later(tmp_path, monkeypatch):
    ledger = Ledger(str(tmp_path), 0.05)
    write = ledger._write_segment
    broken = [True]

    def sometimes(name, frame):
        if broken[0]:
            raise OSError("disk full")
        return write(name, frame)

    monkeypatch.setattr(ledger, "_write_segment", sometimes)
    ledger.put("model", "k", {"n": 1})
    time.sleep(0.3)
    broken[0] = False
    ledger.close()
    with Ledger(str(tmp_path)) as again:
        assert again.get("k") == {"n": 1}


def test_memory_store():
    with Ledger("memory://ledger") as ledger:
        ledger.put("model", "k", {"n": 1})
    with Ledger("memory://ledger") as again:
        assert again.get("k") == {"n": 1}
