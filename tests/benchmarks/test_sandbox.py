"""The sandbox's benchmark measures what it says: peers behind walls, things left behind, targets missed."""

import copy
import subprocess
import tempfile

import pytest

from benchmarks.sandbox import peers
from benchmarks.sandbox.__main__ import judge
from benchmarks.sandbox.load import Traces
from benchmarks.sandbox.speed import spread

BESIDE = {"limit_overshoot_percent": 2.0, "work_slowed": 1.2}
GOOD = {
    "times": {"ours: open": {"median_ms": 10.0}, "ours: cell": {"median_ms": 1.0}},
    "ratios": {"ipykernel": {"in_a_row": 20.0, "eight_at_once": 15.0}},
    "one_after_another": {"left_behind": {}, "last_to_first": 1.0},
    "open_at_once": {"left_behind": {}},
    "fairness": {"nobody": BESIDE, "hostile_sessions": BESIDE},
}


async def test_a_fresh_interpreter_is_behind_the_walls(tmp_path):
    (tmp_path / "secret").write_text("here")
    code = f"import os; print(os.getuid(), os.path.exists({str(tmp_path / 'secret')!r}))\n"
    code += "print(len(open('/proc/net/route').readlines()))"  # its heading alone
    assert (await peers.fresh(code)).split() == ["1000", "False", "1"]


@pytest.mark.skipif(not peers.VERSIONS, reason=peers.INSTALL)
async def test_a_kernel_keeps_state_and_shows_values_and_errors():
    async with peers.Kernel.opened() as kernel:
        assert (await kernel.run("x = 20; print('a')")).stdout == "a\n"
        assert (await kernel.run("x + 1")).value == "21"
        assert "ZeroDivisionError" in (await kernel.run("1 / 0")).error
        assert 0 < kernel.ready_s < peers.SECONDS
        folder = kernel.folder
    assert not folder.exists()


def test_what_is_left_behind_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = Traces.now()
    (tmp_path / "left").write_text("")
    with (tmp_path / "left").open(), subprocess.Popen(["sleep", "60"]) as process:
        left = Traces.now().left(before)
        process.kill()
    assert left["files"] == left["processes"] == 1
    assert left["descriptors"] >= 1 and left["mounts"] >= 1
    (tmp_path / "left").unlink()
    assert Traces.now().left(before) == {}


def test_a_missed_target_is_said():
    assert all(row["met"] for row in judge(GOOD))
    bad = copy.deepcopy(GOOD)
    bad["times"]["ours: open"]["median_ms"] = 15.1
    bad["ratios"]["ipykernel"]["in_a_row"] = 9.9
    bad["one_after_another"]["left_behind"] = {"files": 1}
    bad["fairness"]["nobody"] = {**BESIDE, "limit_overshoot_percent": 10.5}
    missed = [row["what"] for row in judge(bad) if not row["met"]]
    assert len(missed) == 4
    assert missed[0] == "opening a session, median ms"


def test_spread_is_of_the_given_seconds():
    assert spread([0.001] * 19 + [0.101]) == {"median_ms": 1.0, "p95_ms": 6.0, "count": 20}
