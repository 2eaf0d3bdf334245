"""Further rollouts for the questions that the first ones leave open, in rounds, up to what the recipe gives.

The budget is for the whole table of questions, and what the ledger holds beyond the first samples has been spent: a
run that was killed goes on with the rest, and one with nothing new makes no call.
"""

import math
from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.resources import Workspace
from filters.benefit.per_question import counts, per_question
from filters.benefit.planner import forecast, next_round
from measurement.arms import Arm
from measurement.progress import Need, Standing, tokens_a_rollout
from measurement.run import Stage
from records.recipe import BENEFIT_DECISIONS, ToolBenefit
from reports import samples as show

ROUNDS = 4
"""A round takes at most this part of the budget: the next one is planned with what it brought."""
FORECAST = 1000
OPEN = "not decided by the first samples"


def attempts_of(standings: Sequence[Standing]) -> pl.DataFrame:
    """question_id, arm, sample_index (from 0) and correct of all rollouts that count."""
    return pl.concat([at.used.select("question_id", "arm", "sample_index", "correct") for at in standings])


def spent_on(attempts: pl.DataFrame, settings: ToolBenefit) -> int:
    """How many of the attempts go beyond the first samples."""
    return attempts.filter(pl.col("sample_index") >= settings.samples).height


def go_further(stage: Stage, questions: pl.DataFrame, arms: Sequence[Arm]) -> dict[str, Any]:
    """Make further rollouts of these arms, each round where the planner wants it, until the budget is spent or nothing
    that is left pays.

    Returns:
        Metadata: what the budget was and what is spent of it, what each round decided, and what more would settle.
    """
    recipe, say = stage.workspace.recipe, stage.context.log.info
    settings, seed = recipe.tool_benefit, recipe.seed
    budget, rounds = round(settings.further * questions.height), []
    attempts = attempts_of([stage.standing(arm, questions) for arm in arms])
    counted, spent = counts(attempts, settings.looks), spent_on(attempts, settings)
    while spent < budget:
        size = math.ceil(budget / ROUNDS)
        plan = next_round(counted, questions, settings, seed, budget - spent, size)
        if plan.is_empty():
            break
        asked = []
        for arm in arms:
            wanted = plan.filter(pl.col("arm") == arm.name).select("question_id", "wanted")
            if wanted.height:
                chosen = questions.join(wanted, on="question_id", maintain_order="left")
                asked.append((stage.standing(arm, chosen), chosen))
        for at, chosen in asked:  # all stood before any is made: the ledger is read once a round
            stage.make(at, chosen)
        before, before_spent = attempts.height, spent
        attempts = attempts_of([stage.standing(arm, questions) for arm in arms])
        counted, spent = counts(attempts, settings.looks), spent_on(attempts, settings)
        table = per_question(counted, questions, settings, seed)
        decided = {decision: int((table["decision"] == decision).sum()) for decision in BENEFIT_DECISIONS}
        rounds.append({"questions": plan["question_id"].n_unique(), "rollouts": spent - before_spent, **decided})
        say(f"further: round {len(rounds)}: {_spoken(rounds[-1])}; {spent} of {budget} rollouts are spent")
        if attempts.height == before:  # nothing could be finished, and the plan would be the same again
            break
    ahead = forecast(counted, questions, settings, seed, FORECAST)
    say(
        f"{ahead['open']} questions are open; of a further {FORECAST} rollouts {ahead['rollouts']} would be used, and "
        f"settle about {ahead['settled']} of them"
    )
    calls = {f"further: {name}": count for name, count in stage.calls().items()} if settings.further else {}
    return {
        **calls,
        "further_budget": budget,
        "further_spent": spent,
        "further_rounds": dg.MetadataValue.md(show.markdown_table(pl.DataFrame(rounds)) if rounds else "(none)"),
        f"a_further_{FORECAST}_rollouts": dg.MetadataValue.json(ahead),
    }


def _spoken(made: dict[str, int]) -> str:
    decided = ", ".join(f"{made[decision]} {decision}" for decision in BENEFIT_DECISIONS)
    return f"{made['rollouts']} rollouts of {made['questions']} questions; now {decided}"


def further_need(workspace: Workspace, standings: Sequence[Standing], questions: pl.DataFrame) -> Need:
    """What further rollouts may still cost; makes no call. Those that are made are among the arms' own.

    Args:
        standings: of all arms of the comparison.
        questions: those that they are or may be asked about, with how likely that is (`weight`).
    """
    recipe = workspace.recipe
    settings, attempts = recipe.tool_benefit, attempts_of(standings)
    spent = spent_on(attempts, settings)
    most, expected = (
        max(0, round(settings.further * size) - spent) for size in (questions.height, questions["weight"].sum())
    )
    if most and not any(at.open.height for at in standings):  # then it is known whether anything is left that pays
        plan = next_round(counts(attempts, settings.looks), questions, settings, recipe.seed, most)
        most, expected = (0, 0) if plan.is_empty() else (most, expected)
    both = [tokens_a_rollout(workspace, at, questions) for at in standings if at.arm.form in ("tools", "direct")]
    tokens = pl.concat([table for table, _ in both])["tokens"].mean() or 0.0
    why = pl.DataFrame({"reason": [OPEN], "questions": [questions.height], "rollouts": [float(expected)]})
    return Need(
        arm="further",
        questions=questions.height,
        stored=0,
        now=0,
        expected=float(expected),
        most=most,
        tokens=expected * tokens,
        basis="mean of the arms tools and direct; the budget in full, though less may settle all there is",
        why=why,
    )
