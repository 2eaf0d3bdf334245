"""Where a question goes: the first of the recipe's routes that its measured benefit fits."""

from collections.abc import Sequence

import polars as pl

from filters.rejects import reject_rows
from records.recipe import Band, Route

STAGE = "selection"
_MEASURES = ("direct", "tools", "benefit", "benefit_low", "gain_probability")
_NAMES = ("question_id", "task", "source")
_ROUNDING = 1e-9


def _within(column: str, band: Band) -> pl.Expr:
    low = pl.lit(True) if band.min is None else pl.col(column) >= band.min - _ROUNDING
    high = pl.lit(True) if band.max is None else pl.col(column) <= band.max + _ROUNDING
    return low & high


def _fits(rule: Route) -> pl.Expr:
    """Whether a question fits a route. One that the tools harm goes only where a route asks for it by name."""
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


def apply(
    questions: pl.DataFrame, benefits: pl.DataFrame, routes: Sequence[Route]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Route questions.

    Args:
        questions: one row a question, with question_id.
        benefits: the table of the asset `tool_benefit` (filters/benefit/per_question.py): at least question_id, the
            attempts and right answers of the arms direct and tools, and the columns that a Route has bands for, and
            decision.
        routes: the recipe's, in its order. A route without `decision` takes all but questions decided `harm`.

    Returns:
        The routed questions with the columns of `benefits` (in place of others of the same name) and `route` (`rl` or
        `cold_start`) added, and the rejects:
        `tools_harm` (decided so), `tools_do_not_help` (decided that they make no difference, or a gain less probable
        than not), `no_route` (the rest of those that fit none) and `unmeasured` (an arm without a finished attempt).
    """
    # of both tables the measured numbers are meant, not the attempts that the question was once chosen by
    own = [c for c in questions.columns if c in _NAMES or c not in benefits.columns]
    measures = benefits.select("question_id", pl.exclude(_NAMES))
    table = questions.select(own).join(measures, on="question_id", how="left", maintain_order="left")
    route: pl.Expr = pl.lit(None, pl.String)
    for rule in reversed(routes):
        route = pl.when(_fits(rule)).then(pl.lit(rule.to)).otherwise(route)
    measured = pl.col("benefit").is_not_null()
    table = table.with_columns(route=pl.when(measured).then(route))
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
