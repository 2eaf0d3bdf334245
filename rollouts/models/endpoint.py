"""The client of an OpenAI-compatible endpoint: bounded, retried, and honest about what failed."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Self

from rollouts.models.addresses import Address, read_address
from rollouts.models.connections import Connections, EndpointLimits, ServerTraits
from rollouts.models.contract import Completion, ContextLengthExceeded, QuestionRefused, Request
from rollouts.models.counters import Counters
from rollouts.models.limiter import watch
from rollouts.models.meaning import meaning
from rollouts.models.outage import Call
from rollouts.models.replies import Asked, EndpointFailing, EndpointRefused, RetryLater, read_completion, read_failure
from rollouts.models.sending import send
from rollouts.models.served_models import served_context, served_names

_log = logging.getLogger(__name__)

FIRST_DELAY_S = 1.0
"""The n-th retry waits FIRST_DELAY_S * 2**n seconds, at most LONGEST_DELAY_S, times a random 0.5 to 1."""
LONGEST_DELAY_S = 30.0
"""Seconds of the longest wait that the endpoint did not ask for."""
MOST_PATIENCE = 10
"""So many times its patience a call is asked again for, while others come through an endpoint that is asked too often:
one that never fits must end too."""
PROBE_TIMEOUT_S = 30.0
"""Seconds that the smallest request may take, when it is asked whether the endpoint still answers."""
DEFAULT_LIMITS, NO_TRAITS = EndpointLimits(), ServerTraits()


class Endpoint:
    """A served model behind an OpenAI-compatible API. Satisfies `Completer`.

    Args:
        url: the API's base, such as http://host:8000/v1, or a function that returns it. The function is called in a
            thread before the first call, and again when the connection fails: `LocalServer.start` starts the server
            only when a call is really made, and starts one that has died again.
        model: the name the endpoint serves the model under.
        fingerprint: identity of the model, a part of every rollout's identity.
        api_key: sent as a bearer token; never logged. A user and a password in the url are sent too, and not logged.
        limits: how much it is asked for, and how patiently.
        traits: what is known of this server alone.

    Raises:
        AddressError: the url or the key cannot be used as it is.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        model: str,
        fingerprint: str,
        api_key: str | None = None,
        limits: EndpointLimits = DEFAULT_LIMITS,
        traits: ServerTraits = NO_TRAITS,
    ) -> None:
        self.model, self.fingerprint, self.traits = model, fingerprint, traits
        self.limits = limits
        self.counters = Counters()
        self._url = url
        self._address = read_address(url, api_key) if isinstance(url, str) else Address("")
        self._context: list[int | None] = []
        self._tries: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.model!r} at {self._address.url or 'a local server'})"

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight at most."""
        return self.limits.concurrency

    @property
    def limit(self) -> int:
        """How many requests may be in flight now: `concurrency`, or fewer while the server cannot take as many."""
        return self.concurrency if self._loop is None else self._here.limiter.limit

    def context(self) -> int | None:
        """The tokens of the server's context, or None where it does not say. A server that others run is asked once."""
        if not self._context:
            known = self.traits.context
            ask = known is None and bool(self._address.url)
            self._context.append(served_context(self._address, self.model) if ask else known)
        return self._context[0]

    async def complete(self, request: Request) -> Completion:
        """One chat completion. A reply cut at max_tokens is a completion (finish_reason `length`).

        Sends no seed: vLLM on a CPU dies of it. Cancelling the call closes its connection, which stops the generation.

        After a ModelOutage, calls that wait and new calls fail at once with the same one, until a call that was under
        way succeeds, or until `aclose`.

        Raises:
            ModelOutage: nothing goes through: a refusal that holds for every request (key, quota, model name, url,
                max_tokens, a finish_reason that is not known); or all retries failed, or the local server could not be
                had, and no other call succeeded meanwhile; or several different requests were refused, and none ever
                succeeded; or the environment's proxy or certificates cannot be used.
            EndpointRefused: HTTP 4xx for which a retry cannot help (a ModelUnavailable).
            EndpointFailing: connection errors, time-outs, 413, 429, 5xx and replies that are no completion, beyond all
                retries (a ModelUnavailable).
            ContextLengthExceeded: the endpoint refused the prompt as too long.
            QuestionRefused: the endpoint refused what was asked by its rules of content, and answers others.
        """
        self.counters.calls += 1
        try:
            here = self._attached()
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
            self._here = Connections.opened(self.limits, self._address.authorization, remote)
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
            if self.traits.vllm:
                body["include_stop_str_in_output"] = True
        return body | request.extra

    async def _or_outage(self, here: Connections, request: Request) -> Completion:
        body, outages = self._body(request), here.outages
        with outages.under_way() as call:
            try:
                completion = await self._with_retries(here, body, request)
            except (EndpointRefused, EndpointFailing, QuestionRefused, ContextLengthExceeded) as failure:
                error = await meaning(
                    failure, request, self.context, outages.ever_succeeded, lambda: self._answers(here)
                )
                if isinstance(error, QuestionRefused):
                    raise error from None
                # Without asking, a single request that it cannot bear, asked when all others are done, would look like
                # an outage in every run.
                if isinstance(error, EndpointFailing) and outages.silent_since(call):
                    await self._answers(here, call)
                if (outage := outages.shown_by(error, call, body)) is None:
                    raise error from None
                raise outage from error
        outages.succeeded()
        here.limiter.succeeded()
        self._tries.pop(request.id, None)
        return completion

    async def _answers(self, here: Connections, call: Call | None = None) -> bool:
        """Whether the smallest request gets an answer now, or another call has had one since `call` began.

        An answer counts as a call that came through.
        """
        async with here.probing:
            if call is not None and not here.outages.silent_since(call):
                return True
            starts_itself = callable(self._url) and not here.found_url
            if here.outages.declared or starts_itself:
                return False
            smallest = Request([{"role": "user", "content": "1"}], temperature=0.0, top_p=1.0, max_tokens=1)
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._attempt(here, self._body(smallest), smallest)
            except (TimeoutError, RetryLater, RuntimeError):
                return False
            here.outages.succeeded()
            return True

    async def _with_retries(self, here: Connections, body: dict[str, Any], request: Request) -> Completion:
        began, failed = time.monotonic(), 0
        while True:
            # Once the endpoint has asked for rest, all calls wait. A call keeps its slot while it waits:
            # fewer requests are what an overloaded server needs.
            await here.outages.pause(here.resting_until - time.monotonic())
            sent = time.monotonic()
            try:
                return await self._attempt(here, body, request)
            except RetryLater as failure:
                last, failed = failure, failed + 1
            if last.overloaded and here.limiter.overloaded(sent):
                self.counters.backoffs += 1
            delay = self._delay(last, failed, began, here.outages.last_success)
            if delay is None:
                break
            if last.after is not None:
                here.resting_until = max(here.resting_until, time.monotonic() + last.after)
            _log.info("%r: %s (%s); retry %d in %.1f s", self, last.kind, last.detail, failed, delay)
            await here.outages.pause(delay)
            self.counters.retries += 1
        seconds = time.monotonic() - began
        message = f"{self!r}: {last.kind} after {failed} attempts in {seconds:.0f} s; the last: {last.detail}"
        raise EndpointFailing(message, last.kind)

    def _delay(self, last: RetryLater, failed: int, began: float, last_success: float) -> float | None:
        """Seconds until the next try of a call that has failed so often; None when it is given up."""
        now, after, patience = time.monotonic(), last.after or 0.0, self.limits.patience_s
        if after > patience:
            return None
        delay = max(after, min(FIRST_DELAY_S * 2 ** min(failed - 1, 30), LONGEST_DELAY_S) * random.uniform(0.5, 1))
        if failed <= self.limits.max_retries:
            return delay
        asked_too_often = last.kind == "rate_limit" and now + delay <= max(began, last_success) + patience
        return delay if asked_too_often and now <= began + MOST_PATIENCE * patience else None

    async def _base_url(self, here: Connections) -> str:
        if not callable(self._url):
            return self._address.url
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
            response = await send(here, url, body, headers, self.limits.timeout_s)
        except RetryLater as failure:
            if failure.kind == "timeout":
                self._check_open(here)
            else:
                here.found_url = ""  # ask again: the server may have died
            raise
        asked = Asked(request.max_tokens, bool(self._address.authorization), self.traits.finish_reasons)
        try:
            if response.status_code != 200:
                raise read_failure(response, asked)
            completion, estimated = read_completion(response, time.monotonic() - start, asked)
        except EndpointRefused as error:
            more = f"; {await served_names(here.client, url)}" if error.status == 404 else ""
            raise EndpointRefused(f"{self!r}: {error}{more}", error.status, error.holds_for_all, error.kind) from None
        if estimated:
            self._note_estimate()
        return completion

    def _note_estimate(self) -> None:
        if not self.counters.estimated:
            _log.warning("%r does not count the tokens that it writes: they are estimated from the text", self)
        self.counters.estimated += 1

    def _check_open(self, here: Connections) -> None:
        if here.clients[0].is_closed:
            raise EndpointFailing(f"{self!r}: it was closed while a call was under way", "closed")

    def _watch(self, here: Connections) -> None:
        """See that the server's gauges are looked at, unless it has none."""
        if (last := here.watcher) is not None and (not last.done() or last.exception() or not last.result()):
            return

        def url() -> str:
            return self._address.url or here.found_url

        def lowered() -> None:
            self.counters.backoffs += 1

        here.watcher = asyncio.create_task(watch(here.limiter, here.clients[0], url, lowered))
