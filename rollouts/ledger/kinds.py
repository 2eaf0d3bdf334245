"""What a folder of segments holds: the schema of its rows, and the versions of it that can be read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl


class SegmentVersionError(RuntimeError):
    """A segment has a version that this Touchstone cannot read; reading past it would pay again for what it holds."""


@dataclass(frozen=True)
class SegmentKind:
    """What a folder of segments holds.

    `name` is for messages. Rows with equal `key` are the same row. `version` is written under `version_key` of the
    parquet metadata. `upgrade` gives, for each older version that can still be read, what makes a frame of it (all its
    columns, some of its rows in their order) a frame of `schema`. Rows for which `gives_way` holds are kept only where
    no other row has their key.
    """

    name: str
    schema: pl.Schema
    key: str
    version: int
    version_key: str
    upgrade: Mapping[int, Callable[[pl.DataFrame], pl.DataFrame]] = field(default_factory=dict)
    gives_way: pl.Expr | None = None


def misfit(got: pl.Schema, want: pl.Schema) -> str:
    """Why columns of `got` cannot be read as `want`; empty if they can. Further columns and their order are free."""
    if missing := [name for name in want if name not in got]:
        return f"it lacks the columns {', '.join(missing)}"
    wrong = [
        f"{name} is {got[name]} instead of {dtype}"
        for name, dtype in want.items()
        if got[name] != dtype and not isinstance(got[name], pl.Categorical | pl.Enum)
    ]
    return ", ".join(wrong)
