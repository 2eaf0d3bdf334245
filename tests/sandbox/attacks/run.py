"""Runs all attacks on the sandbox of this machine: `python -m tests.sandbox.attacks.run [--json]`.

Each attack gets a session of its own; some also look at a neighbour's. What counts is what the host sees: its servers,
files, processes, memory and descriptors, the form of each result, and how the next session comes out.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from records.recipe import SandboxSettings as Settings
from sandbox import build_sandbox, find_layers
from sandbox.local import fork_client as fork_server

from . import judge, seen, table
from .case import PRELUDE, Attack, Cell
from .clean import FINGERPRINT
from .host import Host
from .suite import ATTACKS

# The clock of `usual` only guards against what hangs; that of `short` is one of the walls.
SETTINGS = {
    "usual": Settings(cell_timeout_s=120, memory_mb=512, processes=24, output_chars=20_000, sessions=12),
    "short": Settings(cell_timeout_s=2, memory_mb=512, processes=24, output_chars=20_000, sessions=12),
}
AT_ONCE = 4
PATIENCE_S = 600.0
"""How long one attack may take before it counts as one that hangs."""
CLOSE_S = 60.0
"""How long closing a session may take after an attack, on a machine that is busy with other things."""
STALL_S = 0.5
"""How many CPU seconds the supervisor may compute without a pause."""
TRIES = 6
"""How often something is tried where the short clock stops a cell that has hardly anything to do: the machine is busy
with other things then. What really hangs is stopped every time."""
MEMORY_SLACK_MB = {"processes": 350, "kernel": 1000}
"""MB beyond a session's limit, of all processes and of the kernel: what else this machine does counts too."""
UNCOUNTED_SLACK_MB = 1000
"""The same of the processes without control groups: what several can write between two looks of the watch."""
OWN_MEMORY_MB = 300
"""How much larger this process may be after all attacks than before them."""


@dataclass
class Row:
    """How one attack went."""

    name: str
    outcomes: list[str] = field(default_factory=list)
    """The outcomes of the attack's cells, the neighbour's left out."""
    problems: list[str] = field(default_factory=list)
    """Nothing, if it was contained."""
    seconds: float = 0.0
    memory_mb: int | None = None
    """The most that the host's memory rose, where it was watched."""
    stall_s: float = 0.0
    """The longest that the supervisor's event loop was busy with one thing, where the attack was alone."""


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(buffer, "PNG")
    return buffer.getvalue()


PNG = _png()


async def _feel_stalls(row: Row) -> None:
    """The CPU time of the event loop's thread between two of its turns; the clock would also count what others do."""
    while True:
        started = time.thread_time()
        await asyncio.sleep(0.01)
        row.stall_s = round(max(row.stall_s, time.thread_time() - started), 3)


class Hurried(Exception):
    """The short clock stopped a cell that it should not stop."""


class Arena:
    """A host with bait, its sandboxes, and how a clean session looks in each."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.sandboxes = {name: build_sandbox(settings) for name, settings in SETTINGS.items()}
        self.clean: dict[str, dict[str, Any]] = {}
        self.slack_mb = dict(MEMORY_SLACK_MB)

    async def prepare(self) -> None:
        if (await find_layers(SETTINGS["usual"])).cgroups is None:
            self.slack_mb["processes"] = UNCOUNTED_SLACK_MB
        for name in self.sandboxes:
            self.clean[name] = await self._fingerprint(name)

    async def _fingerprint(self, profile: str) -> dict[str, Any]:
        for _ in range(TRIES):
            async with await self.sandboxes[profile].open([PNG]) as session:
                result = await session.run(FINGERPRINT)
                if result.outcome == "ok":
                    found = json.loads(result.stdout.replace("\n", ""))
                    result = await session.run("image_1.getpixel((5, 5))")
                    if result.outcome != "timed_out":
                        return {**found, "image": result.value}
            if result.outcome != "timed_out":
                break
        raise RuntimeError(f"a clean session: {result.outcome} {result.error[-500:]}")

    async def attack(self, attack: Attack, number: int) -> Row:
        row, started = Row(attack.name), time.monotonic()
        watch = seen.MemoryWatch() if attack.alone else None
        pulse = asyncio.create_task(_feel_stalls(row)) if attack.alone else None
        try:
            async with asyncio.timeout(PATIENCE_S):
                for more in reversed(range(TRIES)):
                    try:
                        await self._attack(attack, f"at-{self.host.word}-{number:03}", row)
                        break
                    except Hurried:
                        if not more:
                            raise
                        row.outcomes, row.problems = [], []
        except Exception as error:  # whatever comes out of the sandbox is for the report
            row.problems.append(f"{type(error).__name__}: {error}")
        if attack.alone:
            pulse.cancel()
            if row.stall_s > STALL_S:
                row.problems.append(f"the supervisor was held up for {row.stall_s:.1f} s")
            watch.stop()
            for owner, slack in self.slack_mb.items():
                taken, most = getattr(watch, owner) >> 20, SETTINGS[attack.profile].memory_mb + slack
                row.memory_mb = max(row.memory_mb or 0, taken)
                if taken > most:
                    row.problems.append(f"memory of the {owner} rose by {taken} MB, more than {most}")
        row.seconds = round(time.monotonic() - started, 2)
        return row

    async def _attack(self, attack: Attack, marker: str, row: Row) -> None:
        sandbox = self.sandboxes[attack.profile]
        with contextlib.ExitStack() as pins:
            spaces: list[seen.Pinned] = []
            async with contextlib.AsyncExitStack() as stack:
                neighbour = None
                if attack.neighbour:
                    neighbour = await stack.enter_async_context(await sandbox.open([PNG], attack.files))
                session = await stack.enter_async_context(await sandbox.open([PNG]))
                fresh = True
                for number, cell in enumerate(attack.cells, 1):
                    if fresh and not cell.neighbour:
                        spaces.append(
                            pins.enter_context(contextlib.closing(await self._begin(session, marker, attack)))
                        )
                        fresh = False
                    result = await self._run(neighbour if cell.neighbour else session, cell, attack)
                    wrong = judge.result(result, cell, SETTINGS[attack.profile], self.host.secret)
                    row.problems += [f"cell {number}: {text}" for text in wrong]
                    if not cell.neighbour:
                        row.outcomes.append(result.outcome)
                        fresh = result.state_lost
                    await asyncio.sleep(cell.pause_s)
                if attack.check:
                    complaint = await asyncio.to_thread(attack.check, self.host)
                    row.problems += [complaint] if complaint else []
                if neighbour:  # one can be opened while the attack goes on
                    await self._next_session(attack, row)
                await self._same_session(session, attack, row)
                closing = time.monotonic()
            if (seconds := time.monotonic() - closing) > CLOSE_S:
                row.problems.append(f"closing took {seconds:.1f} s")
            # The sessions are closed: nothing of them may be left, at once.
            left = [pid for space in spaces for pid in space.processes()] + seen.named(marker)
            if left:
                row.problems.append(f"processes of the session are left: {left}")
        await self._next_session(attack, row)
        row.problems += self.host.harm()

    async def _run(self, session: Any, cell: Cell, attack: Attack) -> Any:
        """Run a cell. Raises Hurried where the short clock stops one that is not to be stopped by it."""
        result = await session.run(cell.code)
        if result.outcome == "timed_out" and "timed_out" not in cell.outcomes and attack.profile == "short":
            raise Hurried(f"the clock stopped a cell that had hardly anything to do: {cell.code[:80]!r}")
        return result

    async def _begin(self, session: Any, marker: str, attack: Attack) -> seen.Pinned:
        """Give the session its tools; its pid namespace. Raises RuntimeError where it is the host's own."""
        told = self.host.told(marker)
        result = await self._run(session, Cell(f"host = {told!r}\n{PRELUDE}"), attack)
        space = result.value.strip("'")
        if result.outcome != "ok" or not space.startswith("pid:") or space == told["pid_namespace"]:
            raise RuntimeError(f"no attack, for the session has no pid namespace of its own: {result}")
        return seen.Pinned(space)

    async def _same_session(self, session: Any, attack: Attack, row: Row) -> None:
        """The attacked session goes on, or says what became of it."""
        accepted = ("ok",) if attack.still_works else ("ok", "raised", "killed", "timed_out", "out_of_memory")
        after = Cell("1 + 1", accepted, value="2" if attack.still_works else r"(?s).*")
        result = await self._run(session, after, attack)
        wrong = judge.result(result, after, SETTINGS[attack.profile], self.host.secret)
        row.problems += [f"the same session afterwards: {text}" for text in wrong]

    async def _next_session(self, attack: Attack, row: Row) -> None:
        """It looks as the first one did; after a bomb it also has all the memory that it may have."""
        found, clean = await self._fingerprint(attack.profile), self.clean[attack.profile]
        for name in clean:
            if found.get(name) != clean[name]:
                row.problems.append(f"the next session differs in {name}: {found.get(name)!r}, not {clean[name]!r}")
        if attack.alone:
            share = SETTINGS[attack.profile].memory_mb * 3 // 4
            async with await self.sandboxes[attack.profile].open() as session:
                result = await self._run(session, Cell(f"len(b'x' * ({share} << 20)) >> 20"), attack)
            if result.value != str(share):
                row.problems.append(
                    f"the next session does not have {share} MB: {result.outcome} {result.error[-300:]}"
                )

    async def close(self) -> None:
        for sandbox in self.sandboxes.values():
            await sandbox.close()


def _resident_mb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


async def run_all(wanted: list[str]) -> dict[str, Any]:
    """Run them. Returns the rows by name, and in `afterwards` what was left behind by all of them together."""
    attacks = [a for a in ATTACKS if platform.machine() in a.machines and (not wanted or a.name in wanted)]
    with Host() as host:
        host.prove_bait()
        await asyncio.to_thread(int)  # so that the thread that the sandbox may use is there already
        descriptors, own = seen.descriptors(), seen.descendants(os.getpid())
        arena = Arena(host)
        rows: dict[str, Row] = {}
        try:
            await arena.prepare()
            resident = _resident_mb()
            turns = asyncio.Semaphore(AT_ONCE)

            async def one(number: int, attack: Attack) -> None:
                async with turns:
                    rows[attack.name] = await arena.attack(attack, number)

            together = [(n, a) for n, a in enumerate(attacks) if not a.alone]
            await asyncio.gather(*(one(number, attack) for number, attack in together))
            for number, attack in enumerate(attacks):
                if attack.alone:
                    rows[attack.name] = await arena.attack(attack, number)
            grown = _resident_mb() - resident
        finally:
            await arena.close()
            await asyncio.to_thread(fork_server.close_all)  # which otherwise stay for the next sandbox of this process
        afterwards = host.harm()
        if left := seen.descendants(os.getpid()) - own:
            afterwards.append(f"processes are left: {sorted(left)}")
        if (now := seen.descriptors()) != descriptors:
            afterwards.append(f"descriptors are left: {now}, before: {descriptors}")
        if grown > OWN_MEMORY_MB:
            afterwards.append(f"the supervisor's process has grown by {grown} MB")
    return {
        "user": os.getuid(),
        "rows": {attack.name: asdict(rows[attack.name]) for attack in attacks},
        "afterwards": afterwards,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Attack the sandbox of this machine.")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the table")
    parser.add_argument("--only", nargs="+", default=[], metavar="ATTACK", help="these attacks alone")
    parser.add_argument(
        "--write", metavar="FILE", help="as root and as nobody, and write the table for the documentation"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - {attack.name for attack in ATTACKS}:
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    if arguments.write and os.getuid() != 0:
        parser.error("--write needs root: the table tells of root and of an unprivileged user")
    done = asyncio.run(run_all(arguments.only))
    if arguments.json:
        print(json.dumps(done))
    elif arguments.write:
        table.write(arguments.write, done, table.as_nobody(arguments.only))
    else:
        print(table.text(done))
    return 1 if done["afterwards"] or any(row["problems"] for row in done["rows"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
