"""Sessions outlive faults of ours when the cells can be run again."""

import asyncio

import pytest

from records.faults import ToolInfrastructureError
from sandbox.local import usage
from tests.support.sandbox_cells import kill_fork_server, png


async def test_a_fault_of_ours_is_mended_by_running_the_cells_again(sandbox):
    async with await sandbox.open([png()], {"note.txt": b"kept"}) as session:
        await session.run("x = 20")
        assert (await session.run("1/0")).outcome == "raised"
        assert (await session.run("y = x + image_1.width; print(y)")).stdout == "40\n"
        kill_fork_server(sandbox)
        result = await session.run("print(open('note.txt').read()); y + 1")
        assert (result.outcome, result.stdout, result.value) == ("ok", "kept\n", "41")
        running = asyncio.create_task(session.run("import time; time.sleep(1); y + 2"))
        await asyncio.sleep(0.3)
        kill_fork_server(sandbox)
        assert (await running).value == "42"
        again = await session.run("y +")
        assert '"<cell 6>", line 1' in again.error  # as if nothing had happened


async def test_a_session_that_cannot_be_rebuilt_blames_nobody(sandbox):
    async with await sandbox.open() as session:
        await session.run("import random; n = random.random(); print(n)")
        kill_fork_server(sandbox)
        result = await session.run("n")
        assert result.outcome == "infrastructure" and "cell 1 did something else" in result.error
        assert (await session.run("1")).outcome == "infrastructure"
    async with await sandbox.open() as session:
        assert (await session.run("1")).value == "1"


async def test_state_that_was_lost_is_not_brought_back(quick):
    async with await quick.open() as session:
        await session.run("x = 1")
        assert (await session.run("import time; time.sleep(60)")).outcome == "timed_out"
        await session.run("z = 3")
        kill_fork_server(quick)
        assert (await session.run("'x' in globals(), z")).value == "(False, 3)"


async def test_what_cannot_be_started_is_a_fault_of_ours(sandbox, monkeypatch):
    with pytest.raises(ToolInfrastructureError, match="UnidentifiedImageError"):
        await sandbox.open([b"no image"])
    assert not sandbox.sessions
    session = await sandbox.open()
    monkeypatch.setattr(usage, "tree", lambda *_: 1 / 0)
    assert (await session.run("import time; time.sleep(20)")).outcome == "infrastructure"


async def test_sessions_that_were_idle_when_the_fork_server_died_go_on(sandbox):
    one, two, three = await sandbox.open(), await sandbox.open(), await sandbox.open()
    for session in (one, two):
        await session.run("x = 1")
    kill_fork_server(sandbox)
    assert (await asyncio.wait_for(one.run("x + 1"), 120)).value == "2"
    assert (await asyncio.wait_for(two.run("x + 2"), 120)).value == "3"
    await asyncio.wait_for(three.close(), 120)


async def test_a_session_that_is_closed_while_it_restarts_stays_closed(quick):
    session = await quick.open()
    await session.run("import time; time.sleep(60)")
    running = asyncio.create_task(session.run("1"))
    await asyncio.sleep(0)
    await session.close()
    assert (await running).outcome == "infrastructure" and session._jail is None and not quick.sessions
