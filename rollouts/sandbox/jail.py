"""One running worker with its captures and its watch, from start to a certain end."""

import asyncio
import contextlib
import os
import signal
from typing import Any

from records.recipe import Sandbox as Settings
from records.trajectory import Outcome
from rollouts.sandbox import bubblewrap, protocol
from rollouts.sandbox.capture import MAX_BYTES, Capture
from rollouts.sandbox.usage import ProcessTable, shared_once

WATCH_SECONDS = 0.1
PROCESSES = ProcessTable()


class Jail:
    """A worker in its sandbox. Ended at the latest by `end`, which returns when no process of it is left."""

    def __init__(self, started: bubblewrap.Started, settings: Settings) -> None:
        self._started, self._settings = started, settings
        self.output = Capture(started.output, settings.output_chars)
        self.errors = Capture(started.errors, settings.output_chars)
        self.verdict: tuple[Outcome, str] | None = None
        """Why the watch ended it, if it did."""
        self.last_words = ("", "")
        """What was on stdout and stderr at the end."""
        self._ending: asyncio.Task[int] | None = None
        self._watch = asyncio.create_task(self._keep_watch())

    @classmethod
    async def start(cls, bwrap: str, settings: Settings, images: list[bytes]) -> "Jail":
        """A worker that has confined itself and has the images.

        Raises:
            StartFailed, OSError: it did not come up; nothing of it is left.
        """
        jail = cls(bubblewrap.start(bwrap), settings)
        try:
            async with asyncio.timeout(bubblewrap.START_SECONDS):
                await protocol.send(jail._started.socket, {"limits": bubblewrap.limits(settings)}, images)
                head, _ = await protocol.receive(jail._started.socket)
            if head.get("ready") is not True:
                raise bubblewrap.StartFailed("the worker did not say that it is ready")
            return jail
        except (TimeoutError, protocol.WorkerGone, protocol.Hostile) as error:
            await jail.end()
            said = jail.last_words[1].strip() or f"{type(error).__name__} {error}".strip()
            raise bubblewrap.StartFailed(f"the worker did not come up: {said}") from None
        except BaseException:
            await jail.end()
            raise

    async def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and wait for its answer. Raises WorkerGone, Hostile."""
        if protocol.unasked(self._started.socket):
            raise protocol.Hostile("an answer to no question")
        await protocol.send(self._started.socket, request, [])
        return await protocol.receive(self._started.socket)

    def _violation(self) -> tuple[Outcome, str] | None:
        """Which limit of the whole session is exceeded: rlimits bind single processes, this binds their sum."""
        limits = self._settings
        if self.output.flooded or self.errors.flooded:
            return "killed", f"the code printed more than {MAX_BYTES >> 20} MiB"
        usage = PROCESSES.tree(self._started.init)
        if len(usage.pids) > limits.processes + 1:  # the namespace's init is ours
            return "killed", f"the session ran more than {limits.processes} processes"
        if usage.cpu_s > limits.cpu_s:
            return "timed_out", f"the session used more than its {limits.cpu_s} seconds of CPU time"
        if usage.memory_bytes > limits.memory_mb << 20:
            exact = shared_once(usage)
            if exact is None or exact > limits.memory_mb << 20:
                return "out_of_memory", f"the session used more than its {limits.memory_mb} MB of memory"
        return None

    async def _keep_watch(self) -> None:
        while self.verdict is None:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                self.verdict = self._violation()
            except Exception as error:  # unwatched code must not go on
                self.verdict = ("infrastructure", f"the watch over the session failed: {type(error).__name__}: {error}")
        self.kill()

    def kill(self) -> None:
        """Kill the namespace's init, and with it every process of the session."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._started.init_handle, signal.SIGKILL)

    async def wait(self, seconds: float) -> None:
        """Wait for the worker to end by itself."""
        for _ in range(int(seconds / 0.005)):
            if self._started.process.poll() is not None:
                return
            await asyncio.sleep(0.005)

    async def end(self) -> int:
        """Kill what is left, wait until it is gone, and give everything back. Returns bubblewrap's exit status.

        Once begun it goes on, also when the caller is cancelled.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return await asyncio.shield(self._ending)

    async def _end(self) -> int:
        process = self._started.process
        self._watch.cancel()
        try:
            self.kill()
            # bubblewrap ends when its init has been reaped, and init when every process of its namespace has.
            await self.wait(10)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            self.last_words = (self.output.take(), self.errors.take())
            self.output.close()
            self.errors.close()
            self._started.socket.close()
            os.close(self._started.init_handle)
        return process.returncode
