"""Texts that ask one clear question with the same single answer next year; others are rejected, with a reason.

A pure function over a table of questions; every rule is a polars expression, and a question that breaks several rules
is rejected once, for the first in this order:

    garbled_text        a wrong encoding, encoded HTML, broken LaTeX escapes, no words, cut off in mid-sentence
    nothing_asked       a URL, a bare word or two and no image, a placeholder ("TODO", "[INSERT NAME]", "nan")
    image_missing       a perception question without an image, or fewer images than `<image>` marks
    image_mentioned     the text speaks of an image (chart, figure, …), and there is none, nor a table or drawing in it
    options_missing     "which of the following", "the options below", … and no options, neither listed nor in the text
    option_marked       the right one is marked, as in "Paris (correct)" or "*Paris"
    answer_given        the text says "Answer: Paris", "the answer is Paris", \\boxed{Paris}, or holds a solution
    answer_in_question  the text holds a short answer in its own words
    ambiguous           only function words and pronouns, "he" or "this building" with nothing they could stand for
    several_questions   two questions and one answer
    no_single_answer    asks for an opinion, a description, a text to be written, or any one of many
    time_bound          "current", "latest", "how old is", a present office, and no date that fixes it

The phrases are English; a text in another language passes all rules but the first five. Each rule is kept narrow: a
rule takes a phrase only where it cannot well mean anything else ("electric current", "in the last year of her life",
"the image of a point under a reflection" stay). Word problems are no less exact for "today" or "currently", so
`time_bound` leaves mathematics alone, and what an image shows does not change either.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

import polars as pl

from filters.questions.wording_rules import (
    LINE,
    WordingRule,
    leak_rules,
    missing_rules,
    question_rules,
    text_rules,
    time_rules,
)
from filters.rejects import reject_rows
from records.recipe.questions import Wording

STAGE = "wording"
_ROWS = 50_000
"""Rows looked at at once: bounds the memory that copies of the texts take."""


def _judged(chunk: pl.DataFrame, rules: list[WordingRule]) -> pl.DataFrame:
    """Row number, reason and detail of the rows of `chunk` that break a rule."""
    raw = pl.col("text").fill_null("").str.strip_chars()
    flat = raw.str.to_lowercase().str.replace_all(r"[\n\r\t\x{a0}]+ *| {2,}", " ").str.replace_all("[’‘]", "'")
    rows = chunk.select(
        "row", "task", "answer_type", "aliases",
        pl.col("choices").fill_null([]),
        raw=raw,
        line=flat,
        said=pl.col("answer").fill_null("").str.strip_chars(),
        pictures=pl.col("images").list.len().fill_null(0),
        listed=pl.col("choices").list.len().fill_null(0),
    )  # fmt: skip
    hits = []
    for rule in rules:
        some = rows.filter(LINE.str.contains_any(list(rule.cues))) if rule.cues else rows
        broken = some.filter(rule.holds.fill_null(False))
        hits.append(broken.select("row", reason=pl.lit(rule.code), detail=rule.says.fill_null("")))
    return pl.concat(hits).unique("row", keep="first", maintain_order=True)


def apply(questions: pl.DataFrame, rules: Wording) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost."""
    wanted = [*text_rules(), *missing_rules(), *leak_rules(), *question_rules()]
    if rules.time_bound:
        wanted += time_rules()
    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    rows = questions.rechunk().with_row_index("row")
    hits = [_judged(chunk, wanted) for chunk in rows.iter_slices(_ROWS)]
    broken = pl.concat([_judged(rows.clear(), wanted), *hits])
    judged = rows.join(broken, on="row", how="left", maintain_order="left")
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    return kept, reject_rows(judged.filter(pl.col("reason").is_not_null()), STAGE, pl.col("reason"), pl.col("detail"))
