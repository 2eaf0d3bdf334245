"""What an endpoint's HTTP response means: a completion, a failure that may pass, or one that will not."""

import email.utils
import logging
import re
import time
from typing import Any

import httpx

from rollouts.models.contract import Completion, ContextLengthExceeded, ModelUnavailable
from rollouts.models.stop_strings import stopped_by

_log = logging.getLogger(__name__)

LARGEST_REPLY = 32 * 2**20
"""Bytes of a reply's body that are read; a longer one is malformed."""
LARGEST_ERROR = 2**16
"""Bytes that are read of what the server says about an error; the rest is left."""
BYTES_A_TOKEN, BYTES_TO_SPARE = 256, 1000
"""A text longer than BYTES_A_TOKEN * max_tokens + BYTES_TO_SPARE was not written under that max_tokens."""
OVERLOADED = (408, 429, 503, 504, 529)
"""HTTP statuses by which a server says that it is asked for too much (529: Anthropic's)."""

# vLLM and OpenAI ("maximum context length", "context_length_exceeded"), vLLM ("maximum model length", "input tokens"),
# SGLang ("longer than the model's context length"), llama.cpp ("exceed_context_size_error"), TGI, Anthropic.
_TOO_LONG = re.compile(
    r"context.?length|maximum model length|max_model_len|context.?(size|window)|prompt is too long|input is too long"
    r"|too many (input )?tokens|`inputs` must have less than",
    re.IGNORECASE,
)


class EndpointRefused(ModelUnavailable):
    """The endpoint refuses such requests (key, model name, body): retrying cannot help, the message says what to do."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def holds_for_all(self) -> bool:
        """Whether any other request is refused too: key, quota, model name or url are wrong, not the request."""
        return self.status < 400 or self.status in (401, 402, 403, 404, 405, 429)


class EndpointFailing(ModelUnavailable):
    """The endpoint kept failing. `kind`: connection, timeout, rate_limit, server_error, aborted, server_lost or
    closed (by us, under a call)."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class RetryLater(Exception):
    """One attempt failed in a way that may pass.

    `after`: seconds the endpoint asked us to wait. `overloaded`: whether fewer requests at once may help.
    """

    def __init__(self, kind: str, detail: str, after: float | None = None, overloaded: bool = False) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.after, self.overloaded = kind, detail, after, overloaded


async def received(response: httpx.Response) -> httpx.Response:
    """The response to a streamed request with its body in memory, and never more of it than we have use for.

    Raises:
        RetryLater: the body of a 200 is larger than LARGEST_REPLY.
    """
    most = LARGEST_REPLY if response.status_code == 200 else LARGEST_ERROR
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            if response.status_code == 200:
                raise RetryLater("malformed", f"the reply is longer than {most} bytes")
            break
    # the body is decompressed by now, which the other headers deny
    kept = {name: response.headers[name] for name in ("content-type", "retry-after") if name in response.headers}
    return httpx.Response(response.status_code, headers=kept, content=bytes(body[:most]))


def what_it_said(response: httpx.Response) -> str:
    """What the endpoint said about an error, in at most 500 characters."""
    return " ".join(response.text.split())[:500] or "(nothing)"


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait as asked by the Retry-After header: a number of seconds or a date."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _tokens(usage: Any, key: str) -> int:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def read_completion(response: httpx.Response, seconds: float, max_tokens: int) -> Completion:
    """Read a 200 reply.

    Raises:
        RetryLater: it is not a chat completion, or is longer than max_tokens allows (both `malformed`), or the server
            gave up on it (`aborted`).
    """
    try:
        reply = response.json()
        choice = reply["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        if not isinstance(text, str):
            raise TypeError(f"content is {type(text).__name__}, not text")
        calls = [
            {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
            for call in message.get("tool_calls") or []
        ]
        if not all(isinstance(part, str) for call in calls for part in call.values()):
            raise TypeError("a tool call's name or arguments are not text")
        # encode() also refuses half surrogate pairs, which no table can hold
        size = sum(len(part.encode()) for part in (text, *(part for call in calls for part in call.values())))
        if size > (most := BYTES_A_TOKEN * max_tokens + BYTES_TO_SPARE):
            raise ValueError(f"{size} bytes of text, where max_tokens {max_tokens} cannot be more than {most}")
        finish_reason = choice.get("finish_reason") or "unknown"
        if not isinstance(finish_reason, str):
            raise TypeError("finish_reason is not text")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise RetryLater("malformed", f"{type(error).__name__}: {error} in: {what_it_said(response)}") from None
    if finish_reason in ("abort", "error"):  # the server gave up on it, not the model
        raise RetryLater("aborted", f"finish_reason {finish_reason}")
    usage = reply.get("usage")
    return Completion(
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=_tokens(usage, "prompt_tokens"),
        completion_tokens=_tokens(usage, "completion_tokens"),
        seconds=seconds,
        tool_calls=calls,
        stopped_by=stopped_by(choice),
    )


def read_refusal(response: httpx.Response, has_key: bool) -> Exception:
    """The error that a response other than 200 means: RetryLater, ContextLengthExceeded or EndpointRefused."""
    status, said = response.status_code, what_it_said(response)
    if status == 429 and "insufficient_quota" in said:
        return EndpointRefused(f"HTTP 429: the account has no quota left: {said}", status)
    if status in (408, 409, 425, 429) or status >= 500:
        kind = "rate_limit" if status == 429 else "server_error"
        return RetryLater(kind, f"HTTP {status}: {said}", _retry_after(response), status in OVERLOADED)
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(said)):
        return ContextLengthExceeded(f"HTTP {status}: {said}")
    todo = "the request is not one it takes"
    if status in (401, 403):
        todo = "the key was not accepted" if has_key else "give a key through api_key_env"
    elif status == 404:
        todo = "check url and model"
    elif status < 400:
        todo = "give a URL that neither redirects nor answers so"
    return EndpointRefused(f"HTTP {status}: {todo}; it said: {said}", status)
