"""How long a server asks to wait, in whichever of the usual headers or words.

`Retry-After` counts where it is given. Otherwise it is the end of the window that is used up: servers count requests
and tokens apart, and say for each what remains and when it starts anew.
"""

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)\s*(milliseconds?|msecs?|ms|ns|us|µs|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)"
_DURATION = re.compile(rf"(?:{_PART}[\s,]*(?:and\s+)?)+", re.IGNORECASE)
_SINGLE = re.compile(_PART, re.IGNORECASE)
_IN_WORDS = re.compile(
    r"(?:try again|retry|retrying|wait|available|resets?|retry[_ -]?(?:after|delay))[^\d.]{0,40}?"
    rf"((?:{_PART}(?![a-z])[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_IN_A_FIELD = re.compile(r"retry[_-]?(?:after|delay|in)(?:_?(ms|s|seconds))?\W{1,5}(\d+(?:\.\d+)?)\b", re.IGNORECASE)
_EPOCH_S, _EPOCH_MS = 10**9, 10**12
"""Numbers from here on are moments, in seconds and in milliseconds."""


def is_about_waiting(header: str) -> bool:
    """Whether a response's header says something about when to come back."""
    name = header.lower()
    return name in ("date", "retry-after", "retry-after-ms", "x-retry-after") or "ratelimit" in name.replace("-", "")


def asked_to_wait(headers: Mapping[str, str], said: str) -> float | None:
    """Seconds that the server asks to wait; None where it asks for nothing.

    Args:
        headers: of its response.
        said: the words of its body.
    """
    given = {name.lower(): value for name, value in headers.items()}
    now = _moment(given.get("date", "")) or time.time()  # by the server's clock, which ours may differ from
    if (milliseconds := _seconds(given.get("retry-after-ms", ""), now)) is not None:
        return milliseconds / 1000
    for name in ("retry-after", "x-retry-after"):
        if wait := _seconds(given.get(name, ""), now):
            return wait
    if (wait := _window(given, now)) is not None:
        return wait
    return _in_words(said)


def _window(given: Mapping[str, str], now: float) -> float | None:
    """Seconds until the window that is used up starts anew; the first of all to end where none is said to be."""
    used_up, others = [], []
    for name, value in given.items():
        plain = name.replace("_", "-")
        if "ratelimit" not in plain.replace("-", ""):
            continue
        fields = dict(re.findall(r"\b(limit|remaining|reset|r|t)\s*=\s*\"?([\d.]+)", value.lower()))
        if "reset" in plain:
            wait = _seconds(value, now)
            left = given.get(name.replace("reset", "remaining"), "").strip()
        elif fields:  # the header of the standard: limit=100, remaining=0, reset=50, or "default";r=0;t=50
            wait = _seconds(fields.get("reset", fields.get("t", "")), now)
            left = fields.get("remaining", fields.get("r", ""))
        else:
            continue
        if wait is not None:
            (used_up if re.fullmatch(r"-?0*(\.0+)?", left) and left else others).append(wait)
    if used_up:
        return max(used_up)
    return min((wait for wait in others if wait > 0), default=None)


def _seconds(value: str, now: float) -> float | None:
    """Seconds from a header's value: a number, a duration such as 1m30s, or a moment."""
    value = value.strip().strip('"')
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        if number >= _EPOCH_MS:
            number = number / 1000 - now
        elif number >= _EPOCH_S:
            number -= now
        return max(0.0, number)
    if _DURATION.fullmatch(value):
        return _duration(value)
    moment = _moment(value)
    return None if moment is None else max(0.0, moment - now)


def _duration(text: str) -> float:
    return sum(float(number) * _unit(unit) for number, unit in _SINGLE.findall(text))


def _unit(name: str) -> float:
    name = name.lower()
    return _UNITS.get(name) or _UNITS["ms" if name.startswith(("ms", "milli")) else name[0]]


def _moment(value: str) -> float | None:
    """Seconds since 1970 of an ISO date or one of HTTP."""
    try:
        found = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError):
        return None


def _in_words(said: str) -> float | None:
    """Seconds as the body says them: try again in 1m30.5s, retryDelay 34s, retry_after 20."""
    if found := _IN_WORDS.search(said):
        return _duration(found.group(1))
    if found := _IN_A_FIELD.search(said):
        return float(found.group(2)) * (1e-3 if found.group(1) == "ms" else 1.0)
    return None
