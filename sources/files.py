"""Local parquet or JSON-lines files, with images in a column or as files of a folder.

Files are read in the order of their names, a batch of rows at a time; nothing holds a whole file.
"""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from records.question import Document, Reject
from records.recipe import Source
from records.settings import RecipeError
from sources._columns import columns_read
from sources._draft import Draft, Opened
from sources._draw import draw_by_content, reject
from sources._mapping import BrokenRow, MappingOptions, check_columns, check_mapping, to_document, to_draft

_SUFFIXES = (".parquet", ".jsonl", ".ndjson")
_BATCH = 256


class Options(MappingOptions):
    """Settings of the loader; those of the columns and answers are in sources/_mapping.py."""

    path: str | Annotated[list[str], Field(min_length=1)]
    """Files, folders or patterns such as data/*.parquet; parquet and JSON lines (.jsonl, .ndjson) are read."""


def check(options: Options, use: str) -> None:
    check_mapping(options, use)


def _files(options: Options, source: str) -> list[Path]:
    found: set[Path] = set()
    for pattern in [options.path] if isinstance(options.path, str) else options.path:
        matches = [Path(p) for p in glob.glob(pattern, recursive=True)]
        inside = [f for p in matches if p.is_dir() for f in sorted(p.iterdir()) if f.suffix in _SUFFIXES]
        files = [p for p in matches if p.is_file()] + inside
        if not files:
            raise RecipeError(f"source {source!r}: path {pattern!r} matches no file of {', '.join(_SUFFIXES)}")
        if wrong := [p for p in files if p.suffix not in _SUFFIXES]:
            raise RecipeError(f"source {source!r}: {wrong[0]} is none of {', '.join(_SUFFIXES)}")
        found.update(files)
    return sorted(found)


def _parquet(path: Path, source: str) -> Any:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except Exception as error:
        raise RecipeError(f"source {source!r}: {path} is no readable parquet file: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.strip())


def _count(path: Path, source: str) -> int:
    return _parquet(path, source).metadata.num_rows if path.suffix == ".parquet" else sum(1 for _ in _lines(path))


def _rows(path: Path, source: str) -> Iterator[dict[str, Any] | BrokenRow]:
    """Every row of a file, in order; a line that is no JSON object comes as what is wrong with it."""
    if path.suffix == ".parquet":
        for batch in _parquet(path, source).iter_batches(batch_size=_BATCH):
            yield from batch.to_pylist()
        return
    for line in _lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            yield BrokenRow("json_unreadable", str(error))
            continue
        yield row if isinstance(row, dict) else BrokenRow("json_unreadable", f"a {type(row).__name__}, not an object")


def _schema(path: Path, source: str) -> Any:
    """The Arrow schema of a file; of JSON lines as far as its first rows tell. None for one without a row."""
    import pyarrow as pa

    if path.suffix == ".parquet":
        return _parquet(path, source).schema_arrow
    rows = [row for row, _ in zip(_rows(path, source), range(_BATCH), strict=False) if isinstance(row, dict)]
    if not rows:
        return None
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.schema([(name, _json_type([row.get(name) for row in rows])) for name in names])


def _json_type(values: list[Any]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values).type
    except pa.ArrowException:  # values of several types
        return pa.string()


def load(spec: Source, options: Options, seed: int) -> Opened:
    """One item for each raw row drawn, named `<file name>:<number>` unless there is an id column.

    Raises:
        RecipeError: no file matches, a file is unreadable, or a column that is named is not there.
    """
    files = _files(options, spec.name)
    columns: dict[str, str] = {}
    for path in files:
        schema = _schema(path, spec.name)
        if schema is not None:
            check_columns(options, schema, "questions", spec.name)
            columns = columns_read(options, schema)
    count = sum(_count(path, spec.name) for path in files)
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
            if drawn is not None and place not in drawn:
                continue
            if isinstance(row, BrokenRow):
                yield reject(spec, name, options.task or "", row.reason, row.detail)
            else:
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
    for path in _files(options, source):
        schema = _schema(path, source)
        if schema is not None:
            check_columns(options, schema, "documents", source)
        for number, row in enumerate(_rows(path, source)):
            if isinstance(row, dict):
                document = to_document(options, path.name, f"{path.name}:{number}", row)
                if document is not None:
                    yield document
