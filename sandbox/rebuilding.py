"""Sessions that outlive the worker or the server they run on: the loop that both kinds of sandbox share."""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from records.faults import ToolInfrastructureError
from sandbox.contract import CellResult, SandboxUnavailable
from sandbox.history import History

ATTEMPTS = 3
"""How often a cell is tried, each time on a fresh worker, before an infrastructure fault is reported."""


class SessionFault(Exception):
    """A session failed through no fault of the code; on a fresh worker the cell may succeed."""


EXPECTED_ERRORS = (SessionFault, ToolInfrastructureError, SandboxUnavailable)
"""The errors whose message is enough without their name."""


class RebuildingSession(ABC):
    """A session that runs its cells again on a fresh worker after an infrastructure fault.

    The model has read the first results, so the session continues only if every cell gives the same result again.
    """

    retried: ClassVar[tuple[type[Exception], ...]] = (SessionFault,)
    """Errors after which a cell is tried again; after any other the session takes no further cell."""
    worker_counts_cells: ClassVar[bool] = False
    """Whether a worker numbers cells itself, so that a fresh one needs empty cells in place of those whose state was
    lost. Tracebacks show the numbers."""

    def __init__(self) -> None:
        self._history = History()
        self._number = 0
        """How many cells have run."""
        self._broken = ""
        """Why no further cell is taken."""
        self._one_at_a_time = asyncio.Lock()

    @abstractmethod
    async def start(self) -> None:
        """Have a worker with the session's images and files. Raises ToolInfrastructureError, SandboxUnavailable."""

    @abstractmethod
    def _has_worker(self) -> bool:
        """Whether there is a worker that holds the session's state."""

    @abstractmethod
    async def _cell(self, number: int, code: str) -> CellResult:
        """What a cell did on the present worker. Raises SessionFault."""

    @abstractmethod
    async def _end_worker(self) -> None:
        """End the present worker, if there is one."""

    @abstractmethod
    async def close(self) -> None:
        """End the session with all its processes and let the next one in. Closing twice is fine."""

    async def run(self, code: str) -> CellResult:
        """See the contract. A cancelled cell takes the session with it."""
        async with self._one_at_a_time:
            reason = self._broken
            for _ in range(ATTEMPTS):
                if self._broken:
                    break
                try:
                    if not self._has_worker():
                        await self._rebuild()
                    result = await self._cell(self._number + 1, code)
                except Exception as error:  # whatever it is, the code did not do it
                    said = isinstance(error, EXPECTED_ERRORS)
                    reason = str(error).removeprefix("sandbox: ") if said else f"{type(error).__name__}: {error}"
                    if not isinstance(error, self.retried):
                        self._broken = self._broken or reason
                    await self._end_worker()
                except BaseException:
                    await self._give_up("the session was ended in the middle of a cell")
                    raise
                else:
                    self._number += 1
                    self._history.record(code, result)
                    return result
            await self._give_up(reason)
            return CellResult("infrastructure", error=f"sandbox: {self._broken}")

    async def _rebuild(self) -> None:
        """Run the cells again on a fresh worker. Raises SessionFault, and what `start` raises."""
        await self.start()
        cells = self._history.cells()
        lost = self._number - len(cells)
        if self.worker_counts_cells:
            for number in range(1, lost + 1):
                await self._cell(number, "")
        for number, (code, before) in enumerate(cells, lost + 1):
            if not self._history.matches(before, await self._cell(number, code)):
                other = f"cell {number} did something else when it was run again after an infrastructure fault"
                self._broken = self._broken or other
                raise SessionFault(self._broken)

    async def _give_up(self, reason: str) -> None:
        """Take no further cell."""
        self._broken = self._broken or reason
        await self._end_worker()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
