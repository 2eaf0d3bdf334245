"""Benefit where attempts could not be read: what it is if they all count as wrong, and what if none of them counts.

A turn in which the model names no action is its own failure, and leaving it out would make tools look good for a model
that botches calls; counting it makes them look bad where our reading is at fault. An attempt whose action the server
lost is left out, which is wrong if it happens to one sort of answers. What is decided is decided both ways.
"""

from collections.abc import Callable

import polars as pl

from filters.benefit import columns
from filters.benefit.columns import COMPARED, RULES

_DECISIONS = tuple(map(columns.decision_by, RULES))


def both_ways(table: pl.DataFrame, decided: Callable[[pl.DataFrame], pl.DataFrame], rule: str) -> pl.DataFrame:
    """The table with the columns of both counts; a decision_{rule} that they do not share becomes `open`.

    Nothing is computed where no attempt is unreadable.

    Args:
        table: with counts, and the columns benefit and decision_{rule} of each rule.
        decided: the columns benefit and decision_{rule} of other counts, as they are in the whole table.
        rule: the rule in force, whose decisions by both counts are kept.
    """
    agreed = {name: pl.lit(True) for name in _DECISIONS}
    both: dict[str, pl.Series] = {}
    for name, unread, counted in (
        (columns.counted_wrong, columns.lost, 1),
        (columns.left_out, columns.silent, -1),
    ):
        there = table.select(pl.sum_horizontal(pl.col(unread(arm)).sum() for arm in COMPARED)).item()
        found = decided(_recounted(table, unread, counted)) if there else table
        agreed = {decision: same & (found[decision] == pl.col(decision)) for decision, same in agreed.items()}
        both[name("benefit")] = found["benefit"]
        both[name("decision")] = found[columns.decision_by(rule)]
    table = table.with_columns(
        pl.when(same).then(decision).otherwise(pl.lit("open")).alias(decision) for decision, same in agreed.items()
    )
    return table.with_columns(**both)


def _recounted(table: pl.DataFrame, unread: Callable[..., str], counted: int) -> pl.DataFrame:
    """The table with unreadable attempts added to those that count, or taken from them; none of them is right."""
    marks = [name.removeprefix(columns.attempts(COMPARED[0])) for name in table.columns]
    looks = sorted(int(mark[1:]) for mark in marks if mark[:1] == "_" and mark[1:].isdecimal())
    again = {columns.attempts(arm, look): unread(arm, look) for arm in COMPARED for look in (None, *looks)}
    again |= {columns.first_attempts(arm): unread(arm, looks[0]) for arm in COMPARED}
    return table.with_columns(pl.col(made) + counted * pl.col(lost) for made, lost in again.items())
