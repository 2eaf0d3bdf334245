"""Where a question goes: the first of the recipe's routes whose bands its numbers lie in."""

from collections.abc import Sequence

import polars as pl

from filters.rejects import reject_rows
from records.recipe import Band, Route

STAGE = "selection"
_MEASURES = ("direct", "tools", "benefit", "benefit_low")
_ROUNDING = 1e-9


def _within(column: str, band: Band) -> pl.Expr:
    low = pl.lit(True) if band.min is None else pl.col(column) >= band.min - _ROUNDING
    high = pl.lit(True) if band.max is None else pl.col(column) <= band.max + _ROUNDING
    return low & high


def apply(
    questions: pl.DataFrame, benefits: pl.DataFrame, routes: Sequence[Route]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Route questions.

    Returns:
        The routed questions with the columns of `benefits` and `route` (`rl` or `cold_start`) added, and the rejects:
        `tools_do_not_help` (benefit not above zero), `no_route` (it helps, but no band fits), `unmeasured` (an arm
        without a finished attempt).
    """
    new = [c for c in benefits.columns if c == "question_id" or c not in questions.columns]
    table = questions.join(benefits.select(new), on="question_id", how="left", maintain_order="left")
    route: pl.Expr = pl.lit(None, pl.String)
    for rule in reversed(routes):
        fits = pl.all_horizontal(_within(name, getattr(rule, name)) for name in _MEASURES)
        route = pl.when(fits).then(pl.lit(rule.to)).otherwise(route)
    measured = pl.col("benefit").is_not_null()
    table = table.with_columns(route=pl.when(measured).then(route))
    reason = (
        pl.when(~measured)
        .then(pl.lit("unmeasured"))
        .when(pl.col("benefit") <= 0)
        .then(pl.lit("tools_do_not_help"))
        .otherwise(pl.lit("no_route"))
    )
    detail = (
        pl.when(measured)
        .then(pl.format("right {} without and {} with tools", pl.col("direct").round(2), pl.col("tools").round(2)))
        .otherwise(pl.lit("no finished attempt in one of the arms"))
    )
    return table.filter(pl.col("route").is_not_null()), reject_rows(
        table.filter(pl.col("route").is_null()), STAGE, reason, detail
    )
