"""Yes and no, as a word or as the sentence that begins with it."""

# ruff: noqa: RUF001 - signs that look alike are meant

import re

_YES = r"yes|yeah|yep|yup|true|correct|y|是的?|对的?|正确|真|はい"
_NO = r"no|nope|nah|false|incorrect|wrong|n|否|不是的?|不对|不|错误?|没有|假|いいえ"
_WORD = rf"(?:(?P<yes>{_YES})|(?P<no>{_NO}))"
_FIRST = re.compile(rf"(?i)\W*{_WORD}(?![\w'’])(?P<rest>.*)", re.S)
_FIRST_SIGN = re.compile(rf"\W*{_WORD}(?P<rest>[\s,，.。;；:：!！、].*|)", re.S)
_STATEMENT = re.compile(
    r"(?i)\W*(?:it|this|that|the (?:statement|claim|answer|assertion))(?:\s+(?:is|was)|['’]s)\s+(?P<not>not\s+)?"
    rf"(?:indeed\s+)?{_WORD}\W*(?P<rest>)"
)
# What may follow "no", "true" and their like without a sign between: not "no idea", "no dogs", "true colours".
_CONTINUES = re.compile(
    r"(?i)\s*(?:$|[^\w\s]|\n|(?:it|he|she|they|there|this|that|these|those|i|we|you|the|because|since|as|not|sir)\b)"
)
_CLAUSES = re.compile(
    r"[,;:.!?\n()—–/|，。；：！？、]|\s-\s|\b(?:and|or|but|however|although|though|while|wait)\b", re.I
)
_FILLER = re.compile(
    r"(?i)^(?:(?:actually|well|then|so|rather|perhaps|maybe|also|hmm|sorry|in fact|i mean|i think|therefore|thus|"
    r"(?:the )?(?:final |correct |right )?answer(?: is)?|it is|it's|it’s|that is|that's)\s+)*"
)
_AGAIN = re.compile(rf"(?i){_WORD}(?:\s+(?:it|he|she|they|there|this|that|i|we|you|the)\b.*)?", re.S)
_UNDECIDED = re.compile(
    r"(?i)\b(?:maybe|perhaps|not sure|unsure|unclear|can(?:no|')t (?:be )?(?:determined?|tell|say)|cannot (?:be )?"
    r"(?:determined?|tell|say)|depends|both|either)\b"
)


def boolean(text: str) -> bool | None:
    """Whether a text says yes or no; None if it says neither, or both.

    The first word decides. A later clause takes that back if it is the other word itself ("yes and no", "no, wait,
    yes it is"); a "not", or a "no" before a noun, in the explanation does not.
    """
    text = re.sub(r"[*_`]", "", text).strip()
    if statement := _STATEMENT.fullmatch(text):
        return bool(statement["yes"]) is not bool(statement["not"])
    match = _FIRST.fullmatch(text) or _FIRST_SIGN.fullmatch(text)
    if match is None:
        return None
    said, rest = bool(match["yes"]), match["rest"]
    if match[0].lstrip()[:3].lower() != "yes" and not _CONTINUES.match(rest):
        return None
    for clause in _CLAUSES.split(rest):
        again = _AGAIN.fullmatch(_FILLER.sub("", clause.strip()))
        if again and bool(again["yes"]) is not said and not _by_the_way(again[0], said):
            return None
    if _UNDECIDED.match(rest.strip(" ,.;:!-—")):
        return None
    return said


def _by_the_way(clause: str, said: bool) -> bool:
    """Whether a clause with the other word still agrees: "no, that is wrong"; "y" and "n" are also letters."""
    return len(clause) == 1 or (not said and clause.lower().startswith(("right", "correct")))
