"""The columns that a mapping reads; draws and comparisons with last time depend on them alone."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sources.mapping.cells import BrokenRow
from sources.mapping.expressions import compiled
from sources.mapping.settings import MappingOptions

# Names that writers use for the same values.
_SAME = re.compile(r"\blarge_(?=string|binary|list)|(?<=string|binary)_view\b|(?<=list)_view\b")


def columns_read(options: MappingOptions, columns: Iterable[str]) -> list[str]:
    """The columns, of those there are, that the mapping reads for questions, in their order."""
    there = list(columns)
    values = [*options.columns.named("questions").values(), *([options.keep] if options.keep is not None else [])]
    read = {v for v in values if v in there} | {path[0] for v in values if v not in there for path in compiled(v).paths}
    return [name for name in there if name in read]


def arrow_kinds(schema: Any) -> dict[str, str]:
    """The columns of an Arrow schema with their types; the same for writers that store the same values differently."""
    return {name: _SAME.sub("", str(schema.field(name).type)) for name in schema.names}


def batch_rows(batch: Any) -> Iterator[dict[str, Any] | BrokenRow]:
    """Every row of an Arrow batch; one with a value that Python cannot hold comes as what is wrong with it."""
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError):  # UnicodeDecodeError is a ValueError: nobody has checked the bytes of a file
        pass
    for place in range(batch.num_rows):
        try:
            yield from batch.slice(place, 1).to_pylist()
        except UnicodeDecodeError as error:
            yield BrokenRow("not_unicode", str(error))
        except (ValueError, OverflowError) as error:
            yield BrokenRow("row_unreadable", f"{type(error).__name__}: {error}"[:300])
