"""What a materialization would cost, stage by stage, before anything is spent.

What the ledger has decided is taken as it is; a question that is still open counts for a later stage with the chance
that it gets there.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from assets.resources import Models, Workspace
from filters.benefit import per_question as tool_benefit
from filters.difficulty.stopping import Rule
from filters.questions.splits import held_out_questions
from filters.selection import select
from measurement import arms
from measurement.budget import attempts_of, further_need
from measurement.progress import Held, Need, Standing, need, standing
from rollouts.ledger.ledger import Ledger


class Planned(NamedTuple):
    """What one stage needs in one arm."""

    stage: str
    need: Need


def plan(workspace: Workspace, ledger: Ledger, models: Models, questions: pl.DataFrame) -> Iterator[Planned]:
    """The needs of the rollout stages, in the order of the flow; makes no call.

    Rollouts of checkpoints that are yet to be trained are not among them.

    Args:
        questions: the table of questions as a run would make it now.
    """
    held = Held(ledger)
    recipe, policy = workspace.recipe, models.completer("policy").fingerprint
    curation = questions.filter(pl.col("split") == "curation")
    held_out = held_out_questions(questions, recipe.evaluation.limit_per_task)

    def stage(name: str, arm: arms.Arm, model: str, asked: pl.DataFrame) -> tuple[Standing, Planned]:
        at = standing(workspace, held, arm, model, asked)
        return at, Planned(name, need(workspace, held, at, asked))

    direct, planned = stage("direct_rollouts", arms.direct(recipe), policy, curation)
    yield planned
    moderate = _likely(curation, _kept(direct))
    compared = []
    for arm in arms.benefit(recipe):
        at, planned = stage("tool_rollouts", arm, policy, moderate)
        compared.append(at)
        yield planned
    if recipe.tool_benefit.further:
        yield Planned("tool_rollouts", further_need(workspace, compared, moderate))
    shown = _likely(curation, _routed(workspace, moderate, compared))
    yield stage("teacher_rollouts", arms.teacher(recipe), models.completer("teacher").fingerprint, shown)[1]
    for arm in arms.evaluation(recipe):
        yield stage("base_evaluation", arm, policy, held_out)[1]


def _likely(questions: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """The questions with a weight above 0, with it."""
    return questions.join(weights.filter(pl.col("weight") > 0), on="question_id", maintain_order="left")


def _kept(direct: Standing) -> pl.DataFrame:
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


def _routed(workspace: Workspace, moderate: pl.DataFrame, compared: Sequence[Standing]) -> pl.DataFrame:
    """question_id and weight: the chance that the selection sends it to the cold start.

    Args:
        compared: where the arms of the comparison stand, tools and direct first.
    """
    recipe = workspace.recipe
    # measured in both arms, so the route is known even of one that may yet turn out not to be kept
    begun = pl.concat([at.open.select("question_id") for at in compared[:2]])
    done = moderate.join(begun, on="question_id", how="anti", maintain_order="left")
    counted = tool_benefit.counts(attempts_of(compared), recipe.tool_benefit.looks)
    measured = tool_benefit.per_question(counted, done, recipe.tool_benefit, recipe.seed)
    routed, _ = select(done, measured, recipe.selection, recipe.seed)
    chosen = routed.filter(pl.col("route") == "cold_start")
    share = (chosen.height + 0.5) / (done.height + 1)  # never 0 or 1: the next one may go either way
    rest = moderate.join(done, on="question_id", how="anti").select("question_id", weight=pl.col("weight") * share)
    return pl.concat([chosen.select("question_id", "weight"), rest])
