"""Images compared with those of the evaluation sets: each pair once, not in every refresh."""

import uuid
from collections.abc import Callable

import fsspec
import numpy as np
import polars as pl

from filters.contamination import images as image_contamination
from records.identity import content_hash
from records.images.store import FACTS_VERSION
from records.recipe.questions import Decontamination
from records.tables import TableStore

TABLE = "decontamination/images"
_COLUMNS = pl.Schema({"key": pl.String, "image": pl.String, "shown": pl.String, "kind": pl.String, "score": pl.Float64})
"""Hits, and marks of what was compared: kind `image` or `benchmark`, and nothing shown."""


class Windows:
    """The hashes of the windows of benchmark images (filters/contamination/images.py), one file per image."""

    def __init__(self, root: str) -> None:
        version = f"{FACTS_VERSION}.{image_contamination.VERSION}"
        self._fs, self._root = fsspec.url_to_fs(f"{root.rstrip('/')}/{version}")

    def __call__(self, image: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        path = f"{self._root}/{image[:2]}/{image}"
        if self._fs.exists(path):
            return np.frombuffer(self._fs.cat_file(path), np.int64)
        made = make()
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        part = f"{path}.{uuid.uuid4().hex[:8]}.tmp"  # two runs at once may make the same
        self._fs.pipe_file(part, made.tobytes())
        self._fs.mv(part, path)
        return made


class ComparisonCache:
    """`filters.contamination.images.hits`, made only for pairs that were not compared in an earlier run."""

    def __init__(self, tables: TableStore, data: str, read: Callable[[str], bytes], rules: Decontamination) -> None:
        self._tables, self._read, self._rules = tables, read, rules
        self._windows = Windows(f"{data}/windows")
        self._key = content_hash([rules.image_bits, rules.crops, image_contamination.VERSION, FACTS_VERSION])

    def __call__(self, images: pl.DataFrame, benchmark: pl.DataFrame) -> pl.DataFrame:
        """Arguments and result are those of `filters.contamination.images.hits`."""
        before = pl.DataFrame(schema=_COLUMNS)
        if self._tables.exists(TABLE):
            before = self._tables.read(TABLE).filter(pl.col("key") == self._key)
        looked, shown = (before.filter(pl.col("kind") == side)["image"].implode() for side in ("image", "benchmark"))
        pictures = benchmark.select("image").unique(maintain_order=True)
        new, old = images.filter(~pl.col("image").is_in(looked)), images.filter(pl.col("image").is_in(looked))
        hits = [
            before.filter(pl.col("shown").is_not_null()),
            self._hits(new, pictures),
            self._hits(old, pictures.filter(~pl.col("image").is_in(shown))),
        ]
        known = pl.concat(hits)
        # What is gone from both sides is forgotten: when it comes back it has met nothing that came meanwhile.
        known = known.join(images.select("image"), on="image", how="semi")
        known = known.join(pictures.select(shown="image"), on="shown", how="semi")
        marks = [
            side.select(key=pl.lit(self._key), image="image", shown=None, kind=pl.lit(name), score=None).cast(_COLUMNS)
            for side, name in ((images, "image"), (pictures, "benchmark"))
        ]
        self._tables.write(TABLE, pl.concat([known, *marks]))
        rows = benchmark.select("benchmark", "row", shown="image").unique(maintain_order=True)
        return known.join(rows, on="shown").select(*image_contamination.HITS)

    def _hits(self, images: pl.DataFrame, pictures: pl.DataFrame) -> pl.DataFrame:
        asked = pictures.select(benchmark=pl.lit(""), row="image", image="image")
        found = image_contamination.hits(images, asked, self._read, self._rules, self._windows)
        return found.select(key=pl.lit(self._key), image="image", shown="row", kind="kind", score="score").cast(
            _COLUMNS
        )
