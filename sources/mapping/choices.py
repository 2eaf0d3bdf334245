"""Choices: lists of them in the forms datasets give, and the letter of the right one."""

import re
from typing import Any

from sources.mapping.cells import BrokenRow, cell_text
from sources.mapping.listed_options import FLAT, MAX_CHOICES


def letter(index: int) -> str | None:
    """The letter of a choice counted from 0; None outside A to Z."""
    return chr(ord("A") + index) if 0 <= index < MAX_CHOICES else None


_LABEL = re.compile(r"\s*(?:[\[(]?([A-Za-z])[)\]]\s*|([A-Za-z])(?:[.:]\s+|[.、]\s*))(?=\S)")
_LETTER = re.compile(r"[\[(]?\s?([A-Za-z])\s?[)\].:、]*")


def unlabelled(options: list[str]) -> list[str]:
    """The options without their labels "A)", "B)" … or "[A]" or "A.", if each carries its own; else as they are."""
    found = [_LABEL.match(option.translate(FLAT)) for option in options]
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
    flat = text.translate(FLAT)
    position: int | None = None
    if text in labels:
        position = labels.index(text)
    elif _is_whole(answer):  # a column of whole numbers that has nulls comes as floats
        position = int(answer) - first
    elif text in choices:
        position = choices.index(text)
    elif named := _LETTER.fullmatch(flat):
        position = ord(named[1].upper()) - ord("A")
    elif (label := _LABEL.match(flat)) and text[label.end() :].strip() in choices:  # "B. blue"
        position = choices.index(text[label.end() :].strip())
    elif whole := re.fullmatch(r"(\d{1,9})(?:\.0)?", text):
        position = int(whole[1]) - first
    right = letter(position) if position is not None and position < len(choices) else None
    if right is None:
        raise BrokenRow("answer_not_a_choice", f"{text!r} is none of {choices}"[:300])
    return right
