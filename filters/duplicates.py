"""The same question twice is kept once; the same question with answers that contradict each other is not kept at all.

Two questions are the same when their normalised texts (case, punctuation, diacritics and spaces aside), their images
(in order) and their choices (in any order) are equal. Answers agree when one text, number or choice is accepted by all
of them, aliases counted. Of agreeing ones the lowest (source, question_id, source_row) is kept: a rule that does not
depend on the order of the table.

Signs of mathematics and numbers are no punctuation here: "2 + 3" and "2 - 3" are two questions.
"""

import polars as pl

from filters.rejects import reject_rows

STAGE = "duplicates"


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


def apply(questions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost.

    Reasons: `duplicate` (the detail names the row that is kept), `contradicting_answers` (all of them are rejected).
    """
    keyed = questions.with_row_index("row").with_columns(
        key_text=comparable_text(pl.col("text")),
        key_images=pl.col("images").fill_null([]).list.join("\n"),
        key_choices=pl.col("choices")
        .fill_null([])
        .list.eval(comparable_text(pl.element()))
        .list.sort()
        .list.join("\n"),
        accepted=_accepted(),
    )
    key = ["key_text", "key_images", "key_choices"]
    # One group agrees when some accepted text belongs to every row of it.
    agreeing = (
        keyed.select("row", *key, "accepted")
        .explode("accepted")
        .with_columns(accepted=_comparable(pl.col("accepted")))
        .unique(["row", "accepted"])
        .group_by(*key, "accepted")
        .len("agree")
        .group_by(key)
        .agg(pl.col("agree").max())
    )
    order = pl.struct("source", "question_id", "source_row", "row")
    judged = (
        keyed.join(agreeing, on=key, how="left")
        .with_columns(size=pl.len().over(key), rank=order.rank("ordinal").over(key))
        .with_columns(
            first=pl.format("{} row {}", "source", "source_row").sort_by("rank").first().over(key),
            answers=pl.col("answer").fill_null("").sort_by("rank").str.join(" | ").over(key),
        )
        .sort("row")
    )
    clash = pl.col("agree") < pl.col("size")
    judged = judged.with_columns(
        reason=pl.when(clash).then(pl.lit("contradicting_answers")).when(pl.col("rank") > 1).then(pl.lit("duplicate")),
        detail=pl.when(clash)
        .then(pl.format("answers: {}", pl.col("answers").str.slice(0, 200)))
        .otherwise(pl.format("the same as {}", "first")),
    )
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    lost = judged.filter(pl.col("reason").is_not_null())
    return kept, reject_rows(lost, STAGE, pl.col("reason"), pl.col("detail").fill_null(""))
