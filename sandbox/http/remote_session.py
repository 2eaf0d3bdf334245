"""A session on a sandbox server, which outlives that server."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence

from records.faults import ToolInfrastructureError
from sandbox.contract import CellResult, SandboxUnavailable
from sandbox.history import History
from sandbox.http import wire
from sandbox.http.fleet import Busy, Gone, Refused, Server
from sandbox.http.placement import LEAST_WAIT_S, Place, SessionPlacer

ATTEMPTS = 3
"""How often a cell is tried, on new sessions, before a fault of ours is reported."""
CELL_PATIENCE_S = 900.0
"""How many seconds beyond its limit a cell may take for its turn and its answer."""


class _Lost(Exception):
    """The session is gone: its server is, or the server does not know it any more."""


class RemoteSession:
    """One session on some server. When that is lost, the cells run again on another, and must do what they did."""

    def __init__(
        self,
        placer: SessionPlacer,
        images: Sequence[bytes],
        files: Mapping[str, bytes],
        on_close: "Callable[[RemoteSession], None]",
    ) -> None:
        self._placer, self._settings, self._on_close = placer, placer.settings, on_close
        self._opening = wire.pack_opening(images, files, placer.settings)
        self._place: Place | None = None
        self._history = History()
        self._number = 0
        """How many cells have run."""
        self._broken = ""
        """Why no further cell is taken."""
        self._leaving: asyncio.Task[None] | None = None
        self._closed = False
        self._one = asyncio.Lock()

    async def start(self) -> None:
        """Open the session on a server. Raises ToolInfrastructureError, SandboxUnavailable, ValueError."""
        self._place = await self._placer.begin(self._opening)
        if self._broken:  # closed meanwhile
            self._leave()
            raise ToolInfrastructureError(f"sandbox: {self._broken}")

    @property
    def server(self) -> Server | None:
        """The server that the session is on now."""
        return self._place.server if self._place else None

    def _leave(self) -> None:
        if self._place is not None:
            self._leaving, self._place = self._placer.leave(self._place), None

    async def run(self, code: str) -> CellResult:
        """See the contract. A cancelled cell takes the session with it."""
        async with self._one:
            reason = self._broken
            for _ in range(ATTEMPTS):
                if self._broken:
                    break
                try:
                    if self._place is None:
                        await self._rebuild()
                    result = await self._cell(self._number + 1, code)
                except _Lost as error:
                    reason = str(error).removeprefix("sandbox: ")
                    self._leave()
                except Exception as error:  # no server answers, or whatever it is: the code did not do it
                    known = isinstance(error, (ToolInfrastructureError, SandboxUnavailable, ValueError))
                    said = str(error).removeprefix("sandbox: ") if known else f"{type(error).__name__}: {error}"
                    self._broken = self._broken or said
                except BaseException:
                    self._broken = self._broken or "the session was ended in the middle of a cell"
                    self._leave()
                    raise
                else:
                    self._number += 1
                    self._history.record(code, result)
                    return result
            self._broken = self._broken or reason
            self._leave()
            return CellResult("infrastructure", error=f"sandbox: {self._broken}")

    async def _rebuild(self) -> None:
        """Open a new session and run the cells again. Raises _Lost, and what `start` raises."""
        await self.start()
        cells = self._history.cells()
        # A cell's number appears in its tracebacks, so empty cells replace those before the last loss of state.
        missing = self._number - len(cells)
        for number in range(1, missing + 1):
            await self._cell(number, "")
        for number, (code, before) in enumerate(cells, missing + 1):
            if not self._history.matches(before, await self._cell(number, code)):
                self._broken = f"cell {number} did something else when it was run again after a fault of ours"
                raise _Lost(self._broken)

    async def _cell(self, number: int, code: str) -> CellResult:
        """What a cell did. It may be asked for several times: under its number it runs once. Raises _Lost."""
        server, path = self._place.server, f"{self._place.path}/cells"
        body = json.dumps({"cell": number, "code": code}).encode()
        deadline = time.monotonic() + self._settings.cell_timeout_s + CELL_PATIENCE_S
        while True:
            began = time.monotonic()
            try:
                status, head, blobs = await self._placer.fleet.ask(server, "POST", path, body)
                if status == 200 and blobs:
                    result = await asyncio.to_thread(wire.read_result, head, blobs, self._settings)
                    break
                if status == 200:
                    result = wire.read_result(head, blobs, self._settings)
                    break
            except wire.Malformed as error:
                server.rest()
                raise _Lost(f"{server}: {error}") from None
            except (Gone, Busy, Refused) as error:
                raise _Lost(f"{server}: {error}") from None
            if began > deadline:
                raise _Lost(f"{server}: no answer to a cell for {CELL_PATIENCE_S:g} s beyond its limit")
            await asyncio.sleep(began + LEAST_WAIT_S - time.monotonic())
        if result.outcome == "infrastructure":
            raise _Lost(f"{server}: {result.error}")
        return result

    async def close(self) -> None:
        """End the session with all its processes and let the next one in. Closing twice is fine."""
        self._broken = self._broken or "the session is closed"
        self._leave()
        try:
            if self._leaving is not None:
                await asyncio.shield(self._leaving)
        finally:
            if not self._closed:
                self._closed = True
                self._on_close(self)

    async def __aenter__(self) -> "RemoteSession":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
