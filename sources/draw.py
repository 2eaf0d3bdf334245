"""Helpers of loaders: drawing rows, importing a data library, and rejecting a row."""

import hashlib
import heapq
import importlib
import importlib.metadata
import random
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

from records.question import Reject
from records.recipe import Source
from records.recipe.section import RecipeError

Item = TypeVar("Item")
Name = TypeVar("Name", bound=str)


def draw(count: int, limit: int | None, seed: int, salt: str = "") -> list[int]:
    """`limit` of the row numbers 0 … count-1 in rising order, drawn with the seed; all of them without a limit."""
    if limit is None or limit >= count:
        return list(range(count))
    return sorted(random.Random(f"{seed}\0{salt}").sample(range(count), limit))


def row_digest(value: Any, seed: int) -> bytes:
    """A digest of 16 bytes that depends on the content of a raw row and the seed alone: not on its place, the order of
    its columns, or the folder that an image file is in.
    """
    digest = hashlib.blake2b(digest_size=16, salt=str(seed).encode()[:16])
    _feed(digest, value)
    return digest.digest()


def _feed(digest: Any, value: Any) -> None:
    # Each part is fed with its kind and length, so that no two different rows are fed the same bytes.
    if isinstance(value, dict):
        if set(value) == {"bytes", "path"}:  # an image of `datasets`
            path = value["path"]
            value = {"bytes": value["bytes"]} if value["bytes"] is not None else {"path": path and path.split("/")[-1]}
        digest.update(b"d%d," % len(value))
        for key in sorted(value, key=str):
            _feed(digest, str(key))
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(b"l%d," % len(value))
        for item in value:
            _feed(digest, item)
    else:
        data = (
            bytes(value) if isinstance(value, bytes | bytearray | memoryview) else repr(value).encode(errors="replace")
        )
        digest.update(b"%s%d," % (type(value).__name__.encode(), len(data)))
        digest.update(data)


def draw_by_content(rows: Iterable[Any], limit: int, seed: int) -> set[int]:
    """The places of `limit` of the rows, drawn by their content (the smallest of their digests, a bottom-k sample): a
    dataset in another order or in other files gives the same rows, and one more row replaces at most one of them. Each
    copy of a repeated row is drawn independently.
    """
    copies: dict[bytes, int] = {}

    def digests() -> Iterator[tuple[bytes, int]]:
        for place, row in enumerate(rows):
            digest = row_digest(row, seed)
            copy = copies[digest] = copies.get(digest, -1) + 1
            yield hashlib.blake2b(digest, digest_size=16, salt=str(copy).encode()).digest(), place

    return {place for _, place in heapq.nsmallest(limit, digests())}


def allocate(limit: int, sizes: Mapping[Name, int], shares: Mapping[Name, float]) -> dict[Name, int]:
    """The number of rows, of `limit`, that each kind gets: by its share, and never more than it has. What one kind
    cannot fill the others do."""
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


def version(package: str) -> str:
    """The name of an installed package with its version."""
    return f"{package} {importlib.metadata.version(package)}"


def reject(spec: Source, row: object, task: str, reason: str, detail: str = "") -> Reject:
    """The reject of one raw row."""
    return Reject(
        row_id=f"{spec.name}:{row}", stage="source", reason=reason, detail=detail, task=task, source=spec.name
    )
