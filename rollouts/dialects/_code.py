"""Where a body of code ends: tags within its strings and comments are its own."""

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import Literal

Body = Literal["text", "code", "json"]
"""What a tag holds: plain text, Python, or JSON."""
_PREFIXES = frozenset({"r", "b", "f", "u", "t", "rb", "br", "rf", "fr", "rt", "tr"})
_LINE = {quote: re.compile(rf"{quote}(?:[^{quote}\\\n]|\\[\s\S])*+(?P<end>{quote})?") for quote in "\"'"}
_JSON = re.compile(r'"(?:[^"\\]|\\[\s\S])*+(?P<end>")?')
_WORD = re.compile(r"\w+\Z")
_LONGEST_LINE = 300
_DEEPEST = 32
"""Blanks at the begin of a line that are looked at."""


def line_start(text: str, position: int) -> bool:
    """Whether only blanks stand between the begin of the line and a position."""
    before = text[max(0, position - _DEEPEST) : position].rstrip(" \t")
    return before.endswith("\n") or (not before and position <= _DEEPEST)


@dataclass
class BodyEnd:
    """The end of a body."""

    close: int
    """Where its closing tag begins; -1 where it has none before the tag is opened again."""
    half: bool = False
    """Whether it has no end because a string of it has none."""
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """Where the strings and comments before that begin and end."""
    whole: list[bool] = field(default_factory=list)
    """Whether each of them ends by itself, and not for want of text."""


class Bodies:
    """Finds the ends of bodies in one text; what was searched for in vain is not searched for again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._endless: set[str] = set()
        self._patterns: dict[tuple[str, Body], re.Pattern[str]] = {}
        self._last_break = text.rstrip().rfind("\n")
        self._line = (0, -1)

    def last_line(self, position: int) -> bool:
        """Whether a position is in the last line."""
        return position > self._last_break

    def closing(self, position: int, name: str, holds: Body) -> BodyEnd:
        """The end of the body that begins at a position. A text is looked at from there to where the same tag is opened
        again, so that all calls for one tag look at it once."""
        marks = r"\"\"\"|'''|\"|'|#" if holds == "code" else '"'
        pattern = self._patterns.setdefault((name, holds), re.compile(f"<(?P<slash>/?){re.escape(name)}>|{marks}"))
        found, endless = BodyEnd(-1), False
        while (match := pattern.search(self.text, position)) is not None:
            mark, start, closed = match.group(), match.start(), True
            position = match.end()
            if mark.startswith("<"):
                if endless and not line_start(self.text, start):
                    continue
                if match["slash"]:
                    found.close, found.half = start, False
                    return found
                break
            if endless:
                continue
            if mark == "#":
                end = self._comment(start, name)
            elif holds == "json":
                end = self._json(start)
            elif not self._begins_string(start):
                continue
            else:
                end, closed = self._string(start, mark)
                endless = end < 0
                found.half = endless or (not closed and end == len(self.text))
                end = len(self.text) if endless else end
            if end > start:
                found.starts.append(start)
                found.ends.append(end)
                found.whole.append(closed)
                position = position if endless else max(end, position)
        return found

    def _begins_string(self, start: int) -> bool:
        """Whether a quotation mark begins a string: not if it follows a word (it's), unless that is a prefix."""
        word = _WORD.search(self.text[max(0, start - 3) : start])
        return word is None or word.group().lower() in _PREFIXES

    def _string(self, start: int, mark: str) -> tuple[int, bool]:
        """The end of a string, -1 where one of several lines has none; and whether it is closed."""
        if len(mark) == 3:
            end = -1 if mark in self._endless else self.text.find(mark, start + 3)
            if end < 0:
                self._endless.add(mark)
            return (end + 3, True) if end >= 0 else (-1, False)
        match = _LINE[mark].match(self.text, start)
        assert match is not None  # it begins with the mark
        return match.end(), match["end"] is not None

    def _json(self, start: int) -> int:
        """The end of a string in JSON; its begin where it has none."""
        if "json" in self._endless:
            return start
        match = _JSON.match(self.text, start)
        assert match is not None
        if match["end"] is None:
            self._endless.add("json")
            return start
        return match.end()

    def _comment(self, start: int, name: str) -> int:
        """The end of a comment: of its line, or where the body ends in it. A mark without a blank after it is none."""
        if self.text[start + 1 : start + 2] not in (" ", "\t", "!"):
            return start
        if not self._line[0] <= start <= self._line[1]:
            end = self.text.find("\n", start)
            self._line = (start, len(self.text) if end < 0 else end)
        close = self.text.find(f"</{name}>", start, self._line[1])
        return self._line[1] if close < 0 else close


def is_code(line: str) -> bool:
    """Whether a text of one short line, or any longer one, can be Python: a sentence can not."""
    if "\n" in line or len(line) > _LONGEST_LINE:
        return True
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(line.strip())
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
