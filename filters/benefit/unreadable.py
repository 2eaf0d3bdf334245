"""Benefit where attempts could not be read: what it is if they all count as wrong, and what if none of them counts.

A turn in which the model names no action is its own failure, and leaving it out would make tools look good for a model
that botches calls; counting it makes them look bad where our reading is at fault. An attempt whose action the server
lost is left out, which is wrong if it happens to one sort of answers. What is decided is decided both ways.
"""

from collections.abc import Callable

import polars as pl

from filters.benefit import columns
from filters.benefit.columns import COMPARED

_BOTH = ("benefit", "decision")


def both_ways(table: pl.DataFrame, decided: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """The table with the columns of both counts; a decision that they do not share becomes `open`.

    Nothing is computed where no attempt is unreadable.

    Args:
        table: with counts, and the columns benefit and decision.
        decided: the columns benefit and decision of other counts, as they are in the whole table.
    """
    for name, unread, counted in (
        (columns.counted_wrong, columns.lost, 1),
        (columns.left_out, columns.silent, -1),
    ):
        there = table.select(pl.sum_horizontal(pl.col(unread(arm)).sum() for arm in COMPARED)).item()
        found = decided(_recounted(table, unread, counted)) if there else table
        table = table.with_columns(found[what].alias(name(what)) for what in _BOTH)
    agreed = pl.all_horizontal(
        pl.col(name("decision")) == pl.col("decision") for name in (columns.counted_wrong, columns.left_out)
    )
    return table.with_columns(decision=pl.when(agreed).then("decision").otherwise(pl.lit("open")))


def _recounted(table: pl.DataFrame, unread: Callable[..., str], counted: int) -> pl.DataFrame:
    """The table with unreadable attempts added to those that count, or taken from them; none of them is right."""
    marks = [name.removeprefix(columns.attempts(COMPARED[0])) for name in table.columns]
    looks = [None, *(int(mark[1:]) for mark in marks if mark[:1] == "_" and mark[1:].isdecimal())]
    return table.with_columns(
        pl.col(columns.attempts(arm, look)) + counted * pl.col(unread(arm, look)) for arm in COMPARED for look in looks
    )
