"""Calls whose results are withheld: the tool is never touched, and the model reads the same words whatever it calls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.trajectory import ToolCall
from rollouts.tool_calls import NoLedger, ToolUser
from rollouts.withheld import NOTICE, Withheld, withhold
from tests.rollouts.test_agent import ANSWER, CALL, Counter, Scripted, once


class Untouchable(Counter):
    def open(self, images):
        raise AssertionError("the tool was opened")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(arguments=st.dictionaries(st.sampled_from(["code", "query", "x"]), values, max_size=3))
async def test_every_call_gives_the_notice_and_nothing_is_run(arguments):
    user = ToolUser(withhold({"python": Untouchable()}), ["image"], NoLedger())
    result = await user.call(ToolCall(name="python", arguments=json.dumps(arguments)))
    assert (result.outcome, result.text, result.images) == ("ok", NOTICE, [])
    await user.close()


def test_it_is_offered_in_the_words_of_the_tool():
    tool = Counter()
    withheld = withhold({"python": tool})["python"]
    offered = [(t.name, t.description, t.parameters) for t in (tool, withheld)]
    assert offered[0] == offered[1]


def test_its_version_is_not_that_of_the_tool():
    """Another index or another library changes nothing about results that nobody sees."""
    old, new = Counter(), Counter()
    new.version = "2"
    assert Withheld(old).version == Withheld(new).version not in (old.version, new.version)


@pytest.mark.parametrize("call", [CALL, "<python>this is no number</python>"])
async def test_a_rollout_goes_on_with_the_notice(tmp_path, call):
    tool = Counter()
    model = Scripted(call, call, ANSWER)
    rollout = await once(tmp_path, model, withhold({"python": tool})["python"])
    assert [executed.result.text for executed in rollout.tool_calls] == [NOTICE, NOTICE]
    assert [message.text for message in rollout.messages if message.role == "tool"] == [NOTICE, NOTICE]
    assert NOTICE in model.requests[1].messages[-1]["content"]
    assert rollout.answer == "4" and tool.opened == tool.performed == 0
