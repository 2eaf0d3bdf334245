"""How a model family writes and reads turns. A new dialect is one module of this package that offers `DIALECT`.

A dialect looks only at what the model itself wrote: a tag inside an observation is never the model's.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from records.images.store import ImageStore
from records.recipe.section import RecipeError
from records.trajectory import Block, Message


class ToolSpec(Protocol):
    """The part of a tool that a prompt describes."""

    name: str
    description: str
    parameters: dict[str, Any]


class Dialect(Protocol):
    name: str
    extra: Mapping[str, Any]
    """Further request fields that the dialect needs."""

    def stop(self, tools: Sequence[ToolSpec]) -> tuple[str, ...]:
        """Strings that end a turn."""
        ...

    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        """The part of the system prompt that says how to call these tools and how to answer."""
        ...

    def assistant_text(self, message: Message) -> str:
        """An assistant turn as text: the model's own, if it wrote it, otherwise composed from its parts."""
        ...

    def observation_text(self, message: Message) -> str:
        """A tool turn as the text of a user turn, images aside."""
        ...

    def parse(self, text: str, finish_reason: str, tools: Sequence[ToolSpec]) -> Message:
        """What the model wrote, as a message whose `raw` it is.

        A tag left open is closed when the turn ended by a stop string (servers drop it) and ignored when it ended
        for want of tokens: half a call is never run.
        """
        ...


def dialect_names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get_dialect(name: str) -> Dialect:
    """Raises RecipeError for a name that no module has."""
    if name not in dialect_names():
        raise RecipeError(f"dialect: there is no dialect {name!r}; known: {', '.join(dialect_names())}")
    return importlib.import_module(f"rollouts.dialects.{name}").DIALECT


def render(dialect: Dialect, messages: Sequence[Message], images: ImageStore | None) -> list[dict[str, Any]]:
    """OpenAI chat messages: system, user and assistant turns only, observations as user turns.

    Images become image_url blocks with data URIs when `images` is given; for a model that cannot see, give None.
    """
    chat: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "assistant":
            chat.append({"role": "assistant", "content": dialect.assistant_text(message)})
            continue
        role = "user" if message.role == "tool" else message.role
        text = dialect.observation_text(message) if message.role == "tool" else message.text
        if images is None or not message.images:
            chat.append({"role": role, "content": text})
            continue
        blocks = message.content if message.role != "tool" else [*_images_of(message), Block(type="text", text=text)]
        content: list[dict[str, Any]] = []
        for block in blocks:
            if block.type == "text":
                content.append({"type": "text", "text": block.text})
            else:
                content.append({"type": "image_url", "image_url": {"url": images.data_uri(block.image)}})
        chat.append({"role": role, "content": content})
    return chat


def _images_of(message: Message) -> list[Block]:
    return [block for block in message.content if block.type == "image"]
