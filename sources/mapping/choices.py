"""Choices: lists of them in the forms datasets give, options written inside a text, and the letter of the right one."""

import re
from typing import Any

from sources.mapping.cells import BrokenRow, cell_text

MAX_CHOICES = 26

# How an option is marked, the surest first: (A) anywhere; A. A) A: at the start of a line; the same between words.
_MARKS = (
    re.compile(r"(?<!\w)\(([A-Z])\)\s*"),
    re.compile(r"^[ \t]*\*{0,2}([A-Z])\*{0,2}[.):]\*{0,2}[ \t]+", re.MULTILINE),
    re.compile(r"(?<![\w.])([A-Z])[.):][ \t]+"),
)
_HEADING = re.compile(r"(?i)(?:^|(?<=[\s.?!:]))(?:answer )?(?:options|choices)[ \t]*+:?\Z")


def letter(index: int) -> str | None:
    """The letter of a choice counted from 0; None outside A to Z."""
    return chr(ord("A") + index) if 0 <= index < MAX_CHOICES else None


def _marked(text: str) -> list[re.Match[str]]:
    """The marks A, B, C … of the options in a text: the last run of at least two, of the surest kind; [] if none."""
    for pattern in _MARKS:
        run: list[re.Match[str]] = []
        best: list[re.Match[str]] = []
        for mark in pattern.finditer(text):
            if mark[1] == letter(len(run)):
                run.append(mark)
            else:
                run = [mark] if mark[1] == "A" else []
            if len(run) >= 2:
                best = run
        if best:
            return best
    return []


def inline_choices(text: str) -> list[str]:
    """The options written inside a text: "… (A) red (B) blue", "A. red\\nB. blue", "Options: A: red, B: blue".

    What stands below the last option (such as an instruction to give the letter) is no part of it.
    """
    marks = _marked(text)
    if not marks:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    options = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    options[-1] = options[-1].partition("\n")[0].strip()
    for sign in ",;":  # signs between the options, not of them
        if all(option.endswith(sign) for option in options[:-1]):
            options = [option.removesuffix(sign).rstrip() for option in options]
    return options


def without_choices(text: str) -> str:
    """The text before the options written inside it, and before a heading "Options:" or "Choices:"; all without any."""
    marks = _marked(text)
    return _HEADING.sub("", text[: marks[0].start()].rstrip()).strip() if marks else text.strip()


_LABEL = re.compile(r"\s*(?:[\[(]?([A-Za-z])[)\]]\s*|([A-Za-z])[.:]\s+)(?=\S)")


def unlabelled(options: list[str]) -> list[str]:
    """The options without their labels "A)", "B)" … or "[A]" or "A.", if each carries its own; else as they are."""
    found = [_LABEL.match(option) for option in options]
    if not all(match and (match[1] or match[2]).upper() == letter(i) for i, match in enumerate(found)):
        return options
    return [option[match.end() :].strip() for option, match in zip(options, found, strict=True) if match]


def read_choices(value: Any) -> tuple[list[str], list[str]]:
    """The texts of the choices and their labels ([] when they have none), from a list of texts,
    {text: [...], label: [...]} as in ARC, or {A: text, B: text, …}, whose nulls are choices that this row has not.

    Raises:
        BrokenRow: `choices_unreadable`.
    """
    if value is None:
        return [], []
    labels: list[str] = []
    texts = value
    if isinstance(value, dict) and "text" in value:
        labels = [cell_text(label) for label in value.get("label") or []]
        texts = value["text"] or []
    elif isinstance(value, dict):
        labels = [str(label) for label, text in value.items() if text is not None]
        texts = [text for text in value.values() if text is not None]
    if not isinstance(texts, list | tuple):
        raise BrokenRow("choices_unreadable", f"a {type(texts).__name__} is no list of choices")
    choices = [cell_text(text) for text in texts]
    if len(choices) > MAX_CHOICES or (labels and len(labels) != len(choices)):
        raise BrokenRow("choices_unreadable", f"{len(choices)} choices, {len(labels)} labels")
    return choices, labels


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def choice_letter(answer: Any, choices: list[str], labels: list[str], first: int) -> str:
    """The letter of the right choice, given its label, number, letter or text. `first`: the number of the first.

    Raises:
        BrokenRow: `answer_not_a_choice`.
    """
    text = cell_text(answer)
    position: int | None = None
    if text in labels:
        position = labels.index(text)
    elif _is_whole(answer):  # a column of whole numbers that has nulls comes as floats
        position = int(answer) - first
    elif text in choices:
        position = choices.index(text)
    elif re.fullmatch(r"\(?[A-Za-z][).:]?", text):
        position = ord(text.strip("(). :").upper()) - ord("A")
    elif whole := re.fullmatch(r"(\d{1,9})(?:\.0)?", text):
        position = int(whole[1]) - first
    right = letter(position) if position is not None and position < len(choices) else None
    if right is None:
        raise BrokenRow("answer_not_a_choice", f"{text!r} is none of {choices}"[:300])
    return right
