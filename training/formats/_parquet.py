"""Parquet files written row by row, in row groups of bounded size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from records.images.store import ImageStore
from training.rows import SPLITS, Turn

GROUP_ROWS = 256
GROUP_BYTES = 64 << 20
"""Images in a row group, at most about this much: readers load whole row groups, and Arrow's offsets end at 2 GiB."""

TEXT_TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
IMAGES = pa.list_(pa.struct([("bytes", pa.binary())]))


class SplitWriter:
    """One parquet file for each split, made when its first row comes."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._schema = folder, schema
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._bytes: dict[str, int] = {}
        for split in SPLITS:  # what an earlier run left must not be read as this one's
            self.path(split).unlink(missing_ok=True)

    def path(self, split: str) -> Path:
        return self._folder / f"{split}.parquet"

    def add(self, split: str, row: dict[str, Any], size: int = 0) -> None:
        if split not in self._writers:
            self._writers[split] = pq.ParquetWriter(self.path(split), self._schema, compression="zstd")
            self._rows[split], self._bytes[split] = [], 0
        self._rows[split].append(row)
        self._bytes[split] += size
        if len(self._rows[split]) >= GROUP_ROWS or self._bytes[split] >= GROUP_BYTES:
            self._flush(split)

    def _flush(self, split: str) -> None:
        if self._rows[split]:
            self._writers[split].write_table(pa.Table.from_pylist(self._rows[split], schema=self._schema))
            self._rows[split], self._bytes[split] = [], 0

    def close(self) -> list[Path]:
        for split, writer in self._writers.items():
            self._flush(split)
            writer.close()
        return [self.path(split) for split in SPLITS if split in self._writers]


def text_turns(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]


def image_cells(turns: Sequence[Turn], images: ImageStore | None) -> tuple[list[dict[str, bytes]], int]:
    """The images of turns, as they were stored, and their size in bytes."""
    if images is None:
        return [], 0
    data = [images.get(image) for turn in turns for image in turn.images]
    return [{"bytes": item} for item in data], sum(map(len, data))
