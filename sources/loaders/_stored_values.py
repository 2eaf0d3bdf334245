"""What `datasets` stores, as the values that the author of a dataset wrote: JSON of several types, names of classes."""

import importlib
import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from records.recipe.section import RecipeError
from sources.mapping.cells import BrokenRow

Value = dict[str, Any] | BrokenRow

UNLABELLED = -1
"""The number by which `datasets` says that a row has no class."""


class MixedColumn(RecipeError):
    """A column of JSON files whose texts would be read as something else: as dates, or as the numbers that another
    part of the files holds there."""

    def __init__(self, name: str, features: Any) -> None:
        super().__init__(
            f"the column {name!r} holds texts that would be read as something else, as another part of the files has "
            "no texts there: read them with streaming: false, or with the loader files"
        )
        self.name, self.features = name, features

    @classmethod
    def behind(cls, error: BaseException | None) -> "MixedColumn | None":
        """The MixedColumn that an error came of; None for another error."""
        while error is not None and not isinstance(error, cls):
            error = error.__cause__
        return error


@cache
def keep_json_exact() -> None:
    """Make `datasets` store every value of a JSON column of several types as its JSON.

    Left alone it stores a text as it is if that text happens to be JSON, so that the text "2" cannot be told from the
    number 2 any more, nor "007" and "true" from what they are not; it rounds numbers to ten decimals; it makes times of
    texts that are dates, and numbers of texts where only a later file has texts. The last two raise a MixedColumn.
    """
    reader = importlib.import_module("datasets.packaged_modules.json.json")
    encoding = importlib.import_module("datasets.utils.json")
    dumps = partial(json.dumps, ensure_ascii=False)

    def encoded(example: Any, path: list[str | int]) -> Any:
        if example is None:
            return None
        if not path:
            return dumps(example)
        field, *inside = path
        if field == 0:
            return [encoded(item, inside) for item in example]
        return {**example, field: encoded(example.get(field), inside)}

    for module in (reader, encoding):
        vars(module).update(json_encode_field=encoded, ujson_loads=json.loads, ujson_dumps=dumps)
    cast = reader.Json._cast_table

    def checked(self: Any, table: Any, json_field_paths: Any = ()) -> Any:
        known = self.info.features
        if known is None:
            known = reader.datasets.Features.from_arrow_schema(table.schema)
            known = reader.set_json_types_in_feature(known, json_field_paths)
        for field in known.arrow_schema:
            if field.name in table.column_names and _changes(field.type, table.schema.field(field.name).type):
                raise MixedColumn(field.name, known)
        return cast(self, table, json_field_paths=json_field_paths)

    reader.Json._cast_table = checked


def _changes(known: Any, found: Any) -> bool:
    """Whether texts become something else on their way from JSON to the Arrow type `known`, or something else texts.

    Args:
        found: the type that Arrow made of what is written.
    """
    if is_mixed(known) or "null" in (str(known), str(found)):
        return False
    if hasattr(known, "value_type") and hasattr(found, "value_type"):
        return _changes(known.value_type, found.value_type)
    if hasattr(known, "fields") and hasattr(found, "fields"):
        there = {field.name: field.type for field in found.fields}
        return any(field.name in there and _changes(field.type, there[field.name]) for field in known.fields)
    # JSON has no dates: what Arrow takes for one is a text.
    return "timestamp" in str(found) or ("string" in str(known)) != ("string" in str(found))


def is_json(builder: Any) -> bool:
    """Whether a builder of `datasets` reads JSON files."""
    return isinstance(builder, importlib.import_module("datasets.packaged_modules.json.json").Json)


def is_mixed(kind: Any) -> bool:
    """Whether values of an Arrow type hold JSON of several types."""
    return "arrow.json" in str(kind)


def with_json(row: dict[str, Any], mixed: list[Any]) -> Value:
    """A row with the JSON texts in the fields `mixed` read."""
    try:
        return row | {field.name: _read_json(row[field.name], field.type) for field in mixed}
    except RecursionError as error:
        return BrokenRow("json_unreadable", str(error))


def _read_json(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if str(kind) == "extension<arrow.json>":
        try:
            return json.loads(value)
        except ValueError:  # a text in a table that somebody else wrote
            return value
    if hasattr(kind, "value_type"):
        return [_read_json(item, kind.value_type) for item in value]
    if hasattr(kind, "fields"):
        return {field.name: _read_json(value[field.name], field.type) for field in kind.fields}
    return value


def namer(features: Any) -> Callable[[Value], Value]:
    """A function that puts the names of classes in the place of their numbers, however deep in a row of these features;
    null where a row has no class. A number without a name makes the row a BrokenRow."""
    classed = {name: feature for name, feature in features.items() if "ClassLabel" in repr(feature)}

    def named(row: Value) -> Value:
        if not classed or not isinstance(row, dict):
            return row
        try:
            return row | {name: _named(row[name], feature) for name, feature in classed.items() if name in row}
        except BrokenRow as error:
            return error

    return named


def _named(value: Any, feature: Any) -> Any:
    if value is None:
        return None
    if isinstance(feature, dict):
        return {name: _named(value[name], inside) for name, inside in feature.items()}
    if isinstance(feature, list):
        return [_named(item, feature[0]) for item in value]
    if hasattr(feature, "feature"):
        return [_named(item, feature.feature) for item in value]
    if type(feature).__name__ != "ClassLabel":
        return value
    if value == UNLABELLED:
        return None
    if not 0 <= value < len(feature.names):
        raise BrokenRow("class_unknown", f"there is no class {value}; the names are {', '.join(feature.names)}"[:300])
    return feature.names[value]
