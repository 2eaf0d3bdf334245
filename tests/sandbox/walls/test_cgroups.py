"""Control groups, where this machine has them: real ones, real processes."""

import asyncio
import os
from pathlib import Path

import pytest

from records.recipe import SandboxSettings
from sandbox import LocalSandbox
from sandbox.local import fork_client as fork_server
from sandbox.walls import cgroups
from sandbox.walls import isolation as layers


@pytest.fixture(params=["whatever is there", "unified"])
def found(request, monkeypatch):
    """The groups of this process; once those it finds by itself, once those of a mounted cgroup v2."""
    monkeypatch.setattr(layers, "_proved", {})
    monkeypatch.setattr(cgroups, "_found", {})
    if request.param == "unified":
        real = cgroups._hierarchies
        monkeypatch.setattr(cgroups, "_hierarchies", lambda: (h for h in real() if not h[0]))
        offered = next((own / "cgroup.controllers" for names, _, own in real() if not names), None)
        if offered is None:
            pytest.skip("no cgroup v2 is mounted")
        if not {"memory", "pids"} <= set(offered.read_text().split()):
            # The memory controller belongs to v1 here: the rest of v2 can be tried with another.
            monkeypatch.setattr(cgroups, "REQUIRED", tuple(offered.read_text().split()[:1]))
            monkeypatch.setattr(cgroups.Group, "_kills", lambda _: 0)
            monkeypatch.setattr(cgroups.Group, "_filled", lambda _: 0)
    groups, reason = cgroups.find_cgroups()
    if groups is None:
        pytest.skip(f"no control groups for us here: {reason}")
    yield groups
    fork_server.close_all()
    cgroups.close_cgroups()


def bases(groups: cgroups.Cgroups) -> list[Path]:
    return list(dict.fromkeys(groups._bases.values()))


async def test_every_process_of_a_session_is_in_its_groups(found):
    async with await LocalSandbox(SandboxSettings()).open() as session:
        code = "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-S', '-c', 'input()'], stdin=-1)\n"
        await session.run(code)
        for base in bases(found):
            inside = [len(path.read_text().split()) for path in base.glob("session-*/cgroup.procs")]
            assert 3 in inside  # the first process, the interpreter, its child
        assert (await session.run("open('/proc/self/cgroup').read().count('session-')")).value == "0"


async def test_groups_are_used_again_and_removed(found):
    sandbox = LocalSandbox(SandboxSettings())
    for _ in range(20):
        async with await sandbox.open() as session:
            await session.run("1")
    assert all(len(list(base.glob("session-*"))) < 10 for base in bases(found))
    others = bases(found)
    await asyncio.to_thread(fork_server.close_all)
    cgroups.close_cgroups()
    assert not any(base.exists() for base in others)


def test_what_a_killed_supervisor_left_is_removed(found):
    for base in bases(found):
        left = base.parent / f"{cgroups.PREFIX}4194305-0" / "session-1"  # no such process: above the kernel's highest
        left.mkdir(parents=True)
    cgroups.close_cgroups()
    again, _ = cgroups.find_cgroups()
    assert again is not None and not any((base.parent / f"{cgroups.PREFIX}4194305-0").exists() for base in bases(again))


needs_memory = pytest.mark.parametrize("found", ["whatever is there"], indirect=True)


@needs_memory
async def test_the_kernel_keeps_the_memory_of_many_processes(found, monkeypatch):
    monkeypatch.setattr("sandbox.local.jail.WATCH_SECONDS", 3600)  # nobody else does
    code = "import os, time\nfor _ in range(4):\n    if os.fork() == 0: break\nx = b'x' * (100 << 20)\ntime.sleep(5)"
    async with await LocalSandbox(SandboxSettings(memory_mb=256)).open() as session:
        result = await session.run(code)
        assert result.outcome == "out_of_memory" and result.state_lost
        assert (await session.run("1 + 1")).value == "2"


@needs_memory
async def test_the_kernel_keeps_the_share_of_the_cpu(found):
    if "cpu" not in found._bases:
        pytest.skip("the controller for CPU time is not ours here")
    code = (
        "import os, time\nwall, before = time.time(), os.times()\nfor _ in range(4):\n    if os.fork() == 0:\n"
        "        while time.time() < wall + 2: pass\n        os._exit(0)\nwhile True:\n    try: os.wait()\n"
        "    except ChildProcessError: break\nafter = os.times()\n"
        "(after.children_user + after.children_system) / (time.time() - wall)"
    )
    async with await LocalSandbox(SandboxSettings(cpus=0.5)).open() as session:
        assert float((await session.run(code)).value) < 0.75


def test_a_machine_that_has_none_says_why(monkeypatch):
    monkeypatch.setattr(cgroups, "_found", {})
    monkeypatch.setattr(cgroups, "_hierarchies", lambda: iter(()))
    assert cgroups.find_cgroups() == (None, "no control groups are mounted")
    monkeypatch.setattr(cgroups, "_found", {})
    monkeypatch.setattr(
        cgroups, "_hierarchies", lambda: iter([({name}, Path("/proc"), Path("/proc")) for name in cgroups.REQUIRED])
    )
    groups, reason = cgroups.find_cgroups()
    assert groups is None and f"/proc/{cgroups.PREFIX}{os.getpid()}-" in reason
