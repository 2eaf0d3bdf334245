"""Sessions leave no process, descriptor or group behind, however they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from records.recipe import SandboxSettings
from sandbox import LocalSandbox
from sandbox.local import usage
from sandbox.walls import bubblewrap
from tests.support.sandbox_cells import RUN_CELLS, daemon, marked

REPOSITORY = Path(__file__).parents[3]


async def test_daemons_end_with_their_session(sandbox):
    marker = f"daemon-{time.time_ns()}"
    session = await sandbox.open([])
    assert (await session.run(daemon(marker))).outcome == "ok"
    for _ in range(100):
        if marked(marker):
            break
        await asyncio.sleep(0.02)
    assert marked(marker)
    await session.close()
    assert marked(marker) == []


async def test_daemons_end_with_a_call_that_timed_out(quick):
    marker = f"daemon-{time.time_ns()}"
    async with await quick.open([]) as session:
        assert (await session.run(daemon(marker) + "while True: pass")).outcome == "timed_out"
        assert marked(marker) == []


async def test_a_cancelled_cell_leaves_nothing_behind(sandbox):
    marker = f"cancelled-{time.time_ns()}"
    session = await sandbox.open([])
    task = asyncio.create_task(session.run(daemon(marker) + "import time; time.sleep(60)"))
    while not marked(marker):
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert marked(marker) == []
    assert (await session.run("1")).outcome == "infrastructure"


async def settled(count) -> int:
    """A count that has stayed the same for a second: sessions are forked ahead at any time."""
    looks = [count()]
    while len(looks) < 6 or len(set(looks[-6:])) > 1:
        await asyncio.sleep(0.2)
        looks.append(count())
    return looks[-1]


async def comes_back_to(wanted: int, count) -> bool:
    """Whether a count is what it was, now or later."""
    deadline = time.monotonic() + 60
    while count() != wanted and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    return count() == wanted


async def test_many_sessions_leave_no_descriptor_and_no_process_behind():
    sandbox = LocalSandbox(SandboxSettings(sessions=8))

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def processes() -> int:
        return len(usage.tree(os.getpid()).pids)

    async def one(number: int) -> str:
        async with await sandbox.open([]) as session:
            return (await session.run(f"{number} * 2")).value

    await asyncio.gather(*(one(i) for i in range(8)))  # the control groups of 8 at once are kept
    before = await settled(processes), await settled(descriptors)
    assert await asyncio.gather(*(one(i) for i in range(24))) == [str(2 * i) for i in range(24)]
    assert await comes_back_to(before[0], processes) and await comes_back_to(before[1], descriptors)


def test_nothing_outlives_a_parent_that_is_killed():
    marker = f"orphan-{time.time_ns()}"
    line = [sys.executable, "-c", RUN_CELLS, json.dumps([daemon(marker)]), "stay"]
    parent = subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(parent.stdout.readline())[1][0][0] == "ok"
        tree = usage.tree(parent.pid).pids
        assert marked(marker) and len(tree) >= 4
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in tree):
        time.sleep(0.02)
    assert marked(marker) == [] and not [pid for pid in tree if os.path.exists(f"/proc/{pid}")]


ORPHAN = """
import os, signal
from sandbox.walls import bubblewrap

def killed_here(descriptor, deadline, read=bubblewrap._read_info):
    child = read(descriptor, deadline)["child-pid"]
    print(child, flush=True)
    os.kill(bubblewrap._processes()[child][0], signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)

bubblewrap._read_info = killed_here
bubblewrap.start(bubblewrap.candidates()[0])
"""


def test_what_a_kill_in_the_middle_of_a_start_leaves_is_swept_away(monkeypatch):
    """bubblewrap's child then waits for ever for a parent that is no more; nothing runs in it yet."""
    if not bubblewrap.two_users():
        pytest.skip("only where bubblewrap waits for the maps of two users")
    line = [sys.executable, "-c", ORPHAN]
    orphan = int(subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True).stdout)

    def is_there() -> bool:
        return Path(f"/proc/{orphan}").exists() and Path(f"/proc/{orphan}/stat").read_text().split()[2] != "Z"

    bubblewrap.sweep()
    time.sleep(0.5)
    assert is_there()  # it may still be starting
    monkeypatch.setattr(bubblewrap, "START_SECONDS", 0.1)
    monkeypatch.setattr(
        bubblewrap,
        "_processes",
        lambda real=bubblewrap._processes: {p: x for p, x in real().items() if p in (1, orphan)},
    )  # others may be starting beside this test
    bubblewrap.sweep()
    deadline = time.monotonic() + 60
    while is_there() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_there()


CROWDED = """
import asyncio, os, resource
from records.recipe import SandboxSettings
from sandbox import LocalSandbox
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
kept = [os.dup(0) for _ in range(1100)]

async def main():
    sandbox = LocalSandbox(SandboxSettings())
    for _ in range(5):
        async with await sandbox.open() as session:
            print((await session.run("1 + 1")).value)

asyncio.run(main())
"""


def test_a_supervisor_with_many_descriptors_and_lower_limits():
    done = subprocess.run([sys.executable, "-c", CROWDED], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["2"] * 5, done.stderr
