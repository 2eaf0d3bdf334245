"""Time, memory, processes, output and open sessions are bounded."""

import asyncio
import time

import pytest

from records.recipe import SandboxSettings
from sandbox import LocalSandbox
from tests.support.sandbox_cells import marked, png


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()",
    ],
)
async def test_wall_time_is_limited_and_the_model_is_told_that_the_state_is_lost(quick, code):
    session = await quick.open([png()])
    await session.run("x = 1")
    started = time.monotonic()
    result = await session.run("print('before')\n" + code)
    assert result.outcome == "timed_out" and result.state_lost
    assert "longer than 2 seconds" in result.error and "started anew" in result.error
    assert result.stdout == "before\n"
    assert time.monotonic() - started < 60  # and not as long as the code would go on
    after = await session.run("print('x' in globals(), image_1.size)")
    assert (after.outcome, after.stdout) == ("ok", "False (20, 10)\n")


async def test_cpu_time_is_limited_over_all_processes():
    sandbox = LocalSandbox(SandboxSettings(cell_timeout_s=60, cpu_s=1))
    async with await sandbox.open([]) as session:
        result = await session.run("import os\nos.fork(); os.fork()\nwhile True: pass")
        assert result.outcome == "timed_out" and "CPU" in result.error


async def test_a_memory_bomb_of_one_process_raises(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run("parts = []\nwhile True: parts.append(b'x' * (8 << 20))")
        assert result.outcome == "out_of_memory"


async def test_memory_is_limited_over_all_processes(sandbox):
    code = "import os, time\nfor _ in range(4):\n    if os.fork() == 0: break\nx = b'x' * (100 << 20)\ntime.sleep(60)"
    async with await sandbox.open([]) as session:
        result = await session.run(code)
        assert result.outcome == "out_of_memory" and result.state_lost and "256 MB" in result.error


async def test_memory_outside_every_count_is_refused(sandbox):
    code = """
import ctypes, os
try:
    os.memfd_create('x')
except OSError as error:
    print(error.errno)
libc = ctypes.CDLL(None, use_errno=True)
print(libc.shmget(0, 1 << 30, 0o1600))
try:
    with open('/tmp/big', 'wb') as file:
        while True: file.write(bytes(1 << 20))
except OSError as error:
    print(error.errno in (27, 28))
os.remove('/tmp/big')
"""
    async with await sandbox.open([]) as session:
        assert (await session.run(code)).stdout == "1\n-1\nTrue\n"


async def test_a_fork_bomb_stays_small_and_dies(sandbox):
    marker = f"bomb-{time.time_ns()}"
    code = (
        f"import os, subprocess, sys\nline = [sys.executable, '-S', '-c', 'import time; time.sleep(600)', {marker!r}]\n"
    )
    async with await sandbox.open([]) as session:
        result = await session.run(code + "while True: subprocess.Popen(line)")
        assert result.outcome == "raised" and "BlockingIOError" in result.error
        assert 5 < len(marked(marker)) <= 16
    assert marked(marker) == []


async def test_output_is_cut_and_says_so(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run(
            "import sys\nprint('a' * 9999 + 'b')\nprint('c' * 5000, file=sys.stderr)\n'd' * 9998"
        )
        assert len(result.stdout) < 4100 and "[... 6001 characters cut ...]" in result.stdout
        assert result.stdout.startswith("aaa") and result.stdout.endswith("ab\n")
        assert "[... 1001 characters cut ...]" in result.stderr and "[... 6000 characters cut ...]" in result.value
        assert (await session.run("print('é' * 3999)")).stdout == "é" * 3999 + "\n"


async def test_an_output_flood_is_stopped(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run("import os\nwhile True: os.write(1, b'x' * 100000)")
        assert result.outcome == "killed" and "printed more than" in result.error and len(result.stdout) < 4100


async def test_sessions_beyond_the_bound_wait():
    sandbox = LocalSandbox(SandboxSettings(sessions=2))
    one, two = await sandbox.open([]), await sandbox.open([])
    third = asyncio.create_task(sandbox.open([]))
    await asyncio.sleep(0.05)
    assert not third.done()
    await one.close()
    await one.close()
    await asyncio.wait_for(third, 60)
    assert len(sandbox.sessions) == 2
    await sandbox.close()
    await two.close()


async def test_an_answer_in_time_is_taken_also_when_the_event_loop_was_busy():
    sandbox = LocalSandbox(SandboxSettings(cell_timeout_s=3))
    async with await sandbox.open([]) as session:
        await session.run("1")
        running = asyncio.create_task(session.run("import time; time.sleep(0.5); 'done'"))
        await asyncio.sleep(0.3)
        time.sleep(3.5)
        assert (await running).value == "'done'"


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", "", "a\0b", "x" * 300])
async def test_files_stay_in_the_working_folder(sandbox, name):
    with pytest.raises(ValueError, match="relative name"):
        await sandbox.open([], {name: b""})


async def test_too_much_is_not_handed_over(sandbox):
    with pytest.raises(ValueError, match="at most"):
        await sandbox.open([], {"x": bytes(33 << 20)})


async def test_usage_is_seen_from_outside(sandbox):
    async with await sandbox.open() as session:
        busy = await session.run("import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass")
        assert 0.4 <= busy.usage.cpu_s <= busy.usage.seconds + 0.1 and busy.usage.processes == 1
        assert (await session.run("1")).usage.cpu_s < 0.2
        large = await session.run("x = bytearray(100 << 20)")
        assert 90 << 20 < large.usage.memory_bytes < 140 << 20
        many = await session.run(
            "import os, time\nfor _ in range(3):\n    if not os.fork(): time.sleep(30); os._exit(0)"
        )
        assert many.usage.processes == 4
