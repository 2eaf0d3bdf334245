"""What a session's processes use, read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
"""The bytes of a page of memory."""
TICKS = os.sysconf("SC_CLK_TCK")
"""The kernel's clock ticks per second."""


@dataclass(frozen=True)
class TreeUsage:
    """Totals of a process and its descendants."""

    pids: tuple[int, ...] = ()
    tasks: int = 0
    """Processes and threads."""
    cpu_s: float = 0.0
    """CPU seconds, those of descendants that have ended and been waited for included."""
    memory_bytes: int = 0
    """Anonymous memory of the descendants; pages that processes share are counted once for each."""


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode(errors="replace")  # a process may call itself anything
    except OSError:  # it has ended meanwhile
        return ""


def children(pid: int) -> list[int]:
    """The children of a process, whichever of its threads made them."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def tree(root: int) -> TreeUsage:
    """The usage of `root` and its descendants; nothing once it has ended."""
    todo, pids, ticks, pages, tasks = [root], [], 0, 0, 0
    while todo:
        pid = todo.pop()
        if stat := _read(f"/proc/{pid}/stat"):
            fields = stat[stat.rindex(")") + 2 :].split()
            pids.append(pid)
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
            tasks += int(fields[17])
            # The first process of a session is ours, and never writes to what it shares with the fork server.
            if pid != root and (memory := _read(f"/proc/{pid}/statm").split()):
                pages += int(memory[1]) - int(memory[2])  # resident without file-backed and shared pages
            todo += children(pid)
    return TreeUsage(tuple(pids), tasks, ticks / TICKS, pages * PAGE)


def shared_once(pids: tuple[int, ...]) -> int | None:
    """The processes' memory in bytes, shared pages split among their users (PSS): exact, slower, None if unreadable."""
    total = None
    for pid in pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total = (total or 0) + int(line.split()[1]) * 1024
    return total


def machine_ooms() -> int:
    """How often this machine's kernel has ended a process because memory was full."""
    for line in _read("/proc/vmstat").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
