"""Results pass from attempts with tools to those that are shown them, in whatever order both come."""

import asyncio
from types import SimpleNamespace

import polars as pl
import pytest

from measurement import donors
from measurement.donors import Donors
from records.trajectory import ExecutedCall, ToolCall, ToolResult
from rollouts.ledger.ledger import Ledger


def called(text, stop_reason="answered"):
    call = ExecutedCall(call=ToolCall(name="python", arguments="{}"), result=ToolResult(outcome="ok", text=text))
    return SimpleNamespace(stop_reason=stop_reason, tool_calls=[call])


def of(ledger, wanted):
    progress = SimpleNamespace(
        arm=SimpleNamespace(first_sample=2),
        rollouts=pl.DataFrame(schema={"rollout_id": pl.String, "question_id": pl.String, "sample_index": pl.Int64}),
        open=pl.DataFrame({"question_id": ["q"], "wanted": [wanted]}),
    )
    return Donors(progress, ledger, under_way=True)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        yield ledger


async def test_results_are_waited_for_and_kept_for_later(ledger):
    given = of(ledger, 4)
    (prefilled,) = given.of(pl.Series(["q"]), first_sample=7)
    early = asyncio.create_task(prefilled(7))
    await asyncio.sleep(0)
    given.ended("q", 3, called("second"))
    given.ended("q", 2, called("first"))
    given.ended("q", 4, called("lost", stop_reason="unfinished"))
    given.ended("q", 5, None)  # another run has it
    texts = [[message.text for message in results or ()] for results in (await early, await prefilled(8))]
    assert texts == [["first"], ["second"]]
    assert await prefilled(9) is None and await prefilled(10) is None and await prefilled(11) is None
    assert given.left_out == 1


async def test_no_more_wait_in_memory_than_there_is_room_for(ledger, monkeypatch):
    monkeypatch.setattr(donors, "MOST_CHARACTERS", 10)
    given = of(ledger, 3)
    (prefilled,) = given.of(pl.Series(["q"]))
    for sample in range(3):
        given.ended("q", 2 + sample, called("1234"))
    assert [await prefilled(n) is None for n in range(3)] == [False, False, True] and given.left_out == 1
    given = of(ledger, 3)
    (prefilled,) = given.of(pl.Series(["q"]))
    for sample in range(3):  # what is taken makes room
        given.ended("q", 2 + sample, called("1234567"))
        assert (await prefilled(sample))[0].text == "1234567"
    assert given.left_out == 0
