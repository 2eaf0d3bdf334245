"""Control groups for sessions, where the machine lets us make them: their memory, processes and CPU as a whole.

Both versions: the unified hierarchy (cgroup v2, as root or in a delegated subtree) and the older one, one hierarchy per
controller (v1, as root). Kernel documentation: admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/{memory,pids}.rst,
scheduler/sched-bwc.rst. Whether it works is tried, never guessed.
"""

import atexit
import contextlib
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from records.recipe import SandboxSettings

REQUIRED = ("memory", "pids")
"""The controllers without which no control groups are used."""
OPTIONAL = ("cpu",)
"""The controllers that are used where available; delegated subtrees often lack the one for CPU time."""
PERIOD_US = 100_000
"""The microseconds over which CPU time is shared out."""
OWN_MEMORY = 32 << 20
"""The bytes for the kernel's own structures of a session (page tables, stacks), beside `memory_mb`."""
NEARLY = 4 << 20
"""How many bytes below its limit a group's memory counts as full, because it is charged in batches."""
PREFIX = "touchstone-"
"""How the names of our groups begin."""


def _write(path: Path, value: object) -> None:
    with open(path, "w") as file:
        file.write(str(value))


def _hierarchies() -> Iterator[tuple[set[str], Path, Path]]:
    """Every mounted hierarchy: its controllers (empty for the unified one), where it is mounted, where we are."""
    own: dict[frozenset[str], str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        own[frozenset(filter(None, names.split(",")))] = path
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        root, mounted = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        names = set(options.split(",")) if kind == "cgroup" else set()
        for controllers, path in own.items():
            if (kind == "cgroup2" and not controllers) or (kind == "cgroup" and controllers and controllers <= names):
                with contextlib.suppress(ValueError):
                    yield set(controllers), Path(mounted), Path(mounted) / Path(path).relative_to(root)


class Group:
    """The control groups of one session at a time."""

    def __init__(self, owner: "Cgroups", folders: dict[str, Path], unified: bool) -> None:
        self._owner, self._folders, self._unified = owner, folders, unified
        self._before = (0, 0)

    def prepare(self, settings: SandboxSettings) -> list[int]:
        """Set the limits; descriptors through which a process puts itself in. The caller closes them."""
        memory, quota = (settings.memory_mb << 20) + OWN_MEMORY, int(settings.cpus * PERIOD_US)
        pids = settings.processes + 2  # the namespace's first process, and one that is just ending
        if self._unified:
            values = {
                ("memory", "memory.max"): memory,
                ("memory", "memory.swap.max"): 0,
                ("memory", "memory.oom.group"): 1,
                ("pids", "pids.max"): pids,
                ("cpu", "cpu.max"): f"{quota} {PERIOD_US}",
            }
        else:
            values = {
                ("memory", "memory.memsw.limit_in_bytes"): -1,  # never below the other
                ("memory", "memory.limit_in_bytes"): memory,
                ("memory", "memory.memsw.limit_in_bytes "): memory,
                ("memory", "memory.max_usage_in_bytes"): 0,  # counted from here
                ("pids", "pids.max"): pids,
                ("cpu", "cpu.cfs_period_us"): PERIOD_US,
                ("cpu", "cpu.cfs_quota_us"): quota,
            }
        for (controller, name), value in values.items():
            # Without swap accounting, there is no swap to limit.
            if controller in self._folders and (path := self._folders[controller] / name.strip()).exists():
                _write(path, value)
        self._before = (self._kills(), self._filled())
        return [os.open(folder / "cgroup.procs", os.O_WRONLY) for folder in dict.fromkeys(self._folders.values())]

    def _read(self, name: str) -> dict[str, int]:
        lines = (self._folders["memory"] / name).read_text().splitlines()
        return {key: int(value) for key, value in map(str.split, lines)}

    def _kills(self) -> int:
        """How often the kernel ended one of its processes because memory was full, whoever's."""
        return self._read("memory.events" if self._unified else "memory.oom_control").get("oom_kill", 0)

    def _filled(self) -> int:
        """Grows when its own memory was full."""
        if self._unified:
            return self._read("memory.events")["oom"]
        most, limit = (
            int((self._folders["memory"] / f"memory.{name}_in_bytes").read_text()) for name in ("max_usage", "limit")
        )
        return int(most > limit - NEARLY)

    def ran_out(self) -> Literal["", "session", "machine"]:
        """Whose memory was full, if the kernel ended a process of this session because of it."""
        kills, filled = self._before
        if self._kills() == kills:
            return ""
        return "session" if self._filled() > filled else "machine"

    def give_back(self) -> None:
        """Return the group to its owner, because the session has ended."""
        self._owner.give_back(self)

    def empty(self) -> bool:
        return not any((folder / "cgroup.procs").read_text() for folder in self._folders.values())

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self._folders.values())


class Cgroups:
    """The groups this process may make. Groups are used again: making and removing one per session costs time
    and, for a while, kernel memory."""

    def __init__(self, parents: dict[str, Path], unified: bool) -> None:
        self._unified, self._lock, self._made = unified, threading.Lock(), 0
        own = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self._bases = {name: parent / own for name, parent in parents.items()}
        self._given_back: list[Group] = []
        self.where = f"cgroup {'v2' if unified else 'v1'}, {', '.join(sorted({str(p) for p in parents.values()}))}"
        for base in dict.fromkeys(self._bases.values()):
            base.mkdir()
            if unified:
                _write(base / "cgroup.subtree_control", " ".join(f"+{name}" for name in parents))

    def take(self) -> Group:
        """A group without a session. Raises OSError."""
        with self._lock:
            for group in list(self._given_back):
                try:
                    if not group.empty():
                        continue
                except OSError:  # removed by someone else
                    self._given_back.remove(group)
                    continue
                self._given_back.remove(group)
                return group
            self._made += 1
            folders = {name: base / f"session-{self._made}" for name, base in self._bases.items()}
        for folder in dict.fromkeys(folders.values()):
            folder.mkdir()
        return Group(self, folders, self._unified)

    def give_back(self, group: Group) -> None:
        with self._lock:
            self._given_back.append(group)

    def close(self) -> None:
        """Remove all groups, as soon as what ends in them has ended."""
        left = [*(folder for group in self._given_back for folder in group.folders), *self._bases.values()]
        for _ in range(100):
            for folder in dict.fromkeys(left):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if not any(base.exists() for base in self._bases.values()):
                return
            time.sleep(0.01)


def _sweep(parent: Path) -> None:
    """Remove the groups of supervisors that were killed."""
    for base in parent.glob(f"{PREFIX}*"):
        owner = base.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            for folder in [*base.glob("session-*"), base]:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _try(parents: dict[str, Path], unified: bool) -> Cgroups:
    """The groups below these parents. Raises OSError when a process cannot be put into a group with limits there."""
    for parent in dict.fromkeys(parents.values()):
        _sweep(parent)
    cgroups = Cgroups(parents, unified)
    try:
        group = cgroups.take()
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)  # ends with us, however we end
        try:
            for descriptor in group.prepare(SandboxSettings()):
                try:
                    os.write(descriptor, str(process.pid).encode())
                finally:
                    os.close(descriptor)
            group.ran_out()
        finally:
            process.communicate()
            cgroups.give_back(group)
    except BaseException:
        cgroups.close()
        raise
    return cgroups


def _unified(mounted: Path, own: Path) -> "tuple[Cgroups | None, str]":
    """Groups in the unified hierarchy: below our own group or one above it, whichever lets us."""
    reason = ""
    for folder in (own, *own.parents):
        try:
            offered = (folder / "cgroup.controllers").read_text().split()
            if missing := [name for name in REQUIRED if name not in offered]:
                return None, f"{folder} lacks the controllers {', '.join(missing)}"
            names = [name for name in (*REQUIRED, *OPTIONAL) if name in offered]
            if set(names) - set((folder / "cgroup.subtree_control").read_text().split()):
                _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in names))
            return _try(dict.fromkeys(names, folder), unified=True), ""
        except OSError as error:
            reason = reason or f"{error.filename or folder}: {error.strerror}"
        if folder == mounted:
            break
    return None, reason


def _find() -> "tuple[Cgroups | None, str]":
    reasons, parents = [], {}
    for controllers, mounted, own in _hierarchies():
        parents |= {name: own for name in controllers & {*REQUIRED, *OPTIONAL}}
        if not controllers:
            cgroups, reason = _unified(mounted, own)
            if cgroups is not None:
                return cgroups, ""
            reasons.append(reason)
    if set(REQUIRED) <= set(parents):
        try:
            return _try(parents, unified=False), ""
        except OSError as error:
            reasons.append(f"{error.filename or 'cgroup v1'}: {error.strerror}")
    return None, "; ".join(reasons) or "no control groups are mounted"


_found: dict[int, tuple[Cgroups | None, str]] = {}
_finding = threading.Lock()


def find_cgroups() -> "tuple[Cgroups | None, str]":
    """This process's control groups, or None and why there are none. Looked for once (a few milliseconds)."""
    with _finding:
        if os.getpid() not in _found:
            try:
                _found[os.getpid()] = _find()
            except (OSError, ValueError, IndexError) as error:
                _found[os.getpid()] = (None, f"{type(error).__name__}: {error}")
        return _found[os.getpid()]


@atexit.register
def close_cgroups() -> None:
    """Remove this process's groups."""
    cgroups, _ = _found.pop(os.getpid(), (None, ""))
    if cgroups is not None:
        cgroups.close()
