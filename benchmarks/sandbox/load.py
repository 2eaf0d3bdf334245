"""What many sessions leave behind, and what limits and neighbours are worth on busy cores."""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from benchmarks.sandbox.speed import Size, StepTimes, expect, ms, our_session, spread
from records.recipe import SandboxSettings
from sandbox import LocalSandbox, Sandbox
from sandbox.local import usage
from sandbox.walls import cgroups

WORK = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end:\n    pass"
"""A cell with 0.2 seconds of work to do."""
LIMIT_S = 2.0
"""How many seconds a cell may run when limits are measured."""
HOSTILE_PROCESSES = 32
"""How many processes spin in a hostile session."""
HOSTILE = f"""
import os
for _ in range({HOSTILE_PROCESSES - 1}):
    if os.fork() == 0:
        break
while True:
    pass
"""
"""The cell of a hostile session."""
MEMORY_MB = 8
"""MB by which two measurements of memory may differ although nothing was lost."""


@dataclass(frozen=True)
class Traces:
    """What this process and everything it started has on the machine."""

    processes: int
    descriptors: int
    mounts: int
    """Lines of mountinfo, of every process."""
    files: int
    """The files in our temporary folder, and in those that the fork server and sessions can write to."""
    cgroups: int
    """Folders of sessions' groups; they are used again, so there are as many as were ever open at once."""
    supervisor_mb: float
    sessions_mb: float
    """The memory of all other processes, shared pages counted once."""

    @classmethod
    def now(cls) -> "Traces":
        pids = usage.tree(os.getpid()).pids
        own = os.readlink("/proc/self/ns/mnt")
        descriptors = mounts = 0
        folders = {Path(tempfile.gettempdir())}
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended meanwhile, or belongs to another user
                mounts += len(Path(f"/proc/{pid}/mountinfo").read_bytes().splitlines())
                descriptors += len(os.listdir(f"/proc/{pid}/fd"))
                if os.readlink(f"/proc/{pid}/ns/mnt") != own:
                    folders |= {Path(f"/proc/{pid}/root/tmp"), Path(f"/proc/{pid}/root/dev/shm")}
        groups = Path("/sys/fs/cgroup").rglob(f"{cgroups.PREFIX}{os.getpid()}-*/*/cgroup.procs")
        return cls(
            processes=len(pids),
            descriptors=descriptors,
            mounts=mounts,
            files=sum(len(files) for folder in folders for _, _, files in os.walk(folder)),
            cgroups=sum(1 for _ in groups),
            supervisor_mb=round(int(Path("/proc/self/statm").read_text().split()[1]) * usage.PAGE / 1e6, 1),
            sessions_mb=round((usage.shared_once(pids[1:]) or 0) / 1e6, 1),
        )

    @classmethod
    async def settled(cls) -> "Traces":
        await asyncio.sleep(0.5)
        return cls.now()

    def left(self, before: "Traces") -> dict[str, float]:
        """What there is more of than before."""
        more = {name: round(value - getattr(before, name), 1) for name, value in asdict(self).items()}
        return {name: value for name, value in more.items() if value > (MEMORY_MB if name.endswith("_mb") else 0)}


async def one_after_another(sandbox: Sandbox, count: int) -> dict[str, object]:
    """Sessions in a row: what is there before and after, and how long opening takes at the start and at the end."""
    for _ in range(10):
        await our_session(sandbox, StepTimes())
    clock, before = StepTimes(), await Traces.settled()
    for _ in range(count):
        await our_session(sandbox, clock)
    after = await Traces.settled()
    opening = clock.seconds["ours: open"]
    first, last = statistics.median(opening[:100]), statistics.median(opening[-100:])
    return {
        "sessions": count,
        "before": asdict(before),
        "after": asdict(after),
        "left_behind": after.left(before),
        "first_100_open_ms": ms(first),
        "last_100_open_ms": ms(last),
        "last_to_first": round(last / first, 3),
    }


async def open_at_once(sandbox: Sandbox, count: int) -> dict[str, object]:
    """Sessions open at the same time, each with a state of its own."""
    before = await Traces.settled()
    clock = StepTimes()
    start = time.perf_counter()
    opened = await asyncio.gather(*(sandbox.open() for _ in range(count)))
    open_s = time.perf_counter() - start
    full = Traces.now()

    async def remember(number: int) -> None:
        expect((await opened[number].run(f"state = {number}; import os; os.getpid()")).outcome, "ok")
        with clock("cell"):
            expect((await opened[number].run("state")).value, str(number))

    await asyncio.gather(*(remember(number) for number in range(count)))
    used = Traces.now()
    start = time.perf_counter()
    await asyncio.gather(*(session.close() for session in opened))
    close_s = time.perf_counter() - start
    after = await Traces.settled()
    left = after.left(before)
    left.pop("cgroups", None)  # as many as were open at once
    return {
        "sessions": count,
        "open_s": round(open_s, 2),
        "close_s": round(close_s, 2),
        "cell_with_all_open": spread(clock.seconds["cell"]),
        "processes_open": full.processes - before.processes,
        "mb_a_session": round((used.sessions_mb - before.sessions_mb) / count, 2),
        "supervisor_mb_a_session": round((used.supervisor_mb - before.supervisor_mb) / count, 2),
        "before": asdict(before),
        "after": asdict(after),
        "left_behind": left,
    }


@contextlib.asynccontextmanager
async def outside_burners(sandbox: Sandbox) -> AsyncIterator[None]:
    """Keep every core busy with a process outside the sandbox."""
    line = [sys.executable, "-S", "-c", "while True: pass"]
    burners = [subprocess.Popen(line) for _ in range(os.cpu_count() or 1)]
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextlib.asynccontextmanager
async def hostile_sessions(sandbox: Sandbox) -> AsyncIterator[None]:
    """Two sessions whose processes spin until they are stopped, again and again."""

    async def again_and_again() -> NoReturn:
        while True:
            async with await sandbox.open() as session:
                expect((await session.run(HOSTILE)).outcome, "timed_out")

    tasks = [asyncio.create_task(again_and_again()) for _ in range(2)]
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if not isinstance(error, asyncio.CancelledError):
            raise error


@contextlib.asynccontextmanager
async def nobody(sandbox: Sandbox) -> AsyncIterator[None]:
    yield


async def stopped(sandbox: Sandbox, code: str, clock: StepTimes, name: str) -> None:
    """A cell that runs into the limit, in a session of its own."""
    async with await sandbox.open() as session:
        with clock(name):
            expect((await session.run(code)).outcome, "timed_out")


async def fairness(settings: SandboxSettings, size: Size) -> dict[str, dict[str, float]]:
    """When cells are stopped, and how long a neighbour's work takes, beside nobody, outside processes, and hostile
    sessions."""
    own = settings.model_copy(
        update={"cell_timeout_s": LIMIT_S, "processes": HOSTILE_PROCESSES + 1, "cells": 8, "sessions": 8}
    )
    sandbox, companies = LocalSandbox(own), (nobody, outside_burners, hostile_sessions)
    clocks = {company.__name__: StepTimes() for company in companies}
    for company in companies * size.limits:
        clock = clocks[company.__name__]
        async with company(sandbox):
            await asyncio.gather(
                stopped(sandbox, "while True:\n    pass", clock, "spinning"),
                stopped(sandbox, "import time; time.sleep(60)", clock, "sleeping"),
            )
            for _ in range(size.neighbours):
                with clock("open"):
                    session = await sandbox.open()
                with clock("work"):
                    expect((await session.run(WORK)).outcome, "ok")
                await session.close()
    await sandbox.close()
    report = {}
    for name, clock in clocks.items():
        longest = max(clock.seconds["spinning"] + clock.seconds["sleeping"])
        report[name] = {
            "limit_overshoot_percent": round(100 * (longest / LIMIT_S - 1), 2),
            "spinning_median_s": round(clock.median("spinning"), 3),
            "sleeping_median_s": round(clock.median("sleeping"), 3),
            "open_median_ms": ms(clock.median("open")),
            "work_median_s": round(clock.median("work"), 3),
            "work_p95_s": round(float(np.quantile(clock.seconds["work"], 0.95)), 3),
        }
    alone = report["nobody"]["work_median_s"]
    for figures in report.values():
        figures["work_slowed"] = round(figures["work_median_s"] / alone, 2)
    return report
