"""A dialect of native function calls is one new file: nothing else of the house is touched."""

import json
import sys
from types import SimpleNamespace

import pytest

import rollouts.dialects
from records.images.store import ImageStore
from records.recipe import Sampling
from records.trajectory import Trajectory
from rollouts.agent import attempt
from rollouts.dialects import dialect_names, get_dialect
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completion
from rollouts.prompts.build import PromptSetting, template_fingerprint
from rollouts.prompts.examples import read_examples
from rollouts.setting import Setting
from tests.rollouts.test_agent import QUESTION, Counter, Scripted, prompt_of
from training.rows import Rendering, sft_rows

MODULE = '''
"""Function calls in the fields of the API: tools in the request, tool_calls in the reply."""

import json

from records.trajectory import ToolCall, text_message

ANSWER = "Answer: "


class Native:
    name = "native"

    def instructions(self, tools):
        return f"Give the final answer on a line of its own that begins with {ANSWER!r}."

    def request(self, messages, tools, images):
        chat, number, waiting = [], 0, []
        for message in messages:
            if message.role == "tool":
                chat.append({"role": "tool", "tool_call_id": waiting.pop(0), "content": message.text})
                continue
            turn = {"role": message.role, "content": self._text(message)}
            if message.tool_calls:
                turn["tool_calls"] = []
                for call in message.tool_calls:
                    waiting.append(f"call_{number}")
                    function = {"name": call.name, "arguments": call.arguments}
                    turn["tool_calls"].append({"id": waiting[-1], "type": "function", "function": function})
                    number += 1
            chat.append(turn)
        functions = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools]
        offered = {"tools": [{"type": "function", "function": f} for f in functions]} if functions else {}
        return {"messages": chat, **offered}

    def read(self, completion, tools):
        calls = [ToolCall(**call) for call in completion.tool_calls] if completion.finish_reason != "length" else []
        text = completion.text
        answer = text.rpartition(ANSWER)[2].strip() if ANSWER in text and not calls else None
        return text_message("assistant", text, tool_calls=calls, answer=answer, raw=text)

    def observation_text(self, message):
        return f"<tool_response>\\n{message.text}\\n</tool_response>"

    def training_turns(self, messages, images):
        turns = []
        for message in messages:
            if message.role == "tool":
                turns.append({"role": "user", "content": self.observation_text(message)})
                continue
            calls = [json.dumps({"name": c.name, "arguments": json.loads(c.arguments)}) for c in message.tool_calls]
            text = "\\n".join([self._text(message), *(f"<tool_call>\\n{call}\\n</tool_call>" for call in calls)])
            turns.append({"role": message.role, "content": text.strip()})
        return turns

    def _text(self, message):
        if message.role != "assistant" or message.raw is not None:
            return message.raw or message.text
        answer = "" if message.answer is None else f"{ANSWER}{message.answer}"
        return f"{message.reasoning}\\n{answer}".strip()


DIALECT = Native()
'''


class Calling(Scripted):
    """Says its lines; a list is one of native calls."""

    async def complete(self, request):
        self.requests.append(request)
        line = self.lines.pop(0)
        if isinstance(line, str):
            return Completion(line, "stop", 10, 5, seconds=0.5)
        calls = [{"name": "python", "arguments": json.dumps({"code": code})} for code in line]
        return Completion("I count.", "tool_calls", 10, 5, seconds=0.5, tool_calls=calls)


@pytest.fixture
def native(tmp_path, monkeypatch):
    """The dialect, dropped into the folder of dialects."""
    (tmp_path / "dialects").mkdir()
    (tmp_path / "dialects" / "native.py").write_text(MODULE)
    monkeypatch.setattr(rollouts.dialects, "__path__", [*rollouts.dialects.__path__, str(tmp_path / "dialects")])
    yield get_dialect("native")
    sys.modules.pop("rollouts.dialects.native")
    del rollouts.dialects.native


async def test_a_native_dialect_is_one_file(tmp_path, native):
    assert "native" in dialect_names()
    sampling = Sampling(temperature=0.5, max_tokens=50, max_turns=5)
    use = Setting("tools", native, {"python": Counter()}, sampling, ImageStore(str(tmp_path / "images")))
    prompt = prompt_of(QUESTION, use)
    model = Calling(["2", "2"], ["3"], "So it is.\nAnswer: 4")
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rollout = await attempt(QUESTION, prompt, use, 0, model, ledger)
        again = await attempt(QUESTION, prompt, use, 0, Calling(), ledger)
    assert (rollout.answer, rollout.stop_reason) == ("4", "answered") and again == rollout
    assert [call.result.text for call in rollout.tool_calls] == ["2", "4", "7"]
    assert [len(message.tool_calls) for message in rollout.messages if message.role == "assistant"] == [2, 1, 0]
    for request in model.requests:
        assert request.stop == () and [t["function"]["name"] for t in request.extra["tools"]] == ["python"]
    history = model.requests[-1].messages[-5:]
    assert [turn["role"] for turn in history] == ["assistant", "tool", "tool", "assistant", "tool"]
    asked = [call["id"] for turn in history for call in turn.get("tool_calls", ())]
    assert asked == [turn["tool_call_id"] for turn in history if turn["role"] == "tool"] and len(set(asked)) == 3
    assert [turn["content"] for turn in history if turn["role"] == "tool"] == ["2", "4", "7"]

    made = Trajectory(
        trajectory_id="t", question_id=QUESTION.question_id, rollout_id="r", prompt=[prompt[0], prompt[-1]],
        messages=rollout.messages[:2] + rollout.messages[-1:], answer="4", images=[], checks="{}",
    )  # fmt: skip
    (row,) = sft_rows([made], Rendering(native, None), lambda _: "train", {}, rejects := [])
    assert rejects == [] and row.completion[0].text.count("<tool_call>") == 2 and row.completion[1].role == "user"


def test_the_tools_in_the_request_are_part_of_the_fingerprint(native):
    how = PromptSetting(native, read_examples(), False)
    prints = [
        template_fingerprint("math", how, [SimpleNamespace(name="python", description=text, parameters={})])
        for text in ("Counts.", "Counts.", "Counts up.")
    ]
    assert prints[0] == prints[1] != prints[2]
