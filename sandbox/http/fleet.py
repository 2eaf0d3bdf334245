"""The sandbox servers as one client sees them: asking, asking again, and which to ask."""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from sandbox.contract import SandboxUnavailable
from sandbox.description import SandboxDescription
from sandbox.http import wire

_log = logging.getLogger(__name__)

ATTEMPTS = 4
"""How often one request is sent."""
FIRST_DELAY_S = 0.1
"""The n-th repetition of a request waits FIRST_DELAY_S * 2**n seconds, times a random 0.5 to 1.5."""
CONNECT_S = 5.0
"""How many seconds connecting may take."""
SILENCE_S = 45.0
"""How many seconds may pass without a byte moving; servers answer within 20, if only with 202."""
REQUEST_S = 300.0
"""How many seconds one whole request may take."""
KEEP_S = 30.0
"""How many seconds an idle connection is kept, to be used again; servers keep theirs longer."""
FRESH_S = 5.0
"""How many seconds the load that a server reported is believed."""
LOOK_S = 1.0
"""How many seconds to wait for servers to report their load again."""
FIRST_REST_S = 1.0
"""How many seconds a server that failed is avoided; twice as long every further time."""
LONGEST_REST_S = 60.0
"""The most seconds that a server that failed is avoided."""
LONGEST_RETRY_AFTER_S = 60.0
"""The most seconds that a client waits because a busy server asks for it."""
REQUESTS_PER_CLIENT = 8
"""How many requests share a client. An httpx client looks at all of its connections for every request, so many small
clients are faster than a large one."""
LOCAL = ("127.0.0.1", "::1", "localhost")
"""The hosts that are this machine."""


class Gone(Exception):
    """The server does not answer as ours would, after retries."""


class Busy(Exception):
    """The server takes no further sessions at the moment. `after`: the seconds that it asks us to wait."""

    def __init__(self, after: float) -> None:
        super().__init__("the server takes no further sessions at the moment")
        self.after = after


class Refused(Exception):
    """The server understood the request and refuses it. `code` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class PassingFailure(Exception):
    """One request failed in a way that may pass."""


class Server:
    """One server, and what is known about it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            parsed = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError) as error:
            raise SandboxUnavailable(f"sandbox: {url!r} is not a URL ({error})") from None
        more = parsed.userinfo or parsed.query or parsed.fragment
        if parsed.scheme not in ("http", "https") or not parsed.host or more:
            raise SandboxUnavailable(f"sandbox: {url!r} is not the URL of a server, such as https://host:8717")
        self.is_local = parsed.host in LOCAL
        if parsed.scheme == "http" and not self.is_local:
            _log.warning("sandbox: %s: the token and all code are sent unencrypted; use https", url)
        self._load, self._load_at = wire.Load(), -math.inf
        self._rest_s, self.resting_until = 0.0, 0.0
        self.coming = 0
        """How many sessions we are asking it for."""

    def __repr__(self) -> str:
        return self.url

    def told(self, load: wire.Load) -> None:
        """Note how busy it says it is."""
        self._load, self._load_at = load, time.monotonic()

    def proved(self) -> None:
        """Note that it opened a session, so it works."""
        self._rest_s, self.resting_until = 0.0, 0.0

    def rest(self, seconds: float | None = None) -> None:
        """Avoid it for a while: as long as it asked for, or else longer every time."""
        if seconds is None:
            if time.monotonic() < self.resting_until:
                return  # another request has just found out
            self._rest_s = min(LONGEST_REST_S, max(FIRST_REST_S, 2 * self._rest_s))
            seconds = self._rest_s
            _log.warning("sandbox: %s is avoided for %.1f s", self, seconds)
        self.resting_until = time.monotonic() + seconds * random.uniform(1, 1.2)

    @property
    def is_stale(self) -> bool:
        return time.monotonic() > self._load_at + FRESH_S

    @property
    def fullness(self) -> float:
        return (self._load.open + self._load.waiting + self.coming) / self._load.capacity


class Fleet:
    """All servers of one client. May be used from one event loop after the other.

    Args:
        urls: the URLs of the servers.
        token: returns the token of all servers; called when it is needed.
        sessions: how many sessions are open at once, at most.

    Raises:
        SandboxUnavailable: one of them is not the URL of a server.
    """

    def __init__(self, urls: Sequence[str], token: Callable[[], str], sessions: int) -> None:
        self.servers = [Server(url) for url in dict.fromkeys(urls)]
        self._token, self._count = token, math.ceil(sessions / REQUESTS_PER_CLIENT)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _attach(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            self._loop = asyncio.get_running_loop()
            self._clients: dict[bool, deque[httpx.AsyncClient]] = {}
            self._looking: asyncio.Future[Any] | None = None

    def _client(self, is_local: bool) -> httpx.AsyncClient:
        """The client whose turn it is. No proxy is used between us and our own machine."""
        self._attach()
        if is_local not in self._clients:
            tls = httpx.create_ssl_context()  # slow to make, so they share one
            headers = {"Authorization": f"Bearer {self._token()}", "Accept-Encoding": "identity"}
            self._clients[is_local] = deque(
                httpx.AsyncClient(
                    timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S, pool=None),
                    limits=httpx.Limits(keepalive_expiry=KEEP_S),
                    headers=headers,
                    trust_env=not is_local,
                    verify=tls,
                )
                for _ in range(self._count)
            )
        self._clients[is_local].rotate()
        return self._clients[is_local][0]

    async def aclose(self) -> None:
        """Close this loop's connections."""
        self._attach()
        clients, self._clients = self._clients, {}
        for client in (client for kind in clients.values() for client in kind):
            await client.aclose()

    async def _once(
        self, server: Server, method: str, path: str, body: bytes, kind: str
    ) -> tuple[int, dict[str, Any], list[bytes]]:
        data = bytearray()
        try:
            async with asyncio.timeout(REQUEST_S):
                headers = {"Content-Type": kind} if body else {}
                sending = self._client(server.is_local).stream(method, server.url + path, content=body, headers=headers)
                async with sending as response:
                    # As it comes: a compressed answer could unfold to any size.
                    async for chunk in response.aiter_raw():
                        data += chunk
                        if len(data) > wire.MAX_ANSWER_BYTES:
                            raise PassingFailure(f"an answer of more than {wire.MAX_ANSWER_BYTES} bytes")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise PassingFailure(f"no answer in time ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise PassingFailure(f"{type(error).__name__}: {error}") from None
        return self._understood(response, data)

    @staticmethod
    def _understood(response: httpx.Response, data: bytearray) -> tuple[int, dict[str, Any], list[bytes]]:
        """Status, object and files of an answer. Raises PassingFailure, Busy, Refused."""
        status = response.status_code
        if status == 401:
            raise Refused("unauthorized", "the token was refused")
        try:
            if response.headers.get("content-type", "").startswith(wire.FRAME):
                head, blobs = wire.unpack(data)
            else:
                head, blobs = wire.read_json(data), []
        except wire.Malformed as error:
            said = f"; it begins with {bytes(data[:100])!r}" if data else ""
            raise PassingFailure(f"HTTP {status} with {error}{said}") from None
        if status in (200, 202):
            return status, head, blobs
        code, detail = (str(head.get(name))[:1000] for name in ("error", "detail"))
        if status == 503 and code == "busy":
            try:
                after = float(response.headers.get("retry-after", "1"))
            except ValueError:
                after = 1.0
            raise Busy(after if 0 <= after <= LONGEST_RETRY_AFTER_S else LONGEST_RETRY_AFTER_S)
        if status in (408, 429) or (status >= 500 and code not in ("unavailable", "fault")):
            raise PassingFailure(f"HTTP {status}: {detail}")
        raise Refused(code, detail)

    async def ask(
        self,
        server: Server,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = wire.JSON,
        attempts: int = ATTEMPTS,
    ) -> tuple[int, dict[str, Any], list[bytes]]:
        """Status (200 or 202), object and files of the answer to a request that may reach the server twice.

        Raises:
            Gone: all attempts failed; the server is avoided for a while.
            Busy, Refused: the server said so.
        """
        for attempt in range(attempts):
            try:
                return await self._once(server, method, path, body, kind)
            except PassingFailure as fault:
                last = fault
                _log.info("sandbox: %s: %s %s: %s", server, method, path.partition("/sessions/")[0], fault)
            if attempt < attempts - 1:
                await asyncio.sleep(FIRST_DELAY_S * 2**attempt * random.uniform(0.5, 1.5))
        server.rest()
        raise Gone(f"{server}: {last}")

    async def status(self, server: Server, attempts: int = ATTEMPTS) -> tuple[SandboxDescription, dict[str, Any]]:
        """What a server tells about itself, and its limits. Raises Gone, Busy, Refused."""
        _, head, _ = await self.ask(server, "GET", "/v1/status", attempts=attempts)
        try:
            description, limits, load = wire.read_status(head)
        except wire.Malformed as error:
            raise Gone(f"{server}: {error}") from None
        server.told(load)
        return description, limits

    async def choose(self, deadline: float) -> Server:
        """The server that is the least full of those that are not avoided.

        Raises:
            Gone: there was none until the deadline (of time.monotonic).
        """
        while not (well := [server for server in self.servers if time.monotonic() >= server.resting_until]):
            first = min(server.resting_until for server in self.servers)
            if first > deadline:
                raise Gone("no sandbox server answers")
            await asyncio.sleep(max(0.0, first - time.monotonic()))
        if len(well) > 1 and (stale := [server for server in well if server.is_stale]):
            await self._look(stale)
            well = [server for server in well if time.monotonic() >= server.resting_until] or well
        return min(well, key=lambda server: (server.fullness, random.random()))

    async def _look(self, servers: Sequence[Server]) -> None:
        """Ask these how busy they are; all callers that wait at once share one look."""

        async def look(server: Server) -> None:
            with contextlib.suppress(Gone, Busy, Refused):
                await self.status(server, attempts=1)

        self._attach()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.gather(*map(look, servers))
        await asyncio.wait({self._looking}, timeout=LOOK_S)
