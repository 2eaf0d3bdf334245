"""Questions that are one although their texts or images are not equal: near, joint and semantic duplicates.

Three kinds of pairs, in each of which the numbers, the choices and the accepted answers are the same:

- `near_duplicate`: no images, and nearly the same text (filters/duplicates/near.py),
- `joint_duplicate`: nearly the same text about the same picture (filters/duplicates/images.py),
- `semantic_duplicate`: the same meaning in other words, by sentence embeddings, about the same picture or about none.

The answers must agree because "the capital of Mali" and "the capital of Bali" are nearly the same text.

Questions are in order, oldest first, and one is rejected if and only if an older one that is kept is its duplicate
(filters/duplicates/keep_oldest.py): what comes later changes no decision about what was there before.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from filters.duplicates import STAGE, near, semantic
from filters.duplicates.answers import accepted, agreeing, choices_in_any_order
from filters.duplicates.exact import seniority, without
from filters.duplicates.keep_oldest import keep_first
from filters.rejects import reject_rows
from records.recipe.questions import Duplicates
from verdicts.agreement import agreement_key

PAIRS = pl.Schema(
    {
        "kept_id": pl.String,
        "dropped_id": pl.String,
        "similarity": pl.Float32,
        "kind": pl.String,
        "dropped": pl.Boolean,
    }
)
MARGIN = 0.15
"""How far below the threshold pairs are still looked for, to be shown to who sets it."""
SHORT = 768
"""Characters up to which a text is compared by its meaning: a longer one's vector is a mean over its parts, and two
pages that differ in their last sentence alone are nearly one."""

Embed = Callable[[pl.Series], np.ndarray]


def apply(
    questions: pl.DataFrame, rules: Duplicates, embed: Embed | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects) and give the pairs that were looked at, the nearest first.

    Args:
        questions: with the column `pictures`: the representatives of the question's images.
        embed: gives the unit vectors, (n, d), of texts; needed where there is `rules.semantic`.

    Returns:
        kept and rejects in the questions' order, and pairs (PAIRS); those with `dropped` false are below the threshold.
    """
    rows = questions.with_row_index("row").sort(*seniority(questions), "row")
    rows = rows.with_columns(
        block=pl.struct(
            pl.col("pictures").list.join("\n"),
            near.number_key(pl.col("text")),
            choices_in_any_order(rows),
        ).hash(),
    )
    found = []
    if rules.near is not None:
        found.append(_near(rows, rules.near))
    if rules.semantic is not None and embed is not None:
        found.append(_semantic(rows, rules.semantic.similarity, embed))
    pairs = pl.concat(found) if found else _semantic(rows.clear(), 1.0, None)
    pairs = pairs.filter(agreeing(rows, pairs["left"], pairs["right"]))
    duplicates = pairs.filter("dropped")
    kept_by = keep_first(duplicates["left"].to_numpy(), duplicates["right"].to_numpy(), rows.height)
    lost = rows.with_columns(kept_by=pl.Series(kept_by)).with_row_index("place").filter(pl.col("kept_by") >= 0)
    # The nearest kind of pair with the one that is kept is the reason.
    why = (
        duplicates.select(
            "kind", "similarity", left=pl.min_horizontal("left", "right"), right=pl.max_horizontal("left", "right")
        )
        .sort("similarity", descending=True)
        .unique(["left", "right"], keep="first", maintain_order=True)
    )
    lost = lost.with_columns(pl.col("kept_by").cast(pl.UInt32)).join(
        why, left_on=["kept_by", "place"], right_on=["left", "right"], how="left", maintain_order="left"
    )
    keeper = rows[lost["kept_by"]].select(
        keeper=pl.format("{} row {}: {}", "source", "source_row", pl.col("text").str.slice(0, 150))
    )
    lost = pl.concat([lost, keeper], how="horizontal").sort("row")
    detail = pl.format("similarity {} with {}", pl.col("similarity").round(3), "keeper")
    kept = without(questions, lost["row"])
    return kept, reject_rows(lost, STAGE, pl.col("kind"), detail), _shown(rows, pairs)


def _near(rows: pl.DataFrame, threshold: float) -> pl.DataFrame:
    pairs = near.pairs(rows["text"], rows["block"], max(threshold - MARGIN, 0.1))
    about_a_picture = rows["pictures"].list.len()[pairs["left"]] > 0
    return pairs.with_columns(
        kind=pl.when(about_a_picture).then(pl.lit("joint_duplicate")).otherwise(pl.lit("near_duplicate")),
        dropped=pl.col("similarity") >= threshold,
    )


def _semantic(rows: pl.DataFrame, threshold: float, embed: Embed | None) -> pl.DataFrame:
    """Only what shares its block and an answer with another question is embedded at all."""
    asked = rows.select("text", "block", "answer_type", answer=accepted(rows).list.first().fill_null(""))
    asked = asked.with_row_index("place").filter(pl.col("text").str.len_chars() <= SHORT)
    asked = asked.filter(pl.len().over("block") > 1)
    answers = asked.select("answer_type", "answer").unique()
    forms = [agreement_key(answer, kind or "short_text") for kind, answer in answers.iter_rows()]
    asked = asked.join(
        answers.with_columns(form=pl.Series(forms, dtype=pl.String)), on=["answer_type", "answer"], nulls_equal=True,
        maintain_order="left",
    )  # fmt: skip
    shared = asked.with_columns(block=pl.struct("block", "form").hash()).filter(pl.len().over("block") > 1)
    pairs = pl.DataFrame(schema={"left": pl.UInt32, "right": pl.UInt32, "similarity": pl.Float32})
    if shared.height and embed is not None:
        from_similarity = max(threshold - MARGIN / 3, 0.1)
        pairs = semantic.pairs(embed(shared["text"]), shared["block"], from_similarity)
        place = shared["place"]
        pairs = pairs.with_columns(left=place[pairs["left"]], right=place[pairs["right"]])
    return pairs.with_columns(kind=pl.lit("semantic_duplicate"), dropped=pl.col("similarity") >= threshold)


def _shown(rows: pl.DataFrame, pairs: pl.DataFrame, n: int = 200) -> pl.DataFrame:
    """The pairs nearest to the threshold on both of its sides, with the questions' ids."""
    nearness = pl.when("dropped").then(pl.col("similarity")).otherwise(-pl.col("similarity"))
    shown = pairs.filter(nearness.rank("ordinal").over("kind", "dropped") <= n).sort(nearness)
    ids = rows["question_id"]
    older, younger = shown.select(pl.min_horizontal("left", "right"), pl.max_horizontal("left", "right").alias("right"))
    return shown.select(
        kept_id=ids[older], dropped_id=ids[younger], similarity="similarity", kind="kind", dropped="dropped"
    ).cast(PAIRS)
