"""What a loader hands on: rows whose images have not been looked at, and what the source says of itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from records.question import Reject
from sources.mapping.evidence import RowAid


@dataclass(frozen=True)
class Draft:
    """A question whose images are still encoded bytes as they came."""

    fields: dict[str, Any]
    """The fields of a Question, all but `images`."""
    pictures: list[bytes] = field(default_factory=list)
    aid: RowAid | None = None
    """What goes into the question's `extra` once the sizes of its images are known."""


@dataclass(frozen=True)
class Opened:
    """A source that is open for reading."""

    drafts: Iterator[Draft | Reject]
    """Exactly one item for each raw row drawn."""
    rows: int | None = None
    """Raw rows that the source has, drawn or not; None for a stream."""
    columns: dict[str, str] = field(default_factory=dict)
    """The columns that are read, with their types; none for a source that a package makes."""
    revision: str = ""
    """What names exactly this state of the source: a commit of a hub, or a package with its version."""
