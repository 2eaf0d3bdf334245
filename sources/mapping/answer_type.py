"""The type of an answer of which only the text is known."""

import re

from records.question import AnswerType, Task

_UNITS = r"mm|cm|dm|km|mg|kg|ml|cl|min|°[CF]?|\^\{?\\circ\}?|\\?%|percent|thousand|million|billion|trillion"
_NUMBER = re.compile(
    r"[+−-]?[$€£¥]?[+−-]?"  # noqa: RUF001 - the minus sign
    r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?|\.\d+|(?:\d+ )?\d+ ?/ ?\d+)"
    rf"(?: ?(?:{_UNITS})| [mgshl]| *\\text ?\{{[^{{}}]*\}})?"  # "1990s" is no number of seconds
)
_TEXT_IN_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox) ?\{[^{}]*\}")
_FUNCTION = re.compile(r"(?:arc)?(?:sin|cos|tan)|sqrt|log|ln|exp|pi")
# A hyphen or slash is an operator beside a letter; between numbers it makes ranges and dates.
_OPERATOR = re.compile(
    r"[\^=+*×·÷√π<>≤≥∞]|\d[a-z]|(?:sin|cos|tan|sqrt|log|ln|exp) ?\(|^[(\[].*\d.*,.*[)\]]$"  # noqa: RUF001
    r"|(?=.*[a-z])(?:\d.*[/−-]|[/−-].*\d)"  # noqa: RUF001
)
_SHORT = 200


def infer(answer: str, task: Task | None = None) -> AnswerType:
    """The type of an answer without choices, so that right answers in another notation can be judged right.

    A number may have a sign, a currency, separated thousands, an exponent, percent, degrees or a common unit, or be a
    fraction. An expression, which only mathematics has, shows by a command of LaTeX, or by an operator among no words.
    """
    if answer.lower() in ("yes", "no", "true", "false"):
        return "boolean"
    if len(answer) > _SHORT:
        return "short_text"
    if len(answer) > 2 and answer[0] == answer[-1] == "$":
        answer = answer.strip("$").strip()
    if _NUMBER.fullmatch(answer):
        return "number"
    if task == "math":
        formula = _TEXT_IN_LATEX.sub("", answer)
        words = re.search(r"[^\W\d_]{3}", _FUNCTION.sub("", formula))
        if re.search(r"\\[A-Za-z]", formula) or (not words and _OPERATOR.search(formula)):
            return "expression"
    return "short_text"
