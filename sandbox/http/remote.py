"""The sandbox on other machines: the contract over the HTTP API of sandbox servers (docs/sandbox-server.md)."""

import asyncio
from collections.abc import Mapping, Sequence

from records.recipe import SandboxSettings
from sandbox.contract import check_files
from sandbox.description import SandboxDescription
from sandbox.http import wire
from sandbox.http.placement import SessionPlacer
from sandbox.http.remote_session import RemoteSession
from sandbox.slots import SessionSlots
from sandbox.walls.isolation import run_apart


class RemoteSandbox:
    """Opens sessions on the servers that the settings name, at most `settings.sessions` at once; further ones wait.

    The token comes from the environment. May be used from one event loop after the other.

    Raises:
        SandboxUnavailable: an entry of `servers` is not the URL of a server.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.placer = SessionPlacer(settings)
        self._slots: SessionSlots[RemoteSession] = SessionSlots(settings.sessions)

    async def describe(self) -> SandboxDescription:
        """What the servers are; they are asked once. Raises SandboxUnavailable, see `SessionPlacer.describe`."""
        return await self.placer.describe()

    async def open(
        self, images: Sequence[bytes] = (), files: Mapping[str, bytes] | None = None, seed: int | None = None
    ) -> RemoteSession:
        """See the contract."""
        check_files(images, files or {})
        await self.describe()
        opening = wire.pack_opening(images, files or {}, self.settings, seed)
        return await self._slots.open(lambda: RemoteSession(self.placer, opening, self._slots.free))

    async def close(self) -> None:
        """Close all sessions that are still open, and the connections."""
        await asyncio.gather(*(session.close() for session in self._slots.sessions), return_exceptions=True)
        await self.placer.aclose()


def check_servers(settings: SandboxSettings) -> SandboxDescription:
    """What the servers of a recipe are, for callers outside an event loop, or inside one that may be blocked.

    Raises:
        SandboxUnavailable: see `SessionPlacer.describe`.
    """

    async def ask() -> SandboxDescription:
        sandbox = RemoteSandbox(settings)
        try:
            return await sandbox.describe()
        finally:
            await sandbox.close()

    return run_apart(ask())
