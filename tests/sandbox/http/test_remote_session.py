"""A session on a server outlives lost connections and lost servers."""

import asyncio
import io
import time

import pytest
from PIL import Image

from records.faults import ToolInfrastructureError
from sandbox import rebuilding
from sandbox.contract import CellResult
from sandbox.http import wire
from sandbox.http.remote import RemoteSandbox
from tests.support.sandbox_servers import (
    ServerProcess,
    ThreadServer,
    Wire,
    settings,
)


def blob(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


async def test_an_answer_that_is_lost_does_not_run_the_cell_twice(start):
    server = start(ThreadServer, settings())
    way = start(Wire, server.port)
    sandbox = RemoteSandbox(settings(way.url))
    async with await sandbox.open() as session:
        await session.run("runs = 0")
        for number in range(1, 5):
            way.cut()
            assert (await session.run("runs += 1\nruns")).value == str(number)
    assert way.cuts == 4 and server.client.sessions()["open"] == 0
    await sandbox.close()


async def test_an_opening_that_is_lost_is_tried_again(start):
    server = start(ThreadServer, settings())
    way = start(Wire, server.port)
    sandbox = RemoteSandbox(settings(way.url))
    await sandbox.describe()
    way.cut()
    async with await sandbox.open() as session:
        assert (await session.run("1")).value == "1"
        assert way.cuts == 1 and server.client.sessions()["open"] == 1  # the same, asked for again
    assert server.client.sessions()["open"] == 0
    await sandbox.close()


async def test_a_session_that_the_server_lost_is_run_again(start):
    server = start(ThreadServer, settings(), idle_s=1.5)
    sandbox = RemoteSandbox(settings(server.url))
    async with await sandbox.open([blob(3, 4)], {"x": b"file"}) as session:
        await session.run("import random\nx = open('x').read()\nprint(x)")
        await session.run("y = 1 / 0")
        server.client.wait_for(open=0)
        again = await session.run("y = 2\nx, image_1.size")
        assert (again.outcome, again.value) == ("ok", "('file', (3, 4))")
        server.client.wait_for(open=0)
        last = await session.run("y / 0")
        assert last.outcome == "raised" and "<cell 4>" in last.error
    await sandbox.close()


async def test_only_what_came_after_a_loss_of_state_is_run_again(start):
    server = start(ThreadServer, settings(), idle_s=4)
    sandbox = RemoteSandbox(settings(server.url, cell_timeout_s=2))
    async with await sandbox.open() as session:
        await session.run("import os\nx = os.urandom(4)\nx")  # would never match again
        assert (await session.run("while True: pass")).state_lost
        before = await session.run("def f(): raise ValueError\nf()")
        assert "<cell 3>" in before.error
        server.client.wait_for(open=0)
        result = await session.run("'x' in globals(), f()")
        assert result.outcome == "raised" and "<cell 3>" in result.error and "<cell 4>" in result.error
    await sandbox.close()


async def test_cells_that_do_not_repeat_themselves_blame_nobody(start):
    server = start(ThreadServer, settings(), idle_s=1.5)
    sandbox = RemoteSandbox(settings(server.url))
    async with await sandbox.open() as session:
        await session.run("import os\nos.urandom(4)")
        server.client.wait_for(open=0)
        for _ in range(2):
            result = await session.run("1")
            assert (result.outcome, result.value) == ("infrastructure", "")
            assert "did something else" in result.error
    server.client.wait_for(open=0)
    await sandbox.close()


async def test_a_server_killed_in_the_middle_of_a_cell_is_taken_over_by_another(start):
    servers = {server.url: server for server in (start(ServerProcess, settings()) for _ in range(2))}
    sandbox = RemoteSandbox(settings(*servers))
    async with await sandbox.open([blob(3, 4)]) as session:
        await session.run("x = 20\nprint('one')")
        await session.run("image_1")
        lost = servers[session.server.url]
        running = asyncio.create_task(session.run("import time\ntime.sleep(1)\nx += 1\nx"))
        await asyncio.sleep(0.5)
        below = lost.descendants()
        lost.kill()
        result = await running
        assert (result.outcome, result.value, result.error) == ("ok", "21", "")
        assert session.server.url != lost.url
        assert (await session.run("x")).value == "21"
    others = [await sandbox.open() for _ in range(3)]  # the dead one is avoided
    assert {session.server.url for session in others} == set(servers) - {lost.url}
    await sandbox.close()
    assert below
    await asyncio.to_thread(lost.gone, below)


async def test_without_any_server_left_nobody_is_blamed(start, quickly):
    server = start(ServerProcess, settings())
    sandbox = RemoteSandbox(settings(server.url))
    session = await sandbox.open()
    await session.run("x = 1")
    server.kill()
    began = time.monotonic()
    result = await session.run("x")
    assert (result.outcome, result.value) == ("infrastructure", "")
    assert server.url in result.error and time.monotonic() - began < 120
    assert (await session.run("x")).outcome == "infrastructure"
    with pytest.raises(ToolInfrastructureError):
        await sandbox.open()
    await sandbox.close()


async def test_a_server_that_comes_back_goes_on(start):
    server = start(ThreadServer, settings())
    way = start(Wire, server.port)
    sandbox = RemoteSandbox(settings(way.url))
    async with await sandbox.open() as session:
        await session.run("x = 1")
        server.stop()
        running = asyncio.create_task(session.run("x + 1"))
        await asyncio.sleep(1)
        way.lead_to(start(ThreadServer, settings()).port)
        assert (await running).value == "2"
    await sandbox.close()


async def test_a_cell_that_the_server_could_not_run_is_run_again_or_nobodys_fault(start):
    class Session:
        async def run(self, code: str) -> CellResult:
            faults.append(code)
            return CellResult("infrastructure", error="the disk is full")

        async def close(self) -> None:
            pass

    class Full:
        async def open(self, *_: object) -> Session:
            return Session()

        async def close(self) -> None:
            pass

    faults = []
    first, second = start(ThreadServer, settings(), make=lambda _: Full()), start(ThreadServer, settings())
    sandbox = RemoteSandbox(settings(first.url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert result.outcome == "infrastructure" and "the disk is full" in result.error
        assert faults == ["1"] * rebuilding.ATTEMPTS
    await sandbox.close()
    assert (first.client.sessions()["open"], second.client.sessions()["open"]) == (0, 0)


GOOD = {"outcome": "ok", "state_lost": False, "notes": [], "usage": {}}


GOOD |= dict.fromkeys(("stdout", "stderr", "value", "error"), "")


def cell(*images: bytes, **changes: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": wire.FRAME}, wire.pack({**GOOD, **changes}, images)
