"""Is it this request, or does nothing go through? What the calls of one endpoint know of each other's fate."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from records.identity import content_hash
from rollouts.models.contract import ContextLengthExceeded, ModelOutage
from rollouts.models.replies import EndpointFailing, EndpointRefused

_log = logging.getLogger(__name__)

REFUSED_IN_A_ROW = 3
"""So many different requests refused, and none ever answered: the endpoint refuses all of them."""
_WHAT_TO_CHECK = {
    "connection": "Check that the server runs and that the url is right.",
    "timeout": "Check that the server is not stuck; if it is only slow, raise timeout_s or lower concurrency.",
    "rate_limit": "Wait until the endpoint allows more requests, lower concurrency, or raise patience_s.",
    "too_large": "Raise what the server, or the proxy in front of it, takes as one request.",
    "server_error": "Look into the server's log.",
    "aborted": "Look into the server's log.",
    "malformed": "Check that the url is that of an OpenAI-compatible API, and that nothing in front of it answers "
    "instead (a proxy's page, or one that says that it is being maintained).",
    "server_lost": "Its log says why it ended.",
    "refused": "Check what is sent along: the model's url and the further fields of the request.",
    "max_tokens": "Lower max_tokens of the recipe's sampling, or serve the model with a longer context.",
    "finish_reason": "Nothing is lost: with that line in the recipe, run again.",
}
"""What to look at when nothing goes through, by the kind of the failure."""


@dataclass(frozen=True)
class Call:
    """A call under way: its number, and how many had succeeded when it began."""

    number: int
    succeeded: int


class Outages:
    """What the calls of one endpoint, in one event loop, know of each other's fate.

    Args:
        fail_waiting: is called when an outage begins, to make those fail who wait for their turn; it is given a
            function that makes the exception for each of them.
    """

    def __init__(self, fail_waiting: Callable[[Callable[[], Exception]], None]) -> None:
        self._fail_waiting = fail_waiting
        self._begun = self._succeeded = 0
        self.last_success = float("-inf")
        self._undecided: dict[int, None] = {}  # by number, so the oldest comes first
        self._refused: set[str] = set()
        self._outage: ModelOutage | None = None
        self._stirred = asyncio.Event()

    @contextlib.contextmanager
    def under_way(self) -> Iterator[Call]:
        """A call is counted as under way from its first try to its end."""
        self._begun += 1
        call = Call(self._begun, self._succeeded)
        self._undecided[call.number] = None
        try:
            yield call
        finally:
            del self._undecided[call.number]

    def check(self) -> None:
        """Raises ModelOutage while there is one."""
        if self._outage is not None:
            raise self._again()

    async def pause(self, seconds: float) -> None:
        """Wait, but not through an outage. Raises ModelOutage."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stirred.wait()
        self.check()

    def stir(self) -> None:
        """End all pauses."""
        self._stirred.set()

    def succeeded(self) -> None:
        """A call succeeded: there is no outage (any more)."""
        self._succeeded += 1
        self.last_success = time.monotonic()
        self._refused.clear()
        if self._outage is not None:
            self._outage = None
            self._stirred.clear()

    def silent_since(self, call: Call) -> bool:
        """Whether no call has succeeded since this one began."""
        return self._succeeded == call.succeeded

    @property
    def ever_succeeded(self) -> bool:
        """Whether any call has succeeded."""
        return self._succeeded > 0

    @property
    def declared(self) -> bool:
        return self._outage is not None

    def shown_by(
        self,
        error: EndpointRefused | EndpointFailing | ContextLengthExceeded,
        call: Call,
        body: dict[str, Any],
    ) -> ModelOutage | None:
        """The outage that a call's lasting failure is a sign of, if it is one; all who wait fail with it at once.

        An outage is: a refusal that holds for all requests; a failure through all retries while no call succeeded
        since this one began; or several different requests in a row refused, when none has ever succeeded.
        """
        kind, status, why = "refused", 0, ""
        if isinstance(error, EndpointFailing):
            kind = error.kind
            if self.silent_since(call) and kind != "closed":
                why = "No other call came through meanwhile."
        elif isinstance(error, ContextLengthExceeded):
            self._refused.clear()  # it was a request in good form
        elif error.holds_for_all:
            kind, status, why = error.kind, error.status, "Any other request would be refused too."
        elif self._refuses_all(call, body):
            status = error.status
            why = f"{REFUSED_IN_A_ROW} different requests fared so and none was ever answered: it must be all."
        if not why:
            return None
        if self._outage is None:
            self._outage = ModelOutage(f"{error}. {why} {_WHAT_TO_CHECK[kind]}", kind, status)
            self._outage.__cause__ = error
            _log.warning("%s", self._outage)
            self._stirred.set()
            self._fail_waiting(self._again)
        return self._again()

    def _again(self) -> ModelOutage:
        """The outage for one more call: an exception raised in many places would gather all their tracebacks."""
        assert self._outage is not None
        error = ModelOutage(str(self._outage), self._outage.kind, self._outage.status)
        error.__cause__ = self._outage.__cause__
        return error

    def _refuses_all(self, call: Call, body: dict[str, Any]) -> bool:
        """Whether nothing ever succeeded, and this is one of several different requests that were refused.

        Calls that began before it must be decided: that three of a hundred sent at once are refused, before the first
        of the others can have been answered, shows nothing.
        """
        if self._succeeded:
            return False
        if len(self._refused) < REFUSED_IN_A_ROW:
            self._refused.add(content_hash(body))
        return len(self._refused) == REFUSED_IN_A_ROW and next(iter(self._undecided)) == call.number
