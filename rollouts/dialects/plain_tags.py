"""Plain tags, for models that were never trained on a tool format: <python>, <search>, <result>, <answer>.

Each tool has one tag, named after it, around the tool's first argument as plain text. None of the tags is a special
token of a vocabulary, so small models can copy them from a worked example.
"""

import json
import re
from collections.abc import Sequence

from records.trajectory import Message, ToolCall
from rollouts.dialects import ToolSpec
from rollouts.dialects._mentions import Tag
from rollouts.dialects._text import TextDialect, unwrap, wrap

_TAG = re.compile(r"</?\w+>")


def _argument(tool: ToolSpec) -> str:
    return next(iter(tool.parameters["properties"]))


def _tag(tool: ToolSpec) -> Tag:
    argument = _argument(tool)
    about = tool.parameters["properties"][argument].get("description", argument)
    return Tag(tool.name, "code" if "code" in (argument, tool.name) or tool.name == "python" else "text", (about,))


class PlainTags(TextDialect):
    name = "plain_tags"
    results = ("<result>",)

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
        reasoning = message.reasoning
        if _TAG.search(reasoning):  # words about tags are safe in a thought alone
            reasoning = f"<think>{reasoning}</think>"
        parts = [reasoning] if reasoning else []
        parts += [self.call_text(call) for call in message.tool_calls]
        if message.answer is not None:  # on the line of what leads to it: it completes a sentence
            parts[-1:] = [" ".join([*parts[-1:], f"<answer>{message.answer}</answer>"])]
        return "\n".join(parts) or message.text

    def observation_text(self, message: Message) -> str:
        note = f"\n({len(message.images)} image(s) returned)" if message.images else ""
        return f"<result>\n{message.text}{note}\n</result>"

    def tags(self, tools: Sequence[ToolSpec]) -> tuple[Tag, ...]:
        return (*(_tag(tool) for tool in tools), Tag("answer"))

    def call(self, tag: str, body: str, tools: Sequence[ToolSpec]) -> ToolCall:
        argument = next(_argument(tool) for tool in tools if tool.name == tag)
        return ToolCall(name=tag, arguments=json.dumps({argument: unwrap(body)}, ensure_ascii=False))

    def call_text(self, call: ToolCall) -> str:
        body = next(iter(json.loads(call.arguments).values()), "")
        return f"<{call.name}>{wrap(str(body))}</{call.name}>"


DIALECT = PlainTags()
