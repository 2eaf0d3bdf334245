"""A whole run killed over and over: nothing that was on disk is asked for again, and the same tables come out."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from tests.support.watched_ledger import read_notes
from tests.support.whole_runs import (
    FLUSH_S,
    FURTHER,
    ModelStandIn,
    Place,
    assert_same,
    left_sandboxes,
    still_there,
    undisturbed,
)

KINDS = ["run"] * 14 + ["server"] * 4 + ["both"] * 4
FLUSHES_S = [FLUSH_S, FLUSH_S, FLUSH_S, 1.0]
"""Flush intervals of the runs, in turn; the last is the default."""
WRITING_S = 60.0
"""What a flush itself may take on a busy machine: a guard. What must not be lost is told by the ledgers' own notes."""
CONCURRENCY = 8


class Story:
    """A run that is killed and started again, and what that cost."""

    def __init__(self, place: Place, server: ModelStandIn) -> None:
        self.place, self.server = place, server
        self.counts = Counter[str]()
        self.oldest_lost_s = 0.0
        self.most_in_flight = 0
        self._lives = 0
        self.killed: set[int] = set()
        self._kept: list[tuple[int, set[str]]] = []
        self.start()

    def start(self, merge: str = "") -> None:
        self._began = self._server_began = len(self.server.events())
        self.run = self.place.start(FLUSHES_S[self._lives % len(FLUSHES_S)], merge=merge, watched=True)
        self._lives += 1

    def go_on_until(self, calls: int) -> None:
        """Let it run until so many calls have been answered in all; start it again where it gave up."""
        while len(self.server.answered()) < calls:
            if not self.run.alive:
                error = self.run.wait().error
                assert "the model could not be had" in error and "run again to go on from here" in error
                self.counts["gave up"] += 1
                self.ended()
                self.start()
            time.sleep(0.01)

    def kill(self, kind: str, merge: str = "") -> None:
        """Kill the run, the server or both, and start again what was killed."""
        self.counts[kind] += 1
        if kind != "server":
            self._kill_run()
        if kind != "run":
            self.server.kill()
            if kind == "server":
                self._settle()
            self._server_began = len(self.server.events())
            self.server.start()
        if kind != "server":
            self.start(merge)

    def _kill_run(self) -> None:
        at, processes = self.run.kill()
        self.counts["sandbox processes killed with it"] += len(processes)
        self.killed.add(self.run.pid)
        deadline = time.monotonic() + 120
        while not {pid for pid, _ in still_there(processes, 0)} <= set(left_sandboxes(self.killed)):
            assert time.monotonic() < deadline, "a killed run leaves processes behind"
            time.sleep(0.05)
        kept = self.ended()
        on_disk = set(self.place.on_disk()["key"])
        for notes in read_notes(self.place.folder / "notes"):
            assert notes.flushed_keys <= on_disk, "what had been put before a whole flush is lost"
        since = max(self._began, self._server_began)  # a server that is killed may take with it what it had just sent
        asked = {line["key"]: line["time"] for line in self._lines("asked", since) if line["time"] < at}
        answers = [line for line in self._lines("answered", since) if line["time"] < at]
        answered = {line["key"]: line["time"] for line in answers if line["time"] > asked.get(line["key"], at)}
        lost = [at - answered[key] for key in answered.keys() - kept]
        self.oldest_lost_s = max([self.oldest_lost_s, *lost])
        assert max(lost, default=0) < self.run.flush_seconds + WRITING_S
        self.most_in_flight = max(self.most_in_flight, len(asked.keys() - answered.keys()))

    def ended(self) -> set[str]:
        """The run is no more: what it asked for and is not on disk has to be asked for again."""
        kept = self._settle()
        self.counts["lost"] += len({line["key"] for line in self._lines("asked", self._began)} - kept)
        return kept

    def _settle(self) -> set[str]:
        """What is on disk now; and what the last server took with it has been asked for again by the run."""
        earlier = self.server.events()[self._began : self._server_began]
        before = {line["key"] for line in earlier if line["event"] == "asked"}
        again = before & {line["key"] for line in self._lines("asked", self._server_began)}
        self.counts["lost"] += len(again)
        assert len(again) <= CONCURRENCY
        kept = set(self.place.model_keys())
        self._kept.append((len(self.server.events()), kept))
        return kept

    def _lines(self, event: str, start: int) -> list[dict]:
        return [line for line in self.server.events()[start:] if line["event"] == event]

    def asked_again(self) -> set[str]:
        """Keys that were asked for although they were on disk."""
        return {
            line["key"] for after, kept in self._kept for line in self._lines("asked", after) if line["key"] in kept
        }


@pytest.mark.parametrize("kinds", [KINDS[::5], pytest.param(KINDS, marks=pytest.mark.slow)], ids=["some", "many"])
def test_killed_at_any_moment_a_run_loses_what_was_not_yet_flushed_and_nothing_else(tmp_path, tmp_path_factory, kinds):
    _, expected, calls = undisturbed(tmp_path_factory.getbasetemp(), further=True)
    chance = random.Random(22)
    kinds = chance.sample(kinds, len(kinds))
    with ModelStandIn(tmp_path, delay=0.08) as server:
        story = Story(Place(tmp_path, server.url, FURTHER), server)
        for number, kind in enumerate(kinds):
            story.go_on_until(round((number + chance.random()) * 0.95 * calls / len(kinds)))
            time.sleep(chance.uniform(0, 0.1))
            story.kill(kind)
        story.kill("run", merge="and die")
        assert story.run.wait().error == "the process ended with -9"
        keys = story.place.model_keys()
        story.counts["calls twice on disk after a kill in a compaction"] = len(keys) - len(set(keys))
        story.ended()
        story.start(merge="always")
        replaying = tmp_path / "data" / "tables" / "teacher_rollouts.parquet"
        while story.run.alive and not replaying.exists():
            time.sleep(0.01)
        story.kill("run", merge="always")  # every call has been made: trajectories are being replayed
        result = story.run.wait()
        assert result.error == ""
        found, keys = story.place.contents(), story.place.model_keys()
        requests = sum(server.asked().values())
    for pid in (
        left := left_sandboxes(story.killed)
    ):  # bubblewrap killed between its fork and our uid maps leaves a child asleep
        os.kill(pid, signal.SIGKILL)
    story.counts["sandboxes left before anything ran in them"] = len(left)
    counts = story.counts | Counter(calls=calls, requests=requests)
    print(f"\n{dict(counts)}; lost at most {story.oldest_lost_s:.2f} s after it was answered, "
          f"{story.most_in_flight} in flight at most")  # fmt: skip
    assert_same(found, expected)
    assert len(keys) == len(set(keys)) == calls
    assert story.asked_again() == set()
    assert requests <= calls + counts["lost"]
    assert story.most_in_flight <= CONCURRENCY
    assert counts["run"] + counts["server"] + counts["both"] >= len(kinds)
    assert counts["calls twice on disk after a kill in a compaction"] > 0
    assert not list(tmp_path.glob("data/ledger/**/set_aside/*"))
