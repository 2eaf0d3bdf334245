"""All rejects of all stages in one table."""

import dagster as dg
import polars as pl

from assets.shown import shown
from records.question import Reject
from records.recipe import Recipe
from records.tables import stack
from records.workspace import Workspace, rejects_table
from reports.markdown import counts, markdown_table


def rejects_assets(recipe: Recipe) -> list:
    sources = [source.name for source in recipe.sources]
    # stage -> the asset that writes its rejects
    writers = {name: name for name in sources} | {
        "questions": "questions",
        "difficulty": "difficulty",
        "selection": "rl_questions",
        "trajectories": "trajectories",
        "sft_training_set": "sft_training_set",
        "rl_training_set": "rl_training_set",
    }

    @dg.asset(
        group_name="rejects",
        kinds={"polars"},
        deps=sorted(set(writers.values())),
        description="Every row that any stage turned away, with the stage, a reason code to count by and a sentence.",
    )
    def rejects(workspace: dg.ResourceParam[Workspace]) -> dg.Output[pl.DataFrame]:
        table = stack([workspace.tables.read(rejects_table(stage)) for stage in writers], Reject)
        samples = table.group_by("stage", "reason", maintain_order=True).head(1)
        return dg.Output(
            table,
            metadata=shown(
                {
                    "by_reason": counts(table, "stage", "task", "reason"),
                    "one_of_each": markdown_table(samples.select("stage", "reason", "detail")),
                }
            ),
        )

    return [rejects]
