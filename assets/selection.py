"""Which questions train by RL and which by a cold start."""

import dagster as dg
import polars as pl

from assets.conservation import conservation_check
from assets.shown import shown
from assets.stage import StageAssets
from filters.selection import STAGE, select
from records.recipe import Recipe
from records.workspace import Workspace, rejects_table
from reports.markdown import counts
from reports.samples import sample_questions

_ABOUT = (
    "The first of the recipe's routes that fits decides; what tools harm goes only where a route names that decision. "
    "The recipe's further steps, such as `balance`, choose among those that are routed. Raw counts are kept, so a new "
    "rule costs no rollout."
)


@dg.multi_asset(
    group_name="selection",
    can_subset=True,
    outs={
        "rl_questions": dg.AssetOut(
            kinds={"polars"}, description=f"Questions for RL: the tools help and the policy can use them. {_ABOUT}"
        ),
        "cold_start_questions": dg.AssetOut(
            kinds={"polars"}, description=f"Questions for the cold start: a teacher has to show the way. {_ABOUT}"
        ),
    },
)
def selection(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    difficulty: pl.DataFrame,
    tool_benefit: pl.DataFrame,
):
    recipe = workspace.recipe
    routed, rejects = select(difficulty, tool_benefit, recipe.selection, recipe.seed)
    workspace.tables.write(rejects_table(STAGE), rejects)
    for name, route in (("rl_questions", "rl"), ("cold_start_questions", "cold_start")):
        chosen = routed.filter(pl.col("route") == route)
        if name not in context.op_execution_context.selected_output_names:
            workspace.tables.write(name, chosen)  # the tables go together, whichever was asked for
            continue
        yield dg.Output(
            chosen,
            output_name=name,
            metadata=shown(
                {
                    "rows_in": difficulty.height,
                    "rows_out": chosen.height,
                    "rows_rejected": rejects.height,
                    "by_task": counts(chosen, "task"),
                    "rejects_by_reason": counts(rejects, "task", "reason"),
                    "samples": sample_questions(chosen, workspace.images, ["direct", "tools", "benefit", "decision"]),
                }
            ),
        )


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of this stage."""
    check = conservation_check(
        "rl_questions",
        STAGE,
        lambda w: list(w.tables.read("difficulty")["question_id"]),
        outputs=["rl_questions", "cold_start_questions"],
    )
    return StageAssets([selection, check], {STAGE: "rl_questions"})
