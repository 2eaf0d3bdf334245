"""DeepEyesV2's tags: <think>, <code> with a fenced block, <tool_call> with JSON, <answer> (arXiv 2511.05271).

Unlike the published environment, code is taken as written (never re-indented), and only the model's own turn is read.
"""

import json
import re
from collections.abc import Sequence
from types import MappingProxyType

from records.trajectory import Message, ToolCall, text_message
from rollouts.dialects import ToolSpec
from rollouts.dialects._text import TextDialect, first_action, unwrap

_SPECIAL = re.compile(r"(<\|im_end\|>|<\|endoftext\|>)\s*$")


class DeepEyesV2(TextDialect):
    name = "deepeyes_v2"
    extra = MappingProxyType({"skip_special_tokens": False})
    """<tool_call> is a special token in Qwen's vocabularies; servers strip those unless told not to."""

    def stop(self, tools: Sequence[ToolSpec]) -> tuple[str, ...]:
        return ("</code>", "</tool_call>", "</answer>")

    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        lines = ["Think first, between <think> and </think>; then take one action per turn."]
        for tool in tools:
            if tool.name == "python":
                lines.append(f"{tool.description} To run code, write\n<code>\n```python\n# code\n```\n</code>")
            else:
                schema = json.dumps({"name": tool.name, "parameters": tool.parameters})
                call = json.dumps({"name": tool.name, "arguments": {"...": "..."}})
                lines.append(f"{tool.description} {schema}\nTo call it, write <tool_call>{call}</tool_call>")
        lines.append("Give the final answer, and nothing but the answer, as <answer>...</answer>.")
        return "\n".join(lines)

    def assistant_text(self, message: Message) -> str:
        if message.raw is not None:
            return message.raw
        parts = [f"<think>{message.reasoning}</think>"]
        for call in message.tool_calls:
            arguments = json.loads(call.arguments)
            if call.name == "python":
                parts.append(f"<code>\n```python\n{arguments['code']}\n```\n</code>")
            else:
                body = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
                parts.append(f"<tool_call>{body}</tool_call>")
        if message.answer is not None:
            parts.append(f"<answer>{message.answer}</answer>")
        return "\n".join(parts)

    def observation_text(self, message: Message) -> str:
        if message.name == "python":
            note = f"\nImages: {len(message.images)}" if message.images else ""
            return f"Code execution result:\n```\n{message.text}\n```{note}"
        return f"<tool_response>{message.text}</tool_response>"

    def parse(self, text: str, finish_reason: str, tools: Sequence[ToolSpec]) -> Message:
        text = _SPECIAL.sub("", text)
        thought_end = text.rfind("</think>")
        start = thought_end + len("</think>") if thought_end >= 0 else 0
        action = first_action(text, ("answer", "code", "tool_call"), finish_reason, start)
        thought = text[:thought_end] if thought_end >= 0 else (action.before if action else "")
        reasoning = thought.strip().removeprefix("<think>").strip()
        if action is None:
            return text_message("assistant", text[start:], reasoning=reasoning, raw=text)
        if action.tag == "answer":
            return Message(role="assistant", reasoning=reasoning, answer=action.body.strip(), raw=action.text)
        if action.tag == "code":
            arguments = json.dumps({"code": unwrap(action.body)}, ensure_ascii=False)
            call = ToolCall(name="python", arguments=arguments)
        else:
            call = _read_call(action.body)
        return Message(role="assistant", reasoning=reasoning, tool_calls=[call], raw=action.text)


def _read_call(body: str) -> ToolCall:
    """The call in the JSON. What is not a call keeps its text, under a name that no tool has."""
    try:
        value = json.loads(body)
        name, arguments = value["name"], value.get("arguments", {})
    except (json.JSONDecodeError, TypeError, KeyError, AttributeError):
        return ToolCall(name="(unreadable)", arguments=json.dumps({"text": body}, ensure_ascii=False))
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return ToolCall(name="(unreadable)", arguments=json.dumps({"text": body}, ensure_ascii=False))
    return ToolCall(name=name, arguments=json.dumps(arguments, ensure_ascii=False))


DIALECT = DeepEyesV2()
