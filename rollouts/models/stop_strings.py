"""Which stop string ended a reply, as far as the server says."""

from collections.abc import Mapping
from typing import Any

_FIELDS = ("stop_reason", "matched_stop", "stopping_word")
"""vLLM (null: none did), SGLang (the number of a token: none did), llama.cpp ("": none did)."""


def stopped_by(choice: Mapping[str, Any]) -> str | None:
    """The stop string that a choice of a chat completion names; "" if it says that none was met, None if it says
    nothing. It may be another word of the server's: whoever asks knows the stop strings."""
    for name in _FIELDS:
        if name in choice:
            return choice[name] if isinstance(choice[name], str) else ""
    return None
