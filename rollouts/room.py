"""Places for attempts that are under way at once, handed out by turn."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count


class Room:
    """A number of places: `async with room.place(turn)` holds one.

    A place that becomes free goes to whoever waits with the lowest turn, and among these to who came first. For one
    event loop.

    Args:
        places: how many there are, at least 1.
    """

    def __init__(self, places: int) -> None:
        self.places, self.in_use = places, 0
        self._order = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, turn: int = 0) -> AsyncIterator[None]:
        """Hold a place, once there is one for this turn."""
        await self._enter(turn)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, turn: int) -> None:
        if self.in_use < self.places:
            self.in_use += 1
            return
        called = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (turn, next(self._order), called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._leave()  # the place was handed over just before
            raise

    def _leave(self) -> None:
        """The place goes to the next who waits."""
        while self._waiting:
            called = heapq.heappop(self._waiting)[2]
            if not called.done():
                called.set_result(None)
                return
        self.in_use -= 1
