"""All rejects of all stages in one table."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.shown import shown
from records.question import Reject
from records.tables import stack
from records.workspace import Workspace, rejects_table
from reports.markdown import counts, markdown_table


def rejects_asset(writers: Mapping[str, str]) -> dg.AssetsDefinition:
    """The asset that gathers all rejects.

    Args:
        writers: which asset writes the rejects, by the stage that they are filed under.
    """

    @dg.asset(
        group_name="rejects",
        kinds={"polars"},
        deps=sorted(set(writers.values())),
        description="Every row that any stage turned away, with the stage, a reason code to count by and a sentence.",
    )
    def rejects(workspace: dg.ResourceParam[Workspace]) -> dg.Output[pl.DataFrame]:
        tables = workspace.tables
        missing = [asset for stage, asset in writers.items() if not tables.exists(rejects_table(stage))]
        if missing:
            raise dg.Failure(f"these assets have not been materialized yet: {', '.join(dict.fromkeys(missing))}")
        table = stack([tables.read(rejects_table(stage)) for stage in writers], Reject)
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

    return rejects
