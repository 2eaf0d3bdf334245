"""The sandbox on other machines: the contract over the HTTP API of sandbox servers (docs/sandbox-server.md)."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from records.faults import ToolInfrastructureError
from records.recipe import SandboxSettings as Settings
from sandbox.contract import SandboxUnavailable, check_files
from sandbox.description import About
from sandbox.http import wire
from sandbox.http.fleet import Busy, Fleet, Gone, Refused, Server
from sandbox.http.remote_session import LEAST_WAIT_S, Place, RemoteSession
from sandbox.walls.isolation import run_apart

PATIENCE_S = 60.0
"""For servers to come back, whenever a session has to be opened."""
CLOSE_S = 10.0
"""For a server to say that a session is closed; it ends forgotten ones by itself."""
FOR_GOOD = ("unauthorized", "limits", "unavailable", "version", "layers")
"""Refusals that hold for every session."""
_log = logging.getLogger(__name__)


def _refusal(server: Server, refused: Refused) -> str:
    """For a person: what a server refused, and what to do."""
    todo = f"; {wire.TOKEN_VARIABLE} has to be here what it is there" if refused.code == "unauthorized" else ""
    return f"sandbox: {server}: {refused}{todo}"


@dataclass
class _Here:
    """What belongs to one event loop; a sandbox outlives the loops it is used in."""

    loop: asyncio.AbstractEventLoop
    slots: asyncio.Semaphore
    meeting: asyncio.Lock = field(default_factory=asyncio.Lock)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class RemoteSandbox:
    """Opens sessions on the servers that the settings name, at most `settings.sessions` at once; further ones wait.

    The token comes from the environment. May be used from one event loop after the other.

    Raises:
        SandboxUnavailable: a server's URL is none.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.fleet = Fleet(settings.servers, wire.token_from_environment, settings.sessions)
        self._about: About | None = None
        self._open: dict[RemoteSession, asyncio.Semaphore] = {}
        self._last: _Here | None = None

    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        if self._last is None or self._last.loop is not loop:
            self._last = _Here(loop, asyncio.Semaphore(self.settings.sessions))
        return self._last

    async def about(self) -> About:
        """What the servers are; they are asked once.

        Raises:
            SandboxUnavailable: none answers, the token is missing or refused, they are not alike, or one of them
                allows or isolates less than the settings ask for.
        """
        async with self._here().meeting:
            if self._about is None:
                self._about = await self._meet()
            return self._about

    async def _meet(self) -> About:
        servers, known = self.fleet.servers, dict[Server, About]()
        answers = await asyncio.gather(*map(self.fleet.status, servers), return_exceptions=True)
        for server, answer in zip(servers, answers, strict=True):
            if isinstance(answer, Gone | Busy):
                _log.warning("sandbox: %s", answer)
            elif isinstance(answer, Refused):
                raise SandboxUnavailable(_refusal(server, answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                known[server] = self._checked(server, *answer)
        if not known:
            raise SandboxUnavailable(
                f"sandbox: no server of the recipe answers ({'; '.join(map(str, answers))}). Start one with "
                "`touchstone sandbox serve`, or take `servers` out of the recipe's sandbox to use this machine"
            )
        first, about = next(iter(known.items()))
        for server, other in known.items():
            if other.version != about.version:
                raise SandboxUnavailable(
                    f"sandbox: {first} and {server} may give different results: Python {about.python} with "
                    f"{dict(about.libraries)} and Python {other.python} with {dict(other.libraries)}; install the same "
                    "version of Touchstone and of its packages on all servers"
                )
        common = [name for name in about.layers if all(name in other.layers for other in known.values())]
        return replace(about, layers=tuple(common))

    def _checked(self, server: Server, about: About, limits: dict[str, Any]) -> About:
        """Raises SandboxUnavailable when it is less than the settings ask for."""
        if lacking := [name for name in self.settings.minimum if name not in about.layers]:
            raise SandboxUnavailable(
                f"sandbox: {server} does not offer {', '.join(lacking)}, which the recipe asks for (sandbox.minimum)"
            )
        if excess := wire.excess(wire.limits_of(self.settings), limits):
            raise SandboxUnavailable(f"sandbox: {server} allows less than the recipe asks for: {excess}")
        return about

    async def begin(self, opening: bytes) -> Place:
        """A session on the server that is the least full.

        Raises:
            ToolInfrastructureError: no server answered for PATIENCE_S seconds.
            SandboxUnavailable: all refuse it.
            ValueError: what is handed over is refused.
        """
        version = (await self.about()).version
        deadline, reason, refused = time.monotonic() + PATIENCE_S, "", set[Server]()
        while True:
            if reason and time.monotonic() > deadline:  # others may be opened all the while
                raise ToolInfrastructureError(f"sandbox: {reason}")
            try:
                server = await self.fleet.choose(deadline)
            except Gone as error:
                raise ToolInfrastructureError(f"sandbox: {reason or error}") from None
            server.coming += 1
            try:
                return await self._begin_at(server, opening, version)
            except Busy as error:  # which is waiting, not failing
                server.rest(error.after)
                deadline = time.monotonic() + PATIENCE_S
            except (Gone, wire.Malformed) as error:
                reason = str(error) if isinstance(error, Gone) else f"{server}: {error}"
                server.rest()
            except Refused as error:
                if error.code == "files":
                    raise ValueError(str(error)) from None
                reason = _refusal(server, error)
                server.rest()
                if error.code in FOR_GOOD:
                    refused.add(server)
                if refused.issuperset(self.fleet.servers):
                    raise SandboxUnavailable(reason) from None
            finally:
                server.coming -= 1

    async def _begin_at(self, server: Server, opening: bytes, version: str) -> Place:
        """Raises Gone, Busy, Refused, Malformed."""
        # The id is ours, so that the same session is meant when we ask again, and can be closed without an answer.
        place = Place(server, f"/v1/sessions/{wire.new_session()}")
        method, body = "PUT", opening
        try:
            while True:
                began = time.monotonic()
                status, head, _ = await self.fleet.ask(server, method, place.path, body, wire.FRAME)
                server.told(wire.read_load(head))
                if head.get("version") != version:
                    raise Refused("version", "its libraries are others than when this run began")
                layers = head.get("layers")
                if any(name not in (layers if isinstance(layers, list) else ()) for name in self.settings.minimum):
                    raise Refused("layers", "it does not offer the layers that the recipe asks for (sandbox.minimum)")
                if status == 200:
                    server.proved()
                    return place
                method, body = "GET", b""
                await asyncio.sleep(began + LEAST_WAIT_S - time.monotonic())
        except BaseException as error:
            if method == "GET" or not isinstance(error, Busy):
                self.leave(place)
            raise

    def leave(self, place: Place) -> asyncio.Task[None]:
        """Tell a session's server that it is not needed any more. The task ends within CLOSE_S seconds."""
        task = asyncio.create_task(self._delete(place))
        tasks = self._here().tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _delete(self, place: Place) -> None:
        with contextlib.suppress(Gone, Busy, Refused, wire.Malformed, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                _, head, _ = await self.fleet.ask(place.server, "DELETE", place.path, attempts=2)
                place.server.told(wire.read_load(head))

    async def open(self, images: Sequence[bytes] = (), files: Mapping[str, bytes] | None = None) -> RemoteSession:
        """See the contract."""
        check_files(images, files or {})
        await self.about()
        slots = self._here().slots
        await slots.acquire()
        session = RemoteSession(self, images, files or {})
        self._open[session] = slots
        try:
            await session.start()
        except BaseException:
            await session.close()
            raise
        return session

    def closed(self, session: RemoteSession) -> None:
        """A session has ended: the next one may come in."""
        self._open.pop(session).release()

    async def close(self) -> None:
        """Close all sessions that are still open, and the connections."""
        await asyncio.gather(*(session.close() for session in list(self._open)), return_exceptions=True)
        if tasks := self._here().tasks:
            await asyncio.wait(tasks)
        await self.fleet.aclose()


def check_servers(settings: Settings) -> About:
    """What the servers of a recipe are, for callers outside an event loop, or inside one that may wait for it.

    Raises:
        SandboxUnavailable: see `RemoteSandbox.about`.
    """

    async def ask() -> About:
        sandbox = RemoteSandbox(settings)
        try:
            return await sandbox.about()
        finally:
            await sandbox.close()

    return run_apart(ask())
