"""The ledger: every finished model and tool call, written as it finishes and never made twice.

Append-only parquet segments under one fsspec root, one series a writer, each made visible by a rename. A reader sees
whole segments only; one that cannot be read is set aside and reported, and the rest is read.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Self

import fsspec
import polars as pl

SCHEMA_VERSION = 1
SCHEMA = pl.Schema({"kind": pl.String, "key": pl.String, "value": pl.String, "time": pl.Float64})
_VERSION_KEY = "touchstone.ledger_version"
log = logging.getLogger(__name__)


class LedgerVersionError(RuntimeError):
    """A segment was written by a newer Touchstone; reading past it would pay again for what it holds."""


class Ledger:
    """Calls by key. `kind` is `model` or `tool`; a value is a JSON-able mapping.

    A finished call is on disk at most `flush_seconds` after `put`. Safe to use from one event loop and its threads;
    several ledgers, in several processes, may write under one root.
    """

    def __init__(self, root: str, flush_seconds: float = 1.0) -> None:
        self.root = root.rstrip("/")
        self._fs, self._path = fsspec.url_to_fs(self.root)
        self._fs.makedirs(self._path, exist_ok=True)
        self._writer = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._pending: list[dict[str, Any]] = []
        self._segments: list[str] = []
        self._values: dict[str, str] = {}
        self.made = {"model": 0, "tool": 0}
        self.reused = {"model": 0, "tool": 0}
        self.set_aside: list[str] = []
        self._read_all()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._flush_regularly, args=(flush_seconds,), daemon=True)
        self._thread.start()

    def _read_all(self) -> None:
        for path in sorted(self._fs.glob(f"{self._path}/*.parquet")):
            try:
                with self._fs.open(path, "rb") as file:
                    version = pl.read_parquet_metadata(file).get(_VERSION_KEY, "")
                    if version.isdigit() and int(version) > SCHEMA_VERSION:
                        raise LedgerVersionError(
                            f"ledger segment {path} has version {version}, this Touchstone reads up to "
                            f"{SCHEMA_VERSION}: upgrade Touchstone, or use another data folder"
                        )
                    file.seek(0)
                    frame = pl.read_parquet(file).select(SCHEMA.names()).cast(SCHEMA)
            except LedgerVersionError:
                raise
            except FileNotFoundError:
                continue  # another writer has just merged it away
            except Exception as error:  # whatever a damaged or foreign file makes the reader raise
                self._set_aside(path, error)
                continue
            self._values.update(zip(frame["key"], frame["value"], strict=True))

    def _set_aside(self, path: str, error: Exception) -> None:
        aside = f"{self._path}/set_aside/{path.rsplit('/', 1)[1]}"
        log.warning("ledger segment %s cannot be read (%s): set aside as %s; the rest is read", path, error, aside)
        self._fs.makedirs(aside.rsplit("/", 1)[0], exist_ok=True)
        self._fs.mv(path, aside)
        self.set_aside.append(aside)

    @property
    def size(self) -> int:
        """How many calls it holds."""
        return len(self._values)

    def get(self, key: str) -> dict[str, Any] | None:
        value = self._values.get(key)
        return None if value is None else json.loads(value)

    def put(self, kind: str, key: str, value: dict[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False)
        with self._lock:
            self._values[key] = text
            self._pending.append({"kind": kind, "key": key, "value": text, "time": time.time()})

    async def once(self, kind: str, key: str, make: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The stored value of `key`; if there is none, what `make` returns, stored. An exception stores nothing."""
        if (stored := self.get(key)) is not None:
            self.reused[kind] += 1
            return stored
        value = await make()
        self.made[kind] += 1
        self.put(kind, key, value)
        return value

    def _write_segment(self, name: str, frame: pl.DataFrame) -> str:
        path = f"{self._path}/{name}.parquet"
        with self._fs.open(path + ".tmp", "wb") as file:
            frame.write_parquet(file, metadata={_VERSION_KEY: str(SCHEMA_VERSION)})
        self._fs.mv(path + ".tmp", path)
        return path

    def flush(self) -> None:
        """Write what is pending as a segment of its own."""
        with self._lock:
            if not self._pending:
                return
            name = f"{self._writer}-{len(self._segments):06d}"
            self._segments.append(self._write_segment(name, pl.DataFrame(self._pending, schema=SCHEMA)))
            self._pending = []

    def _flush_regularly(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            try:
                self.flush()
            except Exception:  # kept pending: the next flush, or close(), tries again and close() raises
                log.exception("the ledger could not be flushed; %d calls wait in memory", len(self._pending))

    def close(self) -> None:
        """Flush, and merge this writer's segments into one (killed in between, both stay, which does no harm)."""
        self._closed.set()
        self._thread.join()
        self.flush()
        if len(self._segments) > 1:
            frames = []
            for path in self._segments:
                with self._fs.open(path, "rb") as file:
                    frames.append(pl.read_parquet(file))
            merged = self._write_segment(f"{self._writer}-merged", pl.concat(frames))
            for path in self._segments:
                self._fs.rm(path)
            self._segments = [merged]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
