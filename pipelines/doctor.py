"""What this machine offers to a recipe: the sandbox's layers, found by trying them."""

import asyncio
import statistics
import time
from typing import get_args

from records.faults import ToolInfrastructureError
from records.recipe import Layer, Recipe, SandboxSettings
from sandbox import SandboxUnavailable, build_sandbox, check_isolation, check_sandbox
from sandbox.walls.isolation import ALWAYS

MEANING = {
    "namespaces": "each session has users, processes, mounts, network and ipc of its own (bubblewrap)",
    "no_network": "nothing to connect to: no route, no loopback, no host sockets",
    "no_capabilities": "an ordinary user without capabilities, who cannot get any",
    "rlimits": "address space, CPU time, processes, open files and file sizes are bounded by the kernel",
    "seccomp": "system calls that an ordinary program does without are refused",
    "cgroups": "memory, processes and CPU of a session are bounded as a whole",
}
"""What each layer of isolation does."""
SESSIONS = 20
"""How many sessions the speed is measured with."""


async def _timed(settings: SandboxSettings) -> str:
    sandbox = build_sandbox(settings)
    opened, ran = [], []
    try:
        for _ in range(SESSIONS):
            started = time.perf_counter()
            async with await sandbox.open() as session:
                opened.append(time.perf_counter() - started)
                for _ in range(5):
                    started = time.perf_counter()
                    result = await session.run("1 + 1")
                    if result.outcome != "ok":
                        raise ToolInfrastructureError(
                            f"sandbox: a trivial cell came back {result.outcome}: {result.error}"
                        )
                    ran.append(time.perf_counter() - started)
    finally:
        await sandbox.close()
    return (
        f"opening a session takes {1000 * statistics.median(opened):.1f} ms, a trivial cell "
        f"{1000 * statistics.median(ran):.1f} ms (medians of {SESSIONS} and {len(ran)})"
    )


def _where(settings: SandboxSettings) -> tuple[str, dict[str, str]]:
    """What isolates the sessions, and why layers are missing, as far as this machine can tell."""
    if settings.servers:
        return ", ".join(settings.servers), {}
    found = check_isolation(settings)
    return "; ".join([found.bwrap, *([found.cgroups.where] if found.cgroups else [])]), found.missing


def _lines(settings: SandboxSettings) -> tuple[list[str], bool]:
    asked_for_nothing = settings.model_copy(update={"minimum": []})
    description = check_sandbox(asked_for_nothing)
    where, missing = _where(asked_for_nothing)
    lines, well = [], True
    for name in get_args(Layer):
        there, asked = name in description.layers, name in ALWAYS or name in settings.minimum
        well = well and (there or not asked)
        state = "yes" if there else "NO, and the recipe asks for it" if asked else "no"
        lines.append(f"  {name:<16} {state:<4} {missing.get(name) or MEANING[name]}")
    lines.append(f"  through          {where}")
    libraries = ", ".join(f"{name} {version}" for name, version in description.libraries.items())
    lines.append(f"  libraries        {libraries}")
    if well:
        lines.append(f"  speed            {asyncio.run(_timed(settings))}")
    return lines, well


def examine(recipe: Recipe) -> tuple[str, bool]:
    """The report on the sandbox, and whether the recipe can run its code here."""
    try:
        lines, well = _lines(recipe.sandbox)
    except (SandboxUnavailable, ToolInfrastructureError) as error:
        lines, well = [f"  {error}"], False
    end = "Model-written code can run." if well else "Model-written code will not be run."
    return "\n".join(["Sandbox", *lines, end]), well
