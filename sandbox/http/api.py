"""The answers of a sandbox server (docs/sandbox-server.md): the token, the requests, the refusals."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from records.faults import ToolInfrastructureError
from records.recipe import SandboxSettings
from sandbox.contract import Sandbox, SandboxUnavailable, check_files
from sandbox.description import SandboxDescription
from sandbox.http import wire
from sandbox.http.server_sessions import OpenSession, ServerSessions, WrongCell

_log = logging.getLogger(__name__)

HOLD_S = 20.0
"""How many seconds a request waits at most before the answer is 202, to ask again: what lies between a client and its
server (proxies, address translation) forgets connections on which nothing moves, often after a minute."""
BODY_S = 300.0
"""How many seconds the whole body of a request may take to arrive."""
MOST_WAITING = 1000
"""How many sessions may wait for their turn; further ones are refused with 503."""
MOST_WAITING_BYTES = 1 << 30
"""How many bytes of images and files the waiting sessions may have; further ones are refused with 503."""
RETRY_AFTER_S = 2
"""After how many seconds a client is asked to try again when too many sessions wait."""
Opening = tuple[list[bytes], dict[str, bytes], SandboxSettings, int | None]
"""What a session is opened with: images, files, limits and seed."""
CLOSE = {"Connection": "close"}
"""The header that ends the connection, so that the rest of a body is not read."""


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.headers = status, code, headers


def _answer(head: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(head), status, headers, wire.JSON)


class Door:
    """Lets in those who know the token. Others get 401, whatever they ask for, and their body is not read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, hashlib.sha256(token.encode()).digest()

    def _known(self, scope: Scope) -> bool:
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        # Hashed, so that not even the length shows in the time it takes.
        same = hmac.compare_digest(hashlib.sha256(token.strip()).digest(), self._token)
        return same and scheme.lower() == b"bearer"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._known(scope):
            await Response(status_code=401, headers={"WWW-Authenticate": "Bearer", **CLOSE})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _body(request: Request, most: int) -> bytearray:
    """The body of a request, never more of it than `most` bytes."""
    refusal = Refusal(413, "too_large", f"at most {most} bytes are accepted", CLOSE)
    if int(request.headers.get("content-length", "0")) > most:
        raise refusal
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise refusal
    except TimeoutError:
        raise Refusal(408, "too_slow", f"the body took more than {BODY_S:g} seconds", CLOSE) from None
    except ClientDisconnect:
        raise Refusal(400, "gone", "the client closed the connection") from None
    return data


async def _gone(request: Request) -> None:
    """Wait until the client of a request whose body was read has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Api:
    """The handlers of the requests."""

    def __init__(
        self,
        make: Callable[[SandboxSettings], Sandbox],
        settings: SandboxSettings,
        description: SandboxDescription,
        idle_s: float,
        hold_s: float,
    ) -> None:
        self._make, self._settings, self._description = make, settings, description
        self._idle_s, self._hold_s = idle_s, hold_s
        self._sessions: ServerSessions
        self._coming = 0
        """Bytes of bodies that are being read."""

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._sessions = ServerSessions(self._make, self._settings, self._idle_s)
        reaper = asyncio.create_task(self._sessions.drop_forgotten())
        try:
            yield
        finally:
            reaper.cancel()
            await self._sessions.close()

    def _find(self, request: Request) -> OpenSession:
        session = self._sessions.find(request.path_params["session"])
        if session is None:
            raise Refusal(404, "unknown_session", "there is no such session on this server, or it has ended")
        return session

    async def status(self, _: Request) -> Response:
        """GET /v1/status"""
        return _answer(wire.pack_status(self._description, self._settings, self._sessions.load))

    async def _read_opening(self, request: Request) -> Opening:
        """Images, files, limits and seed that may be handed to a session. Raises Refusal, Malformed."""
        size = min(int(request.headers.get("content-length", wire.MAX_OPEN_BYTES)), wire.MAX_OPEN_BYTES)
        full = self._sessions.waiting_bytes + self._coming + size > MOST_WAITING_BYTES
        if full or self._sessions.load.waiting >= MOST_WAITING:
            headers = {"Retry-After": str(RETRY_AFTER_S), **CLOSE}
            raise Refusal(503, "busy", "too many sessions are waiting for their turn", headers)
        self._coming += size
        try:
            body = await _body(request, wire.MAX_OPEN_BYTES)
            images, files, limits, seed = await asyncio.to_thread(wire.read_opening, body, self._settings)
        finally:
            self._coming -= size
        if excess := wire.excess(wire.limits_of(limits), wire.limits_of(self._settings)):
            raise Refusal(422, "limits", excess)
        try:
            check_files(images, files)
        except ValueError as error:
            raise Refusal(422, "files", str(error)) from None
        return images, files, limits, seed

    async def open(self, request: Request) -> Response:
        """POST /v1/sessions, PUT /v1/sessions/{session}"""
        session_id = wire.check_session(request.path_params.get("session") or wire.new_session())
        opening = await self._read_opening(request)
        session = self._sessions.find(session_id) or self._sessions.begin(session_id, *opening)
        del opening  # the session may wait for long
        with session.asked():
            gone = asyncio.create_task(_gone(request))
            try:
                await asyncio.wait({session.opening, gone}, timeout=self._hold_s, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    if session.asking == 1 and not session.number:  # nobody has tried again or run a cell meanwhile
                        self._sessions.drop(session)
                    raise Refusal(400, "gone", "the client closed the connection")
            finally:
                gone.cancel()
        return self._opened(session)

    async def opened(self, request: Request) -> Response:
        """GET /v1/sessions/{session}"""
        session = self._find(request)
        with session.asked():
            await asyncio.wait({session.opening}, timeout=self._hold_s)
        return self._opened(session)

    def _opened(self, session: OpenSession) -> Response:
        """Whether a session is open. Raises Refusal if it cannot be opened, and forgets it then."""
        if not session.opening.done():
            state, code = "waiting", 202
        else:
            state, code = "open", 200
            try:
                session.opening.result()
            except BaseException as error:
                self._sessions.drop(session)
                raise self._refusal(error) from None
        load = asdict(self._sessions.load)
        head = {
            "session": session.id,
            "state": state,
            "version": self._description.version,
            "layers": self._description.layers,
        }
        return _answer(head | {"sessions": load}, code)

    @staticmethod
    def _refusal(error: BaseException) -> Refusal:
        """The answer about a session that could not be opened, or a cell that has no result."""
        if isinstance(error, asyncio.CancelledError):
            return Refusal(404, "unknown_session", "the session was closed in the meantime")
        if isinstance(error, SandboxUnavailable):
            return Refusal(501, "unavailable", str(error))
        if isinstance(error, ValueError):
            return Refusal(422, "files", str(error))
        if not isinstance(error, ToolInfrastructureError):
            _log.error("a session failed", exc_info=error)
        return Refusal(503, "fault", f"{type(error).__name__}: {error}")

    async def cell(self, request: Request) -> Response:
        """POST /v1/sessions/{session}/cells"""
        session = self._find(request)
        with session.asked():
            number, code = wire.read_cell(await _body(request, wire.MAX_HEAD_BYTES))
            answer = self._sessions.run(session, number, code)
            await asyncio.wait({answer}, timeout=self._hold_s)
        if not answer.done():
            return _answer({"session": session.id, "cell": number, "state": "running"}, 202)
        try:
            return Response(answer.result(), media_type=wire.FRAME)
        except BaseException as error:
            raise self._refusal(error) from None

    async def close(self, request: Request) -> Response:
        """DELETE /v1/sessions/{session}"""
        await asyncio.shield(self._sessions.drop(self._find(request)))
        return _answer({"sessions": asdict(self._sessions.load)})


def refused(_: Request, error: Exception) -> Response:
    """The answer to a request that raised Refusal, Malformed or WrongCell."""
    if isinstance(error, wire.Malformed):
        error = Refusal(400, "malformed", str(error))
    if isinstance(error, WrongCell):
        error = Refusal(409, "wrong_cell", str(error))
    assert isinstance(error, Refusal)
    return _answer({"error": error.code, "detail": str(error)}, error.status, error.headers)
