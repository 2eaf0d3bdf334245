"""The connections of an endpoint within one event loop, and what its calls there share."""

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import httpx

from rollouts.models.addresses import understandable
from rollouts.models.finish_reasons import FinishReason
from rollouts.models.limiter import Limiter
from rollouts.models.outage import Outages

REQUESTS_PER_CLIENT = 8
"""Requests in flight per httpx client, which looks at all of its connections for every request: many small clients keep
that short."""


@dataclass(frozen=True)
class EndpointLimits:
    """How much an endpoint is asked for, and how patiently."""

    concurrency: int = 32
    """Requests in flight at most; further calls wait. There are fewer while the server cannot take as many."""
    timeout_s: float = 300
    """Seconds for one attempt."""
    max_retries: int = 6
    """Attempts after the first. Where the endpoint only says that it is asked too often, `patience_s` counts."""
    patience_s: float = 600
    """Seconds for which a request is asked again whose endpoint says that it is asked too often, from its last answer
    to any request on; a longer wait than this is not waited out."""


@dataclass(frozen=True)
class ServerTraits:
    """What is known of one server alone."""

    vllm: bool = False
    """Whether it is vLLM, which can be asked to keep the stop string in the text. Without this the text ends before the
    stop string."""
    context: int | None = None
    """The tokens of its context. None: it is asked for them when they are needed."""
    finish_reasons: Mapping[str, FinishReason] = field(default_factory=dict)
    """What words of its own for the end of a reply mean."""


@dataclass
class Connections:
    """What belongs to one event loop and is closed with it; an endpoint outlives the loops that it is used in."""

    clients: deque[httpx.AsyncClient]
    """Used in turn."""
    limiter: Limiter
    outages: Outages
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)
    found_url: str = ""
    resting_until: float = 0.0
    deadlines: set[asyncio.Timeout] = field(default_factory=set)
    """The deadlines of the requests in flight: httpx lets requests wait on when it closes their connections."""
    watcher: asyncio.Task[bool] | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        """The client whose turn it is."""
        self.clients.rotate()
        return self.clients[0]

    @classmethod
    def opened(cls, limits: EndpointLimits, authorization: str, remote: bool) -> Self:
        """Connections of the running event loop; `remote` ones go through the proxy that the environment names.

        Raises:
            ModelOutage: that proxy, or the certificates that it names, cannot be used.
        """
        headers = {"Authorization": authorization} if authorization else {}
        pool = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        with understandable(remote):
            tls = httpx.create_ssl_context(trust_env=remote)  # slow to make, so the clients share one
            clients = deque(
                httpx.AsyncClient(timeout=limits.timeout_s, limits=pool, headers=headers, trust_env=remote, verify=tls)
                for _ in range(math.ceil(limits.concurrency / REQUESTS_PER_CLIENT))
            )
        limiter = Limiter(limits.concurrency)
        return cls(clients, limiter, Outages(limiter.fail_waiting))

    async def aclose(self) -> None:
        """Close them; calls under way fail."""
        if self.watcher is not None:
            self.watcher.cancel()
            await asyncio.wait([self.watcher])
        for client in self.clients:
            await client.aclose()
        self.outages.stir()
        for deadline in self.deadlines:
            deadline.reschedule(asyncio.get_running_loop().time())
