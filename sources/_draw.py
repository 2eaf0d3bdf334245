"""Drawing rows, and importing what a loader needs."""

import importlib
import random
from types import ModuleType
from typing import TypeVar

from records.question import Reject
from records.recipe import Source
from records.settings import RecipeError

Item = TypeVar("Item")


def draw(count: int, limit: int | None, seed: int, salt: str = "") -> list[int]:
    """`limit` of the row numbers 0 … count-1 in rising order, drawn with the seed; all of them without a limit."""
    if limit is None or limit >= count:
        return list(range(count))
    return sorted(random.Random(f"{seed}\0{salt}").sample(range(count), limit))


def allocate(limit: int, sizes: dict[str, int], shares: dict[str, float]) -> dict[str, int]:
    """How many of `limit` rows each kind gets: by its share, never more than it has; what one cannot fill others do."""
    given = dict.fromkeys(sizes, 0)
    left = min(limit, sum(n for kind, n in sizes.items() if shares.get(kind, 0) > 0))
    while left:
        open_kinds = [kind for kind in sizes if shares.get(kind, 0) > 0 and given[kind] < sizes[kind]]
        # The kind furthest below its share gets the next row; ties go by the order of the kinds.
        kind = min(open_kinds, key=lambda k: (given[k] + 1) / shares[k])
        given[kind] += 1
        left -= 1
    return given


def shuffled(items: list[Item], seed: int, salt: str = "") -> list[Item]:
    """A copy in an order drawn with the seed."""
    copy = list(items)
    random.Random(f"{seed}\0{salt}").shuffle(copy)
    return copy


def require(module: str, extra: str | None, source: str) -> ModuleType:
    """Import a data library.

    Raises:
        RecipeError: it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        how = f"install touchstone[{extra}]" if extra else f"install {module}"
        raise RecipeError(f"source {source!r} needs the library {error.name or module!r}: {how}") from error


def reject(spec: Source, row: object, task: str, reason: str, detail: str = "") -> Reject:
    """The reject of one raw row."""
    return Reject(
        row_id=f"{spec.name}:{row}", stage="source", reason=reason, detail=detail, task=task, source=spec.name
    )
