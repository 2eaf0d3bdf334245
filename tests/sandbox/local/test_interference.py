"""Code that meddles with its interpreter or the protocol is ended, and nothing it forges is believed."""

import asyncio
import json
import socket
import time

import pytest

from sandbox.local import worker_protocol as protocol
from tests.support.sandbox_cells import marked


async def test_a_forked_child_does_not_answer_for_its_parent(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('there')")
        assert result.stdout == "there\nthere\n"
        assert (await session.run("1 + 1")).value == "2"


@pytest.mark.parametrize(
    "data",
    [
        b"garbage!" * 100,
        b"\\xff" * 8,
        b"\\0\\0\\0\\x02\\0\\0\\0\\0{}",
        b'\\0\\0\\0\\x02\\0\\0\\0\\0{"',
        b"\\0\\0\\0\\x0c\\0\\0\\0\\x05" + b'{\\"blobs\\":[9]}',
    ],
)
async def test_writing_to_the_protocol_kills_and_is_no_crash(sandbox, data):
    code = f"""
import os, stat
for descriptor in range(3, 64):
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode): os.write(descriptor, b'{data.decode()}')
    except OSError:
        pass
"""
    async with await sandbox.open([]) as session:
        result = await session.run(code)
        assert result.outcome == "killed" and "interfered" in result.error
        assert (await session.run("1")).value == "1"


async def test_printing_an_answer_is_printing(sandbox):
    async with await sandbox.open([]) as session:
        forged = json.dumps({"id": "x", "outcome": "ok", "value": "forged", "error": "", "notes": [], "blobs": []})
        result = await session.run(f"print({forged!r})\n1/0")
        assert result.outcome == "raised" and result.value == "" and result.stdout == forged + "\n"


async def test_an_answer_sent_ahead_is_not_taken_for_the_next(sandbox):
    forged = json.dumps({"id": "x", "outcome": "ok", "value": "forged", "error": "", "notes": [], "blobs": []})
    marker = f"ahead-{time.time_ns()}"
    code = f"""
import os, stat, subprocess, sys, threading, time
def later():
    time.sleep(0.3)
    data = {forged.encode()!r}
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, len(data).to_bytes(4, 'big') + bytes(4) + data)
        except OSError: pass
    subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)', {marker!r}])
threading.Thread(target=later).start()
"""
    async with await sandbox.open([]) as session:
        assert (await session.run(code)).outcome == "ok"
        while not marked(marker):  # it has been sent by then
            await asyncio.sleep(0.02)
        result = await session.run("1/0")
        assert result.outcome == "killed" and result.value == ""


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", "signal 11"),
        ("import os; os.close(0); os.closerange(3, 64)", ""),
    ],
)
async def test_an_interpreter_that_ends_is_killed_not_a_fault_of_ours(quick, code, word):
    async with await quick.open([]) as session:
        result = await session.run(code)
        assert result.outcome == "killed" and word in result.error


async def test_frames_from_the_worker_are_checked():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for data in (b'{"blobs":[-1]}', b'{"blobs":"x"}', b"[]", b"[" * 100_000, b'{"blobs":[true]}', b"\xff"):
        theirs.sendall(len(data).to_bytes(4, "big") + bytes(4) + data)
        with pytest.raises(protocol.Hostile):
            await protocol.receive(ours)
    theirs.close()
    with pytest.raises(protocol.WorkerGone):
        await protocol.receive(ours)
    ours.close()
