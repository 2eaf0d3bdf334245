"""Questions whose answer can be checked; those about which no verdict could be sure are rejected, with a reason.

A pure function over a table of questions; every rule is a polars expression. A question that breaks several rules is
rejected once, for the first in this order:

    empty_text, empty_answer
    answer_says_nothing    "see solution", "N/A", "unknown", "cannot be determined" (not where a choice says so)
    answer_too_long        not a short answer
    several_answers        "3 or 4", "(a) 3 (b) 4", "A and C": any one of them would be judged wrong
    number_unreadable      not a number as verdicts/numbers.py reads it
    boolean_unreadable     not yes, no, true or false
    set_empty              no element
    expression_unreadable  unbalanced brackets, prose, signs that verdicts/expressions.py refuses
    choices_too_few, choices_repeat, answer_not_a_choice
    aliases_contradict     an alias says no where the answer says yes, names another choice, or is another number

The rules about the text itself are in filters/questions/wording.py.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

import polars as pl

from filters.rejects import reject_rows

STAGE = "verifiable"
MAX_ANSWER_CHARS = {"number": 64, "boolean": 8, "short_text": 100, "choice": 299, "expression": 299, "set": 299}
"""Longest answer by type. The verdict takes no answer of 300 characters or more."""
ALIAS_TOLERANCE = 0.1
"""Relative difference from which an alias is another number; InfoSeek (Chen et al. 2023) accepts 10 %."""

# A number as verdicts/numbers.py reads it: sign, currency, separators, decimals, exponent or fraction, percent, unit.
_DIGITS = r"(?:\d{1,3}(?:[,' \x{a0}\x{202f}]\d{3})+|\d+)"
_EXPONENT = r"(?:\s*(?:[eE]|(?:[x×*·]|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{?)\s*[+-]?0*(?:[0-3]?\d{1,2}|400)\}?)?"
_BELOW = r"0*[1-9]\d*"
_UNIT = r"[^\d+*/=<>^_\\(){}\[\],;:!?%]*[²³2]?"
_NUMBER = (
    r"^[+-]?\s*[$€£¥]?\s*(?:"
    rf"(?:\d+\s+)?\d+\s*/\s*{_BELOW}"
    rf"|(?:\d+\s*)?\\[dt]?frac\s*\{{\s*-?\d+\s*\}}\s*\{{\s*{_BELOW}\s*\}}"
    rf"|(?:{_DIGITS}(?:\.\d*)?|\.\d+){_EXPONENT})"
    rf"\s*(?:\\?%|percent\b|per cent\b)?\s*(?P<unit>{_UNIT})\s*\.?$"
)
_NO_UNIT = r"(?i)(?:^|\s)(?:or|and|to|of|not|x|vs|minus|plus|times|over|by|than)(?:\s|$)|\S+\s+\S+\s+\S+\s+\S"
_BOOLEAN = r"(?i)^(yes|no|true|false)$"
_SAYS_NOTHING = (
    r"(?i)^[(\[\s]*(?:n/a|n\.a\.|none|null|nan|unknown|unclear|uncertain|unanswerable|not (?:available|applicable|"
    r"provided|given|sure|specified|known|mentioned|stated)|no answer|not enough (?:information|data)|insufficient "
    r"(?:information|data)|(?:it )?(?:cannot|can't|can not|could not) be (?:determined|answered|inferred|known)|"
    r"(?:it )?depends|(?:answers? )?(?:may |will )?var(?:y|ies)|i (?:don't|do not) know|todo|tbd|"
    r"(?:please )?(?:see|refer to) (?:the |above |attached )*(?:solution|answer|explanation|above|below|text|figure|"
    r"graph|image|diagram|proof|table|attached)s?(?: (?:above|below))?|as shown|(?:proof|answer|solution|shown) "
    r"(?:above|below|omitted|provided|given)|\?+|\.{2,}|…|-{2,}|_+)[)\]\s.!]*$"
)
_PARTS = r"(?i)\(?\ba\)\s*\S.*\(?\bb\)\s*\S"
_SEVERAL_NUMBERS = r"(?i)\d.*(?:\b(?:or|and)\b|[;&]|,\s).*\d|±|\\pm\b"
_SEVERAL_LETTERS = r"^\(?[A-Z]\)?(?:\s*(?:,|;|&|/|\band\b|\bor\b)\s*(?:and\s+|or\s+)?\(?[A-Z]\)?)+\.?$"
# In a title ("Sink or Swim") the second word has a capital.
_SEVERAL_WORDS = r"^.[^A-Z,]{0,40}\s(?:or|/)\s[^A-Z,]{1,40}$"
# What may stand in an expression, once the commands of LaTeX are taken out (verdicts/expressions.py, _ALLOWED).
_REFUSED = r"[^A-Za-z0-9\s+\-*/^(){}\[\]=.,\\_|<>!°%'π√×·÷−∞≤≥±:;]"
_PROSE = r"(?i)\b[a-z]{3,}\s+[a-z]{2,}\s+[a-z]{2,}\b|\b(?:the|where|because|which|that|with|for all|answer)\b"
_COMMANDS = r"\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+|\b(?:sin|cos|tan|log|ln|exp|sqrt|pi)\b"


def unwrapped(answer: pl.Expr) -> pl.Expr:
    """The answer without what is often put around it, as verdicts/rules.py takes it off: $…$, \\boxed{…}, **…**."""
    inner = answer.str.strip_chars()
    for pattern in (r"^\$+([^$]*)\$+\.?$", r"^\\boxed\s*\{(.*)\}\.?$", r"^\*\*([^*]*)\*\*$", r"^\\\((.*)\\\)$"):
        inner = inner.str.replace(pattern, "$1").str.strip_chars()
    return inner


def is_number(answer: pl.Expr) -> pl.Expr:
    """Whether verdicts/numbers.py reads an (unwrapped) answer as a number."""
    plain = answer.str.replace_all("[−–]", "-").str.replace_all(r"\\,", "").str.replace_all("{,}", ",", literal=True)
    plain = plain.str.replace_all(r"\\(?:text|mathrm)\s*\{([^{}]*)\}", " $1").str.strip_chars()
    plain = plain.str.replace(r"^\\?[A-Za-z]\s*(?:=|≈|\\approx)\s*|^[=≈~]\s*", "").str.strip_suffix("\\")
    plain = plain.str.replace_all(r"\^\s*\{?\\circ\}?", "°").str.replace(r"^([$€£¥])\s*-", r"-${1}").str.strip_chars()
    unit = plain.str.extract(f"{_NUMBER}").str.to_lowercase().str.replace_all("square ", "square_")
    unit = unit.str.strip_chars().str.replace(r"^(?:thousand|million|billion|trillion)(?:\s+|$)", "")
    return plain.str.contains(_NUMBER) & ~unit.str.contains(_NO_UNIT).fill_null(False)


def _expression_unreadable(answer: pl.Expr) -> pl.Expr:
    def count(signs: str) -> pl.Expr:
        return plain.str.count_matches(signs)

    plain = answer.str.replace_all(r"\\(?:left|right)\s*\.", "")
    unbalanced = (count(r"\{") != count(r"\}")) | (count(r"[(\[]") != count(r"[)\]]"))
    unbalanced = unbalanced | (count(r"\\begin\b") != count(r"\\end\b"))
    bare = answer.str.replace_all(_COMMANDS, " ")
    empty = ~answer.str.contains(r"[A-Za-z0-9π∞]") | answer.str.contains(r"[+*/=^_\\]$")
    return unbalanced | empty | bare.str.contains(_PROSE) | answer.str.contains(_REFUSED)


def _aliases_contradict(answer: pl.Expr, place: pl.Expr, names: pl.Expr) -> pl.Expr:
    """Whether an alias would make right what the answer makes wrong."""
    kind = pl.col("answer_type")
    aliases = pl.when(pl.col("aliases").list.len() > 0).then(pl.col("aliases"))
    said = aliases.list.eval(pl.element().fill_null("").str.strip_chars().str.to_lowercase())
    positive = answer.str.contains(r"(?i)^(?:yes|true)$")
    opposite = (
        pl.when(positive)
        .then(said.list.set_intersection(pl.lit(["no", "false", "n"])))
        .otherwise(said.list.set_intersection(pl.lit(["yes", "true", "y"])))
    )
    right = names.list.get(place, null_on_oob=True).fill_null(answer.str.to_lowercase())
    others = names.list.set_difference(pl.concat_list(right))
    plain = answer.str.replace_all(",", "").cast(pl.Float64, strict=False)
    numbers = said.list.eval(pl.element().str.replace_all(",", "").cast(pl.Float64, strict=False)).list.drop_nulls()
    # The farthest of them.
    off = pl.max_horizontal((numbers.list.max() - plain).abs(), (numbers.list.min() - plain).abs())
    return (
        pl.when(kind == "boolean")
        .then(opposite.list.len() > 0)
        .when(kind == "choice")
        .then(said.list.set_intersection(others).list.len() > 0)
        .when(kind == "number")
        .then(off > plain.abs() * ALIAS_TOLERANCE)
    )


def _rules() -> list[tuple[str, pl.Expr, pl.Expr]]:
    """Reason, when it holds, and the detail that a person reads."""
    kind, text = pl.col("answer_type"), pl.col("text").fill_null("").str.strip_chars()
    answer = pl.col("answer").fill_null("").str.strip_chars()
    bare = unwrapped(answer)

    def of(*kinds: str) -> pl.Expr:
        """The answer where it is of one of these types, else null, so that no pattern is tried on the others."""
        return pl.when(kind.is_in(kinds)).then(bare)

    choices = pl.when(kind == "choice").then(pl.col("choices").fill_null([]))
    names = choices.list.eval(pl.element().fill_null("").str.strip_chars().str.to_lowercase())
    letter = answer.str.extract(r"^\(?([A-Za-z])[).]?$").str.to_uppercase()
    # The letter's place in the alphabet, from 0.
    place = letter.str.to_integer(base=36, strict=False) - 10
    limit = kind.replace_strict(MAX_ANSWER_CHARS, default=299, return_dtype=pl.Int64)
    shown = pl.format("answer: {}", answer.str.slice(0, 200))
    named = names.list.contains(answer.str.to_lowercase()) | (place < choices.list.len()).fill_null(False)
    unread = pl.when((kind == "number") & ~is_number(of("number"))).then(bare)
    alone = pl.when(pl.col("aliases").list.len().fill_null(0) == 0).then(of("short_text"))
    unnamed = pl.when(~named).then(answer)
    several = pl.any_horizontal(
        unread.str.contains(f"{_SEVERAL_NUMBERS}|{_PARTS}"),
        of("short_text", "expression").str.contains(_PARTS),
        alone.str.contains(_SEVERAL_WORDS),
        of("expression").str.contains(r"(?i)\bor\b"),
        unnamed.str.contains(_SEVERAL_LETTERS),
    )
    brief = pl.when(answer.str.len_chars() <= 60).then(of("number", "boolean", "short_text", "expression", "set"))
    return [
        ("empty_text", text == "", pl.lit("")),
        ("empty_answer", answer == "", pl.lit("")),
        ("answer_says_nothing", brief.str.contains(_SAYS_NOTHING), shown),
        (
            "answer_too_long",
            answer.str.len_chars() > limit,
            pl.format("{} characters, at most {} for {}", answer.str.len_chars(), limit, kind),
        ),
        ("several_answers", several, shown),
        ("number_unreadable", unread.is_not_null(), shown),
        ("boolean_unreadable", ~of("boolean").str.contains(_BOOLEAN), shown),
        ("set_empty", ~of("set").str.contains(r"[\p{L}\p{N}]"), shown),
        ("expression_unreadable", _expression_unreadable(of("expression")), shown),
        ("choices_too_few", choices.list.len() < 2, pl.format("{} choices", choices.list.len())),
        (
            "choices_repeat",
            names.list.n_unique() < names.list.len(),
            pl.format("choices: {}", choices.list.join(" | ", ignore_nulls=True).str.slice(0, 200)),
        ),
        ("answer_not_a_choice", unnamed.is_not_null(), shown),
        (
            "aliases_contradict",
            _aliases_contradict(bare, place, names),
            pl.format(
                "answer: {}; aliases: {}",
                answer.str.slice(0, 100),
                pl.col("aliases").list.join(" | ", ignore_nulls=True).str.slice(0, 200),
            ),
        ),
    ]


def apply(questions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost."""
    rules = _rules()
    reason = pl.coalesce(pl.when(holds).then(pl.lit(code)) for code, holds, _ in rules)
    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    judged = questions.rechunk().with_columns(reason=reason)
    kept = judged.filter(pl.col("reason").is_null()).drop("reason")
    lost = judged.filter(pl.col("reason").is_not_null())
    detail = pl.coalesce(pl.when(pl.col("reason") == code).then(says.fill_null("")) for code, _, says in rules)
    return kept, reject_rows(lost, STAGE, pl.col("reason"), detail)
