"""Which tags in a model's text are meant, and which are only mentioned.

Models restate the format they were given ("the answer goes between <answer> and </answer>"), think before they act, and
write tags into strings of their code. The rules:

- Nothing inside a thought is an action, whether the thought is closed or open. A text may begin within a thought that
  the chat template opened: then its first thought tag is a `</think>`.
- What stands between an opening tag and its closing tag is the body, and no tag in it counts. In code, a closing tag
  within a string does not close. An opening tag after which the same tag is opened again was only mentioned.
- A tag in quotation marks, "<answer> tags" and "<answer> and </answer>" are mentions; so is a body that is empty or
  repeats the placeholder of the instructions.
- Of several actions the last one counts. What follows a call together with a result that the model made up is cut: a
  stop string would have ended the turn there.
- A tag that is still open at the end counts if the turn ended there by itself or by a stop string (servers drop it),
  and not if it was cut off. Code that ends within a string is half a call, and none. With its closing tag the text must
  say the same: what is stored is what is read again by a trainer.

A text is read from left to right, three times at most: the work grows with its length and never faster.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from rollouts.dialects._code import Bodies, BodyEnd, is_code, line_start
from rollouts.dialects._mentions import THINK, Tag, TagToken, is_placeholder, tag_tokens

_NOTHING = BodyEnd(-1)
_BLANKS = 32
"""The most blanks between a call and a made-up result on its line."""


@dataclass(frozen=True)
class Ending:
    """How a text ended, as far as the server says."""

    by_itself: bool
    """Whether by the model's own end or by a stop string; False: it was cut off."""
    stop: str | None = None
    """The stop string that ended it; "": none did; None: the server does not say."""


_CUT = Ending(by_itself=False)


@dataclass(frozen=True)
class Action:
    """An action of a text."""

    tag: str
    body: str
    before: str
    """The text before its opening tag."""
    text: str
    """The text up to its end, with its closing tag."""


@dataclass(frozen=True)
class Reading:
    """What a text holds."""

    action: Action | None
    thought: str | None
    """The thought before the action, or the last one; None without a thought."""
    outside: str
    """The text after the thought; of one that is not closed, the text before it."""
    tidy: bool
    """Whether each thought begins where a thought may (at the begin of the turn, or after another) and is closed."""


@dataclass(frozen=True)
class _Found:
    """An action by its places: a text may hold very many."""

    opened: TagToken
    close: int
    """Where its closing tag begins, or would begin."""
    end: int
    """Where its closing tag ends; `close` where it has none."""
    thought_end: tuple[int, int] | None
    """Begin and end of the `</think>` before it, if there is one."""


def read_tags(
    text: str, tags: Sequence[Tag], results: Sequence[str], ending: Ending, in_thought: bool = False
) -> Reading:
    """Read a turn.

    Args:
        tags: those that stand for an action.
        results: what a result begins with, which a model must not write itself.
        in_thought: whether the text is known to begin within a thought.
    """

    def walked(read: str) -> _Walk:
        walk = _Walk(read, {tag.name: tag for tag in tags}, in_thought)
        walk.tokens(tag_tokens(read, tuple(tag.name for tag in tags), tuple(results)))
        return walk

    reading = walked(text).reading(ending)
    action = reading.action
    if action is None or len(action.text) <= len(text):
        return reading
    same = walked(action.text).reading(_CUT).action == action  # the tag was closed for it
    return reading if same else walked(text).reading(_CUT)


@dataclass
class _Stretch:
    """What stands between two ends of thoughts."""

    actions: list[_Found] = field(default_factory=list)
    open: dict[str, TagToken] = field(default_factory=dict)
    """The last opening of each tag that has no end of its own."""
    hidden: BodyEnd = field(default_factory=lambda: _NOTHING)
    """The strings and comments of code that is open."""
    over: bool = False
    """Whether a made-up result ended the turn."""


class _Walk:
    """One pass over the tags of a text."""

    def __init__(self, text: str, tags: dict[str, Tag], in_thought: bool) -> None:
        self.text, self.tags, self.in_thought = text, tags, in_thought
        self.bodies = Bodies(text)
        self.groups = [_Stretch()]
        self.thought_from = 0
        self.thought_end: tuple[int, int] | None = None
        self.tidy = True
        self.half: set[int] = set()
        """Where code begins that ends within a string."""

    def tokens(self, tokens: list[TagToken]) -> None:
        places: dict[tuple[str, str], list[int]] = {}
        for token in tokens:
            places.setdefault((token.name, token.kind), []).append(token.start)
        after = 0
        for token in tokens:
            if token.start < after or self._hidden(token):
                continue
            if token.name == THINK:
                self._thought(token)
            elif not self.in_thought and not self.groups[-1].over:
                if token.kind == "result":
                    self._result(token)
                elif token.kind == "open":
                    after = self._opening(token, places)

    def _hidden(self, token: TagToken) -> bool:
        """Whether a tag is within a string or comment of open code. In one without an end, the end of a thought counts:
        then the code was only spoken of."""
        spans = self.groups[-1].hidden
        index = bisect_right(spans.starts, token.start) - 1
        return index >= 0 and token.start < spans.ends[index] and (spans.whole[index] or token.name != THINK)

    def _thought(self, token: TagToken) -> None:
        group = self.groups[-1]
        if token.kind == "open":
            before = self.thought_end[1] if self.thought_end else 0
            if self.in_thought or self.text[before : token.start].strip():
                self.tidy = False
            if not self.in_thought:
                self.thought_from, self.in_thought = token.start, True
                group.open.clear()
                group.hidden = _NOTHING
            return
        if not self.in_thought:  # what stands before it was thought
            if self._is_answered() or (group.over and self.thought_end):
                return
            self.tidy = self.tidy and self.thought_end is None
            self.groups.append(_Stretch())
        self.in_thought, self.thought_end = False, (token.start, token.end)

    def _is_answered(self) -> bool:
        """Whether a `</think>` is the answer's own word: in an open answer on a line of its own, the last one."""
        answer = self.groups[-1].open.get("answer")
        return answer is not None and line_start(self.text, answer.start) and self.bodies.last_line(answer.end)

    def _result(self, token: TagToken) -> None:
        group = self.groups[-1]
        begins_line = line_start(self.text, token.start)
        last = group.actions[-1] if group.actions else None
        calls = [opened for name, opened in group.open.items() if name != "answer"]
        if last is not None and last.opened.name != "answer":
            group.over = begins_line or (
                token.start - last.end <= _BLANKS and not self.text[last.end : token.start].strip()
            )
        elif calls and begins_line:
            self._add(max(calls, key=lambda opened: opened.start), token.start, token.start)
            group.over = bool(group.actions)

    def _opening(self, token: TagToken, places: dict[tuple[str, str], list[int]]) -> int:
        """Take in an opening tag; returns the position from which further tags count."""
        group, tag = self.groups[-1], self.tags[token.name]
        if tag.holds == "text":
            close = _next(places.get((token.name, "close"), []), token.end)
            again = _next(places[token.name, "open"], token.end)
            closed = close >= 0 and not 0 <= again < close
        else:
            found = self.bodies.closing(token.end, token.name, tag.holds)
            close, closed = found.close, found.close >= 0
            if not closed:
                group.hidden = found
            if found.half:
                self.half.add(token.start)
        if not closed:
            group.open[token.name] = token
            return token.end
        end = close + len(f"</{token.name}>")
        self._add(token, close, end)
        group.open.clear()
        return end

    def _add(self, opened: TagToken, close: int, end: int) -> None:
        """Take in an action, unless its body is a placeholder."""
        if not is_placeholder(self.text[opened.end : close], self.tags[opened.name]):
            self.groups[-1].actions.append(_Found(opened, close, end, self.thought_end))

    def reading(self, ending: Ending) -> Reading:
        if ending.by_itself and not self.in_thought and not self.groups[-1].over:
            self._close(ending.stop)
        group = next((group for group in reversed(self.groups) if group.actions), None)
        tidy = self.tidy and not self.in_thought and group in (None, self.groups[-1])
        if group is None and self.in_thought:
            outside = self.text[self.thought_end[1] if self.thought_end else 0 : self.thought_from]
            return Reading(None, self.text[self.thought_from :], outside, tidy)
        found = group.actions[-1] if group else None
        end = found.thought_end if found else self.thought_end
        thought, outside = (None, self.text) if end is None else (self.text[: end[0]], self.text[end[1] :])
        if found is None:
            return Reading(None, thought, outside, tidy)
        name, start = found.opened.name, found.opened.start
        text = self.text[: found.end] + (f"</{name}>" if found.end == found.close else "")
        action = Action(name, self.text[found.opened.end : found.close], self.text[:start], text)
        return Reading(action, thought, outside, tidy)

    def _close(self, stop: str | None) -> None:
        """Close the tag that is open at the end, where the turn ended with it."""
        group = self.groups[-1]
        opened = list(group.open.values())
        if stop:
            opened = [token for token in opened if stop == f"</{token.name}>" or not stop.startswith("</")]
        elif group.actions:
            return
        last = max(opened, key=lambda token: token.start, default=None)
        if last is None or last.start in self.half or not self.text[last.end :].strip():
            return
        said = self.text[self.thought_end[1] if self.thought_end else 0 : last.start].strip()
        # where it stands in a sentence, and nothing ended it or it reads as one, it is only spoken of
        meant = last.name == "answer" or stop or not said or line_start(self.text, last.start)
        if meant or (stop is None and (self.tags[last.name].holds != "code" or is_code(self.text[last.end :]))):
            self._add(last, len(self.text), len(self.text))


def _next(places: list[int], position: int) -> int:
    """The first of the places from a position on; -1 where there is none."""
    index = bisect_left(places, position)
    return places[index] if index < len(places) else -1
