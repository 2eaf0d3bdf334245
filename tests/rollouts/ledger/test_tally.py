"""Calls count where they are asked for, however the tasks that ask for them are mixed."""

import asyncio

from rollouts.ledger.ledger import Ledger
from rollouts.ledger.tally import Tally


async def test_calls_count_for_whoever_asked_and_in_all(tmp_path):
    tallies = {name: Tally() for name in ("one", "two")}
    with Ledger(str(tmp_path / "ledger")) as ledger:

        async def make():
            await asyncio.sleep(0)
            return {"text": "4"}

        async def ask(name, calls):
            with tallies[name].counting():
                async with asyncio.TaskGroup() as group:
                    for key in calls:
                        group.create_task(ledger.once("rollout", "model", key, make))

        async with asyncio.TaskGroup() as group:
            group.create_task(ask("one", ["a", "b", "c"]))
            group.create_task(ask("two", ["d"]))
        await ask("two", ["a", "b"])
        await ledger.once("rollout", "judge", "e", make)
    assert tallies["one"] == Tally({"model": 3, "tool": 0}, {"model": 0, "tool": 0})
    assert tallies["two"] == Tally({"model": 1, "tool": 0}, {"model": 2, "tool": 0})
    assert (ledger.made, ledger.reused) == ({"model": 4, "tool": 0, "judge": 1}, {"model": 2, "tool": 0})
