"""Both rules of decision against the truth: `python -m benchmarks.decisions [--tables 400] [--check]`.

Tables of questions whose pass rates are known, of twelve populations, three sizes, two numbers of first samples, with
and without further rollouts by the planner. Of each table both rules' decisions are compared with the truth; a gain
counts as false if the true benefit is not above the margin, harm and none likewise. Figures are means over tables, with
their standard error. Recorded attempts of the demo's model, whose truth is not known, are decided about by their first
attempts, and the benefit of what is decided is estimated from later ones.

A cell that is in benchmarks/decisions.csv with as many tables is not measured again: a run that ends early is
continued. With 400 tables per cell (twice as many of 20 questions) about two hours on two cores, most of it for the
cells with further rollouts, which come last. The last line is one JSON object.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.benefit.budget import recorded
from benchmarks.benefit.populations import DECIDED_ABOUT
from benchmarks.benefit.simulation import KINDS, Attempts, draw_truth, measured, settings_of, spend
from benchmarks.targets import concluded, judged
from filters.benefit.columns import RULES, decision_by
from filters.benefit.joint_rates import MOST_CHANCE
from reports.samples import markdown_table

FILE = Path(__file__).with_name("decisions.csv")
SIZES = (240, 60, 20)
SAMPLES = (4, 8)
FURTHER = 8.0
"""Further rollouts per question, which the planner gives in rounds, from the smaller number of samples on."""
MOST = 16
"""Samples per arm at most."""
PROMISED, SLACK, SLACK_SMALL, NULL = 0.1, 0.02, 0.03, 0.1
"""The promised rate; by how much it may be exceeded in tables of 100 questions or more, and in smaller ones; and the
share of tables without any effect in which a gain or a harm may be decided."""
SMALL = 100
CELL = ["population", "questions", "samples", "further"]


def one_table(name: str, n: int, samples: int, further: float, seed: int) -> dict[str, float]:
    """Of one table {rule}_{kind}: how many questions are decided so; {rule}_{kind}_false: the share of false ones among
    them, 0 without any; {rule}_any: whether a gain or a harm is decided; and rollouts per question."""
    random = np.random.default_rng([seed, n, samples, int(further), *name.encode()])
    truth, settings = draw_truth(name, n, random), settings_of(samples, further, most_samples=MOST)
    right = Attempts.draw(truth, ("direct", "tools"), random, MOST)
    attempts = Attempts(truth["question_id"].to_list(), right).take_all(samples)
    if further:
        spend(attempts, truth, settings, round(further * n), seed)
    table = measured(attempts, truth, settings, seed)
    true = table["true_benefit"].to_numpy()
    beyond = settings.margin + 1e-9
    holds = {"gain": true > beyond, "harm": true < -beyond, "none": np.abs(true) <= beyond}
    found: dict[str, float] = {"rollouts": attempts.taken / n}
    for rule in RULES:
        decision = table[decision_by(rule)].to_numpy()
        for kind in KINDS:
            decided = decision == kind
            found[f"{rule}_{kind}"] = decided.sum()
            found[f"{rule}_{kind}_false"] = (decided & ~holds[kind]).sum() / max(decided.sum(), 1)
        found[f"{rule}_any"] = float(found[f"{rule}_gain"] + found[f"{rule}_harm"] > 0)
    return found


def measure_cell(name: str, n: int, samples: int, further: float, tables: int) -> dict[str, Any]:
    """The means over tables, and of shares their standard errors ({..}_error)."""
    rows = [one_table(name, n, samples, further, seed) for seed in range(tables)]
    found: dict[str, Any] = dict(zip([*CELL, "tables"], (name, n, samples, further, tables), strict=True))
    for what in rows[0]:
        values = np.array([row[what] for row in rows], dtype=float)
        found[what] = round(float(values.mean()), 4)
        if what.endswith(("_false", "_any")):
            found[f"{what}_error"] = round(float(values.std() / np.sqrt(tables)), 4)
    return found


def measure(tables: int, file: Path) -> pl.DataFrame:
    """One row per cell; each is written to `file` as soon as it is there."""
    rows = pl.read_csv(file).to_dicts() if file.exists() else []
    done = {tuple(row[key] for key in CELL) for row in rows if row["tables"] >= tables}
    ways = [(samples, 0.0) for samples in SAMPLES] + [(min(SAMPLES), FURTHER)]
    cells = [(n, s, f, name) for s, f in ways for n in SIZES for name in DECIDED_ABOUT]
    wanted = [(name, n, s, f, tables * (2 if n == min(SIZES) else 1)) for n, s, f, name in cells]
    wanted = [cell for cell in wanted if cell[:4] not in done]
    rows = [row for row in rows if tuple(row[key] for key in CELL) in done]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for row in pool.map(measure_cell, *zip(*wanted, strict=True)) if wanted else ():
            rows.append(row)
            pl.DataFrame(rows).sort(CELL).write_csv(file)
            print(f"{row['population']}, {row['questions']} questions, {row['samples']} samples", file=sys.stderr)
    return pl.DataFrame(rows).sort(CELL)


def recorded_decisions() -> pl.DataFrame:
    """What both rules decide by the first recorded attempts, and the benefit of those questions in attempts 8 to 15:
    its mean with the standard error, and the share of them for which it is within the margin."""
    questions, right = recorded()
    later = {arm: np.where(verdicts[:, 8:] >= 0, verdicts[:, 8:], np.nan) for arm, verdicts in right.items()}
    room = 1 - np.minimum(questions["chance"].to_numpy(), MOST_CHANCE)
    benefit = (np.nanmean(later["tools"], axis=1) - np.nanmean(later["direct"], axis=1)) / room
    rows = []
    for samples in SAMPLES:
        settings, first = settings_of(samples), {arm: verdicts[:, :samples] for arm, verdicts in right.items()}
        attempts = Attempts(questions["question_id"].to_list(), first).take_all(samples)
        table = measured(attempts, questions.with_columns(benefit=pl.lit(None, pl.Float64)), settings)
        for rule in RULES:
            for kind in KINDS:
                there = benefit[(table[decision_by(rule)] == kind).to_numpy()]
                if len(there):
                    spread = float(there.std() / np.sqrt(len(there)))
                    within = float((np.abs(there) <= settings.margin).mean())
                    rows.append((samples, rule, kind, len(there), float(there.mean()), spread, within))
    names = ["attempts", "rule", "decision", "questions", "later benefit", "error", "within the margin"]
    return pl.DataFrame(rows, schema=names, orient="row")


def judge(cells: pl.DataFrame) -> list[dict[str, object]]:
    """The promises of the rule `posterior`; two Monte Carlo errors are allowed for."""
    rows = []
    for small, slack in ((False, SLACK), (True, SLACK_SMALL)):
        part = cells.filter((pl.col("questions") < SMALL) == small)
        for kind in KINDS if part.height else ():
            sure = pl.col(f"posterior_{kind}_false") - 2 * pl.col(f"posterior_{kind}_false_error")
            what = f"false {kind}, worst cell of {'less' if small else 'no less'} than {SMALL} questions, surely"
            rows.append((what, round(part.select(sure.max()).item(), 4), "at most", PROMISED + slack))
    null = cells.filter(pl.col("population") == "null")
    sure = pl.col("posterior_any") - 2 * pl.col("posterior_any_error")
    rows.append(
        ("tables without an effect in which one is found, surely", null.select(sure.max()).item(), "at most", NULL)
    )
    for kind in ("gain", "harm"):
        made = [float(cells[f"{rule}_{kind}"].to_numpy().sum()) for rule in ("posterior", "exact")]
        times = made[0] / max(made[1], 1e-9)
        rows.append((f"{kind}: decided by posterior over exact, all cells", round(times, 2), "at least", 1.0))
    return judged(rows)


def shown(cells: pl.DataFrame) -> pl.DataFrame:
    """Both rules beside each other, as they are printed."""
    return cells.select(
        *CELL,
        *(
            pl.format(
                "{} / {}{}", pl.col(f"exact_{kind}").round(1), pl.col(f"posterior_{kind}").round(1),
                pl.when(pl.col(f"posterior_{kind}") >= 0.05)
                .then(pl.format(" ({} false)", pl.col(f"posterior_{kind}_false").round(3))).otherwise(pl.lit("")),
            ).alias(f"{kind}: exact / posterior")
            for kind in KINDS
        ),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=str(__doc__).splitlines()[0])
    parser.add_argument("--tables", type=int, default=400, help="tables per cell, twice as many of 20 questions")
    parser.add_argument("--file", type=Path, default=FILE, help="where the cells are kept")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a target is missed")
    given = parser.parse_args()
    os.environ.update(dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    cells = measure(given.tables, given.file)
    print(markdown_table(shown(cells)))
    print(f"\nRecorded attempts\n\n{markdown_table(recorded_decisions())}")
    return concluded({"cells": cells.height, "targets": judge(cells)}, given.check)


if __name__ == "__main__":
    sys.exit(main())
