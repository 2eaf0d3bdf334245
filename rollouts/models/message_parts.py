"""The message of a chat completion, in whichever of the usual shapes: text, thoughts, calls and refusal."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_TEXT = ("text", "output_text", "input_text", "message", "answer")
_THOUGHT = ("thinking", "reasoning", "thought", "reasoning_text", "reasoning_content", "reasoning.text",
            "reasoning.summary", "summary_text", "summary")  # fmt: skip
_NOTHING = ("redacted_thinking", "reasoning.encrypted", "encrypted", "citation", "citations", "annotation", "signature",
            "source", "sources", "grounding")  # fmt: skip
"""Blocks without anything that the model says."""
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_details", "thinking_blocks")
"""Where servers put the thoughts, the most usual first; the first that holds any is taken: the others repeat it."""


@dataclass
class MessageParts:
    """What a message is made of."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    refusal: str = ""

    @property
    def texts(self) -> list[str]:
        """All that the model wrote."""
        return [self.text, self.reasoning, self.refusal, *(part for call in self.calls for part in call.values())]


def read_message(message: dict[str, Any]) -> MessageParts:
    """Read a message.

    Raises:
        TypeError, KeyError, ValueError: it has a shape that is none of the usual ones.
    """
    parts = MessageParts()
    for kind, text in _blocks(message.get("content")):
        if kind == "text":
            parts.text += text
        elif kind == "thought":
            parts.reasoning += text
        else:
            parts.refusal += text
    for name in _THOUGHT_FIELDS:
        if parts.reasoning:
            break
        parts.reasoning = "".join(_thoughts(message.get(name)))
    if isinstance(refusal := message.get("refusal"), str):
        parts.refusal = parts.refusal or refusal
    calls = message.get("tool_calls") or []
    old = message.get("function_call")
    if not calls and isinstance(old, dict) and old.get("name"):
        calls = [{"function": old}]
    parts.calls = [_call(call.get("function", call)) for call in calls]
    content = message.get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") in ("tool_use", "tool_call", "function_call") and not calls:
            parts.calls.append(_call(block))
    return parts


def _blocks(content: Any) -> Iterator[tuple[str, str]]:
    """Kind (text, thought or refusal) and text of each block."""
    if content is None:
        return
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, list):
        for block in content:
            yield from _blocks(block)
    elif isinstance(content, dict):
        kind = str(content.get("type") or ("text" if "text" in content else "parts" if "parts" in content else ""))
        if kind == "parts":
            yield from _blocks(content["parts"])
        elif kind in _THOUGHT or content.get("thought") is True:
            yield "thought", "".join(_thoughts(content))
        elif kind in _TEXT:
            yield "text", _string(next((content[name] for name in ("text", "content") if name in content), None))
        elif kind == "refusal":
            yield "refusal", _string(content.get("refusal") or content.get("text"))
        elif kind not in _NOTHING and kind not in ("tool_use", "tool_call", "function_call"):
            raise TypeError(f"a block of content is a {kind or 'thing without a type'}, not text")
    else:
        raise TypeError(f"content is {type(content).__name__}, not text")


def _thoughts(value: Any) -> Iterator[str]:
    """The texts of thoughts, however deep they lie."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _thoughts(inner)
    elif isinstance(value, dict) and value.get("type") not in _NOTHING:
        for name in ("thinking", "text", "reasoning", "reasoning_content", "content", "summary"):
            if value.get(name):
                yield from _thoughts(value[name])
                return


def _string(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and isinstance(value.get("value"), str):  # {"text": {"value": …}}
        return value["value"]
    if not isinstance(value, str):
        raise TypeError(f"a block's text is {type(value).__name__}, not text")
    return value


def _call(call: dict[str, Any]) -> dict[str, str]:
    """A native call; arguments that are an object already become its JSON text."""
    name = call["name"]
    arguments = next(call[key] for key in ("arguments", "input", "parameters", "args") if key in call)
    if arguments is None:
        arguments = {}
    if isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise TypeError("a tool call's name or arguments are not text")
    return {"name": name, "arguments": arguments}
