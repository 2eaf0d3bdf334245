"""The bound on a sandbox's open sessions, wherever they run."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Startable(Protocol):
    """What a session does for its sandbox."""

    async def start(self) -> None:
        """Be ready for the first cell, or raise."""
        ...

    async def close(self) -> None:
        """End, and call what frees the slot."""
        ...


S = TypeVar("S", bound=Startable)


class SessionSlots(Generic[S]):
    """Places for at most `count` open sessions per event loop; further ones wait in order.

    A sandbox outlives the event loops in which it is used.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._free = weakref.WeakKeyDictionary()
        self._open: dict[S, asyncio.Semaphore] = {}

    async def open(self, make: Callable[[], S]) -> S:
        """A started session, as soon as there is a slot for it. Raises what its `start` raises."""
        slot = self._free.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._count))
        await slot.acquire()
        session = make()
        self._open[session] = slot
        try:
            await session.start()
        except BaseException:
            await session.close()
            raise
        return session

    def free(self, session: S) -> None:
        """Let the next session in, because this one has ended."""
        self._open.pop(session).release()

    @property
    def sessions(self) -> tuple[S, ...]:
        """The sessions that are open."""
        return tuple(self._open)
