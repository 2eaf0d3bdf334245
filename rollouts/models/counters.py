"""What an endpoint was asked and what it took."""

from dataclasses import dataclass


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
    estimated: int = 0
    """Completions whose tokens the server did not count: they are estimated from the text."""
    seconds: float = 0.0
    """Sum over completed calls; those in flight at once are each counted in full."""
