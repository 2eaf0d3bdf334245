"""The budget of extra rollouts: what of it is spent, and what the rest may still cost.

The budget is for the whole table of questions, and what the ledger holds beyond the first samples has been spent.
"""

from collections.abc import Sequence
from typing import cast

import polars as pl

from filters.benefit.per_question import counts
from filters.benefit.planner import next_round
from measurement.cost import WHY, Cost, tokens_per_rollout
from measurement.progress import ArmProgress
from records.recipe import ToolBenefit

OPEN_REASON = "not decided by the first samples"


def attempts_of(progresses: Sequence[ArmProgress]) -> pl.DataFrame:
    """question_id, arm, sample_index (from 0) and correct of all rollouts that count."""
    return pl.concat([progress.used.select("question_id", "arm", "sample_index", "correct") for progress in progresses])


def spent_on(attempts: pl.DataFrame, settings: ToolBenefit) -> int:
    """How many of the attempts go beyond the first samples."""
    return attempts.filter(pl.col("sample_index") >= settings.samples).height


def budget_cost(progresses: Sequence[ArmProgress], questions: pl.DataFrame) -> Cost:
    """What extra rollouts may still cost; makes no call. Those that are made are among the arms' own.

    Args:
        progresses: of all arms of the comparison.
        questions: those that they are or may be asked about, with how likely that is (`weight`).
    """
    recipe = progresses[0].prepared.workspace.recipe
    settings, attempts = recipe.tool_benefit, attempts_of(progresses)
    spent = spent_on(attempts, settings)
    most, expected = (
        max(0, round(settings.further * size) - spent) for size in (questions.height, float(questions["weight"].sum()))
    )
    if most and not any(
        progress.open.height for progress in progresses
    ):  # then it is known whether anything is left that pays
        plan = next_round(counts(attempts, settings.looks), questions, settings, recipe.seed, most)
        most, expected = (0, 0) if plan.is_empty() else (most, expected)
    both = [
        tokens_per_rollout(progress, questions) for progress in progresses if progress.arm.name in ("tools", "direct")
    ]
    tokens = cast("float | None", pl.concat([table for table, _ in both])["tokens"].mean()) or 0.0
    why = pl.DataFrame(
        {"reason": [OPEN_REASON], "questions": [questions.height], "rollouts": [float(expected)]}, schema=WHY
    )
    return Cost(
        arm="further",
        questions=questions.height,
        stored=0,
        needed_now=0,
        expected=float(expected),
        at_most=most,
        tokens=expected * tokens,
        basis="mean of the arms tools and direct; the budget in full, though less may settle all there is",
        why=why,
    )
