"""Places are handed out by turn, none is lost when someone who waits gives up, and none is given twice."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.room import Room


async def test_the_lowest_turn_is_next_and_first_come_first_served_among_equals():
    room, order = Room(1), []

    async def hold(name, turn):
        async with room.place(turn):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group, room.place():
        for name, turn in (("c1", 2), ("a1", 0), ("b", 1), ("a2", 0), ("c2", 2)):
            group.create_task(hold(name, turn))
            await asyncio.sleep(0)
        assert order == []
    assert order == ["a1", "a2", "b", "c1", "c2"] and room.in_use == 0


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=30))
def test_places_are_kept_whoever_is_cancelled(places, people):
    async def run():
        room, inside, most = Room(places), 0, 0

        async def hold(turn, steps):
            nonlocal inside, most
            async with room.place(turn):
                inside += 1
                most = max(most, inside)
                try:
                    for _ in range(steps):
                        await asyncio.sleep(0)
                finally:
                    inside -= 1

        drawn = random.Random(len(people))
        tasks = []
        for turn, steps, cancelled in people:
            task = asyncio.create_task(hold(turn, steps))
            tasks.append(task)
            for _ in range(drawn.randrange(3)):
                await asyncio.sleep(0)
            if cancelled:
                drawn.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(5):  # all places are free again
            for _ in range(places):
                await room._enter(0)
        return most, room.in_use

    most, in_use = asyncio.run(run())
    assert most <= places == in_use


def test_a_failure_within_gives_the_place_back():
    async def run():
        room = Room(1)
        with pytest.raises(ValueError):
            async with room.place():
                raise ValueError
        return room.in_use

    assert asyncio.run(run()) == 0
