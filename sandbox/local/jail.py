"""One running session with its captures and its watch, from its fork to a certain end."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from records.recipe import SandboxSettings
from records.trajectory import Outcome
from sandbox.contract import Usage
from sandbox.local import usage
from sandbox.local import worker_protocol as protocol
from sandbox.local.capture import MAX_BYTES, Capture
from sandbox.local.fork_client import Forked, ForkServer
from sandbox.walls.bubblewrap import StartFailed
from sandbox.walls.cgroups import Cgroups

WATCH_SECONDS = 0.1
"""How many seconds pass between two looks at a session while a cell runs."""
IDLE_WATCH_SECONDS = 1.0
"""How many seconds pass between two looks at a session while no cell runs."""
START_SECONDS = 30.0
"""How many seconds a forked session may take until it is ready for cells."""


def _discard(future: Any) -> None:
    """End a session that nobody waits for any more."""
    if future.exception() is None:
        future.result().discard()
        future.result().server.reap(future.result())


class Jail:
    """A session's processes. Ended at the latest by `end`, which returns when none of them is left."""

    def __init__(self, forked: Forked, settings: SandboxSettings) -> None:
        self._forked, self._settings = forked, settings
        with open(f"/proc/self/fdinfo/{forked.handle}") as file:
            self.init = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
        """The pid, on this machine, of the first process in the session's pid namespace: when it ends, all end."""
        self.output = Capture(forked.output, settings.output_chars)
        self.errors = Capture(forked.errors, settings.output_chars)
        self.verdict: tuple[Outcome, str] | None = None
        """Why the watch ended it, if it did."""
        self.last_words = ("", "")
        """What was on stdout and stderr at the end."""
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(forked.handle, self._on_end)
        self._ooms = usage.machine_ooms()
        self._warm = 0
        """Bytes of memory that the worker shares with the fork server, at its start."""
        self._before = self._seen = usage.TreeUsage()
        self._busy = asyncio.Event()
        self._ending: asyncio.Task[int] | None = None
        self._watch = asyncio.create_task(self._keep_watch())

    @classmethod
    async def start(
        cls,
        server: ForkServer,
        settings: SandboxSettings,
        images: Sequence[bytes],
        files: Mapping[str, bytes],
        cgroups: Cgroups | None,
        seed: int | None = None,
    ) -> "Jail":
        """A session that is confined and has its images, files and seed.

        Raises:
            StartFailed, OSError: it did not come up; nothing of it is left.
        """
        future = server.fork(settings, cgroups)
        try:
            forked = await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(_discard)
            raise
        try:
            jail = cls(forked, settings)
        except BaseException:
            forked.discard()
            server.reap(forked)
            raise
        try:
            async with asyncio.timeout(START_SECONDS):
                await protocol.send(forked.socket, {"files": list(files), "seed": seed}, [*images, *files.values()])
                head, _ = await protocol.receive(forked.socket)
            if head.get("ready") is not True:
                raise StartFailed("the worker did not say that it is ready")
            jail._warm = jail._measure().memory_bytes
            return jail
        except (TimeoutError, protocol.WorkerGone, protocol.Hostile) as error:
            await jail.end()
            said = jail.last_words[1].strip() or f"{type(error).__name__} {error}".strip()
            raise StartFailed(f"the worker did not come up: {said}") from None
        except BaseException:
            await jail.end()
            raise

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._forked.handle)
        self._ended.set()

    def begin(self) -> None:
        """A cell starts: what it uses counts from here."""
        self._before = self._seen = self._measure()
        self._busy.set()

    def done(self, seconds: float) -> Usage:
        """A cell is over: what it used."""
        self._busy.clear()
        self._measure()
        memory = max(0, self._seen.memory_bytes - self._warm)
        cpu = max(0.0, self._seen.cpu_s - self._before.cpu_s)
        return Usage(round(seconds, 6), round(cpu, 3), memory, max(0, self._seen.tasks - 1))

    def _measure(self) -> usage.TreeUsage:
        """Look at the processes; the most that was seen since the cell began is kept."""
        now = usage.tree(self.init)
        if now.pids:
            most = [max(getattr(now, name), getattr(self._seen, name)) for name in ("tasks", "cpu_s", "memory_bytes")]
            self._seen = usage.TreeUsage(now.pids, *most)
        return now

    def ran_out(self) -> bool:
        """Whether the kernel ended one of its processes because the session's memory was full."""
        return self._forked.group is not None and self._forked.group.ran_out() == "session"

    def cpu_spent(self) -> bool:
        """Whether it was last seen near the end of its CPU time."""
        return self._seen.cpu_s > 0.9 * self._settings.cpu_s

    def machine_ran_out(self) -> bool:
        """Whether the kernel may have ended one of its processes because the machine's memory was full.

        A control group counts the ends of its own processes; the machine's count is of all.
        """
        if self._forked.group is not None:
            return self._forked.group.ran_out() == "machine"
        return usage.machine_ooms() > self._ooms

    def _violation(self) -> tuple[Outcome, str] | None:
        """Which limit of the whole session is exceeded: rlimits bind single processes, this binds their sum."""
        limits = self._settings
        if self.flooded():
            return self.flood
        if self.ran_out():
            return self.out_of_memory
        now = self._measure()
        if now.tasks > limits.processes + 1:  # the namespace's first process is ours
            return "killed", f"the session ran more than {limits.processes} processes"
        if now.cpu_s > limits.cpu_s:
            return "timed_out", f"the session used more than its {limits.cpu_s} seconds of CPU time"
        most = (limits.memory_mb << 20) + self._warm
        if now.memory_bytes > most:
            exact = usage.shared_once(now.pids[1:])
            if exact is None or exact > most:
                return self.out_of_memory
        return None

    def flooded(self) -> bool:
        """Whether more was printed than is read."""
        return self.output.flooded or self.errors.flooded

    @property
    def flood(self) -> tuple[Outcome, str]:
        return "killed", f"the code printed more than {MAX_BYTES >> 20} MiB"

    @property
    def out_of_memory(self) -> tuple[Outcome, str]:
        return "out_of_memory", f"the session used more than its {self._settings.memory_mb} MB of memory"

    async def _keep_watch(self) -> None:
        while self.verdict is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_WATCH_SECONDS):
                    await self._busy.wait()
                await asyncio.sleep(WATCH_SECONDS)
            try:
                self.verdict = self._violation()
            except Exception as error:  # unwatched code must not run on
                self.verdict = ("infrastructure", f"the watch over the session failed: {type(error).__name__}: {error}")
        self.kill()

    async def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and wait for its answer. Raises WorkerGone, Hostile."""
        if protocol.unasked(self._forked.socket):
            raise protocol.Hostile("an answer to no question")
        await protocol.send(self._forked.socket, request, [])
        return await protocol.receive(self._forked.socket, 2 * request["limit"])

    def answered(self) -> bool:
        """Whether an answer has arrived, or has begun to."""
        return protocol.unasked(self._forked.socket)

    def kill(self) -> None:
        """Kill the first process, and with it every process of the session."""
        self._forked.kill()

    async def wait(self, seconds: float) -> bool:
        """Wait for the session to end by itself; whether it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        return self._ended.is_set()

    async def end(self) -> int:
        """Kill what is left, wait until it is gone, and release everything. Returns the exit status.

        Once begun it continues, also when the caller is cancelled.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return await asyncio.shield(self._ending)

    async def _end(self) -> int:
        self._watch.cancel()
        try:
            await asyncio.wait({self._watch})  # nobody else has the descriptors when they are closed
            self.kill()
            await self.wait(10)
            return await asyncio.wrap_future(self._forked.server.reap(self._forked))
        finally:
            asyncio.get_running_loop().remove_reader(self._forked.handle)
            self.last_words = (self.output.take(), self.errors.take())
            self.output.close()
            self.errors.close()
            self._forked.discard()
