"""The sandbox measured: `python -m benchmarks.sandbox [--quick] [--check]`.

One run measures in turns, so that the machine's noise hits all equally: sessions of the sandbox (their libraries
already imported), ipykernel behind bubblewrap, and a fresh interpreter behind bubblewrap for every call; the peers are
measured both bare and with the same libraries imported (benchmarks/sandbox/peers.py). Then it measures the sandbox
alone: a thousand sessions one after another, two hundred open at once, limits and neighbours on busy cores, and the
same work over the sandbox's server. It prints tables; the last line is one JSON object. With --check the exit status is
1 if a target is missed.

Needs ipykernel and jupyter_client; takes about five minutes on two cores, with --quick one.
"""

import argparse
import asyncio
import ctypes
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence

from benchmarks.sandbox import peers
from benchmarks.sandbox.load import fairness, one_after_another, open_at_once
from benchmarks.sandbox.speed import Size, over_http, pictures, sessions
from benchmarks.targets import judged
from records.recipe import SandboxSettings
from sandbox import LocalSandbox, SandboxUnavailable

PR_SET_CHILD_SUBREAPER = 36
"""The option of prctl(2) that makes this process the parent of its orphaned descendants."""
FULL = Size(rounds=10, crowds=3, one_after_another=1000, open_at_once=200, limits=5, neighbours=5)
"""How much is measured by default."""
QUICK = Size(rounds=3, crowds=1, one_after_another=200, open_at_once=50, limits=2, neighbours=4)
"""How much is measured with --quick."""


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print(f"\n{title} (load {os.getloadavg()[0]:.1f})\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(value) for value in row)} |")
    sys.stdout.flush()


def show_times(title: str, times: dict[str, dict[str, float]]) -> None:
    table(
        title, ("step", "median ms", "p95 ms", "times"), ((name, *figures.values()) for name, figures in times.items())
    )


def ratios(times: dict[str, dict[str, float]], rates: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Our sessions (open, a cell, close) per second over those of each peer, and its start over ours."""
    ours = rates["ours"]
    return {
        name: {
            **{how: round(ours[how] / peer[how], 1) for how in ours},
            "start": round(
                times.get(f"{name}: open", times[f"{name}: session"])["median_ms"] / times["ours: open"]["median_ms"], 1
            ),
        }
        for name, peer in rates.items()
        if name != "ours"
    }


def judge(figures: dict) -> list[dict[str, object]]:
    """The targets, and whether they are met."""
    cores = os.cpu_count() or 1
    # Two hostile sessions and the neighbour: no worse than half of what equal shares would give it. (The kernel shares
    # out each core by itself, so even three single processes do not get equal shares of two cores.)
    most_slowed = round(2 * max(1.0, 3 / cores), 2)
    times, over, row = figures["times"], figures["ratios"]["ipykernel"], figures["one_after_another"]
    rows = [
        ("opening a session, median ms", times["ours: open"]["median_ms"], "at most", 15),
        ("a trivial cell, median ms", times["ours: cell"]["median_ms"], "at most", 3),
        ("sessions per second over ipykernel's, in a row", over["in_a_row"], "at least", 10),
        ("the same, eight at once", over["eight_at_once"], "at least", 10),
        ("kinds of things left behind by sessions in a row", len(row["left_behind"]), "at most", 0),
        ("the same, by sessions open at once", len(figures["open_at_once"]["left_behind"]), "at most", 0),
        ("opening, the last 100 sessions over the first", row["last_to_first"], "at most", 1.2),
    ]
    for company, beside in figures["fairness"].items():
        name = f"the wall-clock limit overrun, {company.replace('_', ' ')} beside, %"
        rows.append((name, beside["limit_overshoot_percent"], "at most", 10))
    slowed = figures["fairness"]["hostile_sessions"]["work_slowed"]
    rows.append(("a neighbour slowed by two hostile sessions, times", slowed, "at most", most_slowed))
    return judged(rows)


async def measure(size: Size) -> dict:
    settings = SandboxSettings(sessions=size.open_at_once)
    sandbox = LocalSandbox(settings)
    start = time.perf_counter()
    await (await sandbox.open()).close()
    first_s = round(time.perf_counter() - start, 2)
    layers = (await sandbox.layers()).names
    figures: dict = {"layers": layers, "load_before": os.getloadavg(), "first_session_s": first_s}
    print(f"layers: {', '.join(layers)}; the first session, for which everything is started: {first_s} s")
    clock, rates = await sessions(sandbox, size)
    figures |= {"times": clock.report(), "sessions_a_second": rates}
    figures["ratios"] = ratios(figures["times"], rates)
    show_times("Sessions", figures["times"])
    head = ("who", "sessions/s in a row", "eight at once", "ours over it, in a row", "eight at once", "start")
    table(
        "Sessions per second (open, a trivial cell, close)",
        head,
        ((name, *rate.values(), *figures["ratios"].get(name, {}).values()) for name, rate in rates.items()),
    )
    figures["pictures"] = await pictures(sandbox, size)
    show_times("Pictures", figures["pictures"])
    # From here on, what loses its parent comes to this process, so that it is counted and not overlooked (prctl(2)).
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name, run in (("one_after_another", one_after_another), ("open_at_once", open_at_once)):
        figures[name] = await run(sandbox, getattr(size, name))
        table(name.replace("_", " ").capitalize(), ("what", "value"), figures[name].items())
    if missing := [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]:
        figures["over_http"] = f"skipped: {' and '.join(missing)} not installed"
        print(f"\nOver HTTP: {figures['over_http']}")
    else:
        figures["over_http"] = await over_http(sandbox, settings, size)
        show_times("Over HTTP", figures["over_http"])
    await sandbox.close()
    figures["fairness"] = await fairness(settings, size)
    beside = figures["fairness"]
    table("Busy cores", ("", *beside), ((name, *(beside[c][name] for c in beside)) for name in beside["nobody"]))
    return {**figures, "load_after": os.getloadavg()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox", description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a target is missed")
    options = parser.parse_args()
    if not peers.VERSIONS:
        print(f"the peers are missing: {peers.INSTALL}", file=sys.stderr)
        raise SystemExit(2)
    peers.byte_compile(*peers.VERSIONS, "numpy", "pillow", "matplotlib", "sympy", "scipy", "pandas")
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    print({**machine, **peers.VERSIONS}, "load", os.getloadavg(), flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="touchstone-sandbox-") as folder:
        tempfile.tempdir = folder  # so that what is left in it is ours
        try:
            figures = asyncio.run(measure(QUICK if options.quick else FULL))
        except SandboxUnavailable as error:
            print(error, file=sys.stderr)
            raise SystemExit(2) from None
        finally:
            tempfile.tempdir = None
    targets = judge(figures)
    table("Targets", ("what", "value", "target", "met"), (tuple(target.values()) for target in targets))
    seconds = round(time.perf_counter() - start)
    whole = {"machine": machine, "peers": peers.VERSIONS, "quick": options.quick, "seconds": seconds}
    print(json.dumps({**whole, **figures, "targets": targets}))
    if options.check and (missed := [str(target["what"]) for target in targets if not target["met"]]):
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
