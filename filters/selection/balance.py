"""No group of questions is many times as large as another: larger groups are cut down to a ratio of the smallest.

Which questions stay in a group is drawn by the hash of the question's identity and the seed. So a draw does not depend
on the order of the rows, and questions that come or go move few others.
"""

from typing import Annotated

import polars as pl
from pydantic import Field

from filters.rejects import reject_rows
from filters.selection import STAGE
from records.identity import unit_interval
from records.recipe.section import RecipeError, Section

_UNKNOWN = "(unknown)"
_ROUNDING = 1e-9


class Options(Section):
    """Which groups are balanced, and how unequal they may be."""

    by: str
    """The column that tells the groups apart, such as task, source, route or decision."""
    within: list[str] = Field(default_factory=list)
    """Columns whose values are balanced each on its own: [route] balances what RL reads apart from the cold start."""
    max_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """Questions in the largest group per question in the smallest. Groups without a question do not count."""


def apply(rows: pl.DataFrame, options: Options, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into (kept, rejects: `balance`); both keep the order, and no row is lost.

    Args:
        rows: one row per question: question_id and the columns that the options name. A null is a group of its own.

    Raises:
        RecipeError: there is no such column.
    """
    keys = [*options.within, options.by]
    if missing := [name for name in keys if name not in rows.columns]:
        raise RecipeError(
            f"selection: balance: there is no column {missing[0]!r}; there are: {', '.join(sorted(rows.columns))}"
        )
    places = [unit_interval(question_id, f"balance/{seed}") for question_id in rows["question_id"]]
    names = [f"key_{number}" for number in range(len(keys))]
    groups = rows.select(
        "question_id",
        *(pl.col(key).cast(pl.String).fill_null(_UNKNOWN).alias(name) for key, name in zip(keys, names, strict=True)),
        place=pl.Series(places, dtype=pl.Float64),
    )
    smallest = pl.col("size").min().over(names[:-1]) if options.within else pl.col("size").min()
    sizes = groups.group_by(names).agg(size=pl.len().cast(pl.Int64)).with_columns(smallest=smallest)
    sizes = sizes.with_columns(most=(pl.col("smallest") * options.max_ratio + _ROUNDING).floor().cast(pl.Int64))
    rank = pl.struct("place", "question_id").rank("ordinal").over(names)
    judged = groups.with_columns(rank=rank).join(sizes, on=names, how="left", maintain_order="left")
    over = judged["rank"] > judged["most"]
    detail = pl.format(
        "{} {} has {} questions, and at most {} are kept: {} times the smallest group's {}",
        pl.lit(options.by), "_group", "_size", "_most", pl.lit(f"{options.max_ratio:g}"), "_smallest",
    )  # fmt: skip
    told = rows.with_columns(
        _group=judged[names[-1]], _size=judged["size"], _most=judged["most"], _smallest=judged["smallest"]
    )
    return rows.filter(~over), reject_rows(told.filter(over), STAGE, "balance", detail)
