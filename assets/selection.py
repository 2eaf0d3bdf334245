"""Which questions train by RL and which by a cold start."""

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, rejects_table
from assets.resources import Workspace
from filters.selection import STAGE, select
from reports import samples as show

_ABOUT = (
    "The first of the recipe's routes that fits decides; what tools harm goes only where a route names that decision. "
    "The recipe's further steps, such as `balance`, choose among those that are routed. Raw counts are kept, so a new "
    "rule costs no rollout."
)


@dg.multi_asset(
    group_name="selection",
    outs={
        "rl_questions": dg.AssetOut(
            kinds={"polars"}, description=f"Questions for RL: the tools help and the policy can use them. {_ABOUT}"
        ),
        "cold_start_questions": dg.AssetOut(
            kinds={"polars"}, description=f"Questions for the cold start: a teacher has to show the way. {_ABOUT}"
        ),
    },
)
def selection(workspace: Workspace, difficulty: pl.DataFrame, tool_benefit: pl.DataFrame):
    recipe = workspace.recipe
    routed, rejects = select(difficulty, tool_benefit, recipe.selection, recipe.seed)
    workspace.tables.write(rejects_table(STAGE), rejects)
    for name, route in (("rl_questions", "rl"), ("cold_start_questions", "cold_start")):
        chosen = routed.filter(pl.col("route") == route)
        yield dg.Output(
            chosen,
            output_name=name,
            metadata={
                "rows_in": difficulty.height,
                "rows_out": chosen.height,
                "rows_rejected": rejects.height,
                "by_task": show.counts(chosen, "task"),
                "rejects_by_reason": show.counts(rejects, "task", "reason"),
                "samples": show.sample_questions(chosen, workspace.images, ["direct", "tools", "benefit", "decision"]),
            },
        )


selection_assets = [
    selection,
    conservation_check(
        "rl_questions",
        STAGE,
        lambda w: list(w.tables.read("difficulty")["question_id"]),
        outputs=["rl_questions", "cold_start_questions"],
    ),
]
