"""A ledger that notes what it wrote, when it looked around and what it did not find, for tests that judge the order."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rollouts.ledger import Found, Ledger

Attempt = tuple[str, str, int]
"""Setting, question and sample index."""


class WatchedLedger(Ledger):
    """A ledger that leaves its notes in a file of `notes` when it is closed."""

    def __init__(self, root: str, *arguments: Any, notes: Path, **more: Any) -> None:
        super().__init__(root, *arguments, **more)
        self._notes, self._seen_here = notes, LedgerNotes()
        self.rollouts.append = self._noted(self.rollouts.append)

    def _noted(self, append: Any) -> Any:
        def noted(frame: pl.DataFrame) -> Any:
            done = append(frame)
            rows = frame.select("setting", "question_id", "sample_index").rows()
            self._seen_here.written.append((time.monotonic(), rows))
            return done

        return noted

    def look_around(self) -> None:
        began = time.monotonic()
        super().look_around()
        self._seen_here.looks.append((began, time.monotonic()))

    def found(self, setting: str, question_id: str, sample: int) -> Found | None:
        found = super().found(setting, question_id, sample)
        notes = self._seen_here.missed if found is None else self._seen_here.taken
        notes.append((time.monotonic(), (setting, question_id, sample)))
        return found

    def close(self) -> None:
        super().close()
        self._notes.mkdir(exist_ok=True)
        self._notes.joinpath(f"{time.monotonic_ns()}.json").write_text(json.dumps(vars(self._seen_here)))


@dataclass
class LedgerNotes:
    """What one ledger did; every time is one of time.monotonic(), which all processes of a machine share."""

    written: list[tuple[float, list[Attempt]]] = field(default_factory=list)
    """When a segment of rollouts was on disk, and which attempts it holds."""
    looks: list[tuple[float, float]] = field(default_factory=list)
    """When each look at what other writers finished began and ended."""
    missed: list[tuple[float, Attempt]] = field(default_factory=list)
    """When an attempt was asked for that the ledger did not know of, so that it was made."""
    taken: list[tuple[float, Attempt]] = field(default_factory=list)
    """When an attempt was asked for that another writer had finished."""


def read_notes(folder: Path) -> list[LedgerNotes]:
    """The notes of every ledger that left them in this folder."""
    return [LedgerNotes(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


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
