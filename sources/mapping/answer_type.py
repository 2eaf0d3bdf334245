"""The type of an answer of which only the text is known."""

import re

from records.question import AnswerType, Task

_UNITS = (
    r"mm|cm|dm|km|μm|nm|mg|kg|ml|mL|cl|kl|min|ft|in|yd|mi|lbs?|oz|hrs?|yrs?|mph|km/h|m/s|kWh|kW|Hz|kHz|MHz|GHz|MB|GB|TB|"
    r"sq\.? [a-z]{1,6}|°\s?[CF]?|\^\{?\\circ\}?|\\?%|percent|thousand|million|billion|trillion|hundred|dozen|lakh|"
    r"crore|bn|"
    r"USD|EUR|GBP|INR|CNY|[cmk]?m[²³]|[cmk]?m\^\{?[23]\}?|[€£¥]|[KMB](?![a-z])"
)
_SIGNS = r"[百千万亿萬億]{0,2}(?:平方|立方)?(?:[个個只人元円米克升秒年岁天度]|厘米|毫米|千米|公里|千克|公斤|小时|分钟)?"
# What is counted, in small letters: "5 apples", "12 square units", "60 miles per hour". A capital makes a title.
_NAME = r"(?:[a-z]{3,}(?: |-)){0,3}[a-z]{3,}s?"
_NO_NAME = (
    r"(?!.*\b(?:or|and|to|of|not|by|than|minus|plus|times|over|with|for|from|the|until|through|more|less|half|third|"
    r"quarter|tenth|mod|pi|sqrt|root|squared|cubed|factorial|theta|alpha|beta|infinity|point|if|when|where|is|are)s?\b)"
)
_NUMBER = re.compile(
    r"[+−-]?(?:(?:US)?\\?[$]|[€£¥₹₩])?[+−-]?"  # noqa: RUF001 - the minus sign
    r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?|\.\d+|(?:\d+ )?\d+ ?/ ?\d+|\d* ?[½⅓⅔¼¾])"
    rf"(?: ?(?:{_UNITS})(?: {_NAME})?| [mgshlLANJWV]| *\\(?:text|mathrm) ?\{{[^{{}}]*\}}(?:\^\{{?[23]\}}?)?"
    rf"|{_SIGNS}| {_NO_NAME}{_NAME})?"  # "1990s" is no number of seconds
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

    A number may have a sign, a currency, separated thousands, an exponent, percent, degrees, a scale, a unit or what is
    counted behind it ("5 feet", "5 apples"), or be a fraction. An expression, which only mathematics has, shows by a
    command of LaTeX, or by an operator among no words.
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
