"""What a materialization would cost, stage by stage, before anything is spent.

What the ledger has decided is taken as it is; a question that is still open counts for a later stage with the chance
that it gets there.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from filters.benefit import per_question as tool_benefit
from filters.difficulty.stopping import Rule
from filters.questions.splits import held_out_questions
from filters.selection import select
from measurement.arms import Arm, compared_arms, direct_arm, evaluation_arms, teacher_arm
from measurement.budget import attempts_of, budget_cost
from measurement.cost import Cost, cost
from measurement.prepared_arm import PreparedArm
from measurement.progress import ArmProgress, LedgerSnapshot, arm_progress
from measurement.toolbox import Toolbox
from records.recipe import Recipe
from rollouts.ledger.ledger import Ledger
from rollouts.ledger.outcomes import Outcomes
from rollouts.models.roles import Models


class Planned(NamedTuple):
    """What one stage needs in one arm."""

    stage: str
    cost: Cost


def plan(toolbox: Toolbox, ledger: Ledger, models: Models, questions: pl.DataFrame) -> Iterator[Planned]:
    """The needs of the rollout stages, in the order of the flow; makes no call.

    Rollouts of checkpoints that are yet to be trained are not among them.

    Args:
        questions: the table of questions as a run would make it now.
    """
    snapshot, workspace = LedgerSnapshot(ledger), toolbox.workspace
    recipe, attempting, teaching = workspace.recipe, models.completer("policy"), models.completer("teacher")
    policy = attempting.fingerprint
    ledger.outcomes = Outcomes(attempting.context)
    curation = questions.filter(pl.col("split") == "curation")
    held_out = held_out_questions(questions, recipe.evaluation.limit_per_task)

    def stage(
        name: str, arm: Arm, model: str, asked: pl.DataFrame, stored: LedgerSnapshot = snapshot
    ) -> tuple[ArmProgress, Planned]:
        progress = arm_progress(PreparedArm(arm, toolbox), stored, model, asked)
        return progress, Planned(name, cost(stored, progress, asked))

    direct, planned = stage("direct_rollouts", direct_arm(recipe), policy, curation)
    yield planned
    moderate = _likely(curation, _kept(direct))
    compared = []
    for arm in compared_arms(recipe):
        progress, planned = stage("tool_rollouts", arm, policy, moderate)
        compared.append(progress)
        yield planned
    if recipe.tool_benefit.further:
        yield Planned("tool_rollouts", budget_cost(compared, moderate))
    shown = _likely(curation, _routed(recipe, moderate, compared))
    stored = snapshot
    if teaching.fingerprint != policy:  # another context: other outcomes of the ledger stand
        ledger.outcomes, stored = Outcomes(teaching.context), LedgerSnapshot(ledger)
    yield stage("teacher_rollouts", teacher_arm(recipe), teaching.fingerprint, shown, stored)[1]
    for arm in evaluation_arms(recipe):
        yield stage("base_evaluation", arm, policy, held_out)[1]


def _likely(questions: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """The questions with a weight above 0, with it."""
    return questions.join(weights.filter(pl.col("weight") > 0), on="question_id", maintain_order="left")


def _kept(direct: ArmProgress) -> pl.DataFrame:
    """question_id and weight: the chance that the difficulty filter keeps it."""
    rule: Rule = direct.arm.rule
    states = direct.questions.select("attempts", "right").unique()
    chances = [rule.chance_of_keep(*state) for state in states.iter_rows()]
    states = states.with_columns(chance=pl.Series(chances, dtype=pl.Float64))
    is_open, kept = pl.col("missing") > 0, pl.col("decision").eq_missing(pl.lit("keep"))
    weight = pl.when(is_open).then("chance").otherwise(kept.cast(pl.Float64))
    return direct.questions.join(states, on=["attempts", "right"], how="left", maintain_order="left").select(
        "question_id", weight=weight
    )


def _routed(recipe: Recipe, moderate: pl.DataFrame, compared: Sequence[ArmProgress]) -> pl.DataFrame:
    """question_id and weight: the chance that the selection sends it to the cold start.

    Args:
        compared: how far the arms of the comparison are, tools and direct first.
    """
    # measured in both arms, so the route is known even of one that may yet turn out not to be kept
    begun = pl.concat([progress.open.select("question_id") for progress in compared[:2]])
    done = moderate.join(begun, on="question_id", how="anti", maintain_order="left")
    counted = tool_benefit.counts(attempts_of(compared), recipe.tool_benefit.looks)
    measured = tool_benefit.per_question(counted, done, recipe.tool_benefit, recipe.seed)
    routed, _ = select(done, measured, recipe.selection, recipe.seed)
    chosen = routed.filter(pl.col("route") == "cold_start")
    share = (chosen.height + 0.5) / (done.height + 1)  # never 0 or 1: the next one may go either way
    rest = moderate.join(done, on="question_id", how="anti").select("question_id", weight=pl.col("weight") * share)
    return pl.concat([chosen.select("question_id", "weight"), rest])
