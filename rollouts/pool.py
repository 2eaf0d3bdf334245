"""One pool of attempts: several kinds share a model's places, so that none waits for another's end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completer
from rollouts.room import Room

PROGRESS_SECONDS = 10.0
"""Seconds between two lines about the progress."""
ATTEMPTS_PER_REQUEST = 2
"""Attempts under way for each request that may be in flight: while some run their tools, others keep the model busy."""


@dataclass
class ProgressLines:
    """Counts what is done and says so, one line every ten seconds."""

    say: Callable[[str], None]
    totals: dict[str, int] = field(default_factory=dict)
    """Questions to attempt of each kind of attempts."""
    done: dict[str, int] = field(default_factory=dict)
    """Those that are through."""
    rollouts: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    def expect(self, kind: str, questions: int) -> None:
        """So many more questions of a kind are to be attempted."""
        self.totals[kind] = self.totals.get(kind, 0) + questions
        self.done.setdefault(kind, 0)

    def unfinished(self) -> list[str]:
        """The kinds that are not through."""
        return [kind for kind, total in self.totals.items() if self.done[kind] < total]

    def line(self) -> str:
        """How far everything is."""
        kinds = ", ".join(f"{kind} {self.done[kind]}/{total}" for kind, total in self.totals.items() if total)
        seconds = time.monotonic() - self.started
        return f"{kinds} questions; {self.rollouts} rollouts, {self.tokens} tokens written, {seconds:.0f} s"

    async def speak(self) -> None:
        """Say it again and again."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if any(self.totals.values()):
                self.say(self.line())


@dataclass
class Pool:
    """What attempts of one model over one ledger share: `async with pool`, and any number of Waves in it."""

    model: Completer
    ledger: Ledger
    concurrency: int
    """Requests that the model takes at once; ATTEMPTS_PER_REQUEST times as many attempts are under way."""
    say: Callable[[str], None]
    room: Room = field(init=False)
    progress: ProgressLines = field(init=False)
    _beside: list[asyncio.Task[None]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        self.room = Room(max(1, ATTEMPTS_PER_REQUEST * self.concurrency))
        self.progress = ProgressLines(self.say)

    async def __aenter__(self) -> Self:
        self._beside = [asyncio.create_task(self.progress.speak()), asyncio.create_task(self._look_around())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._beside:
            task.cancel()
        if any(self.progress.totals.values()):
            self.say(self.progress.line())

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(self.ledger.poll_seconds)
            try:
                await asyncio.to_thread(self.ledger.look_around)
            except Exception as error:  # without knowing what others do, some calls are made twice, and that is all
                self.say(f"the ledger of other runs could not be looked at: {error}")
