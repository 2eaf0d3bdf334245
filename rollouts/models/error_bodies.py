"""What a server says about an error, in whichever of the usual shapes, with whichever HTTP status."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from rollouts.models.redaction import redacted

SHOWN_CHARACTERS = 500
"""Characters of what a server said that are shown."""
READ_CHARACTERS = 20_000
"""Characters of it that are read; an error is said at the beginning."""
_ERRORS = ("error", "errors", "detail", "error_msg", "error_message", "error_code", "errorCode", "errmsg", "base_resp")
_CODES = ("status_code", "http_status", "httpStatus", "code", "status", "error_code", "errorCode")
_ECHOED = {"input", "inputs", "prompt", "messages", "flagged_input", "ctx", "request", "url", "headers"}
"""Fields in which servers send back what they were asked: they say nothing about the error."""
# Names of errors, in parts of which all gateways make theirs, and the HTTP status that each stands for.
_NAMES = (
    ("insufficient_quota", 429), ("resource_exhausted", 429), ("rate_limit", 429), ("ratelimit", 429),
    ("too_many_requests", 429), ("throttl", 429), ("overloaded", 529), ("unavailable", 503), ("timeout", 504),
    ("deadline_exceeded", 504), ("unauthenticated", 401), ("invalid_api_key", 401), ("authentication", 401),
    ("unauthorized", 401), ("permission", 403), ("forbidden", 403), ("model_not_found", 404), ("not_found", 404),
    ("invalid_request", 400), ("invalid_argument", 400), ("invalid_parameter", 400), ("bad_request", 400),
    ("badrequest", 400), ("content_filter", 400), ("context_length", 400), ("internal", 500), ("server_error", 500),
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a server said about an error."""

    text: str
    """All of its words, without what it sends back of the request; "" for a page of HTML, which is a gateway's."""
    status: int
    """The HTTP status that it means: that of the response, or of a 200 the one in its body; 0 where it names none."""
    shown: str
    """What can be shown of it."""


def what_it_said(response: httpx.Response) -> str:
    """What the endpoint said, in at most SHOWN_CHARACTERS and without a secret."""
    return redacted(" ".join(response.text[:READ_CHARACTERS].split()))[:SHOWN_CHARACTERS] or "(nothing)"


def read_error(response: httpx.Response) -> Said:
    """Read a response that is not 200."""
    body = _json(response)
    plain = response.text.strip()
    text = " ".join(_words(body)) if body is not None else "" if plain.startswith("<") else plain
    return Said(text[:READ_CHARACTERS], response.status_code, what_it_said(response))


def error_inside(response: httpx.Response, reply: Any) -> Said | None:
    """The error that a 200 holds instead of a completion; None where it holds none."""
    if not isinstance(reply, dict):
        return None
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    refused = reply.get("promptFeedback") or reply.get("prompt_feedback")
    if choice.get("error"):
        found: Any = choice["error"]
    elif reply.get("error"):
        found = reply["error"]
    elif choice:
        return None
    elif isinstance(refused, dict) and refused:
        found = {"code": 400, "block_reason": refused}
    elif reply.get("object") == "error" or any(reply.get(name) for name in _ERRORS):
        found = {key: value for key, value in reply.items() if key not in _ECHOED}
    elif "choices" not in reply and (reply.get("message") or reply.get("msg")):
        found = reply
    else:
        return None
    text = " ".join(_words(found))[:READ_CHARACTERS]
    return Said(text, _status(found) or _status(reply) or _named(text), what_it_said(response))


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.text)
    except (ValueError, RecursionError):
        return None


def _words(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts and numbers of an error, with the names of their fields, but not what is echoed."""
    if depth > 8:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _ECHOED:
                yield from (key, *_words(inner, depth + 1)) if inner else ()
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _words(inner, depth + 1)
    elif isinstance(value, str):
        yield from _words(nested, depth + 1) if (nested := _nested(value)) is not None else (value,)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _nested(text: str) -> Any:
    """The object in a text that is JSON itself: gateways wrap what the server behind them said."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _status(value: Any) -> int:
    """The HTTP status that an error names in a field of its own; 0 if none."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return 0
    for name in _CODES:
        code = value.get(name)
        if isinstance(code, str) and code.isdigit():
            code = int(code)
        if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
            return code
    return next((status for inner in ("error", "detail") if (status := _status(value.get(inner)))), 0)


def _named(text: str) -> int:
    """The HTTP status that the name of an error stands for; 0 if it has none that is known."""
    plain = text.lower().replace("-", "_").replace(" ", "_")
    return next((status for name, status in _NAMES if name in plain), 0)
