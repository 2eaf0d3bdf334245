"""Tags as they stand in a text, without those that are only spoken of."""
# ruff: noqa: RUF001 - models write these signs

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rollouts.dialects._code import Body

THINK = "think"
_QUOTES = {
    '"': '"',
    "'": "'",
    "`": "`",
    "*": "*",
    "“": "”",
    "‘": "’",
    "「": "」",
    "『": "』",
    "«": "»",
    "(": ")",
    "[": "]",
}
# what follows an opening tag that is spoken of: "<answer> tags", "<answer> and </answer>", "(in <answer>)", "<answer>."
_SPOKEN_OF = re.compile(
    r"[\"'`,，]?[ \t]+(?:tags?|blocks?|elements?|markers?|brackets?|and|or)\b(?!\s*</)"
    r"|[\"'`]?[ \t]?(?:标签|標籤|标记|タグ|태그)(?!\s*(?:</|$))"
    r"|(?:[)\]，,;；。、]|[.?!](?=\s|$))(?!\s*</)"
)
_PLACEHOLDER = re.compile(
    r"\s*(?:[\"'`]*(?:…+|\.{3,})[\"'`]*|[\"'`*,，]*\s[\"'`*]*(?:and|or|to|和|与|und|et|y)[\"'`*]*\s[\"'`*]*)?\s*"
)
_LONGEST_PLACEHOLDER = 200


@dataclass(frozen=True)
class Tag:
    """A tag that stands for an action."""

    name: str
    holds: Body = "text"
    placeholders: tuple[str, ...] = ()
    """Bodies that the instructions show in place of a real one."""


@dataclass(frozen=True)
class TagToken:
    """A tag, or the beginning of a result that the model made up."""

    start: int
    end: int
    name: str
    kind: Literal["open", "close", "result"]


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...], results: tuple[str, ...]) -> re.Pattern[str]:
    tags = "|".join(map(re.escape, (THINK, *names)))
    made_up = "".join(f"|(?P<r{n}>{re.escape(result)})" for n, result in enumerate(results))
    return re.compile(f"<(?P<slash>/?)(?P<name>{tags})>{made_up}")


def tag_tokens(text: str, names: tuple[str, ...], results: tuple[str, ...]) -> list[TagToken]:
    """The tags of the text, without those that are only spoken of."""
    found = []
    for match in _pattern(names, results).finditer(text):
        start, end, name = match.start(), match.end(), match["name"]
        if name is None:
            found.append(TagToken(start, end, match.group(), "result"))
        elif start and end < len(text) and _QUOTES.get(text[start - 1]) == text[end]:
            continue
        elif match["slash"]:
            found.append(TagToken(start, end, name, "close"))
        elif not _SPOKEN_OF.match(text, end):
            found.append(TagToken(start, end, name, "open"))
    return found


def is_placeholder(body: str, tag: Tag) -> bool:
    """Whether the body says nothing: it is empty, dots, the "and" between two tags, or what the instructions show."""
    if tag.holds == "json" and not ("{" in body or "[" in body):
        return True
    if body.startswith("\n") and tag.name != "answer":  # lines of their own are meant
        return "\n" in body.strip() and body.strip() in tag.placeholders
    if len(body) > _LONGEST_PLACEHOLDER:
        return body.isspace()
    return _PLACEHOLDER.fullmatch(body) is not None or body.strip() in tag.placeholders
