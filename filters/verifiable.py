"""Is there something to check? Questions whose answer no verdict could be sure about are rejected, with a reason.

A pure function over a table of questions; every rule is a polars expression. A question that breaks several rules is
rejected once, for the first in this order:

    empty_text, empty_answer, answer_too_long, number_unreadable, boolean_unreadable, set_empty, choices_too_few,
    choices_repeat, answer_not_a_choice, image_missing (a perception question without one), image_mentioned (the text
    speaks of an image and there is none), answer_in_question (the question's own text holds a short answer)
"""

# ruff: noqa: RUF001 - signs that look alike are meant

import polars as pl

from filters.rejects import reject_rows

STAGE = "verifiable"
MAX_ANSWER_CHARS = {"number": 64, "boolean": 8, "short_text": 100, "choice": 299, "expression": 299, "set": 299}
"""Longest answer by type. The verdict takes no answer of 300 characters or more."""

# A number as rollouts/numbers.py reads it: sign, currency, separators, decimals, exponent or fraction, percent, unit.
_NUMBER = (
    r"^[+\-−–]?\s*[$€£¥]?\s*[+\-−]?"
    r"(?:(?:\d+\s+)?\d+\s*/\s*0*[1-9]\d*"
    r"|\\[dt]?frac\s*\{\s*-?\d+\s*\}\s*\{\s*0*[1-9]\d*\s*\}"
    r"|(?:(?:\d{1,3}(?:[,' \x{a0}\x{202f}]\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:\s*[eE][+-]?\d{1,3})?)"
    r"\s*(?:\\?%)?(?:\s*[^\W\d_]+[²³2]?){0,3}\s*\.?$"
)
_BOOLEAN = r"(?i)^(yes|no|true|false)$"
_SPEAKS_OF_IMAGE = (
    r"(?i)<image>|\b(?:in|from|of|see|using|at) (?:the|this|that) (?:given |attached |shown |above |following )?"
    r"(?:image|picture|photo|photograph|figure|diagram)\b|\bthe (?:image|picture|photo|figure) (?:shows|above|below)\b"
)


def normalised(text: pl.Expr) -> pl.Expr:
    """Words only: no case, no diacritics, no punctuation, single spaces."""
    plain = text.fill_null("").str.normalize("NFKD").str.to_lowercase().str.replace_all(r"\p{M}|['’]", "")
    return plain.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()


def _rules() -> list[tuple[str, pl.Expr, pl.Expr]]:
    """Reason, when it holds, and the detail that a person reads."""
    kind, images = pl.col("answer_type"), pl.col("images").list.len().fill_null(0)
    text, answer = pl.col("text").fill_null("").str.strip_chars(), pl.col("answer").fill_null("").str.strip_chars()
    choices = pl.col("choices").fill_null([])
    names = choices.list.eval(pl.element().fill_null("").str.strip_chars().str.to_lowercase())
    letter = answer.str.extract(r"^\(?([A-Za-z])[).]?$").str.to_uppercase()
    # The letter's place in the alphabet, from 0.
    place = letter.str.to_integer(base=36, strict=False) - 10
    limit = kind.replace_strict(MAX_ANSWER_CHARS, default=299, return_dtype=pl.Int64)
    words = normalised(answer)
    shown = pl.format("answer: {}", answer.str.slice(0, 200))
    return [
        ("empty_text", text == "", pl.lit("")),
        ("empty_answer", answer == "", pl.lit("")),
        (
            "answer_too_long",
            answer.str.len_chars() > limit,
            pl.format("{} characters, at most {} for {}", answer.str.len_chars(), limit, kind),
        ),
        ("number_unreadable", (kind == "number") & ~answer.str.contains(_NUMBER), shown),
        ("boolean_unreadable", (kind == "boolean") & ~answer.str.contains(_BOOLEAN), shown),
        ("set_empty", (kind == "set") & ~answer.str.contains(r"[\p{L}\p{N}]"), shown),
        (
            "choices_too_few",
            (kind == "choice") & (choices.list.len() < 2),
            pl.format("{} choices", choices.list.len()),
        ),
        (
            "choices_repeat",
            (kind == "choice") & (names.list.n_unique() < names.list.len()),
            pl.format("choices: {}", choices.list.join(" | ", ignore_nulls=True).str.slice(0, 200)),
        ),
        (
            "answer_not_a_choice",
            (kind == "choice")
            & ~names.list.contains(answer.str.to_lowercase())
            & ~(place < choices.list.len()).fill_null(False),
            shown,
        ),
        ("image_missing", (pl.col("task") == "perception") & (images == 0), pl.lit("")),
        ("image_mentioned", (images == 0) & text.str.contains(_SPEAKS_OF_IMAGE), text.str.slice(0, 200)),
        (
            "answer_in_question",
            # As whole words. A letter or digit alone stands in many a text by chance. A text that repeats both sides of
            # an "or" offers them: that gives nothing away.
            (kind == "short_text")
            & (words.str.len_chars() > 1)
            & ~text.str.contains(r"(?i)\bor\b")
            & pl.format(" {} ", normalised(text)).str.contains(pl.format(" {} ", words), literal=True),
            shown,
        ),
    ]


def apply(questions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost."""
    reason, detail = pl.lit(None, dtype=pl.String), pl.lit("")
    for code, holds, says in reversed(_rules()):
        holds = holds.fill_null(False)
        reason = pl.when(holds).then(pl.lit(code)).otherwise(reason)
        detail = pl.when(holds).then(says).otherwise(detail)
    judged = questions.with_columns(reason=reason, detail=detail)
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    lost = judged.filter(pl.col("reason").is_not_null())
    return kept, reject_rows(lost, STAGE, pl.col("reason"), pl.col("detail").fill_null(""))
