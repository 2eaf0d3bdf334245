"""Attempts that are begun anew: what one was built on cannot be had again, and it must end all the same."""

from typing import Any

from records.identity import content_hash
from rollouts.tool_calls import Calls

REDRAW = "redraw"
"""The kind under which it is stored that a draw was given up; no call was made for it."""
MOST_REDRAWS = 3
"""How often one run begins an attempt anew; the next run begins it anew once more."""


class Draws:
    """The draws of one attempt, of which the last counts.

    The number of those given up enters the identity of a rollout only when there are any. It is found again from what
    `calls` holds, so that a run after a kill continues the same draw.

    Args:
        identity: what the attempt's identity is made of.
        former: what it was made of in the version before.
    """

    def __init__(self, identity: list[Any], former: list[Any], calls: Calls) -> None:
        self._identity, self._former, self._calls = identity, former, calls
        self.redraws = 0
        """How many draws were given up."""
        while calls.get(self.rollout_id, self._key) is not None:
            self.redraws += 1
        self._most = self.redraws + MOST_REDRAWS

    @property
    def rollout_id(self) -> str:
        """The identity of the present draw."""
        return content_hash([*self._identity, *([{"redraws": self.redraws}] if self.redraws else [])])

    @property
    def former_id(self) -> str | None:
        """The identity of the present draw in the version before; None for a draw that it did not have."""
        return None if self.redraws else content_hash(self._former)

    @property
    def _key(self) -> str:
        return content_hash([REDRAW, self.rollout_id])

    async def give_up(self, reason: str) -> bool:
        """Store that the present draw is given up. Whether this run should make the next one, which is the present one
        then."""

        async def mark() -> dict[str, Any]:
            return {"reason": reason}

        await self._calls.once(self.rollout_id, REDRAW, self._key, mark)
        if self.redraws == self._most:
            return False
        self.redraws += 1
        return True
