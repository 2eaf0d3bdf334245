"""Append-only rows of one schema, kept as parquet segments in one folder of any fsspec file system.

A segment is written once, under a name of its writer's, and becomes visible whole: on a local disk by a rename, on an
object store (and in memory) by a single PUT; a store whose PUT can be seen half done will not do. So writers need no
lock. A compaction (rollouts/ledger/compaction.py) makes larger segments of small ones: every row is in at least one
visible segment at any time, and a reader whose segment is gone finds its rows in one with MERGED in its name. A row
may then come twice; whoever needs each once takes the first of each key. What cannot be read is set aside and
reported, and the rest is read.
"""

import itertools
import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from rollouts.ledger.kinds import SegmentKind, SegmentVersionError, misfit
from rollouts.ledger.store import PARQUET, SegmentStore

MERGED = "-merged"
"""The part of a name that every segment has that was made of others, and no other segment."""
GROUP_ROWS = 100_000
"""Rows at which a row group ends."""
GROUP_BYTES = 16 * 2**20
"""Bytes at which a row group ends."""
log = logging.getLogger(__name__)


class SegmentGone(Exception):
    """The segment is not visible any more: merged into another, or found unreadable and set aside."""


class Segments:
    """The segments of one kind right under `root`, a local path or an fsspec URL; the folder is made.

    `writer` names this writer, as no other is named: its segments start with it. `set_aside` lists the paths of what
    this object could not read and moved to `root/set_aside/`. Any thread may append; one thread at a time reads.
    """

    def __init__(self, root: str, kind: SegmentKind) -> None:
        self.kind = kind
        self.writer = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self.set_aside: list[str] = []
        self.store = SegmentStore(root)
        self._count = itertools.count()
        self._seen: set[str] = set()
        schema = pl.DataFrame(schema=kind.schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        self.arrow_schema = schema.with_metadata({kind.version_key: str(kind.version)})

    def append(self, frame: pl.DataFrame) -> str:
        """Write the rows as one visible segment and return its path. ValueError: the columns are not those of the kind.

        When it returns, the rows survive the end of this process and, on a local disk, of the machine's power.
        """
        reason = misfit(frame.schema, self.kind.schema)
        if more := [name for name in frame.columns if name not in self.kind.schema]:
            reason = f"there is no column {', '.join(more)}"
        if reason:
            raise ValueError(f"rows cannot be appended to {self.kind.name}: {reason}")
        table = self.table(frame)
        group = max(1, min(GROUP_ROWS, table.num_rows * GROUP_BYTES // max(1, table.nbytes)))
        name = f"{self.writer}-{next(self._count):08d}{PARQUET}"
        with self.store.new(name) as file, self.parquet(file) as writer:
            writer.write_table(table, row_group_size=group)
        return self.store.path(name)

    def table(self, frame: pl.DataFrame) -> pa.Table:
        """The frame as the arrow table that is written."""
        frame = frame.select(self.kind.schema.names()).cast(self.kind.schema)
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

    def parquet(self, file: BinaryIO) -> pq.ParquetWriter:
        return pq.ParquetWriter(file, self.arrow_schema, compression="zstd", write_page_checksum=True)

    def names(self) -> list[str]:
        """The segments that are visible now, by name, sorted."""
        return sorted(self.store.files(PARQUET))

    def read(self, columns: Sequence[str], segments: Sequence[str] | None = None) -> pl.DataFrame:
        """These columns of all rows, or of those of `segments` (as `names` gives them); segments in name order.

        No visible row is missed; one that a compaction moves meanwhile may come twice, and with `segments` others may
        come with it. SegmentVersionError: a segment is of a version that cannot be read.
        """
        if segments is None:
            return self._read(columns, self._rounds(self.names(), set()))
        gone: set[str] = set()
        return self._read(columns, self._rounds(segments, set(), gone), gone)

    def news(self, columns: Sequence[str]) -> pl.DataFrame:
        """These columns of the rows in segments by other writers that this object has not read yet.

        A compaction's segments are news too, though most of their rows may be known.
        """
        fresh = [name for name in self.names() if name not in self._seen and not name.startswith(self.writer)]
        return self._read(columns, self._rounds(fresh, self._seen))

    def batches(
        self, columns: Sequence[str], segments: Sequence[str] | None = None, rows: int = 50_000
    ) -> Iterator[pl.DataFrame]:
        """Like `read`, in frames of about `rows` rows, fewer where they are long; it holds one or two at a time.

        Of a segment that turns out to be damaged in the middle, the rows before come.
        """
        gone: set[str] = set()
        names = self.names() if segments is None else segments

        def frames() -> Iterator[pl.DataFrame]:
            for todo in self._rounds(names, set(), None if segments is None else gone):
                for name in todo:
                    try:
                        yield from self.rows_of(name, columns, rows)
                    except SegmentGone:
                        gone.add(name)
                self._seen.update(todo)

        yield from _grouped(frames(), rows)

    def _rounds(
        self, first: Sequence[str], known: Collection[str], gone: set[str] | None = None
    ) -> Iterator[Sequence[str]]:
        """The names to read: `first`, then those of merged segments that appeared, for as long as there are any.

        A row of the first listing is either read or was moved to a merged segment, which was visible before the row's
        old one was deleted: so it is in the next listing. That also mends a listing taken while a compaction was at
        work, which may show neither of the two. With `gone`, which the caller fills, only what is in there is mended.
        """
        known = {*known, *first}
        todo: Sequence[str] = list(first)
        while True:
            yield todo
            if gone is not None and not gone:
                return
            todo = [name for name in self.names() if MERGED in name and name not in known]
            if not todo:
                return
            if gone is not None:
                gone.clear()
            known.update(todo)

    def _read(
        self, columns: Sequence[str], rounds: Iterable[Sequence[str]], gone: set[str] | None = None
    ) -> pl.DataFrame:
        def one(name: str) -> list[pl.DataFrame] | None:
            try:
                return list(self.rows_of(name, columns, None))
            except SegmentGone:
                return None

        frames = [pl.DataFrame(schema=self._types(columns))]
        with ThreadPoolExecutor(self.store.threads) as pool:
            for todo in rounds:
                for name, got in zip(todo, pool.map(one, todo), strict=True):
                    frames.extend(got or [])
                    if got is None and gone is not None:
                        gone.add(name)
                self._seen.update(todo)
        return pl.concat(frames, rechunk=len(frames) > 100)  # many tiny chunks slow all that comes after

    def rows_of(self, name: str, columns: Sequence[str], rows: int | None = 50_000) -> Iterator[pl.DataFrame]:
        """These columns of one segment, `rows` rows at a time, fewer where they are long (None: a row group at a time).

        SegmentGone: there is no such segment (any more); what is damaged or not of this kind is set aside.
        """
        types = self._types(columns)
        source = None
        try:
            source = self.store.source(name)
            file = pq.ParquetFile(source, page_checksum_verification=True)
            upgrade = self._upgrade(name, file)
            there = file.schema_arrow.names
            wanted = there if upgrade else [name for name in columns if name in there] or [self.kind.key]
            read = 0
            for group in range(file.num_row_groups):
                size = _batch_rows(file.metadata.row_group(group), wanted, rows)
                for batch in file.iter_batches(size, [group], wanted, use_threads=False):
                    frame = cast(pl.DataFrame, pl.from_arrow(pa.Table.from_batches([batch])))
                    read += frame.height
                    if upgrade:
                        frame = self._upgraded(name, frame, upgrade)
                    frame = self.kind.filled(frame, columns)
                    same = [*frame.schema.items()] == [*types.items()]  # select and cast cost more than a tiny segment
                    yield frame if same else frame.select(columns).cast(types)
            if read != file.metadata.num_rows:
                raise ValueError(f"it holds {read} rows instead of {file.metadata.num_rows}")
        except (SegmentVersionError, MemoryError):
            raise
        except Exception as error:  # whatever a damaged or foreign file makes the reader raise
            fault = error if source is None else source.error
            if isinstance(fault, FileNotFoundError):
                raise SegmentGone(name) from None
            if fault:  # the store's, such as a connection that broke: it says nothing about the segment
                raise fault from None
            self._put_aside(name, error)
            raise SegmentGone(name) from error
        finally:
            if source is not None:
                source.close()

    def _types(self, columns: Sequence[str]) -> pl.Schema:
        """Checked before any segment is opened: the caller's mistake must not look like damage."""
        if (unknown := [name for name in columns if name not in self.kind.schema]) or not columns:
            asked = ", ".join(unknown) if columns else "no column"
            raise ValueError(f"{self.kind.name}: asked for {asked}, there are {', '.join(self.kind.schema)}")
        return pl.Schema({name: self.kind.schema[name] for name in columns})

    def _upgrade(self, name: str, file: pq.ParquetFile) -> Callable[[pl.DataFrame], pl.DataFrame] | None:
        """What makes a current frame of the segment's; None where it is one. ValueError: it is not of this kind."""
        text = (file.metadata.metadata or {}).get(self.kind.version_key.encode(), b"").decode()
        if not text.isdigit():
            raise ValueError(f"it is not one of {self.kind.name}: its metadata have no {self.kind.version_key}")
        version, ours = int(text), self.kind.version
        what = f"{self.kind.name}: segment {self.store.path(name)} has version {version}, this Touchstone"
        if version > ours:
            raise SegmentVersionError(f"{what} reads up to {ours}: upgrade Touchstone, or use another data folder")
        if version < ours:
            if version not in self.kind.upgrade:
                raise SegmentVersionError(
                    f"{what} cannot read version {version} any more: use an older Touchstone, or another data folder"
                )
            return self.kind.upgrade[version]
        if file.schema_arrow.equals(self.arrow_schema):
            return None
        there = cast(pl.DataFrame, pl.from_arrow(file.schema_arrow.empty_table())).schema
        if reason := self.kind.misfit(there):
            raise ValueError(f"it is not one of {self.kind.name}: {reason}")
        return None

    def _upgraded(
        self, name: str, frame: pl.DataFrame, upgrade: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> pl.DataFrame:
        """An upgrade that fails is not the segment's damage: it is left where it is, and the run ends."""
        try:
            frame = upgrade(frame)
            reason = self.kind.misfit(frame.schema)
        except Exception as error:
            reason = repr(error)
        if reason:
            what = f"{self.kind.name}: segment {self.store.path(name)}"
            raise SegmentVersionError(f"{what} could not be made one of version {self.kind.version}: {reason}")
        return frame

    def _put_aside(self, name: str, error: Exception) -> None:
        if aside := self.store.set_aside(name):
            self.set_aside.append(aside)
            log.warning(
                "%s: segment %s cannot be read (%s): set aside as %s; the rest is read",
                self.kind.name,
                self.store.path(name),
                error,
                aside,
            )


def _batch_rows(group: pq.RowGroupMetaData, columns: Collection[str], rows: int | None) -> int:
    """How many of a row group's rows to hold at a time: at most `rows`, and about GROUP_BYTES of these columns."""
    if rows is None:
        return max(1, group.num_rows)
    chunks = (group.column(number) for number in range(group.num_columns))
    size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
    return max(1, min(rows, group.num_rows * GROUP_BYTES // max(1, size)))


def _grouped(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in fewer frames: each has reached `rows` rows or GROUP_BYTES, but the last."""
    pending: list[pl.DataFrame] = []
    height = size = 0
    for frame in frames:
        pending.append(frame)
        height, size = height + frame.height, size + frame.estimated_size()
        if height >= rows or size >= GROUP_BYTES:
            yield pl.concat(pending)
            pending, height, size = [], 0, 0
    if pending:
        yield pl.concat(pending)
