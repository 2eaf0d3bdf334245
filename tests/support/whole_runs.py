"""Whole runs over the deterministic stand-in model: in this process, or in one of their own that can be killed."""

import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import yaml
from polars.testing import assert_frame_equal

from assets import rollout_stage
from assets.graph import build_assets
from assets.resources import resources
from records.tables import TableStore
from records.workspace import Workspace
from rollouts.ledger import ledger
from rollouts.ledger.segments import Segments
from rollouts.ledger.store import SegmentStore
from rollouts.models import endpoint
from tests.support.stand_in_model import ModelStandIn
from tests.support.watched_ledger import WatchedLedger

FIRST_DELAY_S = 0.05
"""What the first retry of a call waits here: the servers of these tests come back soon."""
FLUSH_S = 0.25
"""The flush interval of runs that are killed often: with one second, most of them would find nothing new on disk."""
IMPORTS = [
    "assets.graph", "dagster._core.execution.execute_in_process", "dagster._core.instance.factory",
    "dagster._core.storage.event_log.in_memory", "dagster._core.storage.runs.in_memory",
    "dagster._core.workspace.context", "httpcore", "anyio._backends._asyncio", "matplotlib.backends.backend_svg",
    "matplotlib.figure", "PIL.PngImagePlugin",
    "PIL.GifImagePlugin", "polars.testing", "polars._utils.parquet", "rollouts.dialects.plain_tags",
    "rollouts.tools.python", "sources.loaders.files", "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.sqlite", "yaml",
]  # fmt: skip
"""Imported before the fork, and nothing computed: a process that has used its threads cannot be forked soundly."""
LAST = ("trajectories", "rl_questions", "base_evaluation")
"""What a run makes, with all that comes before."""
ROLLOUTS = ("direct_rollouts", "tool_rollouts", "teacher_rollouts", "base_evaluation")
TABLES = (
    *ROLLOUTS, "questions", "difficulty", "tool_benefit", "rl_questions", "cold_start_questions", "trajectories",
    *(f"rejects/{stage}" for stage in ("numbers", "questions", "difficulty", "selection", "trajectories")),
)  # fmt: skip


@dataclass(frozen=True)
class Sum:
    """The question "What is a + b?"."""

    a: int
    b: int
    aliases: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"What is {self.a} + {self.b}?"

    def row(self) -> dict[str, Any]:
        return {"id": f"{self.a}+{self.b}", "question": self.text, "answer": str(self.a + self.b),
                "aliases": list(self.aliases)}  # fmt: skip


SUMS = tuple(Sum(n, 7 * n % 50 + 11) for n in range(12, 36))


@dataclass(frozen=True)
class Result:
    """How a run ended: why it failed ("" if it did not), and the metadata of its assets."""

    error: str = ""
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """Model calls that the run says it made."""
        made = [v for entries in self.metadata.values() for k, v in entries.items() if k.endswith("model_calls_made")]
        return sum(made)


class Place:
    """A folder with the questions, the recipe and the workspace of runs.

    Args:
        changes: of the recipe sums.yaml: a value, or None to leave the key out, for each path of keys joined by dots.
        ledger_at: where the ledger is, when it is not in the workspace.
    """

    def __init__(
        self, folder: Path, url: str, changes: Mapping[str, Any] | None = None, ledger_at: Path | None = None
    ) -> None:
        self.ledger_at = str(ledger_at or "")
        self.folder, self.data, self.recipes, self.starts = folder, folder / "data", 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._recipe = yaml.safe_load(Path(__file__).with_name("sums.yaml").read_text())
        self.ask(SUMS)
        self.change({"models.policy.url": url, "sources.0.options.path": str(folder / "sums.jsonl"), **(changes or {})})

    def ask(self, sums: tuple[Sum, ...]) -> None:
        """The questions of the source, from now on."""
        self.folder.joinpath("sums.jsonl").write_text("".join(json.dumps(question.row()) + "\n" for question in sums))

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change the recipe; it gets a new file, because a process keeps the recipes that it has read."""
        for path, value in changes.items():
            *parents, key = path.split(".")
            at = functools.reduce(lambda v, k: v[int(k)] if isinstance(v, list) else v.setdefault(k, {}), parents,
                                  self._recipe)  # fmt: skip
            at[key] = value
        self.recipes += 1
        self.recipe_file.write_text(yaml.safe_dump(self._recipe))

    @property
    def recipe_file(self) -> Path:
        return self.folder / f"recipe-{self.recipes}.yaml"

    @property
    def workspace(self) -> Workspace:
        return Workspace(recipe_file=str(self.recipe_file), data=str(self.data), ledger_at=self.ledger_at)

    @property
    def tables(self) -> TableStore:
        return TableStore(str(self.data / "tables"))

    # ---- runs

    def run(self, last: tuple[str, ...] = LAST) -> Result:
        """All assets up to `last`, as Dagster materializes them, in this process."""
        workspace = self.workspace
        assets = build_assets(workspace.recipe)
        result = dg.materialize(
            assets,
            selection=dg.AssetSelection.assets(*last).upstream(),
            resources=resources(workspace),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        events = result.get_asset_materialization_events()
        metadata = {
            event.asset_key.path[-1]: {
                label: entry.value for label, entry in event.materialization.metadata.items()
                if isinstance(entry.value, int | float | str)
            }
            for event in events
        }  # fmt: skip
        return Result("" if result.success else _cause(result), metadata)

    def start(
        self, flush_seconds: float = FLUSH_S, poll_seconds: float = 5.0, merge: str = "", watched: bool = False
    ) -> "Running":
        """The same run in a process of its own, forked from one that has imported everything already."""
        return Running(self, flush_seconds, poll_seconds, merge, watched)

    def copy(self, folder: Path, url: str) -> "Place":
        """Another place, with what is in this one's workspace."""
        shutil.copytree(self.data, folder / "data")
        return Place(folder, url)

    # ---- what there is

    def on_disk(self) -> pl.DataFrame:
        """The calls in the ledger's segments: rollout_id, kind, key; as often as they are there."""
        root = Path(self.workspace.ledger)
        return Segments(str(root), ledger.CALLS).read(["rollout_id", "kind", "key"]) if root.exists() else _NO_CALLS

    def model_keys(self) -> list[str]:
        """Keys of the model calls in the ledger, as often as they are there."""
        return self.on_disk().filter(pl.col("kind") == "model")["key"].to_list()

    def contents(self) -> dict[str, pl.DataFrame]:
        """All tables, without the times that were measured."""
        return {name: _untimed(self.tables.read(name)) for name in TABLES}


class Running:
    """A run in a process of its own.

    Args:
        flush_seconds, poll_seconds: of its ledgers.
        merge: "" or "always": ledgers merge their segments whenever they are closed; or "and die": and the process
            kills itself when a merged segment is there and those that it was made of are about to be deleted.
        watched: whether its ledgers leave notes (tests.support.watched_ledger) in the folder `notes` of the place.
    """

    def __init__(self, place: Place, flush_seconds: float, poll_seconds: float, merge: str, watched: bool) -> None:
        place.starts += 1
        self.flush_seconds, self._said = flush_seconds, place.folder / f"result-{place.starts}.json"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTS)
        self._process = context.Process(
            target=_run_here, args=(place, self._said, flush_seconds, poll_seconds, merge, watched)
        )
        self.started = time.time()
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> tuple[float, set[tuple[int, str]]]:
        """kill -9. Returns when, and the processes that it had started: (pid, start time of the process)."""
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)  # so that what it had started can be listed
        at, started = time.time(), _descendants(pid)
        os.kill(pid, signal.SIGKILL)
        self._process.join()
        return at, started

    def wait(self, seconds: float = 600) -> Result:
        """How it ended."""
        self._process.join(seconds)
        assert not self._process.is_alive(), f"the run has not ended within {seconds} s"
        if not self._said.exists():
            return Result(f"the process ended with {self._process.exitcode}")
        return Result(**json.loads(self._said.read_text()))


def _run_here(place: Place, said: Path, flush_seconds: float, poll_seconds: float, merge: str, watched: bool) -> None:
    os.setpgrp()  # whatever it starts can be told by its group
    tempfile.tempdir = str(place.folder)
    os.environ["TMPDIR"] = tempfile.tempdir
    output = os.open(place.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1), os.dup2(output, 2)
    endpoint.FIRST_DELAY_S = FIRST_DELAY_S
    made = functools.partial(WatchedLedger, notes=place.folder / "notes") if watched else ledger.Ledger
    rollout_stage.Ledger = functools.partial(made, flush_seconds=flush_seconds, poll_seconds=poll_seconds)
    if merge:
        ledger.MANY_SEGMENTS = 1
    if merge == "and die":
        SegmentStore.remove = lambda folder, names: os.kill(os.getpid(), signal.SIGKILL) if list(names) else None
    written = said.with_suffix(".tmp")
    written.write_text(json.dumps(asdict(place.run())))
    written.rename(said)


def _processes() -> dict[int, tuple[int, str, str]]:
    """Parent, start time and state of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, parent, *more = path.read_text(errors="replace").rpartition(")")[2].split()
            found[int(path.parent.name)] = (int(parent), more[17], state)
    return found


def _descendants(pid: int) -> set[tuple[int, str]]:
    processes = _processes()
    found, new = set[int](), {pid}
    while new:
        found |= new
        new = {child for child, (parent, _, _) in processes.items() if parent in new}
    return {(child, processes[child][1]) for child in found - {pid}}


def still_there(processes: set[tuple[int, str]], seconds: float = 5) -> set[tuple[int, str]]:
    """Those of the processes that have not ended `seconds` from now; returns as soon as all have."""
    deadline = time.monotonic() + seconds
    while True:
        there = {(pid, start) for pid, (_, start, state) in _processes().items() if state not in "ZX"}
        if not (left := processes & there) or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def left_sandboxes(runs: set[int]) -> list[int]:
    """Sandboxes of these runs, which are no more. Only bubblewrap itself may be left, with nothing inside."""
    left = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if path.joinpath("comm").read_text() == "bwrap\n" and os.getpgid(int(path.name)) in runs:
                state = path.joinpath("stat").read_text().rpartition(")")[2].split()[0]
                left += [int(path.name)] if state not in "ZX" else []
    assert not any(_descendants(pid) for pid in left)
    return left


_NO_CALLS = pl.DataFrame(schema={"rollout_id": pl.String, "kind": pl.String, "key": pl.String})


def _untimed(table: pl.DataFrame) -> pl.DataFrame:
    """Seconds are measured anew by whoever makes a call, and when a run began is no part of what it finds out."""
    if "tool_calls" in table.columns:
        table = table.with_columns(pl.col("tool_calls").str.replace_all(r'"seconds":[0-9.e+-]+', '"seconds":0'))
    return table.drop("seconds", "first_seen", strict=False)


def assert_same(found: Mapping[str, pl.DataFrame], expected: Mapping[str, pl.DataFrame]) -> None:
    """Every table equal, row for row and column for column."""
    assert set(found) == set(expected)
    for name, table in expected.items():
        try:
            assert_frame_equal(found[name], table)
        except AssertionError as error:
            raise AssertionError(f"table {name}: {error}") from None


def _cause(result: dg.ExecuteInProcessResult) -> str:
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    error, messages = failures[0].error, []
    while error is not None:
        messages.append(error.message.strip())
        error = error.cause
    return "\n".join(messages)


FURTHER = {"tool_benefit.further": 2.0, "tool_benefit.most_samples": 6}
"""Changes of the recipe by which questions that are open get further rollouts."""


@functools.cache
def undisturbed(parent: Path, further: bool = False) -> tuple[Place, dict[str, pl.DataFrame], int]:
    """One whole run for all tests of a session: its place, not to be changed, its tables and its requests.

    Args:
        parent: the session's base folder.
        further: whether there are further rollouts.
    """
    folder = parent / f"undisturbed{'-further' if further else ''}"
    folder.mkdir()
    with ModelStandIn(folder) as server:
        place = Place(folder, server.url, FURTHER if further else None)
        result = place.start().wait()
        assert result.error == ""
        contents = place.contents()
        assert not any(contents[name].is_empty() for name in LAST), "tests of this run would compare nothing"
        return place, contents, sum(server.asked().values())
