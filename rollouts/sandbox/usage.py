"""What a process and all its descendants use, read from /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """Totals of a process tree."""

    pids: tuple[int, ...]
    cpu_s: float
    """CPU seconds, those of descendants that have ended and been waited for included."""
    memory_bytes: int
    """Anonymous memory; pages that processes share are counted once for each."""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended meanwhile
        return ""


class ProcessTable:
    """All processes of this machine; one reading serves every tree that is asked for within `max_age` seconds."""

    def __init__(self, max_age: float = 0.05) -> None:
        self._max_age, self._read_at = max_age, 0.0
        self._children: dict[int, list[int]] = {}
        self._ticks: dict[int, int] = {}

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < self._max_age:
            return
        self._children, self._ticks = {}, {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (stat := _read(f"/proc/{entry}/stat")):
                fields = stat[stat.rindex(")") + 2 :].split()
                self._children.setdefault(int(fields[1]), []).append(int(entry))
                self._ticks[int(entry)] = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
        self._read_at = time.monotonic()

    def tree(self, root: int) -> Usage:
        """The usage of `root` and its descendants; all zero once it has ended."""
        self._refresh()
        todo, pids, ticks, pages = [root], [], 0, 0
        while todo:
            pid = todo.pop()
            if pid in self._ticks:
                pids.append(pid)
                ticks += self._ticks[pid]
                if memory := _read(f"/proc/{pid}/statm").split():
                    pages += int(memory[1]) - int(memory[2])  # resident without file-backed and shared pages
                todo += self._children.get(pid, [])
        return Usage(tuple(pids), ticks / TICKS, pages * PAGE)


def shared_once(usage: Usage) -> int | None:
    """The tree's memory in bytes, shared pages split among their users (PSS): exact, slower, None if unreadable."""
    total = None
    for pid in usage.pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total = (total or 0) + int(line.split()[1]) * 1024
    return total
