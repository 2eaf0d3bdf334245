"""What a loader makes of one raw row, before its images are looked at."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Draft:
    """A question whose images are still encoded bytes as they came."""

    fields: dict[str, Any]
    """The fields of a Question, all but `images`."""
    pictures: list[bytes] = field(default_factory=list)
