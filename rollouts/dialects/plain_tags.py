"""Plain tags, for models that were never trained on a tool format: <python>, <search>, <result>, <answer>.

Each tool has one tag, named after it, around the tool's first argument as plain text. None of the tags is a special
token of a vocabulary, so small models can copy them from a worked example.
"""

import json
from collections.abc import Sequence

from records.trajectory import Message, ToolCall, text_message
from rollouts.dialects import ToolSpec
from rollouts.dialects._text import TextDialect, first_action, unwrap


def _argument(tool: ToolSpec) -> str:
    return next(iter(tool.parameters["properties"]))


class PlainTags(TextDialect):
    name = "plain_tags"

    def stop(self, tools: Sequence[ToolSpec]) -> tuple[str, ...]:
        """Closing tags, and the opening of a result: a model must not write its own observations."""
        return (*(f"</{tool.name}>" for tool in tools), "</answer>", "<result>")

    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        lines = []
        for tool in tools:
            about = tool.parameters["properties"][_argument(tool)].get("description", _argument(tool))
            lines.append(f"{tool.description} To use it, write <{tool.name}>{about}</{tool.name}>.")
        if tools:
            lines.append("What it returns comes back between <result> and </result>.")
        lines.append("Give the final answer, and nothing but the answer, as <answer>...</answer>.")
        return "\n".join(lines)

    def assistant_text(self, message: Message) -> str:
        if message.raw is not None:
            return message.raw
        parts = [message.reasoning] if message.reasoning else []
        for call in message.tool_calls:
            body = next(iter(json.loads(call.arguments).values()), "")
            parts.append(f"<{call.name}>\n{body}\n</{call.name}>")
        if message.answer is not None:  # on the line of what leads to it: it completes a sentence
            parts[-1:] = [" ".join([*parts[-1:], f"<answer>{message.answer}</answer>"])]
        return "\n".join(parts) or message.text

    def observation_text(self, message: Message) -> str:
        note = f"\n({len(message.images)} image(s) returned)" if message.images else ""
        return f"<result>\n{message.text}{note}\n</result>"

    def parse(self, text: str, finish_reason: str, tools: Sequence[ToolSpec]) -> Message:
        arguments = {tool.name: _argument(tool) for tool in tools}
        action = first_action(text, (*arguments, "answer"), finish_reason)
        if action is None:
            return text_message("assistant", text, raw=text)
        reasoning = action.before.strip()
        if action.tag == "answer":
            return Message(role="assistant", reasoning=reasoning, answer=action.body.strip(), raw=action.text)
        body = json.dumps({arguments[action.tag]: unwrap(action.body)}, ensure_ascii=False)
        calls = [ToolCall(name=action.tag, arguments=body)]
        return Message(role="assistant", reasoning=reasoning, tool_calls=calls, raw=action.text)


DIALECT = PlainTags()
