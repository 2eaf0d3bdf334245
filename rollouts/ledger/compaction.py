"""Compaction: larger segments of small ones, so that a ledger of many nights stays quick to list and to read.

It may be killed at any moment, and run beside writers, readers and other compactions, because of one rule: a segment is
deleted only when every key in it is in a visible segment that was written after it was read. So rows are compared only
with rows of the same compaction's inputs, and a compaction whose inputs are taken away plans again.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from rollouts.ledger.segments import GROUP_BYTES, GROUP_ROWS, MERGED, SegmentGone, Segments

_DAY = 24 * 3600.0  # seconds


@dataclass(frozen=True)
class Compaction:
    """What a compaction did. `segments_*` count the whole folder; the rest is of the merged segments only."""

    segments_before: int
    segments_after: int
    rows: int
    duplicates: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class _Group:
    """Rows to write as one row group; with it the inputs `done` are wholly written."""

    rows: pl.DataFrame
    duplicates: int
    first: str  # the input that the first row is from
    done: list[str]


def compact(segments: Segments, target: int = 64 * 2**20) -> Compaction:
    """Merge segments of fewer than `target` bytes into some that reach it, but for the last; the others stay.

    Rows keep the order that they have in the inputs taken in name order; of rows with equal keys the first is kept, or
    the last where all of them give way to others; all are of the current version afterwards. In memory: the inputs'
    keys, a few row groups and, for an object store, a segment. SegmentVersionError: a segment is of a version that
    cannot be read; nothing is lost.
    """
    segments.store.remove(segments.store.leftovers(_DAY))
    before, totals = len(segments.names()), Counter[str]()
    while True:
        small = {name: size for name, size in segments.store.sizes().items() if size < target}
        if len(small) < 2:
            break
        try:
            _merge(segments, small, target, totals)
            break
        except SegmentGone:  # another compaction merged it, or it was just set aside: plan again with what there is
            continue
    counts = {name: totals[name] for name in ("rows", "duplicates", "bytes_before", "bytes_after")}
    return Compaction(before, len(segments.names()), **counts)


def _merge(segments: Segments, inputs: dict[str, int], target: int, totals: Counter[str]) -> None:
    """Write the rows of the inputs (name: bytes) again, and delete each input when the last of its rows is visible."""
    series = uuid.uuid4().hex[:12]
    groups = _groups(segments, list(inputs), _one_of_each_key(segments, list(inputs)))
    for number, group in enumerate(groups):
        done, change = list(group.done), Counter(rows=group.rows.height, duplicates=group.duplicates)
        if group.rows.height:  # the last may be empty: its inputs' rows are visible already
            # Begins with the time of its first input: sorts where that was, after the writers of that second.
            start = group.first.removesuffix(".parquet").partition("-")[0]
            with segments.store.new(f"{start}{MERGED}-{series}-{number:06d}.parquet") as file:
                with segments.parquet(file) as writer:
                    writer.write_table(segments.table(group.rows), row_group_size=group.rows.height)
                    while file.tell() < target and (more := next(groups, None)) is not None:
                        if more.rows.height:
                            writer.write_table(segments.table(more.rows), row_group_size=more.rows.height)
                        done += more.done
                        change.update(rows=more.rows.height, duplicates=more.duplicates)
                change.update(bytes_after=file.tell())
        segments.store.remove(done)
        totals.update(change)
        totals.update(bytes_before=sum(inputs[name] for name in done))


def _one_of_each_key(segments: Segments, names: Sequence[str]) -> pl.Series:
    """One boolean per row of these segments, in order: whether it is the row of its key. A row without one is kept."""
    key, gives_way = segments.kind.key, segments.kind.gives_way
    weak = pl.lit(False) if gives_way is None else gives_way.fill_null(False)
    columns = list(dict.fromkeys([key, *weak.meta.root_names()]))
    frames = (frame.select(key, weak=weak) for name in names for frame in segments.rows_of(name, columns, GROUP_ROWS))
    rows = pl.concat([pl.DataFrame(schema={key: segments.kind.schema[key], "weak": pl.Boolean}), *frames])
    if not rows["weak"].any():
        return rows[key].is_first_distinct() | rows[key].is_null()
    strong = pl.col(key).is_first_distinct().over("weak")
    alone = pl.col("weak").all().over(key) & pl.col(key).is_last_distinct()
    kept = pl.when("weak").then(alone).otherwise(strong)
    return rows.select(keep=kept | pl.col(key).is_null())["keep"]


def _groups(segments: Segments, names: Sequence[str], keep: pl.Series) -> Iterator[_Group]:
    """The rows to keep, in groups that have reached GROUP_ROWS or GROUP_BYTES, but the last, which may be empty."""
    columns = segments.kind.schema.names()
    pending, done, first = [pl.DataFrame(schema=segments.kind.schema)], [], ""
    offset = height = size = duplicates = 0
    for name in names:
        for frame in segments.rows_of(name, columns, GROUP_ROWS):
            kept = frame.filter(keep.slice(offset, frame.height))
            offset, duplicates = offset + frame.height, duplicates + frame.height - kept.height
            pending.append(kept)
            first = first or name
            height, size = height + kept.height, size + kept.estimated_size()
            if height >= GROUP_ROWS or size >= GROUP_BYTES:
                yield _Group(pl.concat(pending), duplicates, first, done)
                pending, done, first = pending[:1], [], ""
                height = size = duplicates = 0
        done.append(name)
    yield _Group(pl.concat(pending), duplicates, first, done)
