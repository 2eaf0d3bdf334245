"""Local parquet or JSON-lines files, with images in a column or as files of a folder.

Files are read in the order of their names, a batch of rows at a time; nothing holds a whole file.
"""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from records.images import ImageStore
from records.question import Document, Question, Reject
from records.recipe import Source
from records.settings import RecipeError
from sources._draw import draw, reject
from sources._mapping import BrokenRow, MappingOptions, check_columns, check_mapping, to_document, to_question

_SUFFIXES = (".parquet", ".jsonl", ".ndjson")
_BATCH = 256


class Options(MappingOptions):
    """Settings of the loader; those of the columns and answers are in sources/_mapping.py."""

    path: str | Annotated[list[str], Field(min_length=1)]
    """Files, folders or patterns such as data/*.parquet; parquet and JSON lines (.jsonl, .ndjson) are read."""
    image_folder: str | None = None
    """Where image paths in the images column start; without it, paths are refused. No path leads out of it."""


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


def _check_file(path: Path, options: Options, use: str, source: str) -> None:
    """Raises RecipeError when a column is missing: from a parquet file, or from every one of a file's first lines."""
    if path.suffix == ".parquet":
        check_columns(options, _parquet(path, source).schema_arrow.names, use, source)
        return
    names: dict[str, None] = {}
    for row, _ in zip(_rows(path, source), range(_BATCH), strict=False):
        if isinstance(row, dict):
            names |= dict.fromkeys(row)
    if names:
        check_columns(options, names, use, source)


def _reader(folder: str | None) -> Any:
    root = Path(folder).resolve() if folder is not None else None

    def read(path: str) -> bytes:
        if root is None:
            raise BrokenRow("image_missing", f"{path}: paths need image_folder")
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            raise BrokenRow("image_outside_folder", path)
        return file.read_bytes()

    return read


def load(spec: Source, options: Options, seed: int, images: ImageStore) -> Iterator[Question | Reject]:
    """One item for each raw row drawn, named `<file name>:<number>` unless there is an id column.

    Raises:
        RecipeError: no file matches, a file is unreadable, or a column that is named is not there.
    """
    files = _files(options, spec.name)
    for path in files:
        _check_file(path, options, "questions", spec.name)
    counts = [_count(path, spec.name) for path in files]
    drawn = set(draw(sum(counts), spec.limit, seed, "files"))
    read, start = _reader(options.image_folder), 0
    for path, count in zip(files, counts, strict=True):
        wanted = {n - start for n in range(start, start + count) if n in drawn}
        start += count
        for number, row in enumerate(_rows(path, spec.name)) if wanted else ():
            if number not in wanted:
                continue
            name = f"{path.name}:{number}"
            if isinstance(row, BrokenRow):
                yield reject(spec, name, options.task or "", row.reason, row.detail)
            else:
                yield to_question(spec, options, name, row, images, read)


def documents(options: Options) -> Iterator[Document]:
    """Every row with a text as a document. Raises RecipeError like `load`."""
    source = options.path if isinstance(options.path, str) else options.path[0]
    for path in _files(options, source):
        _check_file(path, options, "documents", source)
        for number, row in enumerate(_rows(path, source)):
            if isinstance(row, dict):
                document = to_document(options, path.name, f"{path.name}:{number}", row)
                if document is not None:
                    yield document
