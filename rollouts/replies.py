"""What an endpoint's HTTP response means: a completion, a failure that may pass, or one that will not."""

import email.utils
import re
import time
from typing import Any

import httpx

from rollouts.model import Completion, ContextLengthExceeded, ModelUnavailable

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


class EndpointFailing(ModelUnavailable):
    """The endpoint kept failing. `kind`: connection, timeout, rate_limit, server_error, aborted or server_lost."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class RetryLater(Exception):
    """One attempt failed in a way that may pass; `after`: seconds the endpoint asked us to wait."""

    def __init__(self, kind: str, detail: str, after: float | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.after = kind, detail, after


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
    return value if isinstance(value, int) else 0


def read_completion(response: httpx.Response, seconds: float) -> Completion:
    """Read a 200 reply; raises RetryLater when it is no chat completion, or one that the server gave up on."""
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
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RetryLater("malformed", f"{type(error).__name__}: {error} in: {what_it_said(response)}") from None
    finish_reason = choice.get("finish_reason") or "unknown"
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
    )


def read_refusal(response: httpx.Response, has_key: bool) -> Exception:
    """The error that a response other than 200 stands for: RetryLater, ContextLengthExceeded or EndpointRefused."""
    status, said = response.status_code, what_it_said(response)
    if status == 429 and "insufficient_quota" in said:
        return EndpointRefused(f"HTTP 429: the account has no quota left: {said}", status)
    if status in (408, 409, 425, 429) or status >= 500:
        kind = "rate_limit" if status == 429 else "server_error"
        return RetryLater(kind, f"HTTP {status}: {said}", _retry_after(response))
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
