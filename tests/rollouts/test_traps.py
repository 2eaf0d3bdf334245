"""Turns that were once read otherwise than their writers meant them: tests/traps/turns.jsonl, one to a line.

A line holds the dialect, the tools, the text as the server gives it and its finish_reason; where the server says more,
also stopped_by, in_thought, reasoning_apart and native calls. `reads` says what must be read: answer, calls, reasoning,
tidy (whether the form reward lets the turn's thoughts pass) and lost (whether the server lost the action). A line
without an answer and calls reads as no action.
"""

import json
from pathlib import Path
from types import SimpleNamespace

from rollouts.bare_answer import lost
from rollouts.dialects import get_dialect
from rollouts.models.contract import Completion

TRAPS = Path(__file__).parents[1] / "traps" / "turns.jsonl"
ARGUMENTS = {"python": "code", "search": "query"}


def tools(names):
    return [
        SimpleNamespace(
            name=name,
            description=f"{name}.",
            parameters={"type": "object", "properties": {ARGUMENTS[name]: {"type": "string"}}},
        )
        for name in names
    ]


def completion(line):
    native = [{"name": name, "arguments": json.dumps(arguments)} for name, arguments in line.get("native", ())]
    return Completion(
        line["text"], line["finish_reason"], 0, 0, 0.0, native,
        line.get("reasoning_apart", ""), line.get("stopped_by"), line.get("in_thought", False),
    )  # fmt: skip


def read(line):
    """What is read of a line, of all that the lines may say."""
    dialect, offered, reply = get_dialect(line["dialect"]), tools(line["tools"]), completion(line)
    message = dialect.read(reply, offered)
    nothing = message.answer is None and not message.tool_calls
    return {
        "answer": message.answer,
        "calls": [[call.name, json.loads(call.arguments)] for call in message.tool_calls],
        "reasoning": message.reasoning,
        "tidy": dialect.tidy_thoughts(line["text"], offered),
        "lost": nothing and line["finish_reason"] != "length" and bool(lost(reply, dialect, offered, False)),
    }


def test_every_turn_is_read_as_it_was_meant():
    lines = [json.loads(line) for line in TRAPS.read_text().splitlines()]
    assert len(lines) >= 80 and {line["kind"] for line in lines} >= {"D1", "D2", "D3"}
    failing = []
    for number, line in enumerate(lines, 1):
        expected = {"answer": None, "calls": []} | line["reads"]
        found = read(line)
        if any(found[what] != value for what, value in expected.items()):
            failing.append((number, line["because"], line["text"], expected, found))
    assert not failing, "\n".join(map(str, failing))
