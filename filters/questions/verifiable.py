"""Questions whose answer can be checked; those about which no verdict could be sure are rejected, with a reason.

A pure function over a table of questions. What an answer is read as, and whether it can be met at all, the verdict
itself is asked (verdicts/rules.py); every other rule is a polars expression. A question that breaks several rules is
rejected once, for the first in this order:

    empty_text, empty_answer
    answer_says_nothing    "see solution", "N/A", "unknown", "cannot be determined" (not where a choice says so)
    answer_too_long        not a short answer
    several_answers        "3 or 4", "(a) 3 (b) 4", "A and C": any one of them would be judged wrong
    number_unreadable      not a number as the verdict reads it
    boolean_unreadable     neither yes nor no
    set_empty              no element
    expression_unreadable  unbalanced brackets, prose, signs that the verdict does not know
    choices_too_few, choices_repeat, answer_not_a_choice
    aliases_contradict     an alias says no where the answer says yes, names another choice, or is another number
    gold_not_checkable     fewer than NEEDED other ways of writing the answer, such as a computer algebra system's, are
                           judged right: nothing but its own text might be

The rules about the text itself are in filters/questions/wording.py.
"""

import polars as pl

from filters.rejects import reject_rows
from records.question import AnswerType, Question
from verdicts.booleans import boolean
from verdicts.expressions import is_plain, readable
from verdicts.numbers import parse_number
from verdicts.rewriting import rewritten, shape
from verdicts.rules import judge, unwrap

STAGE = "verifiable"
MAX_ANSWER_CHARS = {"number": 64, "boolean": 8, "short_text": 100, "choice": 299, "expression": 299, "set": 299}
"""Longest answer by type. The verdict takes no answer of 300 characters or more."""
NEEDED = 3
"""Ways of writing an answer, other than its own, that must be judged right."""
ALIAS_TOLERANCE = 0.1
"""Relative difference from which an alias is another number; InfoSeek (Chen et al. 2023) accepts 10 %."""

_ANSWER = {"answer_type": pl.String, "answer": pl.String}
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"
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
_PROSE = r"(?i)\b[a-z]{3,}\s+[a-z]{2,}\s+[a-z]{2,}\b|\b(?:the|where|because|which|that|with|for all|answer)\b"
_COMMANDS = r"\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+|\b(?:sin|cos|tan|log|ln|exp|sqrt|pi)\b"


def unwrapped(answer: pl.Expr) -> pl.Expr:
    """The answer without what is often put around it, as verdicts/rules.py takes it off: $…$, \\boxed{…}, **…**."""
    inner = answer.str.strip_chars()
    for pattern in (r"^\$+([^$]*)\$+\.?$", r"^\\boxed\s*\{(.*)\}\.?$", r"^\*\*([^*]*)\*\*$", r"^\\\((.*)\\\)$"):
        inner = inner.str.replace(pattern, "$1").str.strip_chars()
    return inner


def are_numbers(answers: pl.Series) -> pl.Series:
    """Whether the verdict reads each of these answers as a number; false for null."""
    known = {text: parse_number(unwrap(text)) is not None for text in answers.unique().drop_nulls()}
    return pl.Series([known.get(text, False) for text in answers], dtype=pl.Boolean)


def _unread(questions: pl.DataFrame) -> pl.DataFrame:
    """The answers that the verdict cannot read as what they should be: answer_type, answer."""
    readers = {
        "number": lambda text: parse_number(text) is not None,
        "boolean": lambda text: boolean(text) is not None,
        "expression": readable,
    }
    rows = _answers(questions, list(readers)).iter_rows()
    unread = [(kind, answer) for kind, answer in rows if not readers[kind](unwrap(answer))]
    return pl.DataFrame(unread, schema=_ANSWER, orient="row")


def _answers(questions: pl.DataFrame, kinds: list[str]) -> pl.DataFrame:
    """Every answer of these types once, without those that are plain whole numbers."""
    answers = questions.select("answer_type", pl.col("answer").fill_null("").str.strip_chars())
    wanted = pl.col("answer_type").is_in(kinds) & ~pl.col("answer").str.contains(_PLAIN)
    return answers.filter(wanted).unique(maintain_order=True)


def _not_checkable(questions: pl.DataFrame) -> pl.DataFrame:
    """The answers that too few other ways of writing them meet: answer_type, answer, says."""
    checked: dict[str, str | None] = {}
    found = []
    for kind, answer in _answers(questions, ["number", "expression", "set"]).iter_rows():
        gold = unwrap(answer)
        if kind == "expression" and not is_plain(gold):
            form = shape(gold)
            if form not in checked:
                checked[form] = _unmet(form, kind)
            if checked[form] is None:
                continue
        says = _unmet(gold, kind)
        if says is not None:
            found.append((kind, answer, says))
    return pl.DataFrame(found, schema=_ANSWER | {"says": pl.String}, orient="row")


def _unmet(gold: str, kind: AnswerType) -> str | None:
    """What is wrong with a gold that too few other ways of writing it meet; None for one that can be met."""
    ways = rewritten(gold, kind)
    if ways is None:
        return None
    question = Question(source="", source_row="", task="math", text="", answer=gold, answer_type=kind)
    missed, met = [], 0
    for way in ways:
        if judge(way, question).correct:
            met += 1
        else:
            missed.append(way)
        if met == NEEDED:
            return None
    wrong = f"; judged wrong: {' | '.join(missed)[:200]}" if missed else ""
    return f"answer: {gold[:200]}; {met} of {len(ways)} other ways of writing it are right, {NEEDED} are needed{wrong}"


def _expression_unreadable(answer: pl.Expr) -> pl.Expr:
    def count(signs: str) -> pl.Expr:
        return plain.str.count_matches(signs)

    plain = answer.str.replace_all(r"\\(?:left|right)\s*\.", "")
    unbalanced = (count(r"\{") != count(r"\}")) | (count(r"[(\[]") != count(r"[)\]]"))
    unbalanced = unbalanced | (count(r"\\begin\b") != count(r"\\end\b"))
    bare = answer.str.replace_all(_COMMANDS, " ")
    empty = ~answer.str.contains(r"[\p{L}\p{N}∞∅]") | answer.str.contains(r"[+*/=^_\\]$")
    return unbalanced | empty | bare.str.contains(_PROSE) | (pl.col("unread") & answer.is_not_null())


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
    unread = pl.when((kind == "number") & pl.col("unread")).then(bare)
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
        ("boolean_unreadable", (kind == "boolean") & pl.col("unread"), shown),
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
    keys = {"left_on": ["answer_type", pl.col("answer").fill_null("").str.strip_chars()], "maintain_order": "left"}
    unread = _unread(questions).with_columns(unread=pl.lit(True))
    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    judged = questions.rechunk().join(unread, **keys, right_on=["answer_type", "answer"], how="left", coalesce=False)
    judged = judged.with_columns(pl.col("unread").fill_null(False)).with_columns(reason=reason).rechunk()
    detail = pl.coalesce(pl.when(pl.col("reason") == code).then(says.fill_null("")) for code, _, says in rules)
    judged = judged.with_columns(detail=detail)
    unmet = _not_checkable(judged.filter(pl.col("reason").is_null()))
    judged = judged.join(unmet, **keys, right_on=["answer_type", "answer"], how="left", coalesce=False, suffix="_unmet")
    late = pl.col("reason").is_null() & pl.col("says").is_not_null()
    judged = judged.with_columns(
        reason=pl.when(late).then(pl.lit("gold_not_checkable")).otherwise("reason"),
        detail=pl.when(late).then("says").otherwise("detail"),
    )
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    lost = judged.filter(pl.col("reason").is_not_null())
    return kept, reject_rows(lost, STAGE, pl.col("reason"), pl.col("detail"))
