"""Local parquet or JSON files, with images in a column or as files of a folder.

Files are read in the order of their names, a batch of rows at a time; nothing holds a whole file but a list in JSON.
"""

import codecs
import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from records.question import Document, Reject
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.contract import Draft, Opened
from sources.draw import draw_by_content
from sources.mapping.cells import BrokenRow
from sources.mapping.columns import arrow_kinds, batch_rows, columns_read
from sources.mapping.row import to_document, to_draft
from sources.mapping.settings import MappingOptions, check_columns, check_mapping

_SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json")
_IN_FOLDERS = _SUFFIXES[:3]
"""The files that a folder is read for: a .json file there may be anything."""
_BATCH = 256
_MAX_DEPTH = 100
"""The most levels of nested lists and objects: functions that walk through a row call themselves once per level."""
_KINDS = {str: "text", int: "number", float: "number", bool: "boolean", list: "list", dict: "object"}


class Options(MappingOptions):
    """The settings of the loader; those of the columns and answers are in sources/mapping/settings.py."""

    path: str | Annotated[list[str], Field(min_length=1)]
    """Files, folders or patterns such as data/*.parquet. Parquet (.parquet), JSON lines (.jsonl, .ndjson) and, if the
    path names it, a list of objects or JSON lines in a .json file are read."""


def check(options: Options, use: str) -> None:
    check_mapping(options, use)


def _files(options: Options, source: str) -> list[Path]:
    found: set[Path] = set()
    for pattern in [options.path] if isinstance(options.path, str) else options.path:
        matches = [Path(p) for p in glob.glob(pattern, recursive=True)]
        inside = [f for p in matches if p.is_dir() for f in sorted(p.iterdir()) if f.suffix in _IN_FOLDERS]
        files = [p for p in matches if p.is_file()] + inside
        if not files:
            looked = "" if os.path.isabs(pattern) else f" (looked for from {os.getcwd()})"
            raise RecipeError(f"source {source!r}: path {pattern!r} matches no file of {', '.join(_SUFFIXES)}{looked}")
        if wrong := [p for p in files if p.suffix not in _SUFFIXES]:
            raise RecipeError(
                f"source {source!r}: {wrong[0]} is none of {', '.join(_SUFFIXES)}; the loader huggingface reads more "
                "formats, such as path: csv with data_files"
            )
        found.update(files)
    return sorted(found)


def _parquet(path: Path, source: str) -> Any:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except Exception as error:
        what = f"is no readable parquet file: {error}" if path.stat().st_size else "is an empty file"
        raise RecipeError(f"source {source!r}: {path} {what}; fetch it again") from error


def _is_list(path: Path, source: str) -> bool:
    """Whether a JSON file holds one list of rows, rather than a row in each line.

    Raises:
        RecipeError: it holds one object in several lines.
    """
    with path.open("rb") as file:
        line = next((line for line in file if line.strip()), b"").removeprefix(codecs.BOM_UTF8).strip()
        more = any(rest.strip() for rest in file)
    if line.startswith(b"["):
        return True
    if more and isinstance(_json_row(line), BrokenRow):
        raise RecipeError(
            f"source {source!r}: {path} holds neither a list of rows nor a row in each line; if the list is inside an "
            f"object, write it out, for example with: jq -c '.data[]' {path.name} > {path.stem}.jsonl"
        )
    return False


def _listed(path: Path, source: str) -> list[Any]:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"source {source!r}: {path} is no readable JSON: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.strip())


def _rows(path: Path, source: str) -> Iterator[dict[str, Any] | BrokenRow]:
    """Every row of a file, in order; a line that is not a JSON object comes as a BrokenRow."""
    if path.suffix == ".parquet":
        for batch in _parquet(path, source).iter_batches(batch_size=_BATCH):
            yield from batch_rows(batch)
        return
    if path.suffix == ".json" and _is_list(path, source):
        yield from map(_object, _listed(path, source))
        return
    for line in _lines(path):
        yield _json_row(line)


def _json_row(line: bytes) -> dict[str, Any] | BrokenRow:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BrokenRow("json_unreadable", str(error))
    return _object(row, line.count(b"[") + line.count(b"{") > _MAX_DEPTH)


def _object(row: Any, may_be_deep: bool = True) -> dict[str, Any] | BrokenRow:
    if not isinstance(row, dict):
        return BrokenRow("json_unreadable", f"a {type(row).__name__}, not an object")
    if may_be_deep and _too_deep(row):
        return BrokenRow("json_unreadable", f"lists and objects more than {_MAX_DEPTH} deep")
    return row


def _too_deep(row: dict[str, Any]) -> bool:
    level: list[Any] = [row]
    for _ in range(_MAX_DEPTH):
        inside = (value for item in level for value in (item.values() if isinstance(item, dict) else item))
        level = [value for value in inside if isinstance(value, dict | list)]
    return bool(level)


def _survey(files: list[Path], options: MappingOptions, use: str, source: str) -> tuple[int, dict[str, str]]:
    """The number of rows, and the columns with their types: those of Arrow or, of JSON lines, the kinds of values that
    all their rows have ("number|text"; "null" where there is none but null), whatever the order of rows and files.

    Raises:
        RecipeError: a column that is named is not there.
    """
    count = 0
    found: dict[str, set[str]] = {}
    lines: dict[str, set[type]] = {}
    for path in files:
        if path.suffix == ".parquet":
            file = _parquet(path, source)
            check_columns(options, file.schema_arrow, use, source)
            count += file.metadata.num_rows
            for name, kind in arrow_kinds(file.schema_arrow).items():
                found.setdefault(name, set()).add(kind)
            continue
        for row in _rows(path, source):
            count += 1
            for name, value in row.items() if isinstance(row, dict) else ():
                lines.setdefault(name, set()).add(type(value))
    if lines:
        check_columns(options, lines, use, source)
    for name, types in lines.items():
        found.setdefault(name, set()).update(_KINDS[kind] for kind in types if kind in _KINDS)
    return count, {name: "|".join(sorted(kinds)) or "null" for name, kinds in found.items()}


def load(spec: Source, options: Options, seed: int) -> Opened:
    """The source, open for reading. A row is named `<file name>:<number>` unless there is an id column.

    Raises:
        RecipeError: no file matches, a file is unreadable, or a column that is named is not there.
    """
    files = _files(options, spec.name)
    count, there = _survey(files, options, "questions", spec.name)
    columns = {name: there[name] for name in columns_read(options, there)}
    drawn = None
    if spec.limit is not None and spec.limit < count:
        # Only what is read decides, so that a column more draws no other rows.
        contents = (
            {name: row.get(name) for name in columns} if isinstance(row, dict) else str(row)
            for _, row in _numbered(files, spec.name)
        )
        drawn = draw_by_content(contents, spec.limit, seed)

    def drafts() -> Iterator[Draft | Reject]:
        for place, (name, row) in enumerate(_numbered(files, spec.name)):
            if drawn is None or place in drawn:
                yield to_draft(spec, options, name, row)

    return Opened(drafts(), rows=count, columns=columns)


def _numbered(files: list[Path], source: str) -> Iterator[tuple[str, dict[str, Any] | BrokenRow]]:
    """All rows of all files, with their names."""
    for path in files:
        for number, row in enumerate(_rows(path, source)):
            yield f"{path.name}:{number}", row


def documents(options: Options) -> Iterator[Document]:
    """Every row with a text as a document. Raises RecipeError like `load`."""
    source = options.path if isinstance(options.path, str) else options.path[0]
    files = _files(options, source)
    _survey(files, options, "documents", source)
    for path in files:
        for number, row in enumerate(_rows(path, source)):
            if isinstance(row, dict):
                document = to_document(options, path.name, f"{path.name}:{number}", row)
                if document is not None:
                    yield document
