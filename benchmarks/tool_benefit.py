"""Tool benefit measured: `python -m benchmarks.tool_benefit [--quick] [--check] [--figures]`.

Four parts. Calibration: what is stated of questions and of whole tables, on simulated questions whose pass rates are
known (benchmarks/benefit/simulation.py). Decisions: how many of them are wrong. Budget: the planner against asking
every question equally often, simulated and on recorded attempts (benchmarks/benefit/budget.py). Size: time and memory
at 100,000 and 1,000,000 questions (benchmarks/benefit/size.py). Prints tables; the last line is one JSON object. With
--check the exit status is 1 if a target is missed; with --figures the figures in docs/figures are drawn anew.

About ten minutes on two cores; one with --quick, which draws fewer tables and takes a tenth of the size.
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import cast

import numpy as np
import polars as pl

from benchmarks.benefit import figures as benefit_figures
from benchmarks.benefit import size as benefit_size
from benchmarks.benefit.budget import AHEAD, RECORDED, budgets, forecasts, judge_planner
from benchmarks.benefit.budget import QUESTIONS as PLANNED_QUESTIONS
from benchmarks.benefit.populations import POPULATIONS
from benchmarks.benefit.simulation import KINDS, mean_and_error, one_table, totals_coverage
from benchmarks.targets import concluded, judged
from reports.samples import markdown_table

FIXED = {20: 200, 200: 60, 2_000: 15, 20_000: 4}
"""Questions of a table, and how many tables are drawn of each population for each of SAMPLES, the same number for each
question."""
SAMPLES = (4, 8, 16)
PLANNED = {20: 60, 200: 30, 2_000: 4, 20_000: 1}
"""Likewise, with 4 samples of every question and FURTHER rollouts a question where the planner wants them."""
FURTHER = 8.0
TOTALS = {30: 250, 100: 250, 1_000: 250}
"""Questions of a table, and how many tables are drawn of each population, with 4 samples."""
CURVES = {"ties": "Half unchanged, half gain", "harm": "Gains and harms", "hard": "Hard without tools"}
"""Populations that the planner is tried on, and the titles of their panels."""
RUNS, REPLAYS, FORECASTS = 16, 24, 100
"""Of the planner: tables of each population, orders of the recorded attempts, and tables that are forecast for."""
QUESTIONS = 1_000_000
LEVEL = 0.1
"""The rate of false discoveries that is allowed, as in the recipe."""
POINTS = 2
"""How far coverage and stated probabilities may be off, in percent."""
_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def _pool() -> Iterator[Executor]:
    """A process a core, each with one thread."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def calibrate(pool: Executor, part: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables drawn, measured and compared with the truth.

    Returns:
        cells: one row for each population, size, number of samples and further rollouts: tables, coverage, coverage_80,
            width, rollouts, and of each of KINDS {kind}_share of the questions, {kind}_false (share of wrong ones among
            them, 0 where there are none), all averaged over tables, with {..}_error; {kind} and {kind}_wrong: how many
            there are in all tables.
        reliability: one row for each way (fixed, planner), size and bin of gain_probability, over all populations but
            `null`: count, and the sums stated and true.
    """
    jobs = [
        (name, n, samples, further, seed)
        for sizes, series, further in ((FIXED, SAMPLES, 0.0), (PLANNED, SAMPLES[:1], FURTHER))
        for n, tables in sorted(sizes.items(), reverse=True)  # the long ones first
        for samples in series
        for name in POPULATIONS
        for seed in range(max(tables // part, 1))
    ]
    found = list(pool.map(one_table, *zip(*jobs, strict=True)))
    cell = ["population", "questions", "samples", "further"]
    tables = pl.DataFrame(jobs, schema=[*cell, "seed"], orient="row").with_columns(
        **{name: pl.Series([row[name] for row in found]) for name in found[0] if name != "bins"}
    )
    tables = tables.with_columns(
        **{f"{kind}_share": pl.col(kind) / pl.col("questions") for kind in KINDS},
        **{f"{kind}_false": pl.col(f"{kind}_wrong") / pl.max_horizontal(kind, 1) for kind in KINDS},
    )
    cells = tables.group_by(cell, maintain_order=True).agg(
        pl.len().alias("tables"),
        pl.col("width", "rollouts", *(f"{kind}_share" for kind in KINDS)).mean(),
        *(pl.col(name).sum() for kind in KINDS for name in (kind, f"{kind}_wrong")),
        *mean_and_error("coverage", among=pl.col("questions").sum()),
        *mean_and_error("coverage_80", among=pl.col("questions").sum()),
        *(expression for kind in KINDS for expression in mean_and_error(f"{kind}_false")),
    )
    bins: dict[tuple[str, int], np.ndarray] = {}
    for (name, n, _, further, _), row in zip(jobs, found, strict=True):
        if name != "null":
            key = ("planner" if further else "fixed", n)
            bins[key] = bins.get(key, 0) + cast(np.ndarray, row["bins"])
    rows = [(*key, number, *each) for key, sums in bins.items() for number, each in enumerate(sums.tolist())]
    reliability = pl.DataFrame(rows, schema=["way", "questions", "bin", "count", "stated", "true"], orient="row")
    return cells.sort("further", "samples", "questions", maintain_order=True), reliability


def binned(reliability: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Reliability in each bin that has questions, per value of `by`: the probability stated, the share for which it
    came true, and the standard error of that share."""
    sums = reliability.group_by(*by, "bin", maintain_order=True).agg(pl.col("count", "stated", "true").sum())
    rows = sums.filter(pl.col("count") > 0).with_columns(pl.col("stated", "true") / pl.col("count"))
    return rows.with_columns(error=(pl.col("true") * (1 - pl.col("true")) / pl.col("count")).sqrt())


def calibration_error(reliability: pl.DataFrame, *by: str) -> pl.DataFrame:
    """The distance of what is stated from what comes true, on average over questions (expected calibration error):
    `apart`, and `surely`: what two standard errors leave of it."""
    apart, weight = (pl.col("stated") - pl.col("true")).abs(), pl.col("count") / pl.col("count").sum()
    surely = (apart - 2 * pl.col("error")).clip(lower_bound=0)
    bins = binned(reliability, *by).group_by(*by, maintain_order=True)
    return bins.agg(apart=(apart * weight).sum(), surely=(surely * weight).sum())


def totals(pool: Executor, part: int) -> pl.DataFrame:
    """The intervals of totals: columns population, questions, total, tables (drawn), stated (those with an interval),
    coverage, coverage_error. Coverage is the share of tables that state nothing wrong: a share of the benefit is not
    stated where the benefit may be 0, and among the few tables that do state one of a small benefit, those with a large
    one by chance are too many."""
    jobs = [(name, n, max(tables // part, 25), 4, 0) for n, tables in TOTALS.items() for name in POPULATIONS]
    found = pool.map(totals_coverage, *zip(*jobs, strict=True))
    rows = [
        (name, n, total, tables, stated, 1 - wrong / tables)
        for (name, n, tables, *_), of in zip(jobs, found, strict=True)
        for total, (stated, wrong) in of.items()
    ]
    columns = ["population", "questions", "total", "tables", "stated", "coverage"]
    table = pl.DataFrame(rows, schema=columns, orient="row")
    error = (pl.col("coverage") * (1 - pl.col("coverage")) / pl.col("tables")).sqrt()
    return table.with_columns(coverage_error=error)


def summaries(cells: pl.DataFrame, reliability: pl.DataFrame, of_totals: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The tables that are printed, beside those of the planner."""
    real = cells.filter(pl.col("population") != "null")
    size = ["further", "samples", "questions"]
    coverage = real.group_by(size, maintain_order=True).agg(
        pl.col("coverage", "coverage_80", "width").mean(),
        lowest=pl.col("coverage").min(),
        lowest_in=pl.col("population").get(pl.col("coverage").arg_min()),
        highest=pl.col("coverage").max(),
        highest_in=pl.col("population").get(pl.col("coverage").arg_max()),
    )
    nulls = cells.filter(pl.col("population") == "null").select(*size, null="coverage")
    coverage = coverage.join(nulls, on=size, how="left", maintain_order="left")
    shares = [f"{kind}_{what}" for kind in KINDS for what in ("share", "false")]
    decisions = cells.group_by("population", "further", maintain_order=True).agg(
        pl.col(shares).mean(), none_wrong=pl.col("none_wrong").sum() / pl.col("none").sum()
    )
    by_total = of_totals.filter(pl.col("population") != "null").group_by("total", "questions", maintain_order=True)
    return {
        "coverage": coverage,
        "coverage_of_each": cells.select(*size[::-1], "population", "tables", "coverage", "coverage_error", "width"),
        "decisions": decisions.fill_nan(None),
        "reliability": binned(reliability, "way").drop("bin"),
        "calibration": calibration_error(reliability, "way"),
        "calibration_by_size": calibration_error(reliability, "way", "questions"),
        "totals": by_total.agg(
            pl.col("tables", "stated").sum(),
            pl.col("coverage").mean(),
            coverage_error=(pl.col("coverage_error") ** 2).sum().sqrt() / pl.len(),
            lowest=pl.col("coverage").min(),
            lowest_in=pl.col("population").get(pl.col("coverage").arg_min()),
        ),
    }


def judge(cells: pl.DataFrame, of_totals: pl.DataFrame, tables: dict[str, pl.DataFrame], size: dict) -> list[dict]:
    """The targets, and whether they are met.

    The worst of many simulated figures is off by chance alone: `surely` counts only what two standard errors leave.
    `null` is left out of coverage: where no question differs at all, an interval that is right for questions that do
    differ nearly always holds 0. For that reason populations with many such questions have more coverage than stated;
    each alone is judged by what it falls short.
    """
    off, points = (pl.col("coverage") - 0.95).abs(), POINTS / 100
    surely, short = ((of - 2 * pl.col("coverage_error")).max() for of in (off, 0.95 - pl.col("coverage")))
    real, real_totals = (table.filter(pl.col("population") != "null") for table in (cells, of_totals))
    small, large = (real.filter(pl.col("questions") < 200), real.filter(pl.col("questions") >= 200))
    decisions, each = tables["decisions"], "the same, each population"
    rows: list[tuple[str, pl.DataFrame, pl.Expr, str, float]] = [
        ("questions' intervals: coverage, off by", tables["coverage"], off.max(), "at most", points),
        (f"{each}, 200 questions or more, surely short by", large, short, "at most", points),
        (f"{each}, 20 questions, surely short by", small, short, "at most", points),
        ("totals' intervals: coverage, surely off by", tables["totals"], surely, "at most", points),
        (f"{each}, surely", real_totals, surely, "at most", points),
        ("probability of a gain: off by", tables["calibration"], pl.max("apart"), "at most", points),
        ("the same, each size, surely", tables["calibration_by_size"], pl.max("surely"), "at most", points),
    ]
    for kind in ("gain", "harm"):
        sure = (pl.col(f"{kind}_false") - 2 * pl.col(f"{kind}_false_error")).max()
        rows += [
            (f"{kind}: false discoveries, worst population", decisions, pl.max(f"{kind}_false"), "at most", LEVEL),
            ("the same, each size and population, surely", cells, sure, "at most", LEVEL),
        ]
    rows.append(("none: wrong ones", cells, pl.sum("none_wrong") / pl.sum("none"), "at most", 0.05))
    rows += judge_planner(tables["budget"], tables["forecasts"])
    largest = pl.DataFrame([size["sizes"][-1]])
    rows += [
        ("largest size: seconds", largest, pl.col("seconds"), "at most", 60),
        ("largest size: peak memory, GB", largest, pl.col("peak_gb"), "at most", 4),
        ("time a question, largest size over smallest", largest, pl.lit(size["time_a_question"]), "at most", 1.5),
    ]
    return judged((what, round(table.select(of).item(), 4), word, bound) for what, table, of, word, bound in rows)


HEADINGS = {
    "coverage": "Intervals of questions: coverage of 95 % and 80 % intervals, mean over the populations but null",
    "coverage_of_each": "The same in each population",
    "calibration": "Probability of a gain: how far what is stated is from what comes true",
    "calibration_by_size": "The same by size",
    "reliability": "The same in bins of what is stated",
    "decisions": "Decisions: share of the questions, false ones among them (mean over tables; none_wrong: in all)",
    "totals": "Intervals of totals: coverage of 95 % intervals, mean over the populations but null",
    "budget": f"Settled of {PLANNED_QUESTIONS} questions (recorded: of those there are), shares",
    "forecasts": f"What the forecast for {AHEAD:,} rollouts said and what came, {PLANNED_QUESTIONS} questions",
}
POPULATION_TEXTS = "\n".join(f"- {name}: {population.what}" for name, population in POPULATIONS.items())


def measure(part: int, figures: bool) -> dict:
    """All figures, printed as tables too. `part`: how many times fewer tables are drawn; `figures`: draw them anew.

    Raises RuntimeError where a part fails.
    """
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": os.getloadavg()}
    size = benefit_size.measure([QUESTIONS // 10 // part, QUESTIONS // part])
    with _pool() as pool:
        cells, reliability = calibrate(pool, part)
        of_totals = totals(pool, part)
        planned = budgets(pool, CURVES, max(RUNS // part, 2), RECORDED, max(REPLAYS // part, 2))
        said = forecasts(pool, [*CURVES, "small"], max(FORECASTS // part, 2))
    tables = summaries(cells, reliability, of_totals) | {"budget": planned, "forecasts": said}
    print(f"\nPopulations:\n{POPULATION_TEXTS}")
    for name, heading in HEADINGS.items():
        print(f"\n### {heading}\n\n{markdown_table(tables[name])}")
    if figures:
        benefit_figures.calibration(cells, tables["reliability"], 8, benefit_figures.FOLDER / "benefit-calibration.png")
        titles = CURVES | {"recorded": "Recorded attempts"}
        benefit_figures.budget(planned, titles, benefit_figures.FOLDER / "benefit-budget.png")
    return {
        "machine": machine,
        **{name: table.with_columns(pl.col(pl.Float64).round(4)).to_dicts() for name, table in tables.items()},
        "size": size,
        "targets": judge(cells, of_totals, tables, size),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tool_benefit", description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer tables, a tenth of the size")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a target is missed")
    parser.add_argument("--figures", action="store_true", help="draw the figures in docs/figures anew")
    given = parser.parse_args()
    try:
        figures = measure(10 if given.quick else 1, given.figures)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return concluded(figures, given.check)


if __name__ == "__main__":
    sys.exit(main())
