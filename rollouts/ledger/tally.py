"""How many calls were made and how many were read from the ledger, counted for whoever asks for them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Calls by kind, such as `model` and `tool`."""

    made: Counter[str] = field(default_factory=lambda: Counter(model=0, tool=0))
    reused: Counter[str] = field(default_factory=lambda: Counter(model=0, tool=0))
    """Those that were read from the ledger."""

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Calls that are asked for within, and within the tasks that are started there, count here too."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def make(self, kind: str) -> None:
        """A call was made."""
        for tally in self._counted_in():
            tally.made[kind] += 1

    def reuse(self, kind: str) -> None:
        """A call was read."""
        for tally in self._counted_in():
            tally.reused[kind] += 1

    def _counted_in(self) -> tuple["Tally", ...]:
        current = _CURRENT.get()
        return (self,) if current is None else (self, current)


_CURRENT: ContextVar[Tally | None] = ContextVar("current tally", default=None)
