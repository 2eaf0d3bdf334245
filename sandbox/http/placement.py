"""Which sandbox servers may be used, and on which of them a session is opened."""

import asyncio
import contextlib
import logging
import time
import weakref
from dataclasses import dataclass, replace
from typing import Any

from records.faults import ToolInfrastructureError
from records.recipe import SandboxSettings
from sandbox.contract import SandboxUnavailable
from sandbox.description import SandboxDescription
from sandbox.http import wire
from sandbox.http.fleet import Busy, Fleet, Gone, Refused, Server

PATIENCE_S = 60.0
"""How many seconds servers get to come back when a session has to be opened."""
CLOSE_S = 10.0
"""How many seconds a server gets to say that a session is closed; it ends forgotten ones by itself."""
LEAST_WAIT_S = 0.2
"""The least seconds between two requests for what is not ready, even where a server answers at once."""
REFUSED_FOR_GOOD = ("unauthorized", "limits", "unavailable", "version", "layers")
"""The codes of refusals that apply to every session."""
_log = logging.getLogger(__name__)


def _refusal(server: Server, refused: Refused) -> str:
    """What a server refused, and what to do about it, in a person's words."""
    todo = (
        f"; {wire.TOKEN_VARIABLE} must have the same value here as on the server"
        if refused.code == "unauthorized"
        else ""
    )
    return f"sandbox: {server}: {refused}{todo}"


@dataclass(frozen=True)
class Place:
    """A session on a server."""

    server: Server
    path: str


class SessionPlacer:
    """Opens and closes the sessions of one client on the servers that the settings name.

    The token comes from the environment. May be used from one event loop after the other.

    Raises:
        SandboxUnavailable: an entry of `servers` is not the URL of a server.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.fleet = Fleet(settings.servers, wire.token_from_environment, settings.sessions)
        self._description: SandboxDescription | None = None
        self._meeting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._meeting = weakref.WeakKeyDictionary()
        self._closing: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[None]]]
        self._closing = weakref.WeakKeyDictionary()

    async def describe(self) -> SandboxDescription:
        """What the servers are; they are asked once.

        Raises:
            SandboxUnavailable: none answers, the token is missing or refused, they differ, or one of them
                allows or isolates less than the settings ask for.
        """
        async with self._meeting.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._description is None:
                self._description = await self._meet()
            return self._description

    async def _meet(self) -> SandboxDescription:
        servers, known = self.fleet.servers, dict[Server, SandboxDescription]()
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
        first, description = next(iter(known.items()))
        for server, other in known.items():
            if other.version != description.version:
                raise SandboxUnavailable(
                    f"sandbox: {first} and {server} may give different results: Python {description.python} with "
                    f"{dict(description.libraries)} and Python {other.python} with {dict(other.libraries)}; install "
                    "the same version of Touchstone and of its packages on all servers"
                )
        common = [name for name in description.layers if all(name in other.layers for other in known.values())]
        return replace(description, layers=tuple(common))

    def _checked(self, server: Server, description: SandboxDescription, limits: dict[str, Any]) -> SandboxDescription:
        """The same description. Raises SandboxUnavailable when it is less than the settings ask for."""
        if lacking := [name for name in self.settings.minimum if name not in description.layers]:
            raise SandboxUnavailable(
                f"sandbox: {server} does not offer {', '.join(lacking)}, which the recipe asks for (sandbox.minimum)"
            )
        if excess := wire.excess(wire.limits_of(self.settings), limits):
            raise SandboxUnavailable(f"sandbox: {server} allows less than the recipe asks for: {excess}")
        return description

    async def begin(self, opening: bytes) -> Place:
        """Open a session on the server that is the least full.

        Raises:
            ToolInfrastructureError: no server answered for PATIENCE_S seconds.
            SandboxUnavailable: all servers refuse it.
            ValueError: the images or files are refused.
        """
        version = (await self.describe()).version
        deadline, reason, refused = time.monotonic() + PATIENCE_S, "", set[Server]()
        while True:
            if reason and time.monotonic() > deadline:  # the servers may be opening others all the while
                raise ToolInfrastructureError(f"sandbox: {reason}")
            try:
                server = await self.fleet.choose(deadline)
            except Gone as error:
                raise ToolInfrastructureError(f"sandbox: {reason or error}") from None
            server.coming += 1
            try:
                return await self._begin_at(server, opening, version)
            except Busy as error:  # waiting is not failing
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
                if error.code in REFUSED_FOR_GOOD:
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
                    raise Refused("version", "its libraries have changed since this run began")
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
        """Tell the server that a session is not needed any more. The task ends within CLOSE_S seconds."""
        task = asyncio.create_task(self._delete(place))
        tasks = self._closing.setdefault(asyncio.get_running_loop(), set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _delete(self, place: Place) -> None:
        with contextlib.suppress(Gone, Busy, Refused, wire.Malformed, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                _, head, _ = await self.fleet.ask(place.server, "DELETE", place.path, attempts=2)
                place.server.told(wire.read_load(head))

    async def aclose(self) -> None:
        """Wait until the servers know of all closed sessions, and close this event loop's connections."""
        if tasks := self._closing.get(asyncio.get_running_loop()):
            await asyncio.wait(tasks)
        await self.fleet.aclose()
