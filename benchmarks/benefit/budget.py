"""The planner against asking every question equally often, at equal budget: in simulation and on recorded attempts."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from benchmarks.benefit.simulation import (
    MOST,
    Attempts,
    draw_truth,
    judge_decisions,
    mean_and_error,
    measured,
    settings_of,
    spend,
)
from filters.benefit.columns import RULES
from filters.benefit.per_question import counts
from filters.benefit.planner import forecast
from records.recipe import ToolBenefit

RECORDED = Path(__file__).parent.parent / "recorded_arms.parquet"
"""Attempts of the demo's model: question_id, task, source, chance, arm, sample_index, correct (null: no verdict)."""
COMPARED = ("direct", "tools")
BASE = 4
"""Samples in both arms that every question has before there is anything to allocate."""
BUDGETS = (2, 4, 8, 16, 24)
"""Further rollouts a question."""
QUESTIONS = 300
"""Questions of a simulated table."""
BEFORE = (0, 8)
"""Rollouts a question that were allocated before the forecast is made."""
SURELY_AHEAD = (8, 16)
"""Further rollouts per question at which the planner has to be ahead beyond doubt."""
FORESEEN = 20
"""From how many questions on a forecast is judged by its relative error."""
AHEAD = 1_000
"""Rollouts that the forecast is made for."""


def recorded(file: Path = RECORDED) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """The recorded questions (question_id, task, source, chance), and for both arms the verdicts of their attempts in
    the order they were made: (questions, attempts) of 1, 0, or -1 where there is none."""
    rows = pl.read_parquet(file).filter(pl.col("arm").is_in(COMPARED))
    questions = rows.select("question_id", "task", "source", "chance").unique().sort("question_id")
    position = rows.select(
        "arm",
        row=pl.col("question_id").replace_strict(questions["question_id"], np.arange(questions.height)),
        column=(pl.col("sample_index").rank("ordinal").over("question_id", "arm") - 1).cast(pl.Int64),
        verdict=pl.col("correct").cast(pl.Int8).fill_null(-1),
    )
    right = {}
    for arm in COMPARED:
        mine = position.filter(pl.col("arm") == arm)
        right[arm] = np.full((questions.height, min(cast(int, mine["column"].max()) + 1, MOST)), -1, dtype=np.int8)
        mine = mine.filter(pl.col("column") < right[arm].shape[1])
        right[arm][mine["row"].to_numpy(), mine["column"].to_numpy()] = mine["verdict"].to_numpy()
    return questions, right


def permuted(right: dict[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
    """The attempts of each question and arm in another order."""
    return {arm: random.permuted(verdicts, axis=1) for arm, verdicts in right.items()}


def _point(table: pl.DataFrame, reference: pl.DataFrame | None, rollouts: int, **labels: object) -> dict[str, object]:
    """What a table settles: against the truth, or, where a reference is given, whether that decides the same."""
    if reference is None:
        rightly = judge_decisions(table, ToolBenefit().margin)["rightly"]
    else:
        table = table.join(reference.select("question_id", wanted="decision"), on="question_id")
        rightly = table.filter(pl.col("decision") != "open").select(pl.col("decision") == pl.col("wanted")).to_series()
    n = table.height
    return {**labels, "rollouts": rollouts / n, "rightly": rightly.sum() / n, "wrongly": (~rightly).sum() / n}


def curves(
    questions: pl.DataFrame, right: dict[str, np.ndarray], reference: dict[str, pl.DataFrame] | None, seed: int
) -> Iterator[dict[str, object]]:
    """What is settled at each of BUDGETS by the planner and by asking all questions equally often, by each rule.

    The planner has the ladder of looks that a recipe with further rollouts has, the equal allocation one look at all
    its samples, which costs it nothing of its level.

    Args:
        questions: of `draw_truth`, or recorded ones.
        right: their attempts, as Attempts takes them.
        reference: the table that decides from all recorded attempts, by rule; None where the truth is known.

    Yields one row for each rule, way and budget (of recorded attempts, budgets short of all there are): rule, way,
    budget, rollouts (really made beyond the first samples, a question), rightly and wrongly (shares of the questions
    settled so).
    """
    ids = questions["question_id"].to_list()
    truth = questions if reference is None else _no_truth(questions)
    first, most = Attempts(ids, right).take_all(BASE).taken, max(verdicts.shape[1] for verdicts in right.values())
    # of recorded attempts a budget must leave some: with all of them there is nothing to choose
    spendable = [spent for spent in BUDGETS if reference is None or BASE + spent // 2 < most]
    for rule in RULES:
        compared = None if reference is None else reference[rule]
        for budget in (0, *spendable):
            attempts = Attempts(ids, right).take_all(BASE + budget // 2)
            table = measured(attempts, truth, settings_of(BASE + budget // 2, decide_by=rule), seed)
            labels = {"rule": rule, "budget": budget}
            yield _point(table, compared, way="equal", rollouts=attempts.taken - first, **labels)
            if budget:
                settings = settings_of(BASE, budget, most_samples=most, decide_by=rule)
                attempts = Attempts(ids, right).take_all(BASE)
                spend(attempts, questions, settings, budget * len(ids), seed)
                table = measured(attempts, truth, settings, seed)
                yield _point(table, compared, way="planner", rollouts=attempts.taken - first, **labels)


def _no_truth(questions: pl.DataFrame) -> pl.DataFrame:
    return questions.with_columns(benefit=pl.lit(None, pl.Float64))


def simulated_curves(name: str, n: int, seed: int) -> list[dict[str, object]]:
    """The rows of `curves` for n questions drawn from a population."""
    random = np.random.default_rng([seed, n, *name.encode()])
    truth = draw_truth(name, n, random)
    right = Attempts.draw(truth, COMPARED, random)
    return [{"data": name, "seed": seed, **row} for row in curves(truth, right, None, seed)]


def recorded_curves(file: Path, seed: int) -> list[dict[str, object]]:
    """The rows of `curves` for the recorded attempts, in the order they were made (seed 0) or in another one."""
    questions, right = recorded(file)
    most = max(verdicts.shape[1] for verdicts in right.values())
    whole = Attempts(questions["question_id"].to_list(), right).take_all(most)
    truth = _no_truth(questions)
    reference = {rule: measured(whole, truth, settings_of(most, decide_by=rule), 0) for rule in RULES}
    if seed:
        right = permuted(right, np.random.default_rng(seed))
    return [{"data": "recorded", "seed": seed, **row} for row in curves(questions, right, reference, seed)]


def foreseen(name: str, n: int, before: int, seed: int) -> dict[str, float]:
    """What the forecast says AHEAD rollouts will settle, and what they do, after `before` rollouts a question."""
    random = np.random.default_rng([seed, n, before, *name.encode()])
    truth = draw_truth(name, n, random)
    attempts = Attempts(truth["question_id"].to_list(), Attempts.draw(truth, COMPARED, random)).take_all(BASE)
    settings = settings_of(BASE, float(before) + AHEAD / n)
    if before:
        spend(attempts, truth, settings, before * n, seed)
    said = forecast(counts(attempts.rollouts(), settings.looks), truth, settings, seed, rollouts=AHEAD)
    was = _open(attempts, truth, settings, seed)
    spend(attempts, truth, settings, AHEAD, seed)
    left = _open(attempts, truth, settings, seed)
    return {"said": float(said["settled"]), "came": float(len(was - left)), "open": len(was)}


def _open(attempts: Attempts, truth: pl.DataFrame, settings: ToolBenefit, seed: int) -> set[str]:
    return set(measured(attempts, truth, settings, seed).filter(pl.col("decision") == "open")["question_id"])


def budgets(pool: Executor, populations: Iterable[str], runs: int, file: Path, replays: int) -> pl.DataFrame:
    """What planner and equal allocation settle, over so many runs on each population and replays of a file.

    Returns columns data, rule, way (`both` where there is no budget), budget, rollouts, wrongly, rightly, and ahead:
    how much more of the questions are settled rightly than by equal allocation and the same rule, run by run; the last
    two with their {..}_error.
    Runs draw other questions; replays order the same attempts otherwise.
    """
    jobs = [(name, QUESTIONS, seed) for name in populations for seed in range(runs)]
    rows = [row for one in pool.map(simulated_curves, *zip(*jobs, strict=True)) for row in one]
    rows += [row for one in pool.map(recorded_curves, [file] * replays, range(replays)) for row in one]
    points = pl.DataFrame(rows)
    equal = points.filter(pl.col("way") == "equal").select("data", "seed", "rule", "budget", before="rightly")
    points = points.join(equal, on=["data", "seed", "rule", "budget"], maintain_order="left")
    points = points.with_columns(ahead=pl.col("rightly") - pl.col("before"))
    means = points.group_by("data", "rule", "way", "budget", maintain_order=True).agg(
        pl.col("rollouts", "wrongly").mean(), *mean_and_error("rightly"), *mean_and_error("ahead")
    )
    return means.with_columns(way=pl.when(pl.col("budget") == 0).then(pl.lit("both")).otherwise("way"))


def forecasts(pool: Executor, populations: Iterable[str], runs: int) -> pl.DataFrame:
    """What was forecast and what came, on average over runs: columns data, before, open, said, came, said_to_came, and
    the standard deviation of said - came over the runs."""
    jobs = [(name, QUESTIONS, before, seed) for name in populations for before in BEFORE for seed in range(runs)]
    table = pl.DataFrame(list(pool.map(foreseen, *zip(*jobs, strict=True)))).with_columns(
        data=pl.Series([job[0] for job in jobs]), before=pl.Series([job[2] for job in jobs])
    )
    means = table.group_by("data", "before", maintain_order=True).agg(
        pl.col("open", "said", "came").mean(), deviation=(pl.col("said") - pl.col("came")).std()
    )
    return means.with_columns(said_to_came=pl.col("said") / pl.col("came"))


def judge_planner(planned: pl.DataFrame, said: pl.DataFrame) -> list[tuple[str, pl.DataFrame, pl.Expr, str, float]]:
    """The targets for the tables of `budgets` and `forecasts`: what, table, figure, `at least` or `at most`, bound."""
    rows: list[tuple[str, pl.DataFrame, pl.Expr, str, float]] = []
    ahead, error = pl.col("ahead"), 2 * pl.col("ahead_error")
    planner = planned.filter(pl.col("way") == "planner", pl.col("rule") == "posterior")
    for (data,), of in planner.group_by("data", maintain_order=True):
        rows += [
            (f"planner ahead on {data}, mean over budgets", of, ahead.mean(), "at least", 0.01),
            ("the same, worst budget, two standard errors added", of, (ahead + error).min(), "at least", 0),
        ]
        for further in SURELY_AHEAD:
            at = of.filter(pl.col("budget") == further)
            rows.append((f"the same, {further} further rollouts, surely", at, (ahead - error).min(), "at least", 0))
    off = (pl.col("said") - pl.col("came")).abs()
    for there, of, what, bound in (
        (True, off / pl.col("came"), f"forecast where {FORESEEN} or more settle: off by", 0.15),
        (False, off, f"forecast where fewer than {FORESEEN} settle: off by, questions", 3),
    ):
        part = said.filter((pl.col("came") >= FORESEEN) == there)
        if part.height:
            rows.append((what, part, of.max(), "at most", bound))
    return rows
