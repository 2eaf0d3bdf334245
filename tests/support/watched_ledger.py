"""A ledger that notes what it did and when, for tests that judge the order of things and not how long they took."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rollouts.ledger.ledger import Found, Ledger

Attempt = tuple[str, str, int]
"""Setting, question and sample index."""


class WatchedLedger(Ledger):
    """A ledger that writes its notes into a file of the folder `notes`, each at once: it may be killed."""

    def __init__(self, root: str, *arguments: Any, notes: Path, **more: Any) -> None:
        super().__init__(root, *arguments, **more)
        notes.mkdir(exist_ok=True)
        file = notes / f"{os.getpid()}-{time.monotonic_ns()}.jsonl"
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.rollouts.append = self._noted(self.rollouts.append)

    def _note(self, what: str, *details: Any) -> None:
        os.write(self._file, (json.dumps([what, *details]) + "\n").encode())

    def _noted(self, append: Any) -> Any:
        def noted(frame: pl.DataFrame) -> Any:
            done = append(frame)
            self._note("written", time.monotonic(), frame.select("setting", "question_id", "sample_index").rows())
            return done

        return noted

    def put(self, rollout_id: str, kind: str, key: str, value: dict[str, Any]) -> None:
        super().put(rollout_id, kind, key, value)
        self._note("put", time.monotonic(), key)

    def flush(self) -> None:
        began = time.monotonic()
        super().flush()
        self._note("flushes", began, time.monotonic())

    def look_around(self) -> None:
        began = time.monotonic()
        super().look_around()
        self._note("looks", began, time.monotonic())

    def found(self, setting: str, question_id: str, sample: int) -> Found | None:
        asked = time.monotonic()
        found = super().found(setting, question_id, sample)
        self._note("missed" if found is None else "taken", asked, (setting, question_id, sample))
        return found


@dataclass
class LedgerNotes:
    """What one ledger did; every time is one of time.monotonic(), which all processes of a machine share."""

    put: list[tuple[float, str]] = field(default_factory=list)
    """When each call had been put, and its key."""
    flushes: list[tuple[float, float]] = field(default_factory=list)
    """When each flush began and ended."""
    written: list[tuple[float, list[Attempt]]] = field(default_factory=list)
    """When a segment of rollouts was on disk, and which attempts it holds."""
    looks: list[tuple[float, float]] = field(default_factory=list)
    """When each look at what other writers finished began and ended."""
    missed: list[tuple[float, Attempt]] = field(default_factory=list)
    """When an attempt was asked for that the ledger did not know of, so that it was made."""
    taken: list[tuple[float, Attempt]] = field(default_factory=list)
    """When an attempt was asked for that another writer had finished."""

    @property
    def flushed_keys(self) -> set[str]:
        """Keys of the calls that had been put before the last whole flush began: they must be on disk."""
        last = max((began for began, _ in self.flushes), default=0.0)
        return {key for when, key in self.put if when < last}


def read_notes(folder: Path) -> list[LedgerNotes]:
    """The notes of every ledger that left them in this folder."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        found.append(LedgerNotes())
        for what, *details in map(json.loads, path.read_text().splitlines()):
            getattr(found[-1], what).append(tuple(details))
    return found


def overlooked(mine: Iterable[LedgerNotes], others: Iterable[LedgerNotes]) -> list[Attempt]:
    """The attempts that I made although I had looked, from beginning to end, after another had written them."""
    written: dict[Attempt, float] = {}
    for notes in others:
        for when, attempts in notes.written:
            for attempt in attempts:
                written[tuple(attempt)] = min(when, written.get(tuple(attempt), when))
    return [
        tuple(attempt)
        for notes in mine
        for when, attempt in notes.missed
        if any(written.get(tuple(attempt), when) < began and ended < when for began, ended in notes.looks)
    ]
