"""Small expressions over a row: JMESPath (jmespath.org) with a few functions for the shapes datasets come in.

Nothing here is a program of a general kind: an expression reads one row and gives one value.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NotRequired, TypedDict

import jmespath
from jmespath import exceptions, functions
from jmespath.visitor import Options as JmesOptions

from sources.mapping import choices as _choices
from sources.mapping import listed_options as _listed

MAX_TEXT = 1_000_000
"""The most characters of a text that a function reads; its time is proportional to them."""
MAX_PATTERN_TEXT = 50_000
"""The most characters of a text that a recipe's regular expression is applied to: its time may grow with their
square."""


class _Argument(TypedDict):
    """What a function of JMESPath takes, as its `signature` wants to be told."""

    types: list[str]
    variadic: NotRequired[bool]


_TEXT: _Argument = {"types": ["string", "null"]}
_PATTERN: _Argument = {"types": ["string"]}
_LIST: _Argument = {"types": ["array", "null"]}
_ANY: _Argument = {"types": []}


class ExpressionError(ValueError):
    """An expression that is wrong, or that fails on a row."""


def _bounded(text: str, most: int = MAX_TEXT) -> str:
    if len(text) > most:
        raise ExpressionError(f"a text of {len(text)} characters; at most {most} are taken")
    return text


def search(pattern: str, text: str) -> str | None:
    """The one group of a regular expression (all it matches, without a group) where it first matches, or None.

    Raises:
        ExpressionError: the text is longer than MAX_PATTERN_TEXT.
    """
    match = re.search(pattern, _bounded(text, MAX_PATTERN_TEXT))
    return match[match.re.groups and 1] if match else None


# Only the first of a run of backslashes looks for a box: from each of them it would take time with their square.
_BRACES = re.compile(
    r"(?<!\\)\\++(?:f?boxed|fbox|framebox)(?:\[[^\[\]]*+\])?\s*+\{"
    r"|(?<!\\)\\++boxed (?P<bare>[^\s{}$\\]++)"  # MATH has a few without braces
    r"|\\.|[{}]",
    re.DOTALL,
)


def last_boxed(text: str) -> str | None:
    """The content of the last \\boxed{…} (\\fbox{…}, \\framebox{…}, \\boxed 5), braces balanced; None without any."""
    opened: list[int | None] = []  # where the content of each open box begins; None for other braces
    last: tuple[int, int] | None = None
    for sign in _BRACES.finditer(text):
        if sign["bare"]:
            last = (sign.start("bare"), sign.start("bare") + len(sign["bare"].rstrip(".,;:")))
        elif "box" in sign[0]:
            opened.append(sign.end())
        elif sign[0] == "{":
            opened.append(None)
        elif sign[0] == "}" and opened:
            start = opened.pop()
            if start is not None and (last is None or start > last[0]):
                last = (start, sign.start())
    return text[slice(*last)].strip() if last else None


class _Functions(functions.Functions):
    """The functions that expressions may call beyond JMESPath's own. Null in gives null out."""

    @functions.signature(_TEXT, _PATTERN)
    def _func_regex(self, text: str | None, pattern: str) -> str | None:
        return None if text is None else search(pattern, text)

    @functions.signature(_TEXT, _PATTERN, _PATTERN)
    def _func_replace(self, text: str | None, pattern: str, replacement: str) -> str | None:
        return None if text is None else re.sub(pattern, replacement, _bounded(text, MAX_PATTERN_TEXT))

    @functions.signature(_TEXT)
    def _func_boxed(self, text: str | None) -> str | None:
        return None if text is None else last_boxed(_bounded(text))

    @functions.signature(_ANY)
    def _func_parse_json(self, value: Any) -> Any:
        if not isinstance(value, str):  # it was parsed when the file was read
            return value
        if not _bounded(value).strip():
            return None
        try:
            return json.loads(value)
        except ValueError as error:
            try:  # a list as Python prints it: many tables hold that
                return json.loads(json.dumps(ast.literal_eval(value.strip())))
            except (ValueError, SyntaxError, TypeError):
                raise ExpressionError(f"no JSON: {error}: {value[:80]!r}") from None

    @functions.signature(_TEXT, _PATTERN)
    def _func_split(self, text: str | None, separator: str) -> list[str] | None:
        return None if text is None else [part.strip() for part in text.split(separator)]

    @functions.signature(_TEXT)
    def _func_strip(self, text: str | None) -> str | None:
        return None if text is None else text.strip()

    @functions.signature({"types": [], "variadic": True})
    def _func_concat(self, *parts: Any) -> str | list[Any] | None:
        if any(part is None for part in parts):
            return None
        lists = [part for part in parts if isinstance(part, list)]
        if lists:  # once for each item: concat('images/', names)
            if len(lists) > 1:
                raise ExpressionError("concat() takes one list at most")
            one = next(i for i, part in enumerate(parts) if isinstance(part, list))
            return [self._func_concat(*parts[:one], item, *parts[one + 1 :]) for item in lists[0] if item is not None]
        return "".join(part if isinstance(part, str) else _choices.cell_text(part) for part in parts)

    @functions.signature(_TEXT)
    def _func_inline_choices(self, text: str | None) -> list[str] | None:
        return None if text is None else _listed.inline_choices(_bounded(text))

    @functions.signature(_TEXT)
    def _func_without_choices(self, text: str | None) -> str | None:
        return None if text is None else _listed.without_choices(_bounded(text))

    @functions.signature(_LIST)
    def _func_unlabelled(self, options: list[Any] | None) -> list[str] | None:
        return None if options is None else _choices.unlabelled([_choices.cell_text(option) for option in options])

    @functions.signature(_LIST, _LIST, _LIST)
    def _func_lookup(self, keys: list[Any] | None, values: list[Any] | None, wanted: list[Any] | None) -> Any:
        if keys is None or values is None or wanted is None:
            return None
        table = dict(zip(keys, values, strict=False))
        return [table[key] for key in dict.fromkeys(wanted) if key in table]

    @functions.signature({"types": ["number", "null"]})
    def _func_letter(self, index: float | None) -> str | None:
        return None if index is None else _choices.letter(int(index))


_OPTIONS = JmesOptions(custom_functions=_Functions())
_REGULAR = {"regex": (0, 1), "replace": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)}
"""Functions whose second argument is a regular expression, and how many groups it may have."""


def function_names() -> list[str]:
    """The functions an expression may call."""
    return sorted(_Functions.FUNCTION_TABLE)


def _check_calls(node: Any) -> None:
    """Raises ExpressionError for a call of an unknown function, with too many or few arguments, or of a broken
    pattern."""
    if not isinstance(node, dict):
        return
    for child in node["children"]:
        _check_calls(child)
    if node["type"] != "function_expression":
        return
    name, arguments = node["value"], node["children"]
    if name not in _Functions.FUNCTION_TABLE:
        raise ExpressionError(f"there is no function {name}(); known: {', '.join(function_names())}")
    signature = _Functions.FUNCTION_TABLE[name]["signature"]
    variadic = bool(signature) and signature[-1].get("variadic", False)
    if len(arguments) < len(signature) or (len(arguments) > len(signature) and not variadic):
        raise ExpressionError(f"{name}() takes {len(signature)} argument(s), {len(arguments)} given")
    if name in _REGULAR and arguments[1]["type"] == "literal":
        try:
            groups = re.compile(arguments[1]["value"]).groups
        except (re.error, TypeError) as error:
            raise ExpressionError(f"{name}(): not a regular expression: {error}") from None
        if groups not in _REGULAR[name]:
            raise ExpressionError(f"{name}(): the pattern has {groups} groups; the one group is what is taken")


Path = tuple[str, ...]


def _trace(node: Mapping[str, Any], at: Path | None, found: dict[Path, None]) -> Path | None:
    """Collect in `found` every field that an expression reads, as its path from the row (lists add nothing to a path);
    the empty path if it takes the row as a whole, as in keys(@).

    `at` is the path of the value that the node is applied to; None if that is not part of the row. The result is the
    path of the node's own value.
    """
    kind, children = node["type"], [c for c in node["children"] if isinstance(c, dict)]
    if kind == "field":
        if at is None:
            return None
        found[(*at, node["value"])] = None
        return (*at, node["value"])
    if kind in ("identity", "current", "index", "slice"):
        return at
    if kind in ("subexpression", "index_expression", "pipe", "projection", "flatten"):
        for child in children:
            at = _trace(child, at, found)
        return at
    if kind == "filter_projection":
        left, right, condition = children
        at = _trace(left, at, found)
        _trace(condition, at, found)
        return _trace(right, at, found)
    if kind == "value_projection":
        _take(children[0], at, found)
        return None
    inner = None if kind == "expref" else at  # &x is applied to the elements of another argument
    for child in children:
        _take(child, inner, found)
    return None


def _take(node: Mapping[str, Any], at: Path | None, found: dict[Path, None]) -> None:
    """Like `_trace`, for a node whose value is used unchanged."""
    if _trace(node, at, found) == ():
        found[()] = None


# What a plain column name may look like; anything else that is no column must be an expression.
_NAME = re.compile(r"[^\W\d][\w \-/#]*")


@dataclass(frozen=True)
class Expression:
    """The name of a column, or a compiled expression over the row."""

    text: str
    tree: Any = None
    """The compiled expression; None for a plain name."""
    paths: tuple[Path, ...] = ()
    """The fields that are read, each as its path from the row: ("reward_model", "ground_truth")."""

    def value(self, row: dict[str, Any]) -> Any:
        """The value in one row; None when a plain column is not there.

        Raises:
            ExpressionError: the expression cannot be applied to this row.
        """
        if self.tree is None or self.text in row:  # a column may be named like an expression
            return row.get(self.text)
        try:
            return self.tree.search(row, options=_OPTIONS)
        except Exception as error:  # functions meet whatever a dataset holds
            raise ExpressionError(f"{self.text}: {str(error) or type(error).__name__}"[:500]) from None


@lru_cache(maxsize=1024)
def compiled(text: str) -> Expression:
    """The expression of a setting, compiled once.

    Raises:
        ExpressionError: it is neither a name nor an expression, calls what there is not, or takes the row as a whole.
    """
    if _NAME.fullmatch(text):
        return Expression(text, None, ((text,),))
    try:
        tree = jmespath.compile(text)
    except exceptions.JMESPathError as error:
        reason = " ".join(str(error).split())
        raise ExpressionError(f"neither a column name nor an expression: {reason}") from None
    _check_calls(tree.parsed)
    found: dict[Path, None] = {}
    _take(tree.parsed, (), found)
    if () in found:  # which columns are read must be known: a draw and a comparison with last time go by it
        raise ExpressionError(f"{text!r} takes the row as a whole (@): name the columns")
    return Expression(text, tree, tuple(found))
