"""How many requests may be in flight: as many as the server takes, and fewer as soon as it takes fewer.

Two things hold the limit down, and the lower one counts.

- What the server says no to. A refusal for overload (429, 503) or a time-out halves the limit; every success adds
  1 / limit, so that it grows by one for each round of successes. This is additive increase, multiplicative decrease
  (Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989).
- What a vLLM server says about itself. It queues whatever it cannot run at once and never says no; a queue there is
  of no use to us and holds up everybody else who uses the server. Its gauges say how long the queue is.

An idle server that runs as many requests as we may send keeps the limit at `most`: its queue is empty between polls,
and a passing one (prompts being read, a wave of questions starting) does not count.
"""

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx

from rollouts.models.replies import RetryLater, received

POLL_S = 1.0
"""Seconds between two looks at a server's gauges."""
POLL_TIMEOUT_S = 5.0
CUT_INTERVAL_S = 1.0
"""The limit is halved at most once in this time."""
REMEMBERED_POLLS = 10
"""What a server can run at once is the most that it ran in these last polls: while it reads prompts it runs fewer."""
SEEN_SHARE = 0.8
"""A server that reports less than this share of our requests is not all of the server: there is a balancer between."""

_GAUGE = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{.*\})?\s+(\S+)", re.MULTILINE)


def read_gauges(metrics: str) -> tuple[int, int] | None:
    """Requests running and waiting at a vLLM server, over all of its engines.

    Args:
        metrics: the text of its /metrics, in Prometheus' exposition format.

    Returns:
        (running, waiting), or None when either is not there.
    """
    sums: dict[str, float] = {}
    for name, value in _GAUGE.findall(metrics):
        try:
            sums[name] = sums.get(name, 0.0) + float(value)
        except ValueError:
            return None
    if len(sums) < 2 or not all(math.isfinite(value) for value in sums.values()):
        return None
    return int(sums["running"]), int(sums["waiting"])


class Limiter:
    """Slots for requests in flight, first come, first served: `async with limiter` holds one.

    For one event loop. The limit starts at `most` and moves between 1 and `most`. When it falls below what is in
    flight, nothing is broken off: no new slot is given until enough are back.

    Args:
        most: slots at most.
        clock: seconds, monotonic.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.in_use = most, 0
        self._clock = clock
        self._allowed = float(most)
        self._ceiling = most
        self._cut_at = -math.inf
        self._queued_at: int | None = None
        self._running: deque[int] = deque(maxlen=REMEMBERED_POLLS)
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return max(1, min(int(self._allowed), self._ceiling))

    async def __aenter__(self) -> None:
        if self.in_use < self.limit:
            self.in_use += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()  # it was given a slot just before it was cancelled
            raise

    async def __aexit__(self, *_: Any) -> None:
        self._leave()

    def _leave(self) -> None:
        self.in_use -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_use < self.limit:
            if not (turn := self._waiting.popleft()).done():
                self.in_use += 1
                turn.set_result(None)

    def fail_waiting(self, error: Callable[[], Exception]) -> None:
        """Make everyone who waits for a slot fail, each with an exception of its own."""
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_exception(error())

    def succeeded(self) -> None:
        """A request came through."""
        self._allowed = min(self.most, self._allowed + 1 / self.limit)
        self._admit()

    def overloaded(self, sent: float) -> bool:
        """A request was refused for overload or timed out. Says whether that lowered the limit.

        Args:
            sent: when it was sent, by the clock. What was sent before the last cut says nothing of the lower limit.
        """
        now = self._clock()
        if self.limit == 1 or sent <= self._cut_at or now < self._cut_at + CUT_INTERVAL_S:
            return False
        self._allowed, self._cut_at = max(1.0, self.limit / 2), now
        return True

    def observe(self, running: int, waiting: int) -> bool:
        """What the server's gauges say, about once a second. Says whether that lowered the limit.

        A queue in two polls in a row, the server running no more than at the first, brings the limit down to what the
        server can run and a tenth more (at least one), so that there is always one to go on with. Without a queue the
        limit goes up by half.
        """
        before = self.limit
        queued_at, self._queued_at = self._queued_at, running if waiting else None
        self._running.append(running)
        if not waiting:
            self._ceiling = min(self.most, self._ceiling + max(1, self._ceiling // 2))
            self._admit()
        elif queued_at and 0 < running <= queued_at and running + waiting >= SEEN_SHARE * self.in_use:
            can_run = max(self._running)
            self._ceiling = max(1, min(self._ceiling, can_run + max(1, can_run // 10)))
        return self.limit < before


async def watch(
    limiter: Limiter, client: httpx.AsyncClient, url: Callable[[], str], lowered: Callable[[], None]
) -> bool:
    """Tell the limiter every POLL_S seconds what the server's gauges say, while calls are in flight.

    Args:
        url: gives the API's base (http://host:8000/v1), or "" while the server starts. The gauges are beside it, at
            http://host:8000/metrics.
        lowered: called whenever the limit was lowered.

    Returns:
        When nothing is in flight any more: True. Once the server turns out to have no such gauges: False.
    """
    while limiter.in_use:
        await asyncio.sleep(POLL_S)
        if not (base := url()):
            continue
        try:
            async with asyncio.timeout(POLL_TIMEOUT_S):
                async with client.stream("GET", f"{base.rstrip('/').removesuffix('/v1')}/metrics") as response:
                    said = await received(response)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RetryLater):
            continue
        if said.status_code >= 500:
            continue
        gauges = read_gauges(said.text) if said.status_code == 200 else None
        if gauges is None:
            return False
        if limiter.observe(*gauges):
            lowered()
    return True
