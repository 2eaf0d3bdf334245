"""The same question twice is kept once; the same question with answers that contradict each other is not kept at all.

Two questions are the same when their normalised texts (case, punctuation, diacritics and spaces aside), their images
(in order) and their choices (in any order) are equal. Answers agree when one text, number or choice is accepted by all
of them, aliases counted. Of agreeing ones the oldest is kept: the first by `first_seen` (when the question first came),
then by source, question_id and source_row. That does not depend on the order of the table, and what comes later never
takes the place of what is kept.

Signs of mathematics and numbers are not punctuation here: "2 + 3" and "2 - 3" are two questions.
"""

import polars as pl

from filters.duplicates import STAGE
from filters.rejects import reject_rows


def comparable_text(text: pl.Expr) -> pl.Expr:
    """A text as it is compared: without case, sentence punctuation and extra spaces."""
    plain = text.fill_null("").str.normalize("NFKC").str.to_lowercase()
    # Sentence punctuation only where no digit or letter follows at once: 3.5 and f(x) stay what they are.
    plain = plain.str.replace_all(r"[.,;:!?…]+(\s|$)", " ").str.replace_all(r"[\"“”]", "")
    return plain.str.replace_all(r"\s+", " ").str.strip_chars()


def _accepted() -> pl.Expr:
    """Every text that counts as the answer, in a form to compare: numbers as numbers, choices as their texts."""
    letter = pl.col("answer").fill_null("").str.strip_chars().str.extract(r"^\(?([A-Za-z])[).]?$")
    place = letter.str.to_uppercase().str.to_integer(base=36, strict=False) - 10
    chosen = pl.col("choices").fill_null([]).list.get(place, null_on_oob=True)
    is_choice = (pl.col("answer_type") == "choice").fill_null(False)
    answer = pl.when(is_choice & chosen.is_not_null()).then(chosen).otherwise(pl.col("answer"))
    return pl.concat_list(answer.fill_null(""), pl.col("aliases").fill_null([])).alias("accepted")


def _comparable(text: pl.Expr) -> pl.Expr:
    number = text.str.replace_all(",", "").str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(number.is_not_null()).then(number.cast(pl.String)).otherwise(comparable_text(text))


def accepted_answers(questions: pl.DataFrame) -> pl.Series:
    """Every text that counts as the answer, as one list per question, in a form in which agreeing answers are equal."""
    accepted = questions.select(_accepted().list.eval(_comparable(pl.element())))
    return accepted["accepted"]


def seniority(questions: pl.DataFrame) -> list[str]:
    """The columns by which questions are ordered, oldest first."""
    return [name for name in ("first_seen", "source", "question_id", "source_row") if name in questions.columns]


def choices_in_any_order() -> pl.Expr:
    """The choices as they are compared, as one text."""
    return pl.col("choices").fill_null([]).list.eval(comparable_text(pl.element())).list.sort().list.join("\n")


def without(questions: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The questions but for those at these places, in their order."""
    return questions.with_row_index("row").filter(~pl.col("row").is_in(rows.implode())).drop("row")


def apply(questions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost.

    Reasons: `duplicate` (the detail names the row that is kept), `contradicting_answers` (all of them are rejected).
    """
    key = pl.struct(
        comparable_text(pl.col("text")),
        pl.col("images").fill_null([]).list.join("\n"),
        choices_in_any_order(),
    )
    rows = questions.select(key=key.hash()).with_row_index("row").filter(pl.len().over("key") > 1)
    # Most questions are the only ones with their key, and need no comparison.
    judged = _judge(questions[rows["row"]].with_columns(row=rows["row"], key=key))
    lost = judged.filter(pl.col("reason").is_not_null())
    kept = without(questions, lost["row"])
    return kept, reject_rows(lost, STAGE, pl.col("reason"), pl.col("detail").fill_null(""))


def _judge(questions: pl.DataFrame) -> pl.DataFrame:
    """The questions, in the order of their `row`, with the reason and detail of those that are lost by their `key`."""
    # One group agrees when some accepted text belongs to every row of it.
    agreeing = (
        questions.select("row", "key", accepted=accepted_answers(questions))
        .explode("accepted")
        .unique(["row", "accepted"])
        .group_by("key", "accepted")
        .len("agree")
        .group_by("key")
        .agg(pl.col("agree").max())
    )
    judged = (
        questions.sort(*seniority(questions), "row")
        .join(agreeing, on="key", how="left", maintain_order="left")
        .with_columns(
            size=pl.len().over("key"),
            rank=pl.int_range(pl.len()).over("key"),
            first=pl.format("{} row {}", "source", "source_row").first().over("key"),
            answers=pl.col("answer").fill_null("").str.join(" | ").over("key"),
        )
        .sort("row")
    )
    clash = pl.col("agree") < pl.col("size")
    return judged.with_columns(
        reason=pl.when(clash).then(pl.lit("contradicting_answers")).when(pl.col("rank") > 0).then(pl.lit("duplicate")),
        detail=pl.when(clash)
        .then(pl.format("answers: {}", pl.col("answers").str.slice(0, 200)))
        .otherwise(pl.format("the same as {}", "first")),
    )
