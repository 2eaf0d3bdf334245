"""What dialects share in which calls and answers are tags in the model's text."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from records.images.store import ImageStore
from records.trajectory import Block, Message
from rollouts.dialects import ToolSpec
from rollouts.models.contract import Completion


class TextDialect(ABC):
    """A dialect of system, user and assistant turns, in which observations are user turns. Satisfies `Dialect`."""

    name: ClassVar[str]
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
    def parse(self, text: str, finish_reason: str, tools: Sequence[ToolSpec]) -> Message:
        """What the model wrote, as a message whose `raw` it is.

        A tag left open is closed when the turn ended by a stop string (servers drop it) and ignored when it ended for
        want of tokens: half a call is never run.
        """

    def request(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], images: ImageStore | None
    ) -> dict[str, Any]:
        return {"messages": self.training_turns(messages, images), "stop": list(self.stop(tools)), **self.extra}

    def read(self, completion: Completion, tools: Sequence[ToolSpec]) -> Message:
        return self.parse(completion.text, completion.finish_reason, tools)

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


@dataclass(frozen=True)
class Action:
    """The first action of a text: its tag, its body, the text before it, and the text up to its end."""

    tag: str
    body: str
    before: str
    text: str


def first_action(text: str, tags: tuple[str, ...], finish_reason: str, start: int = 0) -> Action | None:
    """The first of `tags` opened at or after `start`, with its body up to its closing tag.

    Anything after the closing tag is cut: the turn ended there. An open tag is closed if the server says that the turn
    stopped by itself, and is not an action if it was cut off.
    """
    opening = re.compile("<(" + "|".join(tags) + ")>").search(text, start)
    if opening is None:
        return None
    tag = opening.group(1)
    end = text.find(f"</{tag}>", opening.end())
    if end < 0:
        if finish_reason != "stop":
            return None
        end, text = len(text), f"{text}</{tag}>"
    return Action(tag, text[opening.end() : end], text[: opening.start()], text[: end + len(tag) + 3])


def unwrap(body: str) -> str:
    """The body without the line breaks next to its tags, and without a code fence around all of it."""
    body = body.removeprefix("\n").removesuffix("\n")
    fenced = re.fullmatch(r"\s*```[a-zA-Z0-9_+-]*\n(.*?)\n?```\s*", body, re.DOTALL)
    return fenced.group(1) if fenced else body
