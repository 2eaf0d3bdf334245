"""The sessions a server holds for its clients: opened in turn, cells numbered, ended when nobody asks for them."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from records.recipe import SandboxSettings as Settings
from sandbox.contract import Sandbox, Session
from sandbox.http import wire

WAITING_S = 60.0
"""A session that waits for its turn is given up when nobody has asked for it for so long."""
KINDS = 64
"""Of limits whose sandboxes are kept."""


class WrongCell(ValueError):
    """A cell out of order."""


class Held:
    """One session in the hands of a client."""

    def __init__(self, session: str, size: int) -> None:
        self.id = session
        self.size = size
        """Bytes of images and files that are kept until it opens."""
        self.opening: asyncio.Task[Session]
        self.number = 0
        """Of the last cell."""
        self.answer: asyncio.Task[bytes] | None = None
        """To the last cell. It is kept until the next cell, which shows that it arrived."""
        self.ending: asyncio.Task[None] | None = None
        self._code = ""
        self._asking, self._asked_at = 0, time.monotonic()

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """While a client waits for something of it."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._asked_at = time.monotonic()

    @property
    def asking(self) -> int:
        """How many requests wait for something of it."""
        return self._asking

    def unasked_s(self) -> float:
        """For how long no client has been waiting for it, in seconds."""
        return 0.0 if self._asking else time.monotonic() - self._asked_at

    def is_new(self, number: int, code: str) -> bool:
        """Whether this is the next cell; if not, it is the last one asked again. Raises WrongCell."""
        if number == self.number and self.answer is not None:
            if code != self._code:
                raise WrongCell(f"cell {number} was asked before with other code")
            return False
        if number != self.number + 1:
            raise WrongCell(f"cell {number} after cell {self.number}")
        if self.answer is not None and not self.answer.done():
            raise WrongCell(f"cell {number} while cell {self.number} runs")
        self.number, self._code = number, code
        return True


class HeldSessions:
    """All sessions of a server. To be used in one event loop.

    Args:
        make: a sandbox with the limits it is given.
        settings: `sessions` are open at once and `cells` run at once, whatever their limits; others wait in order.
        idle_s: a session that nobody has asked for in so many seconds is ended.
    """

    def __init__(self, make: Callable[[Settings], Sandbox], settings: Settings, idle_s: float) -> None:
        self._make, self._settings, self._idle_s = make, settings, idle_s
        self._sandboxes: dict[str, Sandbox] = {}
        cells = settings.cells or 2 * (os.cpu_count() or 1)
        self._slots, self._turns = asyncio.Semaphore(settings.sessions), asyncio.Semaphore(cells)
        self._held: dict[str, Held] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def load(self) -> wire.Load:
        waiting = sum(not held.opening.done() for held in self._held.values())
        return wire.Load(len(self._held) - waiting, waiting, self._settings.sessions)

    @property
    def waiting_bytes(self) -> int:
        """Of images and files of the sessions that wait."""
        return sum(held.size for held in self._held.values() if not held.opening.done())

    def begin(self, session: str, images: Sequence[bytes], files: Mapping[str, bytes], limits: Settings) -> Held:
        """A session that opens as soon as there is a place for it."""
        held = Held(session, sum(map(len, images)) + sum(map(len, files.values())))
        held.opening = asyncio.create_task(self._open(images, files, limits))
        self._held[held.id] = held
        return held

    def find(self, session: str) -> Held | None:
        return self._held.get(session)

    def _sandbox(self, limits: Settings) -> Sandbox:
        # All with the same libraries, so that they share what keeps these warm.
        limits = limits.model_copy(update={"libraries": self._settings.libraries})
        key = limits.model_dump_json()
        if key not in self._sandboxes:
            if len(self._sandboxes) >= KINDS:
                del self._sandboxes[next(iter(self._sandboxes))]  # its sessions go on
            self._sandboxes[key] = self._make(limits)
        return self._sandboxes[key]

    async def _open(self, images: Sequence[bytes], files: Mapping[str, bytes], limits: Settings) -> Session:
        await self._slots.acquire()
        try:
            return await self._sandbox(limits).open(images, files)
        except BaseException:
            self._slots.release()
            raise

    def run(self, held: Held, number: int, code: str) -> asyncio.Task[bytes]:
        """The answer to a cell, which runs once however often it is asked for. Raises WrongCell."""
        if held.is_new(number, code):
            held.answer = asyncio.create_task(self._run(held, code))
        return held.answer

    async def _run(self, held: Held, code: str) -> bytes:
        session = await asyncio.shield(held.opening)
        async with self._turns:
            return wire.pack_result(await session.run(code))

    def drop(self, held: Held) -> asyncio.Task[None]:
        """End a session. The task is done when its place is free; it goes on if the caller is cancelled."""
        if held.ending is None:  # its place is given back once
            self._held.pop(held.id, None)
            held.ending = asyncio.create_task(self._end(held))
            self._ending.add(held.ending)
            held.ending.add_done_callback(self._ending.discard)
        return held.ending

    async def _end(self, held: Held) -> None:
        tasks = {held.opening} | ({held.answer} if held.answer else set())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if held.answer and not held.answer.cancelled():
            held.answer.exception()  # nobody else may have looked at it
        if not held.opening.cancelled() and held.opening.exception() is None:
            try:
                await held.opening.result().close()
            finally:
                self._slots.release()

    async def drop_forgotten(self) -> None:
        """For ever: end the sessions whose clients have vanished."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_s / 4))
            for held in list(self._held.values()):
                if held.unasked_s() > (self._idle_s if held.opening.done() else min(self._idle_s, WAITING_S)):
                    self.drop(held)

    async def close(self) -> None:
        """End all sessions."""
        for held in list(self._held.values()):
            self.drop(held)
        if self._ending:
            await asyncio.wait(self._ending)
        for sandbox in self._sandboxes.values():
            await sandbox.close()
