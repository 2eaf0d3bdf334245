"""One background loop for coroutines that ordinary code waits for."""

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from training.environments import blocking


def test_coroutines_from_ordinary_code() -> None:
    async def fails() -> None:
        raise OSError("gone")

    async def nested() -> None:
        blocking.run(asyncio.sleep(0))

    with pytest.raises(OSError, match="gone"):
        blocking.run(fails())
    with pytest.raises(RuntimeError, match="the loop that it would wait for"):
        blocking.run(nested())
    assert asyncio.run(asyncio.wait_for(asyncio.to_thread(blocking.run, asyncio.sleep(0, 5)), 60)) == 5

    ended = threading.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            blocking.run(waits())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended.wait(5)


def test_a_forked_child_has_a_loop_of_its_own_and_closes_nothing() -> None:
    program = """
import asyncio, os, sys
from training.environments import blocking

async def close():
    print("closed")

blocking.at_exit(close)
blocking.run(asyncio.sleep(0))
child = os.fork()
if not child:
    sys.exit(blocking.run(asyncio.sleep(0, 7)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["7", "closed"], done.stderr
