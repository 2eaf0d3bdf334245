"""What a folder of segments holds: the schema of its rows, and the versions of it that can be read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl


class SegmentVersionError(RuntimeError):
    """A segment has a version that this Touchstone cannot read; reading past it would pay again for what it holds."""


@dataclass(frozen=True)
class SegmentKind:
    """What a folder of segments holds.

    `name` is for messages. Rows with equal `key` are the same row. `version` is written under `version_key` of the
    parquet metadata. `upgrade` gives, for each older version that can still be read, what makes a frame of it (all its
    columns, some of its rows in their order) a frame of `schema`. `later` names columns that were added within a
    version, each with the value of the rows that were written without it: older readers pass over them. Rows for which
    `gives_way` holds are kept only where no other row has their key.
    """

    name: str
    schema: pl.Schema
    key: str
    version: int
    version_key: str
    upgrade: Mapping[int, Callable[[pl.DataFrame], pl.DataFrame]] = field(default_factory=dict)
    later: Mapping[str, Any] = field(default_factory=dict)
    gives_way: pl.Expr | None = None

    def misfit(self, got: pl.Schema) -> str:
        """Why columns of `got` cannot be read as rows of this kind; empty if they can."""
        needed = {name: dtype for name, dtype in self.schema.items() if name in got or name not in self.later}
        return misfit(got, pl.Schema(needed))

    def filled(self, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        """The frame with these columns, of which those that were added later may be missing."""
        missing = [name for name in columns if name not in frame.columns]
        added = [pl.lit(self.later[name], dtype=self.schema[name]).alias(name) for name in missing]
        return frame.with_columns(added).select(columns) if added else frame


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
