"""The first step of a selection: a question goes where the first of the routes sends it that its benefit fits."""

from typing import Annotated

import polars as pl
from pydantic import Field

from filters.rejects import reject_rows
from filters.selection import STAGE
from records.recipe import Band, Route
from records.recipe.section import Section

_MEASURES = ("direct", "tools", "benefit", "benefit_low", "gain_probability")
_ROUNDING = 1e-9


class Options(Section):
    """The routes, in the recipe's order."""

    routes: Annotated[list[Route], Field(min_length=1)]
    """A route without `decision` takes all questions but those decided `harm`."""


def _within(column: str, band: Band) -> pl.Expr:
    low = pl.lit(True) if band.min is None else pl.col(column) >= band.min - _ROUNDING
    high = pl.lit(True) if band.max is None else pl.col(column) <= band.max + _ROUNDING
    return low & high


def _fits(rule: Route) -> pl.Expr:
    """Whether a question fits a route. One that the tools harm goes only where a route names that decision."""
    decided = pl.col("decision") != "harm" if rule.decision is None else pl.col("decision").is_in(rule.decision)
    return pl.all_horizontal(decided, *(_within(name, getattr(rule, name)) for name in _MEASURES))


def _detail() -> pl.Expr:
    """What was measured, for people: "right 2 of 8 without and 5 of 8 with tools; benefit 0.31 …"."""
    numbers = [pl.col(name).round(2) for name in ("benefit", "benefit_low", "benefit_high", "gain_probability")]
    return pl.format(
        "right {} of {} without and {} of {} with tools; benefit {} ({} to {}), probability of a gain {}",
        *("direct_right", "direct_attempts", "tools_right", "tools_attempts"),
        *numbers,
    )


def apply(rows: pl.DataFrame, options: Options, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Route questions.

    Args:
        rows: one row per question, as filters.selection.measured gives them: question_id, the attempts and right
            answers of the arms direct and tools, the columns that a Route has bands for, and decision.
        seed: is not used; nothing is drawn.

    Returns:
        The routed questions with `route` (`rl` or `cold_start`) added, and the rejects: `tools_harm` (decided so),
        `tools_do_not_help` (decided that they make no difference, or a gain less probable than not), `no_route` (the
        rest of those that fit none) and `unmeasured` (an arm without a finished attempt).
    """
    route: pl.Expr = pl.lit(None, pl.String)
    for rule in reversed(options.routes):
        route = pl.when(_fits(rule)).then(pl.lit(rule.to)).otherwise(route)
    measured = pl.col("benefit").is_not_null()
    table = rows.with_columns(route=pl.when(measured).then(route))
    reason = (
        pl.when(~measured)
        .then(pl.lit("unmeasured"))
        .when(pl.col("decision") == "harm")
        .then(pl.lit("tools_harm"))
        .when((pl.col("decision") == "none") | (pl.col("gain_probability") < 0.5))
        .then(pl.lit("tools_do_not_help"))
        .otherwise(pl.lit("no_route"))
    )
    detail = pl.when(measured).then(_detail()).otherwise(pl.lit("no finished attempt in one of the arms"))
    return table.filter(pl.col("route").is_not_null()), reject_rows(
        table.filter(pl.col("route").is_null()), STAGE, reason, detail
    )
