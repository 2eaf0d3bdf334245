"""Sentence vectors kept by the hash of their text, so that a refresh embeds new texts only."""

import logging
import uuid

import fsspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

KEY_BYTES = 16
_log = logging.getLogger(__name__)


class VectorStore:
    """Vectors by key (16 bytes), as parquet segments under one fsspec root.

    A segment appears whole or not at all, and several writers may write at once. One that cannot be read is set aside
    (`.corrupt`) with a warning; its texts are embedded again. One segment is in memory at a time.
    """

    def __init__(self, root: str) -> None:
        self._fs, self._root = fsspec.url_to_fs(root)

    def read(self, keys: pl.Series) -> tuple[np.ndarray | None, np.ndarray]:
        """float16 vectors of shape (n, d) for n keys (None when no key is known), and the places that are missing."""
        wanted = keys.alias("key").to_frame().with_row_index("place")
        vectors, known = None, np.zeros(len(keys), bool)
        for path in sorted(self._fs.glob(f"{self._root}/*.parquet")):
            segment = self._segment(path)
            if segment is None:
                continue
            stored, values = segment
            if vectors is not None and values.shape[1] != vectors.shape[1]:
                self._set_aside(path, f"vectors of {values.shape[1]} numbers among ones of {vectors.shape[1]}")
                continue
            found = wanted.join(stored.alias("key").to_frame().with_row_index("row"), on="key")
            if found.is_empty():
                continue
            if vectors is None:
                vectors = np.zeros((len(keys), values.shape[1]), np.float16)
            places = found["place"].to_numpy()
            vectors[places] = values[found["row"].to_numpy()]
            known[places] = True
        return vectors, np.flatnonzero(~known)

    def add(self, keys: pl.Series, vectors: np.ndarray) -> None:
        """Store float16 vectors of shape (n, d) under n keys."""
        width = vectors.shape[1] * 2
        table = pa.table(
            {
                "key": keys.to_arrow().cast(pa.binary(KEY_BYTES)),
                "vector": pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(width), len(vectors), [None, pa.py_buffer(np.ascontiguousarray(vectors))]
                ),
            }
        )
        self._fs.makedirs(self._root, exist_ok=True)
        path = f"{self._root}/{uuid.uuid4().hex}.parquet"
        with self._fs.open(f"{path}.tmp", "wb") as file:
            pq.write_table(
                table, file, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True
            )
        self._fs.mv(f"{path}.tmp", path)

    def _segment(self, path: str) -> tuple[pl.Series, np.ndarray] | None:
        try:
            with self._fs.open(path, "rb") as file:
                table = pq.read_table(file, page_checksum_verification=True).combine_chunks()
            column = table["vector"].combine_chunks()
            values = np.frombuffer(column.buffers()[1], np.float16).reshape(-1, column.type.byte_width // 2)
            values = values[column.offset : column.offset + len(column)]
            if table.schema.field("key").type != pa.binary(KEY_BYTES) or not np.isfinite(values).all():
                raise ValueError("not what was written")
            return pl.Series(pl.from_arrow(table["key"])), values
        except FileNotFoundError:  # another run has set it aside
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, pa.ArrowException) as error:
            self._set_aside(path, str(error))
            return None

    def _set_aside(self, path: str, reason: str) -> None:
        _log.warning("%s cannot be used (%s): set aside, its texts are embedded again", path, reason)
        self._fs.mv(path, f"{path}.corrupt")
