"""Processes of this machine, as the host sees them: those of a namespace, those of a name, and their memory."""

import contextlib
import os
import threading
from pathlib import Path


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def in_namespace(space: str) -> list[int]:
    """Living processes of a pid namespace (as /proc/*/ns/pid names it), as far as this user may look."""
    found = []
    for pid in _all():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == space:
                found.append(pid)
    return found


class Pinned:
    """A pid namespace, held so that the kernel gives its name to no other; `processes` are those that live in it."""

    def __init__(self, space: str) -> None:
        self._space, self._descriptor = space, None
        for pid in in_namespace(space):
            with contextlib.suppress(OSError):
                descriptor = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
                if os.readlink(f"/proc/self/fd/{descriptor}") == space:
                    self._descriptor = descriptor
                    return
                os.close(descriptor)
        raise RuntimeError(f"no process of {space} can be seen from the host")

    def processes(self) -> list[int]:
        return in_namespace(self._space)

    def close(self) -> None:
        os.close(self._descriptor)


def named(word: str) -> list[int]:
    """Processes with that word in their command line."""
    found = []
    for pid in _all():
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def descendants(root: int) -> set[int]:
    """The processes that `root` and its children have started and that are still there, zombies included."""
    children: dict[int, list[int]] = {}
    for pid in _all():
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")  # names of processes may be anything
            children.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(pid)
    found, todo = set(), [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def descriptors() -> list[str]:
    """What this process has open, the numbers of sockets and pipes left out."""
    links = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{entry}").split(":")[0])
    return sorted(links)


def _proportional(pid: int) -> int:
    """Bytes of a process, pages that are shared split among those who share them."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


def _kernel() -> int:
    """Bytes that belong to no process: memory file systems, kernel objects, page tables, buffers of sockets."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    values = {words[0][:-1]: int(words[1]) << 10 for words in lines}
    return sum(values[name] for name in ("Shmem", "SUnreclaim", "PageTables", "KernelStack"))


class MemoryWatch:
    """The most memory in bytes, beyond what was there, of all `processes` below this one, and of the `kernel`.

    What processes share by memory file systems counts with both. The kernel's share is that of the whole machine.
    """

    def __init__(self) -> None:
        self.processes = self.kernel = 0
        self._stop = threading.Event()
        self._before = self._now()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _now(self) -> tuple[int, int]:
        mine = {os.getpid(), *descendants(os.getpid())}
        return sum(map(_proportional, mine)), _kernel()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            processes, kernel = self._now()
            self.processes = max(self.processes, processes - self._before[0])
            self.kernel = max(self.kernel, kernel - self._before[1])

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
