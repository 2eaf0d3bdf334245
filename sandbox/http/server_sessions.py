"""The sessions of a server's clients: opened in turn, cells numbered, ended when nobody asks for them."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from records.recipe import SandboxSettings
from sandbox.contract import Sandbox, Session
from sandbox.http import wire

WAITING_S = 60.0
"""After how many seconds a session that waits for its turn, and that nobody asks for, is ended."""
MAX_SANDBOXES = 64
"""How many sandboxes with different limits a server keeps ready."""


class WrongCell(ValueError):
    """A cell out of order."""


class OpenSession:
    """One session that a client has opened or waits for."""

    def __init__(self, session_id: str, size: int) -> None:
        self.id = session_id
        self.size = size
        """Bytes of images and files that are kept until it opens."""
        self.opening: asyncio.Task[Session]
        self.number = 0
        """The number of the last cell; 0 before the first."""
        self.answer: asyncio.Task[bytes] | None = None
        """The answer to the last cell. It is kept until the next cell, which shows that it arrived."""
        self.ending: asyncio.Task[None] | None = None
        self._code = ""
        self._asking, self._asked_at = 0, time.monotonic()

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """Count a client as waiting for this session until the block ends."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._asked_at = time.monotonic()

    @property
    def asking(self) -> int:
        """How many requests wait for this session."""
        return self._asking

    def unasked_s(self) -> float:
        """How many seconds no client has been waiting for it."""
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


class ServerSessions:
    """All sessions of a server, for use in one event loop.

    Args:
        make: builds a sandbox with the limits it gets.
        settings: `sessions` are open at once and `cells` run at once, whatever their limits; others wait in order.
        idle_s: after how many seconds a session that nobody asks for is ended.
    """

    def __init__(self, make: Callable[[SandboxSettings], Sandbox], settings: SandboxSettings, idle_s: float) -> None:
        self._make, self._settings, self._idle_s = make, settings, idle_s
        self._sandboxes: dict[str, Sandbox] = {}
        cells = settings.cells or 2 * (os.cpu_count() or 1)
        self._slots, self._turns = asyncio.Semaphore(settings.sessions), asyncio.Semaphore(cells)
        self._by_id: dict[str, OpenSession] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def load(self) -> wire.Load:
        waiting = sum(not session.opening.done() for session in self._by_id.values())
        return wire.Load(len(self._by_id) - waiting, waiting, self._settings.sessions)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of images and files the waiting sessions have."""
        return sum(session.size for session in self._by_id.values() if not session.opening.done())

    def begin(
        self,
        session_id: str,
        images: Sequence[bytes],
        files: Mapping[str, bytes],
        limits: SandboxSettings,
        seed: int | None,
    ) -> OpenSession:
        """Begin a session, which opens as soon as there is a slot for it."""
        session = OpenSession(session_id, sum(map(len, images)) + sum(map(len, files.values())))
        session.opening = asyncio.create_task(self._open(images, files, limits, seed))
        self._by_id[session.id] = session
        return session

    def find(self, session_id: str) -> OpenSession | None:
        return self._by_id.get(session_id)

    def _sandbox(self, limits: SandboxSettings) -> Sandbox:
        # The same libraries for all, so that they share one fork server.
        limits = limits.model_copy(update={"libraries": self._settings.libraries})
        key = limits.model_dump_json()
        if key not in self._sandboxes:
            if len(self._sandboxes) >= MAX_SANDBOXES:
                del self._sandboxes[next(iter(self._sandboxes))]  # its sessions continue
            self._sandboxes[key] = self._make(limits)
        return self._sandboxes[key]

    async def _open(
        self, images: Sequence[bytes], files: Mapping[str, bytes], limits: SandboxSettings, seed: int | None
    ) -> Session:
        await self._slots.acquire()
        try:
            return await self._sandbox(limits).open(images, files, seed)
        except BaseException:
            self._slots.release()
            raise

    def run(self, session: OpenSession, number: int, code: str) -> asyncio.Task[bytes]:
        """The answer to a cell, which runs once however often it is asked for. Raises WrongCell."""
        if session.is_new(number, code):
            session.answer = asyncio.create_task(self._run(session, code))
        assert session.answer is not None  # only a cell that has one is not new
        return session.answer

    async def _run(self, session: OpenSession, code: str) -> bytes:
        running = await asyncio.shield(session.opening)
        async with self._turns:
            return wire.pack_result(await running.run(code))

    def drop(self, session: OpenSession) -> asyncio.Task[None]:
        """End a session. The task is done when its slot is free; it continues if the caller is cancelled."""
        if session.ending is None:  # its slot is freed once
            self._by_id.pop(session.id, None)
            session.ending = asyncio.create_task(self._end(session))
            self._ending.add(session.ending)
            session.ending.add_done_callback(self._ending.discard)
        return session.ending

    async def _end(self, session: OpenSession) -> None:
        tasks = {session.opening} | ({session.answer} if session.answer else set())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if session.answer and not session.answer.cancelled():
            session.answer.exception()  # nobody else may have looked at it
        if not session.opening.cancelled() and session.opening.exception() is None:
            try:
                await session.opening.result().close()
            finally:
                self._slots.release()

    async def drop_forgotten(self) -> None:
        """End the sessions whose clients have vanished, until this task is cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_s / 4))
            for session in list(self._by_id.values()):
                if session.unasked_s() > (self._idle_s if session.opening.done() else min(self._idle_s, WAITING_S)):
                    self.drop(session)

    async def close(self) -> None:
        """End all sessions."""
        for session in list(self._by_id.values()):
            self.drop(session)
        if self._ending:
            await asyncio.wait(self._ending)
        for sandbox in self._sandboxes.values():
            await sandbox.close()
