"""Reject rows out of a table, as every filter makes them."""

import polars as pl

from records.question import Reject
from records.tables import schema


def reject_rows(
    frame: pl.DataFrame, stage: str, reason: pl.Expr | str, detail: pl.Expr | str, row_id: str = "question_id"
) -> pl.DataFrame:
    """One Reject per row of `frame`; `reason` and `detail` are texts or expressions over it."""

    def text(name: str) -> pl.Expr:
        return pl.col(name) if name in frame.columns else pl.lit("")

    def expression(value: pl.Expr | str) -> pl.Expr:
        return pl.lit(value) if isinstance(value, str) else value

    rows = frame.select(
        row_id=pl.col(row_id),
        stage=pl.lit(stage),
        reason=expression(reason),
        detail=expression(detail),
        task=text("task"),
        source=text("source"),
    )
    return rows.cast(schema(Reject))
