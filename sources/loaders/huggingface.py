"""Any Hugging Face dataset through `datasets`: a hub id, a local folder, or files of a format it reads.

Rows are drawn by their content from the memory-mapped table or, streamed, from a shuffled buffer.
"""

import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import fsspec
from pydantic import Field

from records.question import Document
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.contract import Opened
from sources.draw import draw_by_content, require
from sources.loaders._stored_values import MixedColumn, is_json, is_mixed, keep_json_exact, namer, with_json
from sources.mapping.cells import BrokenRow
from sources.mapping.columns import arrow_kinds, batch_rows, columns_read
from sources.mapping.image_cells import Read, folders_reader, read_bounded
from sources.mapping.row import answer_number, to_document, to_draft
from sources.mapping.settings import MappingOptions, check_columns, check_mapping

BATCH = 256
"""The number of rows that are read at a time."""
SHUFFLE_BUFFER = 10_000
"""The number of rows in memory (images not decoded) while a stream is drawn from. A limited draw from a stream is only
as random as this."""


class Options(MappingOptions):
    """The settings of the loader; those of the columns and answers are in sources/mapping/settings.py."""

    path: str
    """A hub id, a local dataset folder, or a format (`parquet`, `json`, `csv`, `imagefolder`, …) with `data_files`."""
    name: str | None = None
    """The dataset's configuration."""
    split: str = "train"
    revision: str | None = None
    """A branch, tag or commit of the hub repository; give one to read the same data every time."""
    data_files: str | list[str] | None = None
    data_dir: str | None = None
    as_text: list[str] = Field(default_factory=list)
    """Columns of CSV files that are texts although they look like numbers, such as post codes with leading zeros."""
    streaming: bool = False
    buffer: Annotated[int, Field(ge=1)] = SHUFFLE_BUFFER


def check(options: Options, use: str) -> None:
    check_mapping(options, use)
    if options.as_text and options.path != "csv":
        raise ValueError("as_text is for CSV files (path: csv): other formats say themselves what is a text")


def _place(options: Options) -> str:
    """The meaning of `path`, in the order in which `datasets` tries: a `format`, a local `folder`, or on the `hub`."""
    import datasets.packaged_modules

    if options.path in datasets.packaged_modules._PACKAGED_DATASETS_MODULES:
        return "format"
    return "folder" if Path(options.path).exists() else "hub"


def commit_of(options: Options) -> str | None:
    """The commit of a hub dataset that the revision (its main branch when none is given) stands for now, so that what
    is read can be named; None for local data, and where the hub does not answer.
    """
    from huggingface_hub import HfApi

    if _place(options) != "hub":
        return None
    try:
        return HfApi().dataset_info(options.path, revision=options.revision).sha
    except Exception:  # no network, or no such dataset: opening it says so, or finds it in the cache
        return None


def _open(options: Options, source: str) -> tuple[Any, str]:
    """The dataset and the commit it was read at."""
    datasets = require("datasets", None, source)
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # or the hub is asked for local files too
    keep_json_exact()
    commit = commit_of(options)
    place: dict[str, Any] = {
        "path": options.path,
        "name": options.name,
        "revision": commit or options.revision,
        "data_files": options.data_files,
        "data_dir": options.data_dir,
    }
    if options.as_text:
        place["converters"] = dict.fromkeys(options.as_text, str)
    try:
        data = _loaded(place, options)
        if data.features is None:  # a stream that has not been looked at
            data = data._resolve_features()
    except Exception as error:  # no such id, no network, no such split, unreadable files: all end the source
        raise RecipeError(f"source {source!r}: {options.path}: {type(error).__name__}: {error}") from error
    return data, commit or options.revision or ""


def _loaded(place: dict[str, Any], options: Options) -> Any:
    """The dataset. What others prepared of JSON files is not taken, because it need not be exact."""
    datasets: Any = importlib.import_module("datasets")
    how: dict[str, Any] = {"split": options.split, "streaming": options.streaming}
    if is_json(datasets.load_dataset_builder(**place)):
        how["cache_dir"] = os.path.join(datasets.config.HF_DATASETS_CACHE, "exact_json")
    while True:
        try:
            return datasets.load_dataset(**place, **how)
        except Exception as error:
            mixed = MixedColumn.behind(error)
            if mixed is None:
                raise
            how["features"] = datasets.Features({**mixed.features, mixed.name: datasets.Json()})


def _stored(data: Any) -> Iterator[dict[str, Any] | BrokenRow]:
    """The rows as they are stored: images, however deep, as {bytes, path}, the bytes as they came in. A row that cannot
    be read comes as what is wrong with it.
    """
    for batch in data.with_format("arrow").iter(batch_size=BATCH):
        mixed = [field for field in batch.schema if is_mixed(field.type)]
        for row in batch_rows(batch):
            yield with_json(row, mixed) if mixed and isinstance(row, dict) else row


def _rows(
    options: Options, data: Any, limit: int | None, seed: int
) -> Iterator[tuple[object, dict[str, Any] | BrokenRow]]:
    """Row names with rows, `limit` of them drawn with the seed."""
    if limit is None or (not options.streaming and limit >= len(data)):
        yield from enumerate(_stored(data))
    elif options.streaming:  # a shuffled stream knows no row numbers: a row is named by its place in the draw
        for place, row in enumerate(_stored(data.shuffle(seed=seed, buffer_size=options.buffer).take(limit))):
            yield f"drawn {place}", row
    else:
        numbers = sorted(draw_by_content(_stored(data), limit, seed))
        yield from zip(numbers, _stored(data.select(numbers)), strict=True)


def _folders(options: Options) -> list[str]:
    """The folders that hold the dataset's files: its own folder, its `data_dir` and the folders of its `data_files`; of
    one from the hub what was fetched of it; and what archives were unpacked to.
    """
    import datasets.config
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = [datasets.config.EXTRACTED_DATASETS_PATH]
    place = _place(options)
    if place == "hub":
        folders.append(Path(HF_HUB_CACHE) / f"datasets--{options.path.replace('/', '--')}")
    else:
        base = Path(options.path if place == "folder" else "")
        if place == "folder":
            folders.append(base)
        if options.data_dir is not None:
            folders.append(base := base / options.data_dir)
        given = options.data_files or []
        for file in [given] if isinstance(given, str) else given:
            if "://" not in file:  # a pattern counts from the folder that all its files are in
                folders.append((base / re.split(r"[*?\[{]", file)[0].rpartition("/")[0]) if "/" in file else base)
    return [os.path.abspath(folder) for folder in folders]


def _reader(options: Options) -> Read:
    """A function that opens the paths in a dataset's own {bytes: null, path} cells: its files, and no others."""
    below = folders_reader(tuple(_folders(options)))
    own = f"hf://datasets/{options.path}@" if _place(options) == "hub" else None

    def read(path: str) -> bytes:
        if own is not None and path.startswith(own) and "::" not in path and ".." not in path:
            with fsspec.open(path, "rb") as file:
                return read_bounded(file, getattr(file, "size", None))
        if "::" in path or "://" in path:
            raise BrokenRow("image_outside_folder", path[:200])
        return below(path)

    return read


def load(spec: Source, options: Options, seed: int) -> Opened:
    """The source, open for reading.

    Raises:
        RecipeError: the dataset cannot be opened, or a column that is named is not there.
    """
    data, revision = _open(options, spec.name)
    schema = data.features.arrow_schema
    check_columns(options, schema, "questions", spec.name)
    kinds = arrow_kinds(schema)
    columns = {name: kinds[name] for name in columns_read(options, kinds)}
    # Only what is read decides what is drawn: a column more changes nothing.
    rows = _rows(options, data.select_columns(list(columns)), spec.limit, seed)
    read, named = _reader(options), namer(data.features)
    return Opened(
        (to_draft(spec, options, number, named(row), read, answer_number(options, row)) for number, row in rows),
        rows=None if options.streaming else len(data),
        columns=columns,
        revision=revision,
    )


def documents(options: Options) -> Iterator[Document]:
    """Every row with a text as a document. Raises RecipeError like `load`."""
    data, _ = _open(options, options.path)
    check_columns(options, data.features.arrow_schema, "documents", options.path)
    for number, row in enumerate(map(namer(data.features), _stored(data))):
        document = to_document(options, options.path, number, row) if isinstance(row, dict) else None
        if document is not None:
            yield document
