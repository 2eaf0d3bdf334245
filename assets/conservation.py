"""What every deciding stage does alike: keep its rejects beside its table, and prove that no row was lost."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.shown import shown
from records.workspace import Workspace, rejects_table
from reports.markdown import counts


def decided(
    workspace: Workspace, stage: str, rows_in: int, kept: pl.DataFrame, rejects: pl.DataFrame, **metadata: Any
) -> dg.Output[pl.DataFrame]:
    """Store the rejects of a stage and hand on what it kept, with the counts of both."""
    workspace.tables.write(rejects_table(stage), rejects)
    return dg.Output(
        kept,
        metadata=shown(
            {
                "rows_in": rows_in,
                "rows_out": kept.height,
                "rows_rejected": rejects.height,
                "rejects_by_reason": counts(rejects, "task", "reason"),
                **metadata,
            }
        ),
    )


def conservation(rows_in: Sequence[str], row_ids: Sequence[str], rejected_ids: Sequence[str]) -> dg.AssetCheckResult:
    """Rows in = rows out + rejects, id by id: none lost, none twice, none from nowhere."""
    before = pl.Series(list(rows_in), dtype=pl.String).value_counts(name="n").rename({"": "id"})
    after = pl.Series([*row_ids, *rejected_ids], dtype=pl.String).value_counts(name="m").rename({"": "id"})
    both = before.join(after, on="id", how="full", coalesce=True).with_columns(pl.col("n", "m").fill_null(0))
    wrong = both.filter(pl.col("n") != pl.col("m"))
    return dg.AssetCheckResult(
        passed=wrong.is_empty(),
        metadata={
            "rows_in": len(rows_in),
            "rows_out": len(row_ids),
            "rows_rejected": len(rejected_ids),
            "lost": int((wrong["n"] > wrong["m"]).sum()),
            "too_many": int((wrong["n"] < wrong["m"]).sum()),
            "examples": ", ".join(wrong["id"].head(5)),
        },
    )


def ids(workspace: Workspace, table: str, column: str = "question_id") -> list[str]:
    """One column of a table, read alone."""
    return workspace.tables.scan(table).select(column).collect()[column].to_list()


def conservation_check(
    asset: str,
    stage: str,
    rows_in: Callable[[Workspace], Sequence[str]],
    outputs: Sequence[str] = (),
    id_column: str = "question_id",
) -> dg.AssetChecksDefinition:
    """The blocking check of one stage; `outputs` are its tables when they are several."""

    @dg.asset_check(
        asset=asset,
        name="no_row_lost",
        blocking=True,
        description="Rows in = rows kept + rows rejected, id by id.",
    )
    def no_row_lost(workspace: dg.ResourceParam[Workspace]) -> dg.AssetCheckResult:
        kept = [i for table in (outputs or [asset]) for i in ids(workspace, table, id_column)]
        rejected = ids(workspace, rejects_table(stage), "row_id")
        return conservation(rows_in(workspace), kept, rejected)

    return no_row_lost
