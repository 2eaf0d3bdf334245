"""Options written inside a text: "Which? (A) red (B) blue (C) neither (A) nor (B)".

Texts mention labels for many reasons: an option speaks of other options, a question of the points A and B of a figure.
The options are therefore the longest run of labels A, B, C, … that look alike and all stand at the same kind of place
(at the start of a line, behind a gap, or within a line), such that something that can be an option follows each.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_CHOICES = 26
_MOST_MARKS = 4 * MAX_CHOICES
"""The most labels of one look that are considered, the last ones of a text; the time grows with their square."""
_REACH = 50_000
"""The characters, the last ones of a text, in which labels are looked for."""
_LONGEST = 2000
"""The most characters of an option."""

FLAT = str.maketrans(
    "（）［］【】．：﹒｡。；，" + "".join(map(chr, [*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B)])),
    "()[][].:...;," + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
)
"""Full-width signs and letters as the ASCII ones that they stand for, one for one, so that places stay."""

_SET = r"\\(?:text|mathrm|mathbf)(?:bf|rm|it)?\s*\{\s*"  # how LaTeX sets a label: \textbf{(A)}
_MARKS = (
    re.compile(rf"(?P<set>{_SET})?(?P<sign>\*{{0,2}}[(\[])\s?(?P<label>[A-Za-z])\s?[)\]]\*{{0,2}}(?(set)\s*\}})"),
    re.compile(
        r"(?<![A-Za-z_\\.'’&/])"
        rf"(?P<set>{_SET})?\*{{0,2}}(?:(?P<word>(?:option|choice)\s|选项)\s*)?(?P<label>[A-Za-z])\*{{0,2}}(?P<sign>[.):、]|\t)"
        rf"\*{{0,2}}(?(set)(?:\\?\s)*\}})",
        re.IGNORECASE,
    ),
)
_LINE_START = re.compile(r"(?:^|\n)[ \t\u3000]*(?P<bullet>[-*•>][ \t]+)?\Z")
_GAP = re.compile(r"(?:\s{2,}|[\t\u3000]|\\q?quad\s*|\\hspace\*?\{[^{}]*\}\s*|\\\\\s*|[;|]\s*)\Z")
_BOUNDARY = re.compile(r"(?:^|[?:!,;_)\]}>\"”’」$]|\n|(?i:\b(?:options?|choices?|answers?)))\s*\Z")
_FULL_STOP = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bProf)(?<!\bNo)(?<!\bFig)[.…]\s*\Z")
_WORD_BEFORE = re.compile(r"([^\W\d_]+)\s*\Z")

_AND = r"and|or|nor|&|和|与|及|或|以及"
_REFERS_BACK = re.compile(
    rf"(?:(?<![^\W_])(?:{_AND}|both|neither|either|only|not|options?|choices?|statements?|answers?|than)|和|与|及|或|[&/+])"
    r"\s*\Z",
    re.IGNORECASE,
)
_REFERS_ON = re.compile(rf"\s*(?:,\s*)?(?:{_AND}|[,/&+、-])\s*[(\[]?[A-Za-z](?![A-Za-z])", re.IGNORECASE)
_JOINS = re.compile(rf"(?:{_AND})\Z", re.IGNORECASE)
_LITTLE = re.compile(r"[A-Za-z]{1,9}\Z")  # options of a question about the right conjunction: and, or, but, although
_SAYS = re.compile(r"[^\W_]|[<>=+$√∞∠△□○◇■●▲%°?×÷≤≥≠∅\\*#@&^~!-]")
_ASKS_ON = re.compile(r"[.。!;]\s+\S[^?？]*[?？]|\n[^?？]*[?？]")
_PART = re.compile(  # a question in parts: (a) Find the area. (b) Find the perimeter.
    r"(?:find|calculate|compute|determine|prove|show|evaluate|solve|simplify|sketch|draw|explain|describe|state|write|"
    r"what|how|why|which|who|when|where|is there|求|证明|计算)\b",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(
    r"(?<=[\s.])(?:please\s+)?(?:answer|respond|reply|select|choose|give|provide|write|pick)\b"
    r"[^.?!\n]*\b(?:letter|option|choice)s?\b[^\n]*\Z",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(?i)(?:^|(?<=[\s.?!:：？。]))(?:(?:answer )?(?:options|choices)|选项)[ \t]*+[:：]?\Z")
_BEFORE = re.compile(r"^(?:\\[ ,;:!]|~|\s)+")
_BEHIND = re.compile(r"(?:\s|~|\\[ ,;:!]|\\q?quad(?![A-Za-z])|\\hspace\*?\{[^{}]*\}|\\\\)+\Z")
_TAIL = 200
"""The most characters of blanks, as LaTeX writes them, that are taken off an end."""
_INITIAL = re.compile(r"(?<![^\W_])([A-Z])\.[ \u00a0]\Z")


@dataclass(frozen=True)
class _Mark:
    """A label in a text that may mark an option."""

    start: int
    end: int
    index: int
    """The place of its letter in the alphabet, from 0."""
    look: str
    """What has to be the same for all labels of a run: signs, case, and how it is set."""
    place: int
    """0 at the start of a line, 1 behind a gap, 2 within a line."""


def _without_end(text: str) -> str:
    """The text without the blanks, plain or of LaTeX, at its end."""
    text = text.rstrip()
    return text[:-_TAIL] + _BEHIND.sub("", text[-_TAIL:])


def _option(said: str) -> str:
    """What an option says, without the blanks of LaTeX around it."""
    return _without_end(_BEFORE.sub("", said)).strip()


def _allowed(flat: str, mark: re.Match[str], wrapped: bool) -> bool:
    """Whether a label can mark an option, by the signs around it."""
    before = flat[max(0, mark.start() - 40) : mark.start()]
    following = flat[mark.end() : mark.end() + 2]
    if wrapped:  # not f(A); but an option may touch the next label: (A)red(B)blue
        touches = mark["label"] not in "Aa" and re.search(r"[a-z]{3}\Z", before) is not None
        return touches or re.search(r"[A-Za-z_\\]\Z", before) is None
    initial = _INITIAL.search(before)
    if initial and ord(initial[1]) + 1 != ord(mark["label"].upper()):  # J. A. Smith
        return False
    tight = bool(following) and not following[0].isspace()
    if mark["set"] or mark["sign"] in "\t、":
        return True
    if mark["sign"] == ")" and before.rpartition("\n")[2].count("(") > before.rpartition("\n")[2].count(")"):
        return False  # (see A)
    if tight and mark["sign"] == ":":  # 2:1, A:B
        return not following[0].isascii()
    if tight and mark["sign"] == "." and following[0].isalpha() and following[1:] == ".":
        return False  # A.B. Smith
    return not (tight and mark["sign"] == ")" and re.search(r"[0-9]\Z", before))


def _marks(flat: str) -> Iterator[_Mark]:
    for number, pattern in enumerate(_MARKS):
        for mark in pattern.finditer(flat, max(0, len(flat) - _REACH)):
            if not _allowed(flat, mark, number == 0):
                continue
            before = flat[max(0, mark.start() - 80) : mark.start()]
            if mark.start() > 80:  # the cut is no start of a line
                before = "x" + before
            label, named = mark["label"], number and mark["word"]
            look = f"{number}{mark['sign'].strip('*')}{label.isupper()}{bool(named)}{bool(mark['set'])}"
            line = _LINE_START.search(before)
            place = 0 if line else 1 if _GAP.search(before) else 2
            bullet = len(line["bullet"] or "") if line else 0
            yield _Mark(mark.start() - bullet, mark.end(), ord(label.upper()) - ord("A"), look, place)


def _refers(flat: str, mark: _Mark) -> bool:
    """Whether a label is mentioned by an option rather than its own: "both (A) and (B)"."""
    if _REFERS_ON.match(flat, mark.end):
        return True
    return _REFERS_BACK.search(flat, max(0, mark.start - 20), mark.start) is not None


def _runs(text: str, flat: str, marks: Sequence[_Mark]) -> list[list[_Mark]]:
    """For each label the best run A, B, … that ends with it: the longest, of these the one whose options do not speak
    of themselves, of these the one that begins last."""
    best: list[tuple[tuple[int, int, int], list[_Mark]] | None] = []
    for place, mark in enumerate(marks):
        found = ((1, 0, mark.start), [mark]) if mark.index == 0 else None
        for before, earlier in zip(marks[:place], best, strict=True):
            if earlier is None or before.index + 1 != mark.index or mark.start - before.end > _LONGEST:
                continue
            said = _option(text[before.end : mark.start])
            if not _SAYS.search(said):
                continue
            label = flat[before.start : before.end].strip("*")
            score = (earlier[0][0] + 1, earlier[0][1] - (label in said.translate(FLAT)), earlier[0][2])
            if found is None or score > found[0]:
                found = (score, [*earlier[1], mark])
        best.append(found)
    ranked = sorted((item for item in best if item is not None and item[0][0] > 1), key=lambda item: item[0])
    return [run for _, run in reversed(ranked)]


def _options(text: str, run: Sequence[_Mark]) -> list[str]:
    """What the options of a run say. What stands below the last one (such as an instruction) does not belong to it."""
    last = text[run[-1].end :].lstrip().partition("\n")[0]
    if text[: run[0].start].count("$") % 2:  # a formula that all options are set in
        last = last.rstrip().removesuffix("$")
    said = [text[mark.end : following.start] for mark, following in itertools.pairwise(run)]
    options = [*map(_option, said), _option(_INSTRUCTION.sub("", last) if len(last) <= _LONGEST else last)]
    for sign in ",;|，；、":  # signs between the options, not of them
        if all(option.endswith(sign) for option in options[:-1]):
            options = [option.removesuffix(sign).rstrip() for option in options]
    return options


def _listed(text: str, flat: str, run: Sequence[_Mark]) -> list[str]:
    """The options of a run; [] where its labels are not there to list options."""
    options = _options(text, run)
    joins = [_JOINS.match(option) is not None for option in options]
    if not all(len(option) <= _LONGEST and _SAYS.search(option) for option in options) or (
        any(joins) and not all(_LITTLE.match(option) for option in options)
    ):
        return []
    if any(_PART.match(option) and (option.endswith((".", "?", "。", "？")) or "\n" in option) for option in options):
        return []
    stem = flat[: run[0].start]
    last = text[run[-1].end :].partition("\n")[0] if run[-1].place == 0 else text[run[-1].end :]
    if "?" not in stem and _ASKS_ON.search(last[:_LONGEST]) and not any("?" in option for option in options[:-1]):
        return []  # Point A: left. Point B: right. Which is red?
    before = [_WORD_BEFORE.search(flat, max(0, mark.start - 40), mark.start) for mark in run]
    words = {match[1].lower().removesuffix("s") if match else "" for match in before}
    if len(words) == 1 and words != {""}:  # Team A: 3. Team B: 2.
        return []
    return _without_or(options) if run[0].place < 2 or _begins(flat, run, options) else []


def _begins(flat: str, run: Sequence[_Mark], options: Sequence[str]) -> bool:
    """Whether a list can begin with the first label of a run within a line."""
    start = run[0].start
    before = flat[max(0, start - 80) : start]
    wrapped, colon = run[0].look.startswith("0"), run[0].look.startswith("1:")
    asked = start == 0 or _BOUNDARY.search(before) is not None
    several = len(run) > 2 and not colon
    asked = asked or several or (_FULL_STOP.search(before) is not None and not (colon and len(run) == 2))
    return asked or (wrapped and _ends_with_or(options))


def _ends_with_or(options: Sequence[str]) -> bool:
    return re.search(r"(?i)\w.*\s(?:or|and)\Z|(?:还是|或者?)\Z", options[-2]) is not None


def _without_or(options: list[str]) -> list[str]:
    """The options without the "or" before the last one, and without the question mark of a question that they end."""
    if not _ends_with_or(options) or any(_ends_with_or([option, ""]) for option in [*options[:-2], options[-1]]):
        return options
    last_but_one = re.sub(r"(?i)[,，]?\s*(?:\b(?:or|and)|还是|或者?)\Z", "", options[-2])
    return [*(option.removesuffix(",").rstrip() for option in options[:-2]), last_but_one, options[-1].rstrip("?？ ")]


@lru_cache(maxsize=8)  # a mapping asks for the options and for the text without them
def _found(text: str) -> tuple[Sequence[_Mark], list[str]]:
    """The labels of the options in a text and what the options say; nothing where there are none."""
    flat = text.translate(FLAT)
    looks: dict[str, list[_Mark]] = {}
    for mark in _marks(flat):
        looks.setdefault(mark.look, []).append(mark)
    for kinds in ((0, 1), (2,)):
        found: list[tuple[tuple[int, int, bool], list[_Mark], list[str]]] = []
        for look, marks in looks.items():
            groups = [[m for m in marks if m.place <= kind] for kind in kinds]
            if 2 in kinds:  # first without the labels that an option speaks of; an option may be "and", though
                groups.insert(0, [m for m in marks if m.place < 2 or not _refers(flat, m)])
            for order, group in enumerate(groups):
                for run in _runs(text, flat, group[-_MOST_MARKS:]):
                    if options := _listed(text, flat, run):
                        found.append(((len(run), -order, look.startswith("0")), run, options))
                        break
        if found:
            return max(found, key=lambda item: item[0])[1:]
    return [], []


def inline_choices(text: str) -> list[str]:
    """The options written inside a text: "… (A) red (B) blue", "A. red\\nB. blue", "Options: A: red, B: blue".

    Labels may be in brackets or not, capital or small, full-width, or set by LaTeX. What stands below the last option
    (such as an instruction to give the letter) does not belong to it.
    """
    return list(_found(text)[1])


def without_choices(text: str) -> str:
    """The text before the options written inside it, and before a heading "Options:" or "Choices:"; all without any.

    Where nothing stands before the options, a question below them is the text.
    """
    run, _ = _found(text)
    if not run:
        return text.strip()
    stem = _without_end(text[: run[0].start])
    if stem.count("$") % 2:  # the formula that the options are set in
        stem = stem.removesuffix("$").rstrip()
    stem = re.sub(r"\\[(\[]\Z", "", stem).rstrip()
    stem = _HEADING.sub("", stem).strip()
    below = text[run[-1].end :].strip().partition("\n")[2].strip()
    return below if not stem and below.endswith(("?", "？")) else stem
