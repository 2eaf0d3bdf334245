"""How many tokens a reply took: as the server counted them, under whatever name, or estimated where it did not.

Budgets rest on this, so a count is never 0 for a reply in which there is something. An estimate counts rather too many
tokens than too few: then a budget ends early instead of never, and in the same way in every arm.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollouts.models.finish_reasons import FinishReason

MOST_TOKENS = 2**31
"""A count from here on is none."""
BYTES_A_TOKEN = 256
"""A text of more bytes than this for each token that the server counted was counted wrongly."""

_PLACES = (
    "usage",
    "usage_metadata",
    "usageMetadata",
    "meta",
    "details",
    "timings",
    "metrics",
    "billed_units",
    "tokens",
)
# in the order in which they are believed
_READ = (
    "prompt_tokens", "input_tokens", "prompt_eval_count", "promptTokenCount", "prompt_token_count", "prefill_tokens",
    "tokens_evaluated", "prompt_n", "inputTokens", "input_token_count",
)  # fmt: skip
_WRITTEN = (
    "completion_tokens", "output_tokens", "eval_count", "candidatesTokenCount", "candidates_token_count",
    "generated_tokens", "tokens_predicted", "predicted_n", "outputTokens", "generated_token_count",
    "output_token_count",
)  # fmt: skip
_THOUGHT = ("thoughtsTokenCount", "thoughts_token_count")
_TOTAL = ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens")
# Parts of which none is more than a token in the usual vocabularies, and most are less than one.
_PARTS = re.compile(r"[A-Za-z]{1,4}|[0-9]|[^\x00-\x7f]|[^A-Za-z0-9\s]|\s+")


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one reply. `read` is 0 where the server does not count it."""

    read: int
    written: int
    estimated: bool
    """Whether `written` is an estimate."""


def counted(reply: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens read and written as the server counted them; None for what it did not count."""
    for place in _places(reply):
        read, written = _first(place, _READ), _first(place, _WRITTEN)
        thought, total = _first(place, _THOUGHT), _first(place, _TOTAL)
        if written is None and thought is None and total is not None and read is not None:
            written = total - read
        elif written is not None or thought is not None:
            written = (written or 0) + (thought or 0)
            if total is not None and read is not None:  # some leave the thoughts out of what they call completion
                written = max(written, total - read)
        if read is not None or written is not None:
            return read, written if written is None or written >= 0 else None
    return None, None


def usage_of(reply: Mapping[str, Any], texts: Iterable[str], finish: FinishReason, max_tokens: int) -> TokenCounts:
    """The tokens of a reply.

    Args:
        texts: all that the model wrote: text, thoughts and calls.
        max_tokens: how many it was allowed.
    """
    read, written = counted(reply)
    whole = "".join(texts)
    plausible = written is not None and (written > 0 or not whole) and len(whole.encode()) <= BYTES_A_TOKEN * written
    if plausible and written is not None:
        return TokenCounts(read or 0, written, estimated=False)
    guess = max_tokens if finish == "length" else min(max_tokens, estimated_tokens(whole))
    return TokenCounts(read or 0, guess, estimated=True)


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few: 4 letters, a digit or a sign each."""
    return len(_PARTS.findall(text)) + 1


def _places(reply: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Where the counts may be: under one of the usual names, one deeper, or beside the choices."""
    for name in _PLACES:
        if isinstance(inner := reply.get(name), dict):
            yield inner
            yield from (deeper for key, deeper in inner.items() if key in _PLACES and isinstance(deeper, dict))
    yield reply


def _first(place: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """The first count above 0 among these names; 0 where there are such only, None where there is none."""
    found = None
    for name in names:
        value = place.get(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_TOKENS:
            continue  # NaN too: it compares as neither
        if value > 0:
            return math.ceil(value)
        found = 0
    return found
