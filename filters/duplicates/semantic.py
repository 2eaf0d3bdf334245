"""Questions that mean the same in other words: pairs of sentence vectors whose cosine is at least a threshold.

Only rows of one block are compared, and the caller's block must hold the answer, the numbers of the text and the image:
to an embedding "the capital of France" and "the capital of Spain", or a sum with 3 and one with 5, are nearly the same
sentence. What tells them apart is their answer. Two questions that share all three and are near mean the same.

Small blocks are compared whole. A large one is divided into cells around rows drawn from it (an inverted file;
SemDeDup, arXiv 2303.09540, section 3, divides by k-means for the same reason), and a cell's rows are compared with the
rows for which it is one of the PROBES nearest cells. With sqrt(PROBES * n) cells the cost of a block of n rows is of
order n^1.5 with a small constant, and never n x n in time or memory.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from filters.duplicates.embeddings import unit

WHOLE = 4096
"""Rows of a block up to which it is compared whole, without loss."""
PROBES = 4
"""Nearest cells in which a row of a large block looks for its like: recall against work."""
MOST = 16
"""Pairs kept of a row with earlier rows: this many with the earliest, and as many with the nearest. In a crowd where
all are near all, that is enough to join every row to it, and the number of pairs stays linear."""
CROWD = 4096
"""Rows of a cell with which its rows are compared, the earliest: more only where a crowd cannot be divided."""
SPARE = 2
"""Rows drawn for each centre of a cell, as some lie in one crowd."""
_PACK = 512
_TABLE = 1 << 22
_SEED = 0
_Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def comparable(blocks: pl.Series) -> pl.Series:
    """Boolean: rows that share their block with another row. No other row needs a vector."""
    block = pl.col("block")
    return blocks.alias("block").to_frame().select((block.len().over("block") > 1) & block.is_not_null())["block"]


def pairs(vectors: np.ndarray, blocks: pl.Series, similarity: float, *, whole: int = WHOLE) -> pl.DataFrame:
    """Pairs of near rows within blocks: left and right (UInt32, positions, left < right), similarity (Float32).

    Sorted by right, then left. Every pair of a block of at most `whole` rows is found; of larger ones nearly all (the
    tests hold 95 %). Of the pairs in which a row is the right one, those with the MOST smallest lefts and the MOST
    nearest are kept. The same vectors give the same pairs, but for cosines within about 1e-6 of the threshold, which
    another machine's matrix product may round to its other side.

    Args:
        vectors: shape (n, d), any float type; lengths do not matter.
        blocks: n integers; a row whose block is null is compared with none.
        similarity: cosine from which two rows are a pair.
        whole: block size up to which nothing is approximated.

    Raises:
        ValueError: there are not as many vectors as blocks.
    """
    if len(vectors) != len(blocks):
        raise ValueError(f"{len(vectors)} vectors for {len(blocks)} rows")
    rows = blocks.alias("block").to_frame().with_row_index("row").filter(comparable(blocks)).sort("block", "row")
    found = _Pairs()
    places, keys = rows["row"].to_numpy(), rows["block"].rle_id().to_numpy()
    starts = np.flatnonzero(np.diff(keys, prepend=-1, append=-1)) if len(keys) else np.zeros(1, int)
    for start, stop in _packs(starts, whole):
        members, key = places[start:stop], keys[start:stop]
        if key[0] == key[-1] and len(members) > whole:
            for part in _by_cells(vectors, members, similarity):
                found.add(part)
        else:
            found.add(_by_all(unit(vectors[members]), members, key, similarity))
    return found.table()


def nearest(
    ours: pl.DataFrame, theirs: pl.DataFrame, our_vectors: np.ndarray, their_vectors: np.ndarray, similarity: float
) -> pl.DataFrame:
    """The nearest row of another table for rows of one, among those that share a key, exactly; none below `similarity`.

    Args:
        ours, theirs: row (UInt32, a place among the vectors) and key; a row may have several keys.
        our_vectors, their_vectors: shapes (n, d) and (m, d), any float type.
        similarity: the least cosine.

    Returns:
        ours, theirs (UInt32), similarity (Float32), sorted by ours, each of which is there once at most.
    """
    keys = ours.select("key").unique().join(theirs.select("key").unique(), on="key").with_row_index("place")
    sides = [side.join(keys, on="key").select("place", "row").unique().sort("place", "row") for side in (ours, theirs)]
    (our_rows, our_starts), (their_rows, their_starts) = (
        (side["row"].to_numpy(), np.searchsorted(side["place"].to_numpy(), np.arange(len(keys) + 1))) for side in sides
    )
    found = [pl.DataFrame(schema={"ours": pl.UInt32, "theirs": pl.UInt32, "similarity": pl.Float32})]
    for place in range(len(keys)):
        columns = their_rows[their_starts[place] : their_starts[place + 1]]
        against = unit(their_vectors[columns])
        stop, step = our_starts[place + 1], max(1, _TABLE // len(columns))
        for start in range(our_starts[place], stop, step):
            rows = our_rows[start : min(start + step, stop)]
            cosines = unit(our_vectors[rows]) @ against.T
            best = cosines.argmax(axis=1)
            cosine = cosines[np.arange(len(rows)), best]
            near = cosine >= similarity
            part = {"ours": rows[near], "theirs": columns[best[near]], "similarity": cosine[near]}
            found.append(pl.DataFrame(part, schema=found[0].schema))
    order = {"ours": False, "similarity": True, "theirs": False}
    table = pl.concat(found).sort(list(order), descending=list(order.values()))
    return table.unique("ours", keep="first", maintain_order=True)


def _packs(starts: np.ndarray, whole: int) -> Iterator[tuple[int, int]]:
    """Ranges of sorted rows to compare at once: many small blocks together, or one larger block."""
    first = 0
    while first < len(starts) - 1:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + min(_PACK, whole), side="right")) - 1)
        yield int(starts[first]), int(starts[last])
        first = last


def _by_all(vectors: np.ndarray, rows: np.ndarray, keys: np.ndarray, similarity: float) -> _Found:
    """Every pair among `rows` (ascending within a key) that share a key."""
    cosines = vectors @ vectors.T
    right, left = np.nonzero(np.tril(cosines >= similarity, -1) & (keys[:, None] == keys))
    return rows[left], rows[right], cosines[right, left]


def _by_cells(vectors: np.ndarray, rows: np.ndarray, similarity: float) -> Iterator[_Found]:
    """Pairs among `rows` (ascending), most of them, by cells."""
    centres = _centres(vectors, rows, similarity)
    probes = _nearest(vectors, rows, centres)
    cell_of, member_of = probes.T.ravel(), np.tile(np.arange(len(rows), dtype=np.int32), PROBES)
    order = np.argsort(cell_of, kind="stable")
    bounds = np.searchsorted(cell_of[order], np.arange(len(centres) + 1))
    for cell in range(len(centres)):
        visitors = np.unique(member_of[order[bounds[cell] : bounds[cell + 1]]])
        seen = visitors[:CROWD]
        members = np.flatnonzero(probes[visitors, 0] == cell)
        against = unit(vectors[rows[seen]])
        step = max(1, _TABLE // max(1, len(seen)))
        for start in range(0, len(members), step):
            mine = visitors[members[start : start + step]]
            cosines = unit(vectors[rows[mine]]) @ against.T
            one, other = np.nonzero(cosines >= similarity)
            cosine, one, other = cosines[one, other], mine[one], seen[other]
            # Two members of one cell meet twice here; a member and a visitor once.
            keep = (other < one) | ((other > one) & (probes[other, 0] != cell))
            one, other, cosine = one[keep], other[keep], cosine[keep]
            yield rows[np.minimum(one, other)], rows[np.maximum(one, other)], cosine


def _centres(vectors: np.ndarray, rows: np.ndarray, similarity: float) -> np.ndarray:
    """Vectors of up to sqrt(PROBES * n) rows drawn at random, no two of which are a pair.

    Else a crowd of near rows would have many centres, and each of its rows look into few of them. They are drawn from
    the oldest rows, as many as the last power of two, so that rows that are added change them only at the next one.
    """
    oldest = 1 << (len(rows).bit_length() - 1)
    count = int(np.sqrt(PROBES * oldest))
    drawn = np.random.default_rng(_SEED).choice(oldest, min(SPARE * count, oldest), replace=False)
    drawn = unit(vectors[rows[drawn]])
    near = drawn @ drawn.T >= similarity
    taken = np.zeros(len(drawn), bool)
    for place in range(len(drawn)):
        taken[place] = not near[place, :place][taken[:place]].any()
    return drawn[taken][:count]


def _nearest(vectors: np.ndarray, rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Places (int32) of the PROBES centres nearest to each row, nearest first; shape (len(rows), PROBES)."""
    nearest = np.empty((len(rows), PROBES), np.int32)
    step = max(1, _TABLE // len(centres))
    for start in range(0, len(rows), step):
        cosines = unit(vectors[rows[start : start + step]]) @ centres.T
        each = np.arange(len(cosines))
        for probe in range(PROBES):
            best = cosines.argmax(axis=1)
            nearest[start : start + step, probe] = best
            cosines[each, best] = -np.inf
    return nearest


class _Pairs:
    """Pairs as they are found, thinned out (once each, at most MOST a row) whenever many have gathered."""

    def __init__(self) -> None:
        self._parts: list[_Found] = []
        self._size, self._limit = 0, _TABLE

    def add(self, found: _Found) -> None:
        self._parts.append(found)
        self._size += len(found[0])
        if self._size > self._limit:
            table = self.table()
            left, right, similarity = (table[name].to_numpy() for name in table.columns)
            self._parts = [(left, right, similarity)]
            self._size = len(table)
            self._limit = max(_TABLE, 2 * self._size)

    def table(self) -> pl.DataFrame:
        columns = zip(*self._parts, strict=True) if self._parts else ([np.zeros(0)],) * 3
        left, right, similarity = (np.concatenate(list(parts)) for parts in columns)
        table = pl.DataFrame(
            {"left": left, "right": right, "similarity": similarity},
            schema_overrides={"left": pl.UInt32, "right": pl.UInt32, "similarity": pl.Float32},
        )
        table = table.unique(["left", "right"]).sort("right", "left")
        nearest = pl.col("similarity").rank("ordinal", descending=True).over("right")
        return table.filter((pl.int_range(pl.len()).over("right") < MOST) | (nearest <= MOST))
