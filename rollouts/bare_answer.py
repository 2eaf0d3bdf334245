"""What is made of a turn that names no action: a bare answer after the reminder, or something that the server lost."""
# ruff: noqa: RUF001 - models write these signs

import re
from collections.abc import Sequence
from dataclasses import replace

from records.trajectory import Message
from rollouts.dialects import Dialect, ToolSpec
from rollouts.models.contract import Completion

LONGEST_BARE_ANSWER = 100
"""Characters of the longest line that counts as an answer by itself, after the reminder."""
_TAG = re.compile(r"</?(\w+)>")
_TAGS = ("answer", "think", "code", "tool_call", "tool_response", "result")
_FENCE = re.compile(r"```\w*")
_NO_ANSWER = re.compile(
    r"(i('m| am) (sorry|afraid|not (sure|certain|able))|sorry\b|i (do not|don['’]t|did not|didn['’]t) (know|understand)"
    r"|i (can ?not|can['’]t|could not|couldn['’]t) |let me |let['’]s |i (will|need to|should) |i['’]ll |as an ai"
    r"|我不知道|抱歉|对不起|让我)",
    re.IGNORECASE,
)
"""The beginning of a line that says that there is no answer, or none yet."""
_LOST_TEXT = (
    "the text of the reply is empty, and its reasoning names the action: the server's reasoning parser took all for "
    "thought. Serve the model with the parser that is its own, or with none"
)
_LOST_CALL = (
    "the server gave the calls ({names}) apart from the text, and the dialect {dialect} cannot write them: serve the "
    "model without a tool parser, or choose a dialect of native calls"
)


def _names_nothing(message: Message) -> bool:
    return message.answer is None and not message.tool_calls


def bare_answer(message: Message, tools: Sequence[ToolSpec]) -> Message:
    """A message with its text as the answer, if it names no action: after the reminder, one short line is what was
    asked for. A thought, a tag that is left over, "I do not know" and a line that only leads to an answer are none."""
    if not _names_nothing(message):
        return message
    lines = message.text.strip().splitlines()
    if len(lines) > 2 and _FENCE.fullmatch(lines[0].strip()) and lines[-1].strip() == "```":
        lines = lines[1:-1]
    text = lines[0].strip().removesuffix("</answer>").rstrip() if len(lines) == 1 else ""
    tags = {*_TAGS, *(tool.name for tool in tools)}
    if not text or len(text) > LONGEST_BARE_ANSWER or tags & set(_TAG.findall(text)):
        return message
    if _NO_ANSWER.match(text) or text.endswith((":", "：")) or not text.strip("`.…"):
        return message
    return message.model_copy(update={"answer": text})


def lost(reply: Completion, dialect: Dialect, tools: Sequence[ToolSpec], reminded: bool) -> str:
    """What the server took out of a reply that names no action as it came, and what to do about it; "" if nothing.

    It is not the model's doing, so it is not an attempt. An empty text beside reasoning that names no action is: the
    model has stopped after its thought; and so is the call of a tool that is not offered.
    """
    if {call["name"] for call in reply.tool_calls} & {tool.name for tool in tools}:
        names = ", ".join(call["name"] for call in reply.tool_calls)
        return _LOST_CALL.format(names=names, dialect=dialect.name)
    if reply.text.strip() or not reply.reasoning.strip():
        return ""
    inside = dialect.read(replace(reply, text=reply.reasoning, reasoning=""), tools)
    if reminded:
        inside = bare_answer(inside, tools)
    return "" if _names_nothing(inside) else _LOST_TEXT
