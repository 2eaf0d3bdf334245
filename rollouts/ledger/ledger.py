"""The ledger: every finished model and tool call, and every finished rollout, written as it finishes.

A call is stored so that an interrupted rollout resumes where it stopped; a rollout is stored so that it is never made
again. Both are rows of append-only parquet segments (rollouts/ledger/segments.py); several ledgers, in several
processes, may write under one root.
"""

import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Self

import polars as pl

from records.tables import schema, to_frame
from records.trajectory import Rollout
from rollouts.ledger.compaction import Compaction, compact
from rollouts.ledger.kinds import SegmentKind
from rollouts.ledger.outcomes import COLUMNS, GIVES_WAY, Outcomes, is_old_failure
from rollouts.ledger.segments import Segments
from rollouts.ledger.tally import Tally

log = logging.getLogger(__name__)

CALLS = SegmentKind(
    name="ledger calls",
    schema=pl.Schema(
        {"kind": pl.String, "rollout_id": pl.String, "key": pl.String, "value": pl.String, "time": pl.Float64}
    ),
    key="key",
    version=2,
    version_key="touchstone.ledger_version",
    # version 1 did not say which rollout a call was made for
    upgrade={1: lambda frame: frame.with_columns(rollout_id=pl.lit(""))},
)
ROLLOUTS = SegmentKind(
    name="ledger rollouts",
    schema=pl.Schema({**schema(Rollout), "time": pl.Float64}),
    key="rollout_id",
    version=1,
    version_key="touchstone.rollouts_version",
    upgrade={},
    later={"seed": None, "redraws": 0},
    gives_way=GIVES_WAY,
)
VERDICTS = SegmentKind(
    name="ledger verdicts",
    schema=pl.Schema({"key": pl.String, "correct": pl.Boolean, "verdict": pl.String}),
    key="key",
    version=1,
    version_key="touchstone.verdicts_version",
    upgrade={},
)
CLOCKS_APART_S = 600.0
"""Seconds by which the clocks of machines that share a ledger may differ."""
MANY_SEGMENTS = 32
"""Segments above which closing a ledger merges them."""


Make = Callable[[], Awaitable[dict[str, Any]]]


class Found(NamedTuple):
    """An attempt that another writer has just finished."""

    answer: str | None
    stop_reason: str
    correct: bool | None
    judged_with: str


class Ledger:
    """Finished calls and rollouts under one fsspec root.

    What finishes is on disk at most `flush_seconds` later. Safe to use from one event loop and its threads.
    Memory holds the calls of rollouts that have not finished, and nothing else.

    `outcomes` says which stored rollouts stand; whoever makes rollouts tells it what the model's context is.

    Args:
        poll_seconds: how often whoever makes rollouts should `look_around`.
    """

    def __init__(self, root: str, flush_seconds: float = 1.0, poll_seconds: float = 5.0) -> None:
        self.root = root.rstrip("/")
        self.calls = Segments(self.root, CALLS)
        self.rollouts = Segments(f"{self.root}/rollouts", ROLLOUTS)
        self.verdicts = Segments(f"{self.root}/verdicts", VERDICTS)
        self.outcomes = Outcomes()
        self.tally = Tally()
        self.made, self.reused = self.tally.made, self.tally.reused
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._reading = threading.Lock()
        self._unfinished: dict[str, dict[str, str]] | None = None
        self._reopened: set[str] = set()
        self._found: dict[tuple[str, str, int], Found] = {}
        self._has_read = False
        self._pending_calls: list[dict[str, Any]] = []
        self._pending_rollouts: list[Rollout] = []
        self.poll_seconds, self._opened = poll_seconds, time.time()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._flush_seconds = flush_seconds

    @property
    def set_aside(self) -> list[str]:
        """The paths that segments which could not be read were moved to."""
        return [*self.calls.set_aside, *self.rollouts.set_aside, *self.verdicts.set_aside]

    # ---- calls

    def _calls_of_unfinished_rollouts(self) -> dict[str, dict[str, str]]:
        """Values by rollout and key. Segments in which every rollout has finished are not read beyond their ids."""
        if self._unfinished is None:
            names = self.rollouts.names()
            self.look_around()  # what is read below is not news any more
            with self._reading:
                if self._unfinished is None:
                    rollouts = self.outcomes.standing(self.rollouts.read(["rollout_id", *COLUMNS], names))
                    finished = rollouts["rollout_id"].unique().implode()
                    open_ids = ~pl.col("rollout_id").is_in(finished)
                    found: dict[str, dict[str, str]] = {}
                    for segment in self.calls.names():
                        if self.calls.read(["rollout_id"], [segment]).filter(open_ids).is_empty():
                            continue
                        for batch in self.calls.batches(["rollout_id", "key", "value"], [segment]):
                            for rollout_id, key, value in batch.filter(open_ids).iter_rows():
                                if not is_old_failure(value):
                                    found.setdefault(rollout_id, {})[key] = value
                    self._unfinished = found
        return self._unfinished

    def get(self, rollout_id: str, key: str) -> dict[str, Any] | None:
        """The stored value of a call of a rollout that has not finished."""
        calls = self._calls_of_unfinished_rollouts()
        value = calls.get(rollout_id, {}).get(key)
        if value is None:  # written by version 1, which did not say which rollout a call was for
            value = calls.get("", {}).get(key)
        return None if value is None else json.loads(value)

    def put(self, rollout_id: str, kind: str, key: str, value: dict[str, Any]) -> None:
        """Store a finished call: `kind` (`model`, `tool`, …) is what it counts as, `value` a JSON-able mapping."""
        text = json.dumps(value, ensure_ascii=False)
        calls = self._calls_of_unfinished_rollouts()
        with self._lock:
            calls.setdefault(rollout_id, {})[key] = text
            self._pending_calls.append(
                {"kind": kind, "rollout_id": rollout_id, "key": key, "value": text, "time": time.time()}
            )
            self._start_flushing()

    async def once(
        self, rollout_id: str, kind: str, key: str, make: Make, former: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """The stored value of `key`; if there is none, what `make` returns, stored. An exception stores nothing.

        Args:
            former: rollout and key of this call in the version before, taken over if that rollout was reopened.
        """
        if (stored := self.get(rollout_id, key)) is not None:
            self.tally.reuse(kind)
            return stored
        if former is not None and (stored := self.get(*former)) is not None:
            self.tally.reuse(kind)
            self.put(rollout_id, kind, key, stored)
            self._calls_of_unfinished_rollouts().get(former[0], {}).pop(former[1], None)
            return stored
        value = await make()
        self.tally.make(kind)
        self.put(rollout_id, kind, key, value)
        return value

    def reopen(self, settings: Collection[str]) -> None:
        """Read the calls of the finished rollouts in these settings, for `once` to take over: an earlier version read
        them otherwise, and they are not paid for again."""
        if not (fresh := set(settings) - self._reopened):
            return
        self._reopened |= fresh
        ids = self.select(["rollout_id"], pl.col("setting").is_in(list(fresh)))["rollout_id"]
        if ids.is_empty():
            return
        calls, wanted = self._calls_of_unfinished_rollouts(), pl.col("rollout_id").is_in(ids.implode())
        for batch in self.calls.batches(["rollout_id", "key", "value"], self.calls.names()):
            for rollout_id, key, value in batch.filter(wanted).iter_rows():
                if not is_old_failure(value):
                    calls.setdefault(rollout_id, {})[key] = value

    # ---- rollouts

    def finish(self, rollout: Rollout) -> None:
        """Store a finished, judged rollout; its calls leave the memory."""
        rollout = self.outcomes.stamped(rollout)
        with self._lock:
            self._pending_rollouts.append(rollout)
            if self._unfinished is not None:
                self._unfinished.pop(rollout.rollout_id, None)
            self._start_flushing()

    def select(self, columns: Sequence[str], where: pl.Expr) -> pl.DataFrame:
        """These columns (rollout_id among them) of the finished rollouts for which `where` holds, each once."""
        needed = [*columns, *where.meta.root_names()]
        parts = [batch.filter(where).select(columns) for batch in self._batches(needed)]
        empty = ROLLOUTS.schema.to_frame().select(columns)
        return pl.concat([empty, *parts]).unique("rollout_id", keep="first", maintain_order=True)

    def distinct(self, columns: Sequence[str]) -> pl.DataFrame:
        """The distinct values of these columns over all finished rollouts."""
        parts = [batch.select(columns).unique() for batch in self._batches(columns)]
        return pl.concat([ROLLOUTS.schema.to_frame().select(columns), *parts]).unique()

    def _batches(self, columns: Sequence[str], rows: int = 50_000) -> Iterator[pl.DataFrame]:
        """These columns, and those that say so, of all finished rollouts that stand.

        A segment that was read is no news any more. So what others have written since the first reading is taken in
        before it is read for something else, or `found` would not know of it.
        """
        names = self.rollouts.names()
        if self._has_read:
            self.look_around()
        self._has_read = True
        needed = list(dict.fromkeys([*columns, *COLUMNS]))
        yield from map(self.outcomes.standing, self.rollouts.batches(needed, names, rows))

    def found(self, setting: str, question_id: str, sample: int) -> Found | None:
        """The end of that attempt, if another writer has finished it since this ledger was opened."""
        return self._found.get((setting, question_id, sample))

    def look_around(self) -> None:
        """Take in what other writers have finished since this ledger was opened, for `found`."""
        columns = ["setting", "question_id", "sample_index", "answer", "stop_reason", "correct", "judged_with"]
        with self._reading:
            news = self.rollouts.news(["time", *columns, "error_class"])
        # a merged segment of others holds old rows too
        news = self.outcomes.standing(news.filter(pl.col("time") > self._opened - CLOCKS_APART_S)).select(columns)
        for setting, question_id, sample, *how in news.iter_rows():
            self._found[(setting, question_id, sample)] = Found(*how)

    def full(self, where: pl.Expr) -> Iterator[pl.DataFrame]:
        """Whole rows of the finished rollouts for which `where` holds, in batches of bounded size.

        One may come twice: two runs may have finished it at once.
        """
        for batch in self._batches(list(schema(Rollout)), rows=5_000):
            if not (chosen := batch.filter(where)).is_empty():
                yield chosen

    # ---- writing

    def _start_flushing(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._flush_regularly, daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Write what is pending; all that was put before is on disk when it returns. Calls before their rollouts."""
        with self._flushing:  # what the other thread has taken is not on disk before it is done
            with self._lock:
                calls, rollouts = self._pending_calls, self._pending_rollouts
                self._pending_calls, self._pending_rollouts = [], []
            try:
                if calls:
                    self.calls.append(pl.DataFrame(calls, schema=CALLS.schema))
                    calls = []
                if rollouts:
                    self.rollouts.append(to_frame(rollouts, Rollout).with_columns(time=pl.lit(time.time())))
                    rollouts = []
            finally:
                if calls or rollouts:
                    with self._lock:  # kept for the next flush
                        self._pending_calls[:0], self._pending_rollouts[:0] = calls, rollouts

    def _flush_regularly(self) -> None:
        while not self._closed.wait(self._flush_seconds):
            try:
                self.flush()
            except Exception:  # what was not written waits; the next flush, or close(), tries again and close() raises
                log.exception("the ledger could not be flushed; %d calls wait in memory", len(self._pending_calls))

    def close(self) -> None:
        """Flush, and merge segments when there are many (killed in between, nothing is lost)."""
        self._closed.set()
        if self._thread is None:
            return  # nothing was written
        self._thread.join()
        self.flush()
        for segments in (self.calls, self.rollouts, self.verdicts):
            if len(segments.names()) > MANY_SEGMENTS:
                compact(segments)

    def compact(self) -> dict[str, Compaction]:
        """Merge small segments into large ones, whoever wrote them."""
        return {segments.kind.name: compact(segments) for segments in (self.calls, self.rollouts, self.verdicts)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
