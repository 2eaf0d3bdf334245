"""The ledger at size: `python -m benchmarks.ledger [--rollouts 1000000]`.

Makes a synthetic ledger of a tenth of that many rollouts, and one of that many (three calls each), and measures on
both, each step in a process of its own: planning a refresh of the whole graph, compacting the segments of a long run,
reading back the calls that a run goes on with, writing the table of direct rollouts, the difficulty table from it, and
rolling out over a tenth of the questions with a model that answers at once (the pipeline's own work and memory).
Prints seconds, peak memory and growth, then the savings of adaptive sampling (benchmarks/savings.py). The last line is
one JSON object of all figures.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import polars as pl

from benchmarks import savings
from benchmarks.ledger import synthetic as synthetic_ledger
from filters.difficulty import band as difficulty
from measurement import arms
from measurement.export import export
from measurement.plan import plan
from measurement.prepared_arm import PreparedArm
from measurement.progress import LedgerSnapshot, arm_progress, open_questions
from measurement.toolbox import Toolbox
from records.tables import schema
from records.trajectory import Rollout
from records.workspace import Workspace
from reports import samples as show
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completion, Request
from rollouts.models.roles import Models
from rollouts.pool import Pool
from rollouts.waves import OpenQuestion, Waves

QUESTIONS_A_ROLLOUT = 1 / 10.4
"""Sizes by which every question gets its direct attempts, and those in the band their tools attempts."""
PLAN_SECONDS, PLAN_MB = 15, 3_000
"""What planning over 1,000,000 rollouts may take."""


def _place(root: str) -> Workspace:
    return synthetic_ledger.workspace(Path(root))


def fill(root: str, rollouts: int) -> dict[str, float]:
    place = _place(root)
    questions = synthetic_ledger.make_questions(int(rollouts * QUESTIONS_A_ROLLOUT))
    place.tables.write("questions", questions)
    written = synthetic_ledger.fill(place, questions, rollouts)
    size = sum(file.stat().st_size for file in Path(place.ledger).rglob("*.parquet"))
    return {"rollouts": written, "questions": questions.height, "ledger_mb": round(size / 1e6)}


def plan_refresh(root: str) -> dict[str, float]:
    place = _place(root)
    with Ledger(place.ledger) as ledger:
        planned = list(plan(Toolbox(place), ledger, Models(place), place.tables.read("questions")))
    direct = planned[0].cost
    return {
        "stored": sum(p.cost.stored for p in planned),
        "needed_now": direct.needed_now,
        "reasons": direct.why.height,
    }


def compact(root: str) -> dict[str, float]:
    with Ledger(_place(root).ledger) as ledger:
        done = ledger.compact()
    return {
        "rows": sum(c.rows for c in done.values()),
        "segments_before": sum(c.segments_before for c in done.values()),
        "segments_after": sum(c.segments_after for c in done.values()),
    }


def unfinished_calls(root: str) -> dict[str, float]:
    with Ledger(_place(root).ledger) as ledger:
        ledger.get("no rollout", "no call")
    return {}


def write_table(root: str) -> dict[str, float]:
    place = _place(root)
    questions = place.tables.read("questions").filter(pl.col("split") == "curation")
    with Ledger(place.ledger) as ledger:
        model = Models(place).completer("policy").fingerprint
        at = arm_progress(
            PreparedArm(arms.direct_arm(place.recipe), Toolbox(place)), LedgerSnapshot(ledger), model, questions
        )
        place.tables.adopt("direct_rollouts", export(ledger, [at], schema(Rollout).to_frame(), place.scratch))
    return {"rows": at.used.height}


def difficulty_table(root: str) -> dict[str, float]:
    place = _place(root)
    questions = place.tables.read("questions").filter(pl.col("split") == "curation")
    attempts = place.tables.scan("direct_rollouts").select("question_id", "arm", "sample_index", "correct").collect()
    kept, rejects = difficulty.apply(questions, attempts, difficulty.rule_of(place.recipe.difficulty))
    return {"kept": kept.height, "rejected": rejects.height}


class Instant:
    """A model that answers at once: what is left is the pipeline's own work and memory."""

    fingerprint = "instant"

    async def complete(self, request: Request) -> Completion:
        return Completion("<answer>7</answer>", "stop", 900, 5, 0.0)


def roll_out_at_once(root: str) -> dict[str, float]:
    """One attempt at each of a tenth of the questions, written to a ledger of its own."""
    place = _place(root)
    questions = place.tables.read("questions").head(place.tables.read("questions").height // 10)
    prepared = PreparedArm(arms.direct_arm(place.recipe), Toolbox(place))
    start = time.monotonic()
    with Ledger(f"{root}/another") as ledger:
        at = arm_progress(prepared, LedgerSnapshot(ledger), Instant.fingerprint, questions)
        todo = open_questions(at, questions, order=0)
        asyncio.run(_roll_out(prepared, ledger, todo, questions.height))
    return {"rollouts": questions.height, "rollouts_s": round(questions.height / (time.monotonic() - start))}


async def _roll_out(prepared: PreparedArm, ledger: Ledger, todo: Iterator[OpenQuestion], total: int) -> None:
    async with Pool(Instant(), ledger, 32, lambda line: None) as pool:
        await Waves(prepared.prompt, (1,), lambda n, s: False, pool, "direct").roll_out(todo, total)


STEPS = (plan_refresh, compact, unfinished_calls, write_table, difficulty_table, roll_out_at_once)


def _measured(step: Callable[..., dict[str, float]], arguments: tuple, pipe: Connection) -> None:
    start = time.monotonic()
    result = step(*arguments)
    seconds, peak = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send({"seconds": round(seconds, 2), "peak_mb": round(peak), **result})


def measure(step: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """Run a step in a fresh process: seconds (imports not counted), peak memory in MB, and what the step returned."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(step, arguments, send))
    process.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        raise SystemExit(f"{step.__name__} failed; its error is above") from None
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=str(__doc__).splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=1_000_000)
    large = parser.parse_args().rollouts
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for rollouts in (large // 10, large):
        with tempfile.TemporaryDirectory(prefix="touchstone-ledger-") as root:
            figures[str(rollouts)] = {"fill": measure(fill, root, rollouts)}
            print(f"{rollouts:,} rollouts: {figures[str(rollouts)]['fill']}", flush=True)
            for step in STEPS:
                figures[str(rollouts)][step.__name__] = measure(step, root)
                print(f"  {step.__name__}: {figures[str(rollouts)][step.__name__]}", flush=True)
    small, big = figures.values()
    rows = [
        (
            step.__name__,
            small[step.__name__]["seconds"],
            big[step.__name__]["seconds"],
            big[step.__name__]["seconds"] / max(small[step.__name__]["seconds"], 0.01),
            small[step.__name__]["peak_mb"],
            big[step.__name__]["peak_mb"],
        )
        for step in STEPS
    ]
    columns = ["step", "s, a tenth", "s", "growth (10 is linear)", "peak MB, a tenth", "peak MB"]
    print(show.markdown_table(pl.DataFrame(rows, schema=columns, orient="row")))
    planning = big["plan_refresh"]
    print(
        f"planning over {large:,} rollouts: {planning['seconds']} s (at most {PLAN_SECONDS} for 1,000,000), "
        f"{planning['peak_mb']} MB (at most {PLAN_MB}); {os.cpu_count()} cores"
    )
    print()
    print(json.dumps({"ledger": figures, "savings": savings.report()}))


if __name__ == "__main__":
    main()
