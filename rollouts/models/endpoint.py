"""The client of an OpenAI-compatible endpoint: bounded, retried, and honest about what failed."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from rollouts.models.connections import Connections, EndpointLimits
from rollouts.models.contract import Completion, ContextLengthExceeded, MalformedReply, Request
from rollouts.models.limiter import watch
from rollouts.models.outage import Call
from rollouts.models.replies import (
    EndpointFailing,
    EndpointRefused,
    RetryLater,
    read_completion,
    read_refusal,
    received,
)
from rollouts.models.served_models import served_names

_log = logging.getLogger(__name__)

FIRST_DELAY_S = 1.0
"""The n-th retry waits FIRST_DELAY_S * 2**n seconds, at most LONGEST_DELAY_S, times a random 0.5 to 1."""
LONGEST_DELAY_S = 30.0
"""Seconds of the longest wait that the endpoint did not ask for."""
LONGEST_RETRY_AFTER_S = 600.0
"""A Retry-After beyond this is not waited out."""
PROBE_TIMEOUT_S = 30.0
"""Seconds that the smallest request may take, when it is asked whether the endpoint still answers."""
DEFAULT_LIMITS = EndpointLimits()


@dataclass
class Counters:
    """What an endpoint was asked and what it took; calls = completed + failed."""

    calls: int = 0
    completed: int = 0
    failed: int = 0
    retries: int = 0
    backoffs: int = 0
    """How often the limit on requests in flight was lowered."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Sum over completed calls; those in flight at once are each counted in full."""


class Endpoint:
    """A served model behind an OpenAI-compatible API. Satisfies `Completer`.

    Args:
        url: the API's base, such as http://host:8000/v1, or a function that returns it. The function is called in a
            thread before the first call, and again when the connection fails: `LocalServer.start` starts the server
            only when a call is really made, and starts one that has died again.
        model: the name the endpoint serves the model under.
        fingerprint: identity of the model, a part of every rollout's identity.
        api_key: sent as a bearer token; never logged.
        limits: how much it is asked for, and how patiently.
        vllm: whether the server is vLLM, which can be asked to keep the stop string in the text. Without this the
            text ends before the stop string.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        model: str,
        fingerprint: str,
        api_key: str | None = None,
        limits: EndpointLimits = DEFAULT_LIMITS,
        vllm: bool = False,
    ) -> None:
        self.model, self.fingerprint, self.vllm = model, fingerprint, vllm
        self.limits = limits
        self.counters = Counters()
        self._url, self._api_key = url, api_key
        self._tries: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.model!r} at {self._url if isinstance(self._url, str) else 'a local server'})"

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight at most."""
        return self.limits.concurrency

    @property
    def limit(self) -> int:
        """How many requests may be in flight now: `concurrency`, or fewer while the server cannot take as many."""
        return self.concurrency if self._loop is None else self._here.limiter.limit

    async def complete(self, request: Request) -> Completion:
        """One chat completion. A reply cut at max_tokens is a completion (finish_reason `length`).

        Sends no seed: vLLM on a CPU dies of it. Cancelling the call closes its connection, which stops the generation.

        After a ModelOutage, calls that wait and new calls fail at once with the same one, until a call that was under
        way succeeds, or until `aclose`.

        Raises:
            ModelOutage: nothing goes through: a refusal that holds for every request (key, quota, model name, url);
                or all retries failed, or the local server could not be had, and no other call succeeded meanwhile; or
                several different requests were refused or got malformed replies, and none ever succeeded.
            EndpointRefused: HTTP 4xx for which a retry cannot help (a ModelUnavailable).
            EndpointFailing: connection errors, time-outs, 429 and 5xx beyond all retries (a ModelUnavailable).
            ContextLengthExceeded: the endpoint refused the prompt as too long.
            MalformedReply: it kept answering 200 with something else than a chat completion.
        """
        here = self._attached()
        self.counters.calls += 1
        try:
            here.outages.check()
            async with here.limiter:
                self._check_open(here)
                self._watch(here)
                completion = await self._or_outage(here, request)
        except BaseException:
            self.counters.failed += 1
            raise
        self.counters.completed += 1
        self.counters.prompt_tokens += completion.prompt_tokens
        self.counters.completion_tokens += completion.completion_tokens
        self.counters.seconds += completion.seconds
        return completion

    async def aclose(self) -> None:
        """Close the connections; calls under way fail. The endpoint can be used again."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None
            await self._here.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _attached(self) -> Connections:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            remote = isinstance(self._url, str)  # a proxy has no business between us and our own server
            self._here = Connections.opened(self.limits, self._api_key, remote)
            self._loop = loop
        return self._here

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": request.messages,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
        }
        if request.stop:
            body["stop"] = list(request.stop)
            if self.vllm:
                body["include_stop_str_in_output"] = True
        return body | request.extra

    async def _or_outage(self, here: Connections, request: Request) -> Completion:
        body = self._body(request)
        with here.outages.under_way() as call:
            try:
                completion = await self._with_retries(here, body, request)
            except (EndpointRefused, EndpointFailing, MalformedReply, ContextLengthExceeded) as error:
                if isinstance(error, EndpointFailing) and await self._answers_others(here, call):
                    here.outages.succeeded()
                if (outage := here.outages.shown_by(error, call, body)) is None:
                    raise
                raise outage from error
        here.outages.succeeded()
        here.limiter.succeeded()
        self._tries.pop(request.id, None)
        return completion

    async def _answers_others(self, here: Connections, call: Call) -> bool:
        """Whether the smallest request gets an answer, where no other call shows that the endpoint still works.

        Otherwise a single request that it cannot bear, asked when all others are done, would look like an outage in
        every run.
        """
        async with here.probing:
            starts_itself = not isinstance(self._url, str) and not here.found_url
            if here.outages.declared or starts_itself or not here.outages.silent_since(call):
                return False
            smallest = Request([{"role": "user", "content": "1"}], temperature=0.0, top_p=1.0, max_tokens=1)
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._attempt(here, self._body(smallest), smallest)
            except (TimeoutError, RetryLater, RuntimeError):
                return False
            return True

    async def _with_retries(self, here: Connections, body: dict[str, Any], request: Request) -> Completion:
        began = time.monotonic()
        for number in range(self.limits.max_retries + 1):
            # Once the endpoint has asked for rest, all calls wait. A call keeps its slot while it waits:
            # fewer requests are what an overloaded server needs.
            await here.outages.pause(here.resting_until - time.monotonic())
            sent = time.monotonic()
            try:
                return await self._attempt(here, body, request)
            except RetryLater as failure:
                last = failure
            if last.overloaded and here.limiter.overloaded(sent):
                self.counters.backoffs += 1
            if number == self.limits.max_retries or (last.after or 0) > LONGEST_RETRY_AFTER_S:
                break
            delay = min(FIRST_DELAY_S * 2**number, LONGEST_DELAY_S) * random.uniform(0.5, 1)
            if last.after is not None:
                delay = max(delay, last.after)
                here.resting_until = max(here.resting_until, time.monotonic() + last.after)
            _log.info("%r: %s (%s); retry %d in %.1f s", self, last.kind, last.detail, number + 1, delay)
            await here.outages.pause(delay)
            self.counters.retries += 1
        seconds = time.monotonic() - began
        message = f"{self!r}: {last.kind} after {number + 1} attempts in {seconds:.0f} s; the last: {last.detail}"
        if last.kind == "malformed":
            raise MalformedReply(message)
        raise EndpointFailing(message, last.kind)

    async def _base_url(self, here: Connections) -> str:
        if isinstance(self._url, str):
            return self._url.rstrip("/")
        async with here.starting:
            if not here.found_url:
                try:
                    here.found_url = (await asyncio.to_thread(self._url)).rstrip("/")
                except RuntimeError as error:  # ServerError: it has had its restarts
                    raise EndpointFailing(str(error), "server_lost") from error
            return here.found_url

    async def _attempt(self, here: Connections, body: dict[str, Any], request: Request) -> Completion:
        url = await self._base_url(here)
        self._check_open(here)
        headers = {}
        if request.id:
            # A number of its own for every try: the one before may still be running at the server.
            self._tries[request.id] = self._tries.get(request.id, 0) + 1
            headers["X-Request-Id"] = f"{request.id}-{self._tries[request.id]}"
        start = time.monotonic()
        try:
            # httpx restarts its time-out with every chunk; a server that trickles must not occupy the slot for ever.
            async with asyncio.timeout(self.limits.timeout_s) as deadline:
                here.deadlines.add(deadline)
                try:
                    sending = here.client.stream("POST", f"{url}/chat/completions", json=body, headers=headers)
                    async with sending as streamed:
                        response = await received(streamed)
                finally:
                    here.deadlines.remove(deadline)
        except (TimeoutError, httpx.TimeoutException):
            self._check_open(here)
            raise RetryLater("timeout", f"no reply within {self.limits.timeout_s} s", overloaded=True) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise EndpointRefused(f"{self!r}: {error}: give a URL such as http://host:8000/v1", 0) from None
        except httpx.HTTPError as error:
            here.found_url = ""  # ask again: the server may have died
            raise RetryLater("connection", f"{type(error).__name__}: {error}") from None
        if response.status_code != 200:
            error = read_refusal(response, has_key=bool(self._api_key))
            if isinstance(error, EndpointRefused):
                more = f"; {await served_names(here.client, url)}" if error.status == 404 else ""
                error = EndpointRefused(f"{self!r}: {error}{more}", error.status)
            raise error
        return read_completion(response, time.monotonic() - start, request.max_tokens)

    def _check_open(self, here: Connections) -> None:
        if here.clients[0].is_closed:
            raise EndpointFailing(f"{self!r}: it was closed while a call was under way", "closed")

    def _watch(self, here: Connections) -> None:
        """See that the server's gauges are looked at, unless it has none."""
        if (last := here.watcher) is not None and (not last.done() or last.exception() or not last.result()):
            return

        def url() -> str:
            return self._url if isinstance(self._url, str) else here.found_url

        def lowered() -> None:
            self.counters.backoffs += 1

        here.watcher = asyncio.create_task(watch(here.limiter, here.clients[0], url, lowered))
