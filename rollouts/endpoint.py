"""The client of an OpenAI-compatible endpoint: bounded, retried, and honest about what failed."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from records.identity import content_hash
from rollouts.model import Completion, MalformedReply, ModelUnavailable, Request
from rollouts.replies import EndpointFailing, EndpointRefused, RetryLater, read_completion, read_refusal, what_it_said

_log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 30.0
"""The n-th retry waits FIRST_DELAY_S * 2**n seconds, at most LONGEST_DELAY_S, times a random 0.5 to 1."""
LONGEST_RETRY_AFTER_S = 600.0
"""A Retry-After beyond this is not waited out."""


@dataclass
class Counters:
    """What an endpoint was asked and what it took; calls = completed + failed."""

    calls: int = 0
    completed: int = 0
    failed: int = 0
    retries: int = 0
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
        concurrency: requests in flight at most; further calls wait.
        timeout_s: seconds for one attempt.
        max_retries: attempts after the first.
        vllm: whether the server is vLLM, which can be asked to keep the stop string in the text. Without this the
            text ends before the stop string.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        model: str,
        fingerprint: str,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout_s: float = 300,
        max_retries: int = 6,
        vllm: bool = False,
    ) -> None:
        self.model, self.fingerprint, self.vllm = model, fingerprint, vllm
        self.concurrency, self.timeout_s, self.max_retries = concurrency, timeout_s, max_retries
        self.counters = Counters()
        self._url, self._api_key = url, api_key
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.model!r} at {self._url if isinstance(self._url, str) else 'a local server'})"

    async def complete(self, request: Request) -> Completion:
        """One chat completion. A reply cut at max_tokens is a completion (finish_reason `length`).

        Sends no seed: vLLM on a CPU dies of it. Cancelling the call closes its connection, which stops the generation.

        Raises:
            EndpointRefused: HTTP 4xx for which a retry cannot help (a ModelUnavailable).
            EndpointFailing: connection errors, time-outs, 429 and 5xx beyond all retries (a ModelUnavailable).
            ContextLengthExceeded: the endpoint refused the prompt as too long.
            MalformedReply: it kept answering 200 with something else than a chat completion.
        """
        client, slots = self._attached()
        self.counters.calls += 1
        try:
            async with slots:
                completion = await self._with_retries(client, self._body(request))
        except BaseException:
            self.counters.failed += 1
            raise
        self.counters.completed += 1
        self.counters.prompt_tokens += completion.prompt_tokens
        self.counters.completion_tokens += completion.completion_tokens
        self.counters.seconds += completion.seconds
        return completion

    async def aclose(self) -> None:
        """Close the connections. The endpoint can be used again."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _attached(self) -> tuple[httpx.AsyncClient, asyncio.Semaphore]:
        """Connections and slots belong to one event loop; an endpoint outlives the loops it is used in."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
            remote = isinstance(self._url, str)  # a proxy has no business between us and our own server
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.concurrency)
            self._client = httpx.AsyncClient(timeout=self.timeout_s, limits=limits, headers=headers, trust_env=remote)
            self._slots = asyncio.Semaphore(self.concurrency)
            self._starting = asyncio.Lock()
            self._found_url = ""
            self._resting_until = 0.0
            self._loop = loop
        return self._client, self._slots

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

    async def _with_retries(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Completion:
        for attempt in range(self.max_retries + 1):
            # Once the endpoint has asked for rest, it is given rest by all calls. A call keeps its slot while it waits:
            # fewer requests are what an overloaded server needs.
            await asyncio.sleep(max(0.0, self._resting_until - time.monotonic()))
            try:
                return await self._attempt(client, body)
            except RetryLater as failure:
                last = failure
            if attempt == self.max_retries or (last.after or 0) > LONGEST_RETRY_AFTER_S:
                break
            self.counters.retries += 1
            delay = min(FIRST_DELAY_S * 2**attempt, LONGEST_DELAY_S) * random.uniform(0.5, 1)
            if last.after is not None:
                delay = max(delay, last.after)
                self._resting_until = max(self._resting_until, time.monotonic() + last.after)
            _log.info("%r: %s (%s); retry %d in %.1f s", self, last.kind, last.detail, attempt + 1, delay)
            await asyncio.sleep(delay)
        message = f"{self!r}: {last.kind} after {attempt + 1} attempts; the last: {last.detail}"
        if last.kind == "malformed":
            raise MalformedReply(message)
        raise EndpointFailing(message, last.kind)

    async def _base_url(self) -> str:
        if isinstance(self._url, str):
            return self._url.rstrip("/")
        async with self._starting:
            if not self._found_url:
                try:
                    self._found_url = (await asyncio.to_thread(self._url)).rstrip("/")
                except RuntimeError as error:  # ServerError: it has had its restarts
                    raise EndpointFailing(str(error), "server_lost") from error
            return self._found_url

    async def _attempt(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Completion:
        url = await self._base_url()
        start = time.monotonic()
        try:
            # httpx counts its time-out anew for every chunk; a server that trickles must not hold the slot for ever.
            async with asyncio.timeout(self.timeout_s):
                response = await client.post(f"{url}/chat/completions", json=body)
        except (TimeoutError, httpx.TimeoutException):
            raise RetryLater("timeout", f"no reply within {self.timeout_s} s") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise EndpointRefused(f"{self!r}: {error}: give a URL such as http://host:8000/v1", 0) from None
        except httpx.HTTPError as error:
            self._found_url = ""  # ask again: the server may have died
            raise RetryLater("connection", f"{type(error).__name__}: {error}") from None
        if response.status_code != 200:
            error = read_refusal(response, has_key=bool(self._api_key))
            if isinstance(error, EndpointRefused):
                more = f"; {await _served(client, url)}" if error.status == 404 else ""
                error = EndpointRefused(f"{self!r}: {error}{more}", error.status)
            raise error
        return read_completion(response, time.monotonic() - start)


async def _served(client: httpx.AsyncClient, url: str) -> str:
    try:
        listed = (await client.get(f"{url}/models", timeout=10)).json()["data"]
        return f"it serves: {', '.join(sorted(str(model['id']) for model in listed))}"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "it does not list what it serves (GET /models), so the url may lack /v1"


def remote_fingerprint(url: str, model: str, revision: str = "", api_key: str | None = None) -> str:
    """Identity of a model behind a URL that others run.

    With a revision it is the name and the revision, and the endpoint is not asked. Without one it is the name and what
    GET /models says the name stands for (vLLM and SGLang give `root`, the weights' path or hub id); where it says
    nothing, a change of the weights behind the name cannot be seen.

    Raises:
        ModelUnavailable: there is no revision, and the endpoint cannot be reached or refuses the key.
    """
    if revision:
        return content_hash({"model": model, "revision": revision})
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        response = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelUnavailable(f"{url}: cannot be reached to ask what it serves: {error}") from None
    if response.status_code in (401, 403, 429) or response.status_code >= 500:
        raise ModelUnavailable(f"{url}: HTTP {response.status_code} to GET /models: {what_it_said(response)}")
    says: dict[str, Any] = {}
    try:
        for entry in response.json()["data"]:
            if entry["id"] == model:
                says = {key: entry[key] for key in ("root", "parent") if isinstance(entry.get(key), str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # such an endpoint has no list of models
    return content_hash({"model": model, "says": says})
