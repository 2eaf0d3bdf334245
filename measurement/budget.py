"""Extra rollouts for the questions that the first ones leave open, in rounds, up to the recipe's budget.

The budget is for the whole table of questions, and what the ledger holds beyond the first samples has been spent: a
run that was killed continues with the rest, and one with nothing new makes no call.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import polars as pl

from filters.benefit.per_question import counts, per_question
from filters.benefit.planner import forecast, next_round
from measurement.cost import WHY, Cost, tokens_per_rollout
from measurement.progress import ArmProgress
from measurement.run import Stage
from measurement.summary import StageSummary
from records.recipe import BENEFIT_DECISIONS, ToolBenefit

MIN_ROUNDS = 4
"""A round takes at most this part of the budget: the next one is planned with what it brought."""
FORECAST_ROLLOUTS = 1000
"""The further rollouts whose effect is forecast."""
OPEN_REASON = "not decided by the first samples"


def attempts_of(progresses: Sequence[ArmProgress]) -> pl.DataFrame:
    """question_id, arm, sample_index (from 0) and correct of all rollouts that count."""
    return pl.concat([progress.used.select("question_id", "arm", "sample_index", "correct") for progress in progresses])


def spent_on(attempts: pl.DataFrame, settings: ToolBenefit) -> int:
    """How many of the attempts go beyond the first samples."""
    return attempts.filter(pl.col("sample_index") >= settings.samples).height


@dataclass
class ExtraRollouts:
    """What became of the extra rollouts."""

    budget: int
    spent: int
    ahead: dict[str, float]
    """What FORECAST_ROLLOUTS more would settle (filters.benefit.planner.forecast)."""
    rounds: list[dict[str, int]] = field(default_factory=list)
    """What each round asked and decided."""
    calls: StageSummary = field(default_factory=StageSummary)


def spend_budget(stage: Stage) -> ExtraRollouts:
    """Make extra rollouts of the stage's arms, each round where the planner wants it, until the budget is spent or
    nothing that is left pays.
    """
    runner, questions, recipe = stage.runner, stage.questions, stage.runner.toolbox.workspace.recipe
    settings, seed = recipe.tool_benefit, recipe.seed
    budget, rounds = round(settings.further * questions.height), []
    attempts = attempts_of([runner.progress(arm, questions) for arm in stage.arms])
    counted, spent = counts(attempts, settings.looks), spent_on(attempts, settings)
    while spent < budget:
        size = math.ceil(budget / MIN_ROUNDS)
        plan = next_round(counted, questions, settings, seed, budget - spent, size)
        if plan.is_empty():
            break
        _make_round(stage, plan)
        before, before_spent = attempts.height, spent
        attempts = attempts_of([runner.progress(arm, questions) for arm in stage.arms])
        counted, spent = counts(attempts, settings.looks), spent_on(attempts, settings)
        table = per_question(counted, questions, settings, seed)
        decided = {decision: int((table["decision"] == decision).sum()) for decision in BENEFIT_DECISIONS}
        rounds.append({"questions": plan["question_id"].n_unique(), "rollouts": spent - before_spent, **decided})
        runner.log.info(
            f"extra rollouts: round {len(rounds)}: {_spoken(rounds[-1])}; {spent} of {budget} rollouts are spent"
        )
        if attempts.height == before:  # nothing could be finished, and the plan would be the same again
            break
    ahead = forecast(counted, questions, settings, seed, FORECAST_ROLLOUTS)
    runner.log.info(
        f"{ahead['open']} questions are open; of a further {FORECAST_ROLLOUTS} rollouts {ahead['rollouts']} would be "
        f"used, and settle about {ahead['settled']} of them"
    )
    stage.calls["further"] = runner.calls()
    return ExtraRollouts(budget, spent, ahead, rounds, stage.calls["further"])


def _make_round(stage: Stage, plan: pl.DataFrame) -> None:
    """Make the samples of a plan: columns arm, question_id and wanted."""
    asked = []
    for arm in stage.arms:
        wanted = plan.filter(pl.col("arm") == arm.name).select("question_id", "wanted")
        if wanted.height:
            chosen = stage.questions.join(wanted, on="question_id", maintain_order="left")
            asked.append((stage.runner.progress(arm, chosen), chosen))
    for progress, chosen in asked:  # the ledger was read for all before any is made: once per round
        stage.runner.make(progress, chosen)


def _spoken(made: dict[str, int]) -> str:
    decided = ", ".join(f"{made[decision]} {decision}" for decision in BENEFIT_DECISIONS)
    return f"{made['rollouts']} rollouts of {made['questions']} questions; now {decided}"


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
