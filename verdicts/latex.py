"""LaTeX, in one form, for expressions in LaTeX, in Unicode and in plain notation (2*x**3, sqrt(2), 3×4, √2)."""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
import unicodedata
from functools import lru_cache

from verdicts.notation import group_end, plain, words
from verdicts.units import measures, unit_of

_SIGNS = {
    "∪": r"\cup ", "∩": r"\cap ", "≠": r"\neq ", "≤": r"\leq ", "⩽": r"\leq ", "≦": r"\leq ", "≥": r"\geq ",
    "⩾": r"\geq ", "≧": r"\geq ", "∅": r"\emptyset ", "⌀": r"\emptyset ", "∞": r"\infty ", "∈": r"\in ",
    "∉": r"\notin ", "×": r"\cdot ", "·": r"\cdot ", "±": r"\pm ", "∓": r"\mp ", "∠": r"\angle ", "△": r"\triangle ",
    "⊂": r"\subset ", "⊆": r"\subseteq ", "⊥": r"\perp ", "∥": r"\parallel ", "→": r"\to ", "≡": r"\equiv ",
    "≈": r"\approx ", "…": r"\ldots ", "⋯": r"\ldots ", "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ",
    "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∣": "|", "∘": r"\circ ", "∂": r"\partial ",
    "ℓ": "l", "ϕ": r"\phi ", "ϵ": r"\epsilon ", "ϑ": r"\theta ", "，": ",", "、": ",", "⟨": r"\langle ",
    "⟩": r"\rangle ",
}  # fmt: skip
_GREEK_NAMES = frozenset(
    words(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
        "omega"
    )
)
_GREEK_CAPITALS = frozenset(words("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"))
_ROOTS = {"√": "", "∛": "[3]", "∜": "[4]"}
_SAME_COMMANDS = [
    (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
    (r"\\(?:left|right|displaystyle|limits|big|Big|bigl|bigr|nolimits)(?![a-zA-Z])\s*\.?(?<!\.)", ""),
    (r"\\le(?:qslant)?(?![a-zA-Z])", r"\\leq "), (r"\\ge(?:qslant)?(?![a-zA-Z])", r"\\geq "),
    (r"\\ne(?![a-zA-Z])", r"\\neq "), (r"\\varnothing(?![a-zA-Z])", r"\\emptyset "),
    (r"\\(?:times|ast)(?![a-zA-Z])", r"\\cdot "), (r"\\[lr]vert(?![a-zA-Z])", "|"),
    (r"\\(?:dots|cdots|dotsc|dotsb)(?![a-zA-Z])", r"\\ldots "), (r"\.\.\.", r"\\ldots "),
    (r"\\(?:mathrm|text|operatorname)\s*\{\s*([ei])\s*\}", r" \1 "),
    (r"\\(?:mathrm|operatorname)\s*\{\s*(sin|cos|tan|cot|sec|csc|log|ln|exp|arcsin|arccos|arctan|max|min|gcd)\s*\}",
     r"\\\1 "),
    (r"\\(vec|hat|bar|tilde|dot|overline|mathbf|boldsymbol|mathbb)\s*([A-Za-z])(?![a-zA-Z])", r"\\\1{\2}"),
    (r"\\(?:boldsymbol|bm|mathbf|overrightarrow)\s*\{([A-Za-z]+)\}", r"\\vec{\1}"),
    (r"\\hat\s*\{\s*(?:\\vec\{)?([ijk])\}?\s*\}", r"\\vec{\1}"),
    (r"\\varphi(?![a-zA-Z])", r"\\phi "), (r"\\varepsilon(?![a-zA-Z])", r"\\epsilon "),
    (r"\\(?:quad|qquad|thinspace)(?![a-zA-Z])|(?<!\\)\\[,;:! ]|~", " "), (r"\\\$", ""),
]  # fmt: skip
_SAME = [(re.compile(pattern), new) for pattern, new in _SAME_COMMANDS]
_FUNCTIONS = "arcsin|arccos|arctan|asin|acos|atan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|pi"
_LONG = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
_GROUPED = re.compile(r"(?<![\\a-zA-Z])(sqrt|cbrt|abs|Abs|exp|factorial|binomial|log)\s*(?=\()")
_DEGREE = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|°|\\degree(?![a-zA-Z])|\\text\{\s*degrees?\s*\}|\s*\bdegrees?\b")
_TEXT_UNIT = re.compile(
    r"(?<=[\w})\]°!%])\s*\\(?:text|mathrm|textrm|mbox|rm)\s*\{([^{}]*)\}((?:\s*\^\s*\{?\s*[23]\s*\}?)?)$"
)
_PLAIN_UNIT = re.compile(
    r"(?<=[\d})\]])\s+((?:[A-Za-z]{2,}|[mgs])\.?(?:[ /][A-Za-z]{1,}){0,3}(?:\s*\^\s*\{?[23]\}?)?)$"
)


def _greek(c: str) -> str:
    words = unicodedata.name(c, "").split()
    if words[:1] != ["GREEK"] or "LETTER" not in words:
        return c
    name = words[-1].lower().replace("lamda", "lambda")
    if "CAPITAL" in words:
        return f"\\{name.capitalize()} " if name.capitalize() in _GREEK_CAPITALS else name[0].upper()
    return f"\\{name} " if name in _GREEK_NAMES else c


def _roots(text: str) -> str:
    r"""√ and its like as \sqrt of what stands under them: a whole number, a bracket, a letter, with its power."""
    done = []
    place = 0
    while place < len(text):
        if text[place] not in _ROOTS:
            done.append(text[place])
            place += 1
            continue
        sign, place = text[place], place + 1
        while place < len(text) and text[place] == " ":
            place += 1
        end = _under(text, place)
        inner = text[place:end]
        if inner[:1] in ("(", "{") and group_end(inner, 0) == len(inner):
            inner = inner[1:-1]
        done.append(f"\\sqrt{_ROOTS[sign]}{{{_roots(inner)}}}")
        place = end
    return "".join(done)


def _under(text: str, place: int) -> int:
    """The place after what a root that stands at the end of text[:place] is of."""
    if place >= len(text):
        return place
    if text[place] in "({[":
        end = group_end(text, place)
        end = len(text) if end < 0 else end
        return end if text[place] == "(" else _power(text, end)
    if text[place] in _ROOTS:
        return _under(text, place + 1)
    number = re.compile(r"\d+(?:\.\d+)?|\\[A-Za-z]+\s*|.", re.S).match(text, place)
    assert number is not None
    end = number.end()
    while number[0].startswith("\\") and end < len(text) and text[end] == "{" and group_end(text, end) > 0:
        end = group_end(text, end)
    return _power(text, end)


def _power(text: str, end: int) -> int:
    power = re.compile(r"\s*\^\s*(?:\{[^{}]*\}|\w)").match(text, end)
    return power.end() if power else end


def _functions(text: str) -> str:
    """Functions in plain notation, with whatever stands in their brackets."""
    for _ in range(40):
        match = _GROUPED.search(text)
        end = group_end(text, match.end()) if match else -1
        if match is None or end < 0:
            break
        name, inner = match[1], text[match.end() + 1 : end - 1]
        parts = _top_level(inner)
        if name == "log":
            new = f"\\log_{{{parts[1]}}}({parts[0]})" if len(parts) == 2 else f"\\log ({inner})"
        elif name == "binomial":
            new = f"\\binom{{{parts[0]}}}{{{parts[1]}}}" if len(parts) == 2 else f"\\binom({inner})"
        else:
            new = {
                "sqrt": f"\\sqrt{{{inner}}}", "cbrt": f"\\sqrt[3]{{{inner}}}", "abs": f"|{inner}|", "Abs": f"|{inner}|",
                "exp": f"e^{{{inner}}}", "factorial": f"({inner})!",
            }[name]  # fmt: skip
        text = text[: match.start()] + new + text[end:]
    return re.sub(rf"(?<![\\a-zA-Z])({_FUNCTIONS})(?![a-zA-Z])", lambda m: f"\\{_LONG.get(m[1], m[1])} ", text)


def _top_level(text: str) -> list[str]:
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


def _powers(text: str) -> str:
    for _ in range(40):
        match = re.search(r"\^\s*\(", text)
        end = group_end(text, match.end() - 1) if match else -1
        if match is None or end < 0:
            break
        text = f"{text[: match.start()]}^{{{text[match.end() : end - 1]}}}{text[end:]}"
    return re.sub(r"\^\s*(-?\d+)", r"^{\1}", text)


def _numbers(text: str) -> str:
    text = re.sub(r"(?<=\d)(?:,?\\[,;:! ]|\{,\},?)\s*(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)\s*\\?%", r"\\frac{\1}{100}", text)
    text = re.sub(r"(?<![\w.}\\])(\d{1,3}(?: \d{3})+)(?![\w/])", lambda m: m[1].replace(" ", ""), text)
    text = re.sub(r"(?<![\w.^{/])(\d+)\s+(\d+)\s*/\s*(\d+)(?!\w)", r"(\1+\\frac{\2}{\3})", text)
    # The parser takes 2(3) for a mixed number.
    text = re.sub(r"(?<=[\d)])\s*(?=\(\s*-?\d+(?:\.\d+)?\s*\))", r"\\cdot ", text)
    return re.sub(r"(?<![\w.}\\])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])", r"\1\\cdot 10^{\2}", text)


def _degrees(text: str) -> str:
    """Degrees behind a whole answer are its unit; within a function they are a part of pi."""
    if not _DEGREE.search(text):
        return text
    if re.search(r"\\(?:sin|cos|tan|cot|sec|csc)", text):
        text = re.sub(rf"(\d+(?:\.\d+)?)\s*(?:{_DEGREE.pattern})", r"(\1\\cdot \\frac{\\pi}{180})", text)
        return _DEGREE.sub(r"\\cdot \\frac{\\pi}{180}", text)
    return _DEGREE.sub("", text)


def _without_unit(text: str) -> tuple[str, str]:
    """The expression and the unit behind it, "" for none."""
    if match := _TEXT_UNIT.search(text):
        unit = unit_of(match[1] + match[2])
        if unit is not None and text[: match.start()].strip():
            return text[: match.start()].strip(), unit
    if (match := _PLAIN_UNIT.search(text)) and measures(match[1]):
        return text[: match.start()].strip(), match[1]
    return text, ""


def _forms(text: str) -> str:
    """Statements in the forms that are compared: a bound without its variable, membership, congruence."""
    text = re.sub(r"^\s*(?=\\(?:leq|geq|neq)(?![a-zA-Z])|[<>])", "x ", text)
    text = re.sub(r"^\s*[a-zA-Z]\s*\\in(?![a-zA-Z])\s*", "", text)
    text = re.sub(r"\\ldots(?![a-zA-Z])\s*", "d_{ots}", text)
    text = re.sub(r"([A-Za-z])('+)", lambda m: f"{m[1]}_{{prime{len(m[2])}}}", text)
    text = re.sub(r"(\w|\([^()]*\))(!+)\s*\^", r"(\1\2)^", text)
    congruence = re.fullmatch(
        r"(.*)\\equiv(?![a-zA-Z])(.*?)\s*\(?\s*\\(?:p?mod|bmod)\s*\{?\s*([^{}]*?)\s*\}?\s*\)?", text
    )
    return "({}, {}, {})".format(*congruence.groups()) if congruence else text


@lru_cache(maxsize=16384)
def to_latex(text: str) -> tuple[str, str]:
    """LaTeX of an expression in one form, and the unit behind it ("" for none)."""
    text = plain(text).replace("**", "^").strip()
    text = re.sub(r"[.,;:]+$", "", text).strip()
    text = re.sub(r"\^\s*\{?\s*\\prime\s*\}?", "'", text)
    text = _numbers(text)
    for pattern, new in _SAME:
        text = pattern.sub(new, text)
    text = "".join(_SIGNS.get(c, c) if c in _SIGNS else c if c.isascii() else _greek(c) for c in text)
    text = _functions(_powers(_roots(text)))
    text = re.sub(r"_\s*(\d+)", r"_{\1}", text).replace("*", r" \cdot ")
    text, unit = _without_unit(re.sub(r"[.,;:]+$", "", text).strip())
    text = _degrees(_forms(text))
    text = re.sub(r"(?<![a-zA-Z])oo(?![a-zA-Z])", r"\\infty ", text)
    text = re.sub(r"\\(frac|sqrt)\s*(\d)\s*(\d)?", _braced, text)
    text = re.sub(r"\\frac\s*(\{[^{}]*\})\s*([A-Za-z\d])", r"\\frac\1{\2}", text)
    return " ".join(text.split()), unit


def in_one_form(text: str) -> str:
    """LaTeX of an expression in one form, with its unit."""
    latex, unit = to_latex(text)
    return f"{latex}\\text{{ {unit}}}" if unit else latex


def _braced(match: re.Match[str]) -> str:
    r"""\frac12 and \sqrt2 with their braces."""
    if match[1] == "sqrt":
        return f"\\sqrt{{{match[2]}}}{match[3] or ''}"
    return f"\\frac{{{match[2]}}}" + (f"{{{match[3]}}}" if match[3] else "")


def canonical(latex: str) -> str:
    """`latex` without what does not change its meaning: blanks, and braces around one sign."""
    text = re.sub(r"\\cdot(?![a-zA-Z])\s*(?=[A-Za-z\\(])", "", latex)
    text = re.sub(r"(?<=[\^_])\{(\w)\}", r"\1", text)
    text = re.sub(r"(\\[A-Za-z]+)\s+(?=[A-Za-z])", r"\1 ", text)
    return re.sub(r"(?<!\\[A-Za-z])\s+(?![A-Za-z])|\s+(?=\W)|(?<=[^A-Za-z])\s+", "", text).strip()


_FROM_EITHER_END = ("angle", "segment", "line", "overleftrightarrow", "arc")
_FIGURE = re.compile(
    r"(?P<kind>(?:\\(?:angle|triangle|overline|overrightarrow|overleftrightarrow|square|odot|parallelogram|widehat)|"
    r"angle|triangle|segment|line|ray|point|quadrilateral|rectangle|square|arc)?)\s*\{?\s*"
    r"(?:\\(?:text|mathrm)\s*\{)?\s*(?P<name>[A-Z](?:_\{?\d\}?|'+)?(?:\s*[A-Z](?:_\{?\d\}?|'+)?)+)\s*\}*"
)


@lru_cache(maxsize=16384)
def figure(text: str) -> tuple[str, str] | None:
    """The kind and name of a figure, where a text is one: an angle ABC, a quadrilateral ABCD. Letters of a name do not
    commute; an angle and a segment may be named from either end."""
    bare = plain(text).replace("∠", r"\angle ").replace("△", r"\triangle ").replace("$", "").strip(" .")
    bare = re.sub(r"\\(?:left|right|,|;|!)|~", " ", bare).strip()
    match = _FIGURE.fullmatch(bare) or _FIGURE.fullmatch(bare[:1].lower() + bare[1:])
    if match is None:
        return None
    kind, name = match["kind"].lstrip("\\"), re.findall(r"[A-Z](?:_\{?\d\}?|'+)?", match["name"])
    return ({"overline": "segment"}.get(kind, kind), "".join(name).replace("{", "").replace("}", ""))


_WORDS = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+)*")


def same_figure(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two names are of one figure; a name without a kind is of any."""
    if one[0] and other[0] and one[0] != other[0]:
        return False
    ends = (one[0] or other[0]) in _FROM_EITHER_END
    return one[1] == other[1] or (ends and one[1] == other[1][::-1])


def is_words(text: str) -> bool:
    """Whether a text is words ("even", "no solution") and no product of letters."""
    return bool(_WORDS.fullmatch(text.strip(" ."))) and any(
        len(word) > 3
        and word.lower() not in _GREEK_NAMES
        and re.search("[aeiou]", word.lower())
        and not word.isupper()
        and (word.islower() or word[1:].islower())
        for word in re.split("[ -]", text.strip(" ."))
    )
