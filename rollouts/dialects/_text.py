"""What dialects share in which calls and answers are tags in the model's text."""
# ruff: noqa: RUF001 - models write these signs

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from records.images.store import ImageStore
from records.trajectory import Block, Message, ToolCall, text_message
from rollouts.dialects import ToolSpec
from rollouts.dialects._mentions import Tag
from rollouts.dialects._tags import Ending, read_tags
from rollouts.models.contract import Completion

ENDED = ("stop", "tool_calls")
"""Finish reasons of a turn that was not cut off."""
_END_TOKENS = (
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|end_of_text|>", "<|end|>", "<|return|>",
    "<end_of_turn>", "<turn|>", "<eos>", "</s>", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>", "<|endofturn|>",
    "[|endofturn|]", "<|user|>", "<|observation|>",
)  # fmt: skip
"""Tokens that end a turn, of the usual families: a server that keeps special tokens may leave one at the end."""
_FENCE = re.compile(r"```[a-zA-Z0-9_+-]*[ \t]*\n")


class TextDialect(ABC):
    """A dialect of system, user and assistant turns, in which observations are user turns. Satisfies `Dialect`."""

    name: ClassVar[str]
    results: ClassVar[tuple[str, ...]]
    """What an observation begins with."""
    extra: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Further request fields that the dialect needs."""

    @abstractmethod
    def stop(self, tools: Sequence[ToolSpec]) -> tuple[str, ...]:
        """Strings that end a turn."""

    @abstractmethod
    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        """The part of the system prompt that says how to call these tools and how to answer."""

    @abstractmethod
    def assistant_text(self, message: Message) -> str:
        """An assistant turn as text: the model's own, if it wrote it, otherwise composed from its parts."""

    @abstractmethod
    def observation_text(self, message: Message) -> str:
        """A tool turn as the text of a user turn, images aside."""

    @abstractmethod
    def tags(self, tools: Sequence[ToolSpec]) -> tuple[Tag, ...]:
        """The tags that stand for an action: `answer`, and those of calls."""

    @abstractmethod
    def call(self, tag: str, body: str, tools: Sequence[ToolSpec]) -> ToolCall:
        """The call that a tag with this body is."""

    @abstractmethod
    def call_text(self, call: ToolCall) -> str:
        """A call as text, so that it is read back the same."""

    def parse(
        self,
        text: str,
        finish_reason: str,
        tools: Sequence[ToolSpec],
        stopped_by: str | None = None,
        in_thought: bool = False,
    ) -> Message:
        """What the model wrote, as a message whose `raw` it is up to the end of its action.

        Which tags are meant is told by rollouts.dialects._tags. A tag left open is closed when the turn ended by a stop
        string (servers drop it) and ignored when it ended for want of tokens: half a call is never run.

        Args:
            stopped_by: the stop string that the server names; "" where it says that none was met.
            in_thought: whether the text is known to begin within a thought.
        """
        text = without_end_tokens(text)
        known = stopped_by == "" or stopped_by in self.stop(tools)
        ending = Ending(finish_reason in ENDED, stopped_by if known else None)
        found = read_tags(text, self.tags(tools), self.results, ending, in_thought)
        thought = None if found.thought is None else found.thought.strip().removeprefix("<think>").strip()
        action = found.action
        if action is None:
            return text_message("assistant", found.outside, reasoning=thought or "", raw=text)
        reasoning = action.before.strip() if thought is None else thought
        if action.tag == "answer":
            return Message(role="assistant", reasoning=reasoning, answer=action.body.strip(), raw=action.text)
        call = self.call(action.tag, action.body, tools)
        return Message(role="assistant", reasoning=reasoning, tool_calls=[call], raw=action.text)

    def tidy_thoughts(self, text: str, tools: Sequence[ToolSpec]) -> bool:
        """Whether each thought of a turn begins before anything else is said, and is closed."""
        return read_tags(without_end_tokens(text), self.tags(tools), self.results, Ending(False)).tidy

    def request(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], images: ImageStore | None
    ) -> dict[str, Any]:
        return {"messages": self.training_turns(messages, images), "stop": list(self.stop(tools)), **self.extra}

    def read(self, completion: Completion, tools: Sequence[ToolSpec]) -> Message:
        """The text as `parse` reads it, with the reasoning that the server gave apart from it.

        A server whose parser took a call out of the text, although none was asked for, gives it as a native call: it is
        put back if it can be written in this dialect.
        """
        message = self.parse(
            completion.text, completion.finish_reason, tools, completion.stopped_by, completion.in_thought
        )
        if message.answer is None and not message.tool_calls and completion.finish_reason in ENDED:
            message = self._put_back(completion, tools) or message
        if apart := completion.reasoning.strip():
            reasoning = f"{apart}\n{message.reasoning}".strip()
            message = message.model_copy(update={"reasoning": reasoning, "reasoning_apart": apart})
        return message

    def _put_back(self, completion: Completion, tools: Sequence[ToolSpec]) -> Message | None:
        """The message with the first of its native calls written into it; None where that cannot be."""
        if not completion.tool_calls:
            return None
        call = ToolCall(**completion.tool_calls[0])
        try:
            text = f"{completion.text}\n{self.call_text(call)}".lstrip("\n")
            message = self.parse(text, "stop", tools)
            (read,) = message.tool_calls
            same = read.name == call.name and json.loads(read.arguments) == json.loads(call.arguments)
        except (ValueError, KeyError, TypeError, AttributeError):  # not a call, or none that this dialect can write
            return None
        return message if same else None

    def training_turns(self, messages: Sequence[Message], images: ImageStore | None) -> list[dict[str, Any]]:
        return [self._turn(message, images) for message in messages]

    def _turn(self, message: Message, images: ImageStore | None) -> dict[str, Any]:
        if message.role == "assistant":
            return {"role": "assistant", "content": self.assistant_text(message)}
        role = "user" if message.role == "tool" else message.role
        text = self.observation_text(message) if message.role == "tool" else message.text
        if images is None or not message.images:
            return {"role": role, "content": text}
        blocks = message.content
        if message.role == "tool":
            blocks = [*(block for block in blocks if block.type == "image"), Block(type="text", text=text)]
        return {"role": role, "content": [_content_part(block, images) for block in blocks]}


def _content_part(block: Block, images: ImageStore) -> dict[str, Any]:
    if block.type == "text":
        return {"type": "text", "text": block.text}
    return {"type": "image_url", "image_url": {"url": images.data_uri(block.image)}}


def unwrap(body: str) -> str:
    """The body without the line breaks next to its tags, and without a code fence around all of it."""
    body = body.removeprefix("\n").removesuffix("\n")
    fenced = body.strip()
    opening = _FENCE.match(fenced)
    if opening is None or not fenced.endswith("```") or len(fenced) < opening.end() + 3:
        return body
    return fenced[opening.end() : -3].removesuffix("\n")


def wrap(body: str) -> str:
    """The body between line breaks, such that `unwrap` gives it back: one that is all a code fence gets another."""
    return f"\n{body}\n" if unwrap(f"\n{body}\n") == body else f"\n```\n{body}\n```\n"


def without_end_tokens(text: str) -> str:
    """The text without the tokens that end a turn, at its end."""
    end = bare = len(text)
    while bare:
        while bare and text[bare - 1].isspace():
            bare -= 1
        found = next((token for token in _END_TOKENS if text.endswith(token, 0, bare)), None)
        if found is None:
            break
        end = bare = bare - len(found)
    return text[:end]
