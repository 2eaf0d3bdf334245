"""What holds for every sandbox: the same assertions over the one on this machine and the one behind HTTP."""

import asyncio
import io

import pytest
from PIL import Image

from sandbox import build_sandbox
from sandbox.contract import MAX_FILE_BYTES
from tests.support.sandbox_servers import TOKEN, ServerProcess, settings

LIMITS = {"cell_timeout_s": 20, "memory_mb": 256, "processes": 16, "output_chars": 1000, "images_per_call": 2}


def png(width: int = 20, height: int = 10, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server():
    running = ServerProcess(settings(cell_timeout_s=30, sessions=24))
    yield running
    assert running.stop() == 0


@pytest.fixture(params=["local", "remote"])
def make(request, monkeypatch):
    """Call it with limits; it returns a sandbox."""
    servers = []
    if request.param == "remote":
        monkeypatch.setenv("TOUCHSTONE_SANDBOX_TOKEN", TOKEN)
        servers.append(request.getfixturevalue("server").url)
    return lambda **limits: build_sandbox(settings(*servers, **{**LIMITS, **limits}))


@pytest.fixture
async def sandbox(make):
    opened = make()
    yield opened
    await opened.close()


@pytest.fixture
async def quick(make):
    """A sandbox for code that has to be stopped."""
    opened = make(cell_timeout_s=2.0)
    yield opened
    await opened.close()


@pytest.fixture
def left(request):
    """The sessions that are open where the cells run."""

    def count(sandbox) -> int:
        if sandbox.settings.servers:
            return sum(request.getfixturevalue("server").client.sessions()[name] for name in ("open", "waiting"))
        return len(sandbox.sessions)

    return count


async def test_state_is_kept_and_everything_that_is_said_comes_back(sandbox):
    async with await sandbox.open() as session:
        first = await session.run("import sys\nx = 20\nprint('one')\nprint('two', file=sys.stderr)\nx + 1")
        assert (first.outcome, first.stdout, first.stderr, first.value) == ("ok", "one\n", "two\n", "21")
        assert (first.error, first.images, first.notes, first.state_lost) == ("", [], [], False)
        assert (await session.run("x + 2")).value == "22"


async def test_sessions_with_one_seed_draw_the_same(sandbox):
    drawn = []
    for seed in (7, 7, 8, None, None):
        async with await sandbox.open(seed=seed) as session:
            drawn.append((await session.run("import random, numpy\nrandom.random(), numpy.random.rand()")).value)
    assert drawn[0] == drawn[1] and len(set(drawn)) == 4


async def test_usage_is_told(sandbox):
    async with await sandbox.open() as session:
        used = (await session.run("import time\ntime.sleep(0.3)")).usage
        assert 0.3 <= used.seconds < 60 and used.processes == 1
        assert (await session.run("sum(range(10**7))")).usage.cpu_s > 0.05


@pytest.mark.parametrize("code", ["'é\U0001f600\u2028'", "'a\\\r\nb'", "'''a\r\nb'''", "print('\\ud800')", "'\ud800'"])
async def test_code_and_output_of_all_kinds(make, code):
    """What it gives is the other tests' concern: nothing on the way may choke on it."""
    sandbox = make()
    async with await sandbox.open() as session:
        result = await session.run(code)
        assert result.outcome in ("ok", "raised")
        (result.stdout + result.value + result.error).encode()
        assert (await session.run("1")).value == "1"
    await sandbox.close()


async def test_images_and_files_go_in_and_images_come_out(sandbox):
    async with await sandbox.open([png(), png(7, 9, "blue")], {"a/b.bin": bytes(range(256)), "ä": b""}) as session:
        shown = await session.run("print(open('a/b.bin', 'rb').read() == bytes(range(256)), open('ä').read())\nimage_1")
        assert (shown.outcome, shown.stdout, shown.value) == ("ok", "True \n", "")
        assert [Image.open(io.BytesIO(image)).size for image in shown.images] == [(20, 10)]
        many = await session.run("for _ in range(3): display(image_2)")
        assert len(many.images) == 2 and many.images[0] == many.images[1]
        assert "1 more images not shown" in many.notes[0]


async def test_an_exception_is_told_with_its_lines(sandbox):
    async with await sandbox.open() as session:
        await session.run("def f():\n    return 1 / 0")
        result = await session.run("print('before')\nf()")
        assert (result.outcome, result.stdout, result.state_lost) == ("raised", "before\n", False)
        assert "<cell 2>" in result.error and "<cell 1>" in result.error and "ZeroDivisionError" in result.error


async def test_a_cell_that_takes_too_long_takes_the_state_along(quick):
    async with await quick.open([png()], {"data": b"1"}) as session:
        await session.run("x = 1")
        result = await session.run("print('before', flush=True)\nwhile True: pass")
        assert (result.outcome, result.stdout, result.state_lost) == ("timed_out", "before\n", True)
        assert "2 seconds" in result.error and result.usage.seconds < 60
        assert (
            await session.run("open('data').read(), image_1.size, 'x' in globals()")
        ).value == "('1', (20, 10), False)"


async def test_memory_is_limited(sandbox):
    async with await sandbox.open() as session:
        assert (await session.run("x = bytearray(2**30)")).outcome == "out_of_memory"


async def test_an_interpreter_that_ends_is_killed(sandbox):
    async with await sandbox.open() as session:
        result = await session.run("print('before', flush=True)\nimport os\nos._exit(3)")
        assert (result.outcome, result.stdout, result.state_lost) == ("killed", "before\n", True)
        assert (await session.run("1")).value == "1"


async def test_output_is_cut_and_says_so(sandbox):
    async with await sandbox.open() as session:
        result = await session.run("print('a' * 5000)\n'b' * 5000")
        for text in (result.stdout, result.value):
            assert "characters cut" in text and len(text) < 1200


async def test_twenty_sessions_at_once_share_nothing(sandbox, left):
    async def one(number: int) -> list[str]:
        async with await sandbox.open([], {"mine": str(number).encode()}) as session:
            await session.run(f"x = {number}\nimport time\ntime.sleep(0.05)")
            return [(await session.run("x, open('mine').read()")).value for _ in range(2)]

    results = await asyncio.gather(*(one(number) for number in range(20)))
    assert results == [[f"({number}, '{number}')"] * 2 for number in range(20)]
    assert left(sandbox) == 0


async def test_sessions_beyond_the_bound_wait(make):
    sandbox = make(sessions=1)
    first = await sandbox.open()
    second = asyncio.create_task(sandbox.open())
    await asyncio.sleep(0.3)
    assert not second.done()
    await first.close()
    async with await second as session:
        assert (await session.run("1")).value == "1"
    await sandbox.close()


async def test_cells_of_one_session_take_turns(sandbox):
    async with await sandbox.open() as session:
        await session.run("import time\nx = 0")
        results = await asyncio.gather(*(session.run("y = x\ntime.sleep(0.05)\nx = y + 1\nx") for _ in range(4)))
        assert sorted(result.value for result in results) == ["1", "2", "3", "4"]


async def test_a_closed_session_runs_nothing(sandbox, left):
    session = await sandbox.open()
    await session.close()
    await session.close()
    assert left(sandbox) == 0
    result = await session.run("1")
    assert (result.outcome, result.value) == ("infrastructure", "") and "closed" in result.error


async def test_closing_ends_a_cell_that_runs(sandbox, left):
    session = await sandbox.open()
    running = asyncio.create_task(session.run("while True: pass"))
    await asyncio.sleep(0.3)
    await session.close()
    assert left(sandbox) == 0
    assert (await asyncio.wait_for(running, 60)).outcome == "infrastructure"


async def test_a_cancelled_cell_takes_its_session_along(sandbox, left):
    session = await sandbox.open()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.run("while True: pass"), 0.3)
    assert (await session.run("1")).outcome == "infrastructure"
    await session.close()
    assert left(sandbox) == 0


async def test_a_cancelled_opening_leaves_nothing(make, left):
    sandbox = make()
    for seconds in (0.0005, 0.001, 0.002, 0.004, 0.008):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                for _ in range(100):
                    await sandbox.open([png()])
    await sandbox.close()
    for _ in range(3000):
        if left(sandbox) == 0:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{left(sandbox)} sessions are left")


async def test_closing_the_sandbox_closes_its_sessions(make, left):
    sandbox = make()
    sessions = [await sandbox.open() for _ in range(3)]
    await sandbox.close()
    assert left(sandbox) == 0
    assert (await sessions[0].run("1")).outcome == "infrastructure"


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a\0b"])
async def test_files_stay_in_the_working_folder(sandbox, name):
    with pytest.raises(ValueError, match="relative name"):
        await sandbox.open([], {name: b""})


async def test_too_much_is_not_handed_over(sandbox):
    with pytest.raises(ValueError, match="at most"):
        await sandbox.open([], {"x": bytes(MAX_FILE_BYTES + 1)})


def test_it_is_used_from_one_event_loop_after_the_other(make, left):
    sandbox = make()

    async def stage() -> str:
        async with await sandbox.open() as session:
            return (await session.run("1 + 1")).value

    assert [asyncio.run(stage()) for _ in range(3)] == ["2"] * 3
    asyncio.run(sandbox.close())
    assert left(sandbox) == 0
