"""How a model family writes and reads turns. A new dialect is one module of this folder that offers `DIALECT`.

A dialect owns the wire in both directions: it turns messages into a chat request, and a completion into a message. It
reads only what the model itself wrote: a tag inside an observation is never the model's. Dialects in which calls and
answers are tags in the text inherit from `rollouts.dialects._text.TextDialect`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from records.images.store import ImageStore
from records.plugins import get_module, module_names
from records.trajectory import Message
from rollouts.models.contract import Completion


class ToolSpec(Protocol):
    """The part of a tool that a prompt describes."""

    name: str
    description: str
    parameters: dict[str, Any]


class Dialect(Protocol):
    """Both directions between messages and the wire."""

    name: str

    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        """The part of the system prompt that says how to call these tools and how to answer."""
        ...

    def request(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], images: ImageStore | None
    ) -> dict[str, Any]:
        """The fields of a chat request that the dialect decides: `messages`, and others such as `stop`, `tools` or
        `skip_special_tokens`. They are part of the call's key and of the prompts' fingerprint.

        Args:
            tools: those that are offered.
            images: where the images of the messages are; None for a model that sees no images.
        """
        ...

    def read(self, completion: Completion, tools: Sequence[ToolSpec]) -> Message:
        """What the model wrote, as an assistant message that `request` shows it again unchanged.

        A call or an answer that ended for want of tokens (finish_reason `length`) is not read as one. Reasoning that
        the server gave apart from the text is kept in `reasoning`, and in `reasoning_apart`.
        """
        ...

    def observation_text(self, message: Message) -> str:
        """A tool turn as text for a user turn, images aside."""
        ...

    def training_turns(self, messages: Sequence[Message], images: ImageStore | None) -> list[dict[str, Any]]:
        """The conversation as training sets hold it: OpenAI chat messages of the roles system, user and assistant.

        Images are image_url blocks with data URIs, or are left out when `images` is None.
        """
        ...


@runtime_checkable
class ThinksInTags(Protocol):
    """A dialect in which thoughts are tags in the text, so that they can be out of order."""

    def tidy_thoughts(self, text: str, tools: Sequence[ToolSpec]) -> bool:
        """Whether each thought of a turn begins before anything else is said, and is closed."""
        ...


def with_thought(message: Message) -> Message:
    """The turn with the reasoning that the server gave apart from it in its text, between <think> and </think>."""
    if not message.reasoning_apart:
        return message
    text = f"<think>{message.reasoning_apart}</think>\n{message.raw or ''}"
    return message.model_copy(update={"raw": text, "reasoning_apart": ""})


def dialect_names() -> list[str]:
    """The names of all dialects, sorted."""
    return module_names(__name__)


def get_dialect(name: str) -> Dialect:
    """The dialect of the module `name`.

    Raises:
        RecipeError: there is no such module.
    """
    return get_module(__name__, name, "dialect", "dialect").DIALECT
