"""Finding the first tagged action in a model's text."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """The first action: which tag, what is inside, what stands before it, and the text up to its end."""

    tag: str
    body: str
    before: str
    text: str


def first_action(text: str, tags: tuple[str, ...], finish_reason: str, start: int = 0) -> Action | None:
    """The first of `tags` opened at or after `start`, with its body up to its closing tag.

    Anything after the closing tag is cut: the turn ended there. An open tag is closed if the server says that the turn
    stopped by itself, and is no action if it was cut off.
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
