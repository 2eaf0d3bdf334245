"""Any Hugging Face dataset through `datasets`: a hub id, a local folder, or files of a format it reads.

Rows are drawn without loading the data: from the memory-mapped table, or, streamed, from a shuffled buffer.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import fsspec
from pydantic import Field

from records.images import ImageStore
from records.question import Document, Question, Reject
from records.recipe import Source
from records.settings import RecipeError
from sources._draw import draw, require
from sources._mapping import MappingOptions, check_columns, check_mapping, to_document, to_question

SHUFFLE_BUFFER = 10_000
"""Rows held (without decoding images) to draw from a stream: a limited draw from a stream is only as random as this."""


class Options(MappingOptions):
    """Settings of the loader; those of the columns and answers are in sources/_mapping.py."""

    path: str
    """A hub id, a local dataset folder, or a format (`parquet`, `json`, `csv`, `imagefolder`, …) with `data_files`."""
    name: str | None = None
    """The dataset's configuration."""
    split: str = "train"
    revision: str | None = None
    """Pin it: a branch, tag or commit of the hub repository."""
    data_files: str | list[str] | None = None
    data_dir: str | None = None
    streaming: bool = False
    buffer: Annotated[int, Field(ge=1)] = SHUFFLE_BUFFER


def check(options: Options, use: str) -> None:
    check_mapping(options, use)


def _without_decoding(datasets: Any, feature: Any) -> Any:
    """The same feature with images left as {bytes, path}: the bytes that came in are what is stored."""
    if isinstance(feature, datasets.Image):
        return datasets.Image(decode=False)
    inner = getattr(feature, "feature", None)
    if inner is not None and isinstance(inner, datasets.Image):
        return type(feature)(datasets.Image(decode=False))
    return feature


def _open(options: Options, source: str) -> tuple[Any, list[str]]:
    """The dataset with undecoded images, and the names of its columns."""
    datasets = require("datasets", None, source)
    try:
        data = datasets.load_dataset(
            options.path,
            options.name,
            split=options.split,
            revision=options.revision,
            data_files=options.data_files,
            data_dir=options.data_dir,
            streaming=options.streaming,
        )
    except Exception as error:  # no such id, no network, no such split, unreadable files: all end the source
        raise RecipeError(f"source {source!r}: {options.path}: {type(error).__name__}: {error}") from error
    if data.features is None:  # a stream that has not been looked at
        data = data._resolve_features()
    names = list(data.features)
    for name, feature in data.features.items():
        plain = _without_decoding(datasets, feature)
        if plain is not feature:
            data = data.cast_column(name, plain)
    return data, names


def _rows(options: Options, data: Any, limit: int | None, seed: int) -> Iterator[tuple[int | str, dict[str, Any]]]:
    """Row names with rows, `limit` of them drawn with the seed."""
    if not options.streaming:
        numbers = draw(len(data), limit, seed, "huggingface")
        yield from zip(numbers, data if len(numbers) == len(data) else data.select(numbers), strict=True)
    elif limit is None:
        yield from enumerate(data)
    else:  # a shuffled stream knows no row numbers: a row is named by its place in the draw
        for place, row in enumerate(data.shuffle(seed=seed, buffer_size=options.buffer).take(limit)):
            yield f"drawn {place}", row


def _read(path: str) -> bytes:
    with fsspec.open(path, "rb") as file:
        return file.read()


def load(spec: Source, options: Options, seed: int, images: ImageStore) -> Iterator[Question | Reject]:
    """One item for each raw row drawn.

    Raises:
        RecipeError: the dataset cannot be opened, or a column that is named is not there.
    """
    data, names = _open(options, spec.name)
    check_columns(options, names, "questions", spec.name)
    for number, row in _rows(options, data, spec.limit, seed):
        yield to_question(spec, options, number, row, images, _read)


def documents(options: Options) -> Iterator[Document]:
    """Every row with a text as a document. Raises RecipeError like `load`."""
    data, names = _open(options, options.path)
    check_columns(options, names, "documents", options.path)
    for number, row in enumerate(data):
        document = to_document(options, options.path, number, row)
        if document is not None:
            yield document
