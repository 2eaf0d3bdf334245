"""Is a question of the right difficulty for a model? Decided by how many of k attempts without tools are right.

Counts are stored and the band is applied to them afterwards, so a band can change without a new rollout.
"""

import polars as pl

from filters.rejects import reject_rows
from records.recipe import CountBand

STAGE = "difficulty"


def undecided(attempts: int, right: int, samples: int, keep: CountBand) -> bool:
    """Whether the rest of the `samples` attempts could still change the decision (exact curtailed sampling).

    Stopping as soon as this is false leaves the decision of the fixed-size rule unchanged, whatever the rest would
    have been.
    """
    most = right + samples - attempts
    certainly_in = right >= keep.min and most <= keep.max
    certainly_out = right > keep.max or most < keep.min
    return not (certainly_in or certainly_out)


def count_attempts(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Per question and arm: attempts, right and unfinished. A rollout without a verdict is no attempt.

    Returns columns question_id, arm, attempts, right, unfinished (counts).
    """
    return rollouts.group_by("question_id", "arm", maintain_order=True).agg(
        attempts=pl.col("correct").count().cast(pl.Int64),
        right=pl.col("correct").sum().cast(pl.Int64),
        unfinished=pl.col("correct").null_count().cast(pl.Int64),
    )


def apply(
    questions: pl.DataFrame, rollouts: pl.DataFrame, samples: int, keep: CountBand
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split questions by the band.

    Returns:
        The kept questions with columns direct_attempts and direct_right added, and the rejects: `too_easy`, `too_hard`,
        or `unfinished` where failures of ours left the decision open.
    """
    counts = count_attempts(rollouts.filter(pl.col("arm") == "direct")).drop("arm")
    table = questions.join(counts, on="question_id", how="left", maintain_order="left").with_columns(
        pl.col("attempts", "right", "unfinished").fill_null(0)
    )
    most = pl.col("right") + samples - pl.col("attempts")
    decision = (
        pl.when(pl.col("right") > keep.max)
        .then(pl.lit("too_easy"))
        .when(most < keep.min)
        .then(pl.lit("too_hard"))
        .when((pl.col("right") >= keep.min) & (most <= keep.max))
        .then(pl.lit("keep"))
        .otherwise(pl.lit("unfinished"))
    )
    table = table.with_columns(decision=decision)
    detail = pl.format(
        "{} of {} attempts right without tools; kept are {} to {} of {}",
        "right", "attempts", pl.lit(keep.min), pl.lit(keep.max), pl.lit(samples),
    )  # fmt: skip
    out = table.filter(pl.col("decision") != "keep")
    kept = table.filter(pl.col("decision") == "keep").drop("decision", "unfinished")
    return kept.rename({"attempts": "direct_attempts", "right": "direct_right"}), reject_rows(
        out, STAGE, pl.col("decision"), detail
    )
