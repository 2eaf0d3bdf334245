"""A session on a sandbox server, which outlives that server."""

import asyncio
import json
import time
from collections.abc import Callable

from records.faults import ToolInfrastructureError
from sandbox.contract import CellResult
from sandbox.http import wire
from sandbox.http.fleet import Busy, Gone, Refused, Server
from sandbox.http.placement import LEAST_WAIT_S, Place, SessionPlacer
from sandbox.rebuilding import RebuildingSession, SessionFault

CELL_PATIENCE_S = 900.0
"""How many seconds beyond its limit a cell may take for its turn and its answer."""


class RemoteSession(RebuildingSession):
    """One session on some server. When that is lost, the cells run again on another, and must do what they did."""

    worker_counts_cells = True

    def __init__(
        self,
        placer: SessionPlacer,
        opening: bytes,
        on_close: "Callable[[RemoteSession], None]",
    ) -> None:
        super().__init__()
        self._placer, self._settings, self._on_close = placer, placer.settings, on_close
        self._opening = opening
        self._place: Place | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._closed = False

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

    def _has_worker(self) -> bool:
        return self._place is not None

    async def _end_worker(self) -> None:
        self._leave()

    def _leave(self) -> None:
        """Let the server end the session, without waiting for it."""
        if self._place is not None:
            self._leaving, self._place = self._placer.leave(self._place), None

    async def _cell(self, number: int, code: str) -> CellResult:
        """What a cell did. It may be asked for several times: under its number it runs once. Raises SessionFault."""
        if self._place is None:  # closed meanwhile
            raise SessionFault(self._broken)
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
                raise SessionFault(f"{server}: {error}") from None
            except (Gone, Busy, Refused) as error:
                raise SessionFault(f"{server}: {error}") from None
            if began > deadline:
                raise SessionFault(f"{server}: no answer to a cell for {CELL_PATIENCE_S:g} s beyond its limit")
            await asyncio.sleep(began + LEAST_WAIT_S - time.monotonic())
        if result.outcome == "infrastructure":
            raise SessionFault(f"{server}: {result.error}")
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
