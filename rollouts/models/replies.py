"""What an endpoint's HTTP response means: a completion, a failure that may pass, or one that will not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rollouts.models import wordings
from rollouts.models.contract import Completion, ContextLengthExceeded, ModelUnavailable, QuestionRefused
from rollouts.models.error_bodies import Said, error_inside, read_error, what_it_said
from rollouts.models.finish_reasons import FINISH_REASONS, FinishReason, UnknownFinishReason, said_reason, unsaid_reason
from rollouts.models.message_parts import MessageParts, read_message
from rollouts.models.redaction import redacted
from rollouts.models.stop_strings import stopped_by
from rollouts.models.usage import BYTES_A_TOKEN, counted, usage_of
from rollouts.models.windows import asked_to_wait, is_about_waiting

LARGEST_REPLY = 32 * 2**20
"""Bytes of a reply's body that are read; a longer one is malformed."""
LARGEST_ERROR = 2**16
"""Bytes that are read of what the server says about an error; the rest is left."""
BYTES_TO_SPARE = 1000
"""A text longer than BYTES_A_TOKEN * max_tokens + BYTES_TO_SPARE was not written under that max_tokens."""
OVERLOADED = (408, 429, 503, 504, 529)
"""HTTP statuses by which a server says that it is asked for too much (529: Anthropic's)."""
_OF_THE_REQUEST = (400, 403, 404, 406, 409, 413, 422, 424, 451, 500, 501)
"""HTTP statuses with which servers speak of what they were asked."""


class EndpointRefused(ModelUnavailable):
    """The endpoint refuses such requests (key, model name, body): retrying cannot help, the message says what to do.

    `holds_for_all`: whether any other request is refused too: key, quota, model name or url are wrong, not the request.
    `kind`: what kind of outage it then is.
    """

    def __init__(self, message: str, status: int, holds_for_all: bool | None = None, kind: str = "refused") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind
        of_all = status < 400 or status in (401, 402, 403, 404, 405, 429)
        self.holds_for_all = of_all if holds_for_all is None else holds_for_all


class EndpointFailing(ModelUnavailable):
    """The endpoint kept failing. `kind`: connection, timeout, rate_limit, too_large, server_error, aborted, malformed,
    server_lost or closed (by us, under a call)."""

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


@dataclass(frozen=True)
class Asked:
    """What has to be known of a request and its endpoint to read the reply."""

    max_tokens: int
    has_key: bool = False
    finish_reasons: Mapping[str, FinishReason] | None = None
    """What this endpoint's own words for the end of a reply mean."""


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
    kept = {name: value for name, value in response.headers.items() if name == "content-type" or is_about_waiting(name)}
    return httpx.Response(response.status_code, headers=kept, content=bytes(body[:most]))


def read_completion(response: httpx.Response, seconds: float, asked: Asked) -> tuple[Completion, bool]:
    """Read a 200 reply: the completion, and whether its tokens had to be estimated.

    A reply that the server's rules of content kept back is a completion with the finish reason `filtered`.

    Raises:
        RetryLater: it is not a chat completion, or is longer than max_tokens allows (both `malformed`), or the server
            gave up on it (`aborted`), or it holds an error that may pass.
        EndpointRefused: it holds an error that will not pass, or ended for a reason that is not known.
        ContextLengthExceeded, QuestionRefused: it holds an error that means so.
    """
    try:
        reply = response.json()
    except (ValueError, RecursionError) as error:
        raise _malformed(error, response) from None
    if (said := error_inside(response, reply)) is not None:
        raise _failure(said, asked, response.headers, "an error with HTTP 200")
    try:
        choice = reply["choices"][0]
        parts = read_message(choice["message"])
        _check_size(parts, asked.max_tokens)
        word = choice.get("finish_reason", choice.get("finishReason"))
        if word is not None and not isinstance(word, str) and not (isinstance(word, dict) and "type" in word):
            raise TypeError("finish_reason is not text")
        reason = _reason(reply, parts, word, asked)
    except UnknownFinishReason as error:
        raise EndpointRefused(
            f"it ended a reply with the finish_reason {redacted(error)!r}, which is not known: say what it means under "
            f"finish_reasons of the model in the recipe, such as finish_reasons: {{{redacted(error)}: stop}} (one of "
            f"{', '.join(FINISH_REASONS)})", 0, True, "finish_reason",
        ) from None  # fmt: skip
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        raise _malformed(error, response) from None
    if reason == "aborted":  # the server gave up on it, not the model
        raise RetryLater("aborted", f"finish_reason {redacted(word)}: {what_it_said(response)}")
    usage = usage_of(reply, parts.texts, reason, asked.max_tokens)
    completion = Completion(
        text=parts.text,
        finish_reason=reason,
        prompt_tokens=usage.read,
        completion_tokens=usage.written,
        seconds=seconds,
        tool_calls=parts.calls,
        reasoning=parts.reasoning,
        stopped_by=stopped_by(choice),
    )
    return completion, usage.estimated


def _reason(reply: dict[str, Any], parts: MessageParts, word: object, asked: Asked) -> FinishReason:
    reason = said_reason(word, asked.finish_reasons)
    if parts.refusal and not parts.text and not parts.calls:
        return "filtered"
    if reason is None:
        return unsaid_reason(parts.text or parts.reasoning, bool(parts.calls), counted(reply)[1], asked.max_tokens)
    return reason


def _check_size(parts: MessageParts, max_tokens: int) -> None:
    """Raises ValueError for more than max_tokens allows, or for half surrogate pairs, which no table can hold."""
    sizes = [len(text.encode()) for text in parts.texts]
    size = sum(sizes) - len(parts.reasoning.encode())  # not every server counts the thoughts among max_tokens
    if size > (most := BYTES_A_TOKEN * max_tokens + BYTES_TO_SPARE):
        raise ValueError(f"{size} bytes of text, where max_tokens {max_tokens} cannot be more than {most}")


def _malformed(error: Exception, response: httpx.Response) -> RetryLater:
    return RetryLater("malformed", redacted(f"{type(error).__name__}: {error} in: {what_it_said(response)}"))


def read_failure(response: httpx.Response, asked: Asked) -> Exception:
    """What a response other than 200 means: RetryLater, ContextLengthExceeded, QuestionRefused or EndpointRefused."""
    return _failure(read_error(response), asked, response.headers, f"HTTP {response.status_code}")


def _failure(said: Said, asked: Asked, headers: Mapping[str, str], where: str) -> Exception:
    """The exception that an error means. Words count for more than the status, on which servers do not agree."""
    status, text = said.status, said.text
    what = f"{where}: {said.shown}"
    after = asked_to_wait(headers, text)
    if status == 402 or (status in (400, 403, 429) and wordings.says_no_quota(text) and not after):
        return EndpointRefused(f"{where}: the account has no quota left: {said.shown}", status or 429, True)
    if status in _OF_THE_REQUEST or not status:
        if wordings.says_too_long(text):
            return ContextLengthExceeded(what, wordings.said_limit(text))
        if status < 500 and wordings.says_content(text) and not wordings.says_rate(text):
            return QuestionRefused(what)
    if status == 429 or (status in (0, 400, 403, 413, 500, 503) and wordings.says_rate(text)):
        kind = "too_large" if wordings.says_never_fits(text) else "rate_limit"
        return RetryLater(kind, what, after, overloaded=kind == "rate_limit")
    if status == 413:
        return RetryLater("too_large", what, after)
    if status in (408, 409, 425) or status >= 500:
        return RetryLater("server_error", what, after, status in OVERLOADED)
    if not status:
        return RetryLater("malformed", what, after)
    return _refusal(status, text, said, asked, where)


def _refusal(status: int, text: str, said: Said, asked: Asked, where: str) -> EndpointRefused:
    todo, holds, kind = "the request is not one it takes", None, "refused"
    if wordings.says_max_tokens(text):
        todo, holds, kind = "lower max_tokens of the recipe's sampling", True, "max_tokens"
    elif status in (401, 403):
        todo = "the key was not accepted" if asked.has_key else "give a key through api_key_env"
    elif status == 404:
        todo = "check url and model"
    elif status == 407:
        todo = "the proxy that the environment names wants a user and a password"
    elif status < 400:
        todo = "give a URL that neither redirects nor answers so"
    return EndpointRefused(f"{where}: {todo}; it said: {said.shown}", status, holds, kind)
