"""The same question twice is kept once; the same question with answers that contradict each other is not kept at all.

Two questions are the same when their normalised texts (case, punctuation, spaces and spellings of mathematics aside)
and their images (in order) are equal and their choices (in any order) are the same answers. The oldest of them is
kept: the first by `first_seen` (when the question first came), then by source, question_id and source_row. That does
not depend on the order of the table, and what comes later never takes its place. Answers are compared by the verdict,
aliases counted, and each row with the oldest one alone, because agreement is not transitive: rows with 0.5 and with 50
are both duplicates of an older one with 50 %. If any of them does not agree with the oldest, none is kept.

Signs of mathematics and numbers are not punctuation here: "2 + 3" and "2 - 3" are two questions.
"""

import polars as pl

from filters.duplicates import STAGE
from filters.duplicates.answers import agreeing, alike_choices, comparable_text
from filters.rejects import reject_rows


def seniority(questions: pl.DataFrame) -> list[str]:
    """The columns by which questions are ordered, oldest first."""
    return [name for name in ("first_seen", "source", "question_id", "source_row") if name in questions.columns]


def without(questions: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The questions but for those at these places, in their order."""
    return questions.with_row_index("row").filter(~pl.col("row").is_in(rows.implode())).drop("row")


def apply(questions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost.

    Reasons: `duplicate` (the detail names the row that is kept), `contradicting_answers` (all of them are rejected).
    """
    images = pl.col("images").fill_null([]).list.join("\n")
    rows = (
        questions.select(key=pl.struct(comparable_text(questions["text"]), images).hash())
        .with_row_index("row")
        .filter(pl.len().over("key") > 1)
    )
    # Most questions are the only ones with their key, and need no comparison.
    judged = _judge(questions[rows["row"]].with_columns(row=rows["row"], key=rows["key"]))
    lost = judged.filter(pl.col("reason").is_not_null())
    kept = without(questions, lost["row"])
    return kept, reject_rows(lost, STAGE, pl.col("reason"), pl.col("detail").fill_null(""))


def _judge(questions: pl.DataFrame) -> pl.DataFrame:
    """The questions, in the order of their `row`, with the reason and detail of those that are lost by their `key`."""
    rows = questions.sort(*seniority(questions), "row")
    rows = rows.with_columns(choices_form=alike_choices(rows, rows["key"])).with_row_index("place")
    one = ["key", "choices_form"]
    rows = rows.with_columns(oldest=pl.col("place").first().over(one))
    agrees = agreeing(rows, rows["oldest"], rows["place"])
    judged = rows.with_columns(
        clash=~pl.lit(agrees).all().over(one),
        first=pl.format("{} row {}", "source", "source_row").first().over(one),
        answers=pl.col("answer").fill_null("").str.join(" | ").over(one),
    ).sort("row")
    younger = pl.col("place") != pl.col("oldest")
    return judged.with_columns(
        reason=pl.when("clash").then(pl.lit("contradicting_answers")).when(younger).then(pl.lit("duplicate")),
        detail=pl.when("clash")
        .then(pl.format("answers: {}", pl.col("answers").str.slice(0, 200)))
        .otherwise(pl.format("the same as {}", "first")),
    )
