"""DeepEyesV2's tags: <think>, <code> with a fenced block, <tool_call> with JSON, <answer> (arXiv 2511.05271).

Unlike the published environment, code is taken as written (never re-indented), and only the model's own turn is read.
"""

import json
from collections.abc import Sequence
from types import MappingProxyType

from records.trajectory import Message, ToolCall
from rollouts.dialects import ToolSpec
from rollouts.dialects._mentions import Tag
from rollouts.dialects._text import TextDialect, unwrap

_ARGUMENTS = ("arguments", "parameters", "args", "input", "kwargs")
"""The keys that families of models give a call's arguments under."""
_CODE_SHOWN = ("# code", "```python\n# code\n```")
_CALLS_SHOWN = ('{"name": <function-name>, "arguments": <args-json-object>}',)
"""What instructions, ours and those of chat templates, show in place of a call."""


def _call_shown(tool: ToolSpec) -> str:
    return json.dumps({"name": tool.name, "arguments": {"...": "..."}})


class DeepEyesV2(TextDialect):
    name = "deepeyes_v2"
    results = ("Code execution result:", "<tool_response>")
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
                lines.append(
                    f"{tool.description} {schema}\nTo call it, write <tool_call>{_call_shown(tool)}</tool_call>"
                )
        lines.append("Give the final answer, and nothing but the answer, as <answer>...</answer>.")
        return "\n".join(lines)

    def assistant_text(self, message: Message) -> str:
        if message.raw is not None:
            return message.raw
        parts = [f"<think>{message.reasoning}</think>"]
        parts += [self.call_text(call) for call in message.tool_calls]
        if message.answer is not None:
            parts.append(f"<answer>{message.answer}</answer>")
        return "\n".join(parts)

    def call_text(self, call: ToolCall) -> str:
        arguments = json.loads(call.arguments)
        if call.name == "python":
            return f"<code>\n```python\n{arguments['code']}\n```\n</code>"
        body = json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)
        return f"<tool_call>{body}</tool_call>"

    def observation_text(self, message: Message) -> str:
        if message.name == "python":
            note = f"\nImages: {len(message.images)}" if message.images else ""
            return f"Code execution result:\n```\n{message.text}\n```{note}"
        return f"<tool_response>{message.text}</tool_response>"

    def tags(self, tools: Sequence[ToolSpec]) -> tuple[Tag, ...]:
        shown = (*_CALLS_SHOWN, *(_call_shown(tool) for tool in tools))
        return (Tag("answer"), Tag("code", "code", _CODE_SHOWN), Tag("tool_call", "json", shown))

    def call(self, tag: str, body: str, tools: Sequence[ToolSpec]) -> ToolCall:
        if tag == "code":
            return ToolCall(name="python", arguments=json.dumps({"code": unwrap(body)}, ensure_ascii=False))
        return _read_call(body)


def _read_call(body: str) -> ToolCall:
    """The call in the JSON. What is not a call keeps its text, under a name that no tool has."""
    try:
        value = json.loads(body)
        name = value["name"]
        arguments = next((value[key] for key in _ARGUMENTS if key in value), {})
        if isinstance(arguments, str):  # as OpenAI writes them: JSON in a string
            arguments = json.loads(arguments)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ToolCall(name="(unreadable)", arguments=json.dumps({"text": body}, ensure_ascii=False))
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return ToolCall(name="(unreadable)", arguments=json.dumps({"text": body}, ensure_ascii=False))
    return ToolCall(name=name, arguments=json.dumps(arguments, ensure_ascii=False))


DIALECT = DeepEyesV2()
