"""Questions of the right difficulty for a model: those with a number of right attempts without tools within a band.

Attempts are stored and the rule is applied to them afterwards, so a band can change without a new rollout.
"""

import polars as pl

from filters.difficulty.progress import progress
from filters.difficulty.stopping import Rule
from filters.rejects import reject_rows
from records.recipe import Difficulty

STAGE = "difficulty"
NOT_ATTEMPTED = "not_attempted"
"""The reason for a question that came after the attempts were made: another run has replaced the questions."""


def rule_of(settings: Difficulty) -> Rule:
    """The stopping rule that a recipe asks for."""
    waves = tuple(settings.waves or [settings.samples])
    return Rule(waves=waves, keep=settings.keep, error=settings.error, prior=settings.prior)


def apply(
    questions: pl.DataFrame, rollouts: pl.DataFrame, rule: Rule, attempted: pl.Series | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split questions by the band.

    Args:
        questions: with a column question_id.
        rollouts: columns question_id, arm, sample_index, correct (null: no attempt); only the arm `direct`
            counts.
        rule: a rule that decides (its `keep` is not None).
        attempted: the questions that the attempts were made for; all of `questions` when not given.

    Returns:
        The kept questions with columns direct_attempts, direct_right, direct_pass_rate (unbiased under the rule, see
        filters/difficulty/unbiased_rate.py) and direct_stop (`certain` or `likely`) added, and the rejects: `too_easy`,
        `too_hard`, `undecided` where all samples are made but some gave no attempt, `unfinished` where samples are
        missing, or `not_attempted` for a question that came after the attempts were made.

    Raises:
        ValueError: for a rule that decides nothing.
    """
    if rule.keep is None:
        raise ValueError("difficulty needs a rule with a keep-band: this one makes all samples and decides nothing")
    missing = pl.lit("unfinished")
    if attempted is not None:
        missing = (
            pl.when(pl.col("question_id").is_in(attempted.implode())).then(missing).otherwise(pl.lit(NOT_ATTEMPTED))
        )
    direct = rollouts.filter(pl.col("arm") == "direct").select("question_id", "sample_index", "correct")
    made = progress(direct, rule)
    table = questions.join(made, on="question_id", how="left", maintain_order="left").with_columns(
        pl.col("used", "attempts", "right").fill_null(0),
        pl.col("next_samples").fill_null(rule.waves[0]),
        reason=pl.coalesce("decision", "stop_reason", missing),
    )
    rejects = table.filter(pl.col("reason") != "keep")
    kept = table.filter(pl.col("reason") == "keep").select(
        *questions.columns,
        direct_attempts="attempts",
        direct_right="right",
        direct_pass_rate="pass_rate",
        direct_stop="stop_reason",
    )
    return kept, reject_rows(rejects, STAGE, pl.col("reason"), _detail(rule))


def _detail(rule: Rule) -> pl.Expr:
    keep = rule.keep
    assert keep is not None  # without a band nothing is rejected
    counts = pl.format(
        "{} of {} attempts right without tools; kept are {} to {} of {}",
        "right", "attempts", pl.lit(keep.min), pl.lit(keep.max), pl.lit(rule.samples),
    )  # fmt: skip
    likely = f"; stopped early as likely: a chance of at most {rule.error:g} that all {rule.samples} decide otherwise"
    failed = pl.format("; {} of {} samples gave no attempt", pl.col("used") - pl.col("attempts"), "used")
    missing = pl.format("; {} samples of the next wave are missing", "next_samples")
    more = (
        pl.when(pl.col("stop_reason") == "likely")
        .then(pl.lit(likely))
        .when(pl.col("stop_reason") == "undecided")
        .then(failed)
        .when(pl.col("stop_reason").is_null())
        .then(missing)
        .otherwise(pl.lit(""))
    )
    return counts + more
