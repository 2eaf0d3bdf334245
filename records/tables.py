"""Tables of rows: a polars schema per row type, lossless conversion both ways, and the store.

Scalars and lists of text become columns of their own; anything nested that varies by row (messages, tool calls)
becomes JSON text, because unifying Arrow structs pads them with nulls that end up in prompts.
"""

import contextlib
import glob
import time
import types
import typing
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import polars as pl
import pyarrow.dataset as pa_dataset
from pydantic import BaseModel, TypeAdapter

SCHEMA_VERSION = 1
"""The version of the row types; it is raised when an older reader could not read a changed one."""
VERSION_KEY = "touchstone.schema_version"
OLD_PART_S = 24 * 3600
"""The age in seconds from which a part of a table is of a run that was killed."""

_SCALARS: dict[Any, pl.DataType] = {
    str: pl.String(), int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean(), bytes: pl.Binary(),
}  # fmt: skip
Row = TypeVar("Row", bound=BaseModel)


class SchemaError(RuntimeError):
    """A stored table cannot be read by this version, or is not a table of Touchstone."""


def _plain(annotation: Any) -> Any:
    """The annotation without `| None` and with Literal read as its values' type."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        annotation = type(typing.get_args(annotation)[0])
    return annotation


def _column(annotation: Any) -> tuple[pl.DataType, bool]:
    """The column type for a field, and whether it is JSON text."""
    plain = _plain(annotation)
    if plain in _SCALARS:
        return _SCALARS[plain], False
    if typing.get_origin(plain) is list and _plain(typing.get_args(plain)[0]) is str:
        return pl.List(pl.String()), False
    return pl.String(), True


def schema(model: type[BaseModel]) -> pl.Schema:
    """The polars schema of a table of `model`."""
    return pl.Schema({name: _column(field.annotation)[0] for name, field in model.model_fields.items()})


def _adapters(model: type[BaseModel]) -> dict[str, TypeAdapter[Any]]:
    """What writes and reads the columns of JSON text."""
    annotations: dict[str, Any] = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: TypeAdapter(annotation) for name, annotation in annotations.items() if _column(annotation)[1]}


def to_frame(rows: Iterable[BaseModel], model: type[BaseModel]) -> pl.DataFrame:
    """A table of `rows`, with the schema of `model` even when there are none."""
    nested = _adapters(model)
    records = []
    for row in rows:
        record = {name: getattr(row, name) for name in model.model_fields}
        for name, adapter in nested.items():
            record[name] = adapter.dump_json(record[name]).decode()
        records.append(record)
    return pl.DataFrame(records, schema=schema(model), orient="row")


def from_frame(frame: pl.DataFrame, model: type[Row]) -> list[Row]:
    """The rows of a table; columns that `model` does not know are left out."""
    nested = _adapters(model)
    rows = []
    for record in frame.select(n for n in model.model_fields if n in frame.columns).iter_rows(named=True):
        for name, adapter in nested.items():
            if record.get(name) is not None:
                record[name] = adapter.validate_json(record[name])
        rows.append(model(**record))
    return rows


def completed(frame: pl.DataFrame, model: type[BaseModel]) -> pl.DataFrame:
    """`frame` with the columns of `model` first; one that an older version did not write has its default."""
    columns = schema(model)
    if all(name in frame.columns for name in columns):
        return frame
    fields = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    absent = [pl.lit(field.get_default(call_default_factory=True), columns[name]).alias(name)
              for name, field in fields.items() if name not in frame.columns]  # fmt: skip
    return frame.with_columns(absent).select(*columns, *(name for name in frame.columns if name not in columns))


def stack(frames: Iterable[pl.DataFrame], model: type[BaseModel]) -> pl.DataFrame:
    """The rows of all `frames`, completed, as one table of `model`."""
    return pl.concat([schema(model).to_frame(), *(completed(frame, model) for frame in frames)], how="vertical")


@dataclass(frozen=True)
class TableFile:
    """A table in a local parquet file (with its schema version), because it may not fit in memory.

    The file is alone in its folder; `TableStore.adopt` removes both.
    """

    path: Path

    def remove(self) -> None:
        self.path.unlink()
        self.path.parent.rmdir()


def _part(path: str) -> str:
    """The path that a table is written to before it is moved into place; two runs may write the same table at once."""
    return f"{path}.{uuid.uuid4().hex[:8]}.tmp"


@contextlib.contextmanager
def _removed_if_failed(fs: fsspec.AbstractFileSystem, part: str) -> Iterator[None]:
    """Leave no half-written file behind, such as of a full disk."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # what went wrong with the writing is what has to be told
            fs.rm_file(part)
        raise


def _remove_old_parts(fs: fsspec.AbstractFileSystem, path: str) -> None:
    """Remove what killed runs left of a table: parts that nobody has written to for a day."""
    with contextlib.suppress(Exception):  # only to save space: not every file system tells when a file was changed
        for part in fs.glob(f"{glob.escape(path)}.*.tmp"):
            if time.time() - fs.modified(part).timestamp() > OLD_PART_S:
                fs.rm_file(part)


class TableStore:
    """Tables as parquet files under one fsspec root; each file carries its schema version."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def path(self, name: str) -> str:
        return f"{self.root}/{name}.parquet"

    def exists(self, name: str) -> bool:
        fs, path = fsspec.url_to_fs(self.path(name))
        return fs.exists(path)

    def write(self, name: str, frame: pl.DataFrame) -> str:
        """Write a table whole or not at all, and return its path."""
        fs, path = fsspec.url_to_fs(self.path(name))
        fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        part = _part(path)
        with _removed_if_failed(fs, part), fs.open(part, "wb") as file:
            frame.write_parquet(file, metadata={VERSION_KEY: str(SCHEMA_VERSION)})
        fs.mv(part, path)
        _remove_old_parts(fs, path)
        return self.path(name)

    def adopt(self, name: str, table: TableFile) -> str:
        """Move a table's file into the store, whole or not at all, and return its path."""
        fs, path = fsspec.url_to_fs(self.path(name))
        fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        part = _part(path)
        with _removed_if_failed(fs, part):
            fs.put_file(str(table.path), part)
        fs.mv(part, path)
        _remove_old_parts(fs, path)
        table.remove()
        return self.path(name)

    def read(self, name: str) -> pl.DataFrame:
        """Read a table.

        Raises:
            FileNotFoundError: it was never written; the message says which asset writes it.
            SchemaError: it was written by a newer version, or is not a table of Touchstone.
        """
        fs, path = self._checked(name)
        with fs.open(path, "rb") as file:
            return pl.read_parquet(cast(BinaryIO, file))

    def scan(self, name: str) -> pl.LazyFrame:
        """A table to be read in part, or as a stream. Raises FileNotFoundError and SchemaError like `read`."""
        fs, path = self._checked(name)
        return pl.scan_pyarrow_dataset(pa_dataset.dataset(path, filesystem=fs, format="parquet"))

    def _checked(self, name: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, path = fsspec.url_to_fs(self.path(name))
        if not fs.exists(path):
            asset = name.rpartition("/")[2]  # the rejects of an asset are written by it
            raise FileNotFoundError(f"there is no table {self.path(name)}: materialize the asset {asset!r} first")
        try:
            with fs.open(path, "rb") as file:
                stored = pl.read_parquet_metadata(file).get(VERSION_KEY)
        except pl.exceptions.PolarsError as error:
            what = "is empty" if fs.size(path) == 0 else f"is damaged ({str(error).splitlines()[0]})"
            raise SchemaError(
                f"{self.path(name)} {what}: a full disk or a copy that was cut off may leave such a file. Remove it "
                f"and materialize the asset {name.rpartition('/')[2]!r} again; no rollout is lost by that"
            ) from error
        if stored is None or not stored.isdigit():
            raise SchemaError(f"{self.path(name)} carries no schema version: it is not a table of Touchstone")
        if int(stored) > SCHEMA_VERSION:
            raise SchemaError(
                f"{self.path(name)} has schema version {stored}, this Touchstone reads up to {SCHEMA_VERSION}: "
                "upgrade Touchstone, or use another data folder"
            )
        return fs, path
