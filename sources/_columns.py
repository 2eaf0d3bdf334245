"""Which columns a mapping reads: what a draw and a comparison with last time go by."""

from typing import Any

from sources._expressions import compiled
from sources._mapping import MappingOptions


def columns_read(options: MappingOptions, schema: Any) -> dict[str, str]:
    """The columns of an Arrow schema that the mapping reads for questions, with their types, in the schema's order."""
    values = [*options.columns.named("questions").values(), *([options.keep] if options.keep is not None else [])]
    names = set(schema.names)
    read = {v for v in values if v in names} | {path[0] for v in values if v not in names for path in compiled(v).paths}
    return {name: str(schema.field(name).type) for name in schema.names if name in read}
