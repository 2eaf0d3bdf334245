"""Open sessions are bounded in each event loop, and a session that fails to start leaves its slot free."""

import asyncio

import pytest

from sandbox.slots import SessionSlots


class CountedSession:
    """A session without processes, which frees its slot once."""

    def __init__(self, slots: SessionSlots["CountedSession"], error: BaseException | None = None) -> None:
        self._slots, self._error, self._closed = slots, error, False

    async def start(self) -> None:
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._slots.free(self)


async def test_a_session_beyond_the_bound_waits_for_another_to_end():
    slots: SessionSlots[CountedSession] = SessionSlots(1)
    first = await slots.open(lambda: CountedSession(slots))
    waiting = asyncio.create_task(slots.open(lambda: CountedSession(slots)))
    await asyncio.sleep(0)
    assert not waiting.done() and slots.sessions == (first,)
    await first.close()
    second = await waiting
    assert slots.sessions == (second,)


@pytest.mark.parametrize("error", [OSError("no process"), asyncio.CancelledError()])
async def test_a_session_that_does_not_start_leaves_its_slot_free(error):
    slots: SessionSlots[CountedSession] = SessionSlots(1)
    with pytest.raises(type(error)):
        await slots.open(lambda: CountedSession(slots, error))
    assert slots.sessions == ()
    await (await slots.open(lambda: CountedSession(slots))).close()


def test_each_event_loop_has_slots_of_its_own():
    slots: SessionSlots[CountedSession] = SessionSlots(1)

    async def opened() -> int:
        await slots.open(lambda: CountedSession(slots))
        return len(slots.sessions)

    assert [asyncio.run(opened()) for _ in range(2)] == [1, 2]
