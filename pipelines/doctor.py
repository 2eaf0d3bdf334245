"""What this machine offers to a recipe: the sandbox's layers, tried for real."""

import asyncio
import statistics
import time
from typing import get_args

from records.recipe import Layer, Recipe
from records.recipe import Sandbox as Settings
from rollouts.sandbox import LocalSandbox, SandboxUnavailable, build_sandbox
from rollouts.sandbox.layers import ALWAYS, Layers
from rollouts.tools import ToolInfrastructureError
from rollouts.tools.python import versions

MEANING = {
    "namespaces": "each session has users, processes, mounts, network and ipc of its own (bubblewrap)",
    "no_network": "nothing to connect to: no route, no loopback, no host sockets",
    "no_capabilities": "an ordinary user without capabilities, who cannot get any",
    "rlimits": "address space, CPU time, processes, open files and file sizes are bounded by the kernel",
    "seccomp": "system calls that an ordinary program does without are refused",
    "cgroups": "memory, processes and CPU of a session are bounded as a whole",
}
SESSIONS = 20


async def _timed(settings: Settings) -> list[str]:
    sandbox = LocalSandbox(settings)
    opened, ran = [], []
    for _ in range(SESSIONS):
        started = time.perf_counter()
        async with await sandbox.open() as session:
            opened.append(time.perf_counter() - started)
            for _ in range(5):
                started = time.perf_counter()
                await session.run("1 + 1")
                ran.append(time.perf_counter() - started)
    return [
        f"opening a session takes {1000 * statistics.median(opened):.1f} ms, a trivial cell "
        f"{1000 * statistics.median(ran):.1f} ms (medians of {SESSIONS} and {len(ran)})"
    ]


async def _local(settings: Settings) -> tuple[list[str], bool]:
    started = time.perf_counter()
    layers: Layers = await LocalSandbox(settings.model_copy(update={"minimum": []})).layers()
    warm = time.perf_counter() - started
    lines, well = [], True
    for name in get_args(Layer):
        there, asked = name in layers.names, name in ALWAYS or name in settings.minimum
        well = well and (there or not asked)
        state = "yes" if there else "NO, and the recipe asks for it" if asked else "no"
        lines.append(f"  {name:<16} {state:<4} {layers.missing.get(name) or MEANING[name]}")
    where = [layers.bwrap, *([layers.cgroups.where] if layers.cgroups else [])]
    lines.append(f"  through          {'; '.join(where)}")
    libraries = ", ".join(f"{name} {version}" for name, version in versions(settings.libraries).items())
    lines.append(f"  libraries        {libraries} (imported in {warm:.1f} s, once a process)")
    if well:
        lines += [f"  speed            {text}" for text in await _timed(settings)]
    return lines, well


async def _remote(settings: Settings) -> tuple[list[str], bool]:
    sandbox = build_sandbox(settings)
    try:
        async with await sandbox.open() as session:
            result = await session.run("1 + 1")
    finally:
        await sandbox.close()
    return [f"  a session on one of {', '.join(settings.servers)}: {result.outcome}"], result.outcome == "ok"


def examine(recipe: Recipe) -> tuple[str, bool]:
    """What there is to say, and whether the recipe can run its code here."""
    settings = recipe.sandbox
    try:
        lines, well = asyncio.run(_remote(settings) if settings.servers else _local(settings))
    except (SandboxUnavailable, ToolInfrastructureError) as error:
        lines, well = [f"  {error}"], False
    end = "Model-written code can run." if well else "Model-written code will not be run."
    return "\n".join(["Sandbox", *lines, end]), well
