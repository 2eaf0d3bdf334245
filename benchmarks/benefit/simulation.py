"""Questions whose pass rates are known, attempts at them, and how well tool benefit is measured on them.

Everything goes through the functions that the pipeline uses: rollouts are counted, measured and planned as a table of
real ones is.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import polars as pl

from benchmarks.benefit.populations import DECIDED_ABOUT, of_other_task
from filters.benefit.per_question import counts, per_question
from filters.benefit.planner import next_round
from filters.benefit.totals import totals
from records.recipe import ToolBenefit

ARMS = ("direct", "tools", "call_only", "result_only")
MOST = 32
"""Attempts drawn of each question in each arm; a simulation takes the first of them."""


def draw_truth(name: str, n: int, random: np.random.Generator) -> pl.DataFrame:
    """n questions of a population.

    The arm `call_only` keeps none of the difference that tools make at half of the questions, and a share of it drawn
    evenly at the others; `result_only` keeps 60 % of it.

    Returns columns question_id, task, source, chance, the true rates of ARMS, and benefit: the true difference
    corrected for chance.
    """
    population = DECIDED_ABOUT[name]
    direct, tools = population.draw(random, n)
    habit = np.where(random.random(n) < 0.5, 0.0, random.random(n))
    rates = {
        "direct": direct,
        "tools": tools,
        "call_only": direct + habit * (tools - direct),
        "result_only": direct + 0.6 * (tools - direct),
    }
    guess = population.chance
    return pl.DataFrame(
        {
            "question_id": pl.select(pl.int_range(n).cast(pl.String).str.zfill(32)).to_series(),
            "chance": np.full(n, guess),
            **{arm: guess + (1 - guess) * rate for arm, rate in rates.items()},
            "benefit": tools - direct,
        }
    ).with_columns(
        task=pl.when(pl.int_range(n) < n - of_other_task(n, population.other))
        .then(pl.lit("math"))
        .otherwise(pl.lit("search")),
        source=pl.lit(name),
    )


class Attempts:
    """Attempts at questions, made already but taken one after the other, as a planner asks for them."""

    def __init__(self, ids: Sequence[str], right: dict[str, np.ndarray]) -> None:
        """`right`: for each arm (questions, attempts) of 1, 0, or -1 for an attempt without a verdict."""
        self._ids, self._right = pl.Series("question_id", ids), right
        self._row = {name: row for row, name in enumerate(ids)}
        self._taken = {arm: np.zeros(len(ids), dtype=np.int64) for arm in right}

    @staticmethod
    def draw(
        truth: pl.DataFrame, arms: Iterable[str], random: np.random.Generator, most: int = MOST
    ) -> dict[str, np.ndarray]:
        """`most` attempts at each question in each of the arms, by its true rates."""
        return {
            arm: (random.random((truth.height, most)) < truth[arm].to_numpy()[:, None]).astype(np.int8) for arm in arms
        }

    def take(self, plan: pl.DataFrame) -> int:
        """Take as many attempts as are wanted (columns question_id, arm, wanted), and return how many that adds."""
        before = self.taken
        for (arm,), wanted in plan.group_by("arm"):
            held, most = self._taken[arm], self._right[arm].shape[1]
            rows = [self._row[name] for name in wanted["question_id"]]
            held[rows] = np.maximum(held[rows], np.minimum(wanted["wanted"].to_numpy(), most))
        return self.taken - before

    def take_all(self, samples: int) -> "Attempts":
        """Take this many of every question in every arm, where there are as many."""
        for arm, held in self._taken.items():
            np.maximum(held, min(samples, self._right[arm].shape[1]), out=held)
        return self

    @property
    def taken(self) -> int:
        return int(sum(held.sum() for held in self._taken.values()))

    def rollouts(self) -> pl.DataFrame:
        """What is taken, as rollouts: question_id, arm, sample_index, correct."""
        parts = []
        for arm, right in self._right.items():
            rows, samples = np.nonzero(np.arange(right.shape[1]) < self._taken[arm][:, None])
            verdict = pl.Series(right[rows, samples])
            parts.append(
                pl.DataFrame({"question_id": self._ids.gather(rows), "sample_index": samples}).with_columns(
                    arm=pl.lit(arm), correct=pl.when(verdict >= 0).then(verdict == 1)
                )
            )
        return pl.concat(parts).select("question_id", "arm", "sample_index", "correct")


def spend(attempts: Attempts, questions: pl.DataFrame, settings: ToolBenefit, budget: int, seed: int = 0) -> int:
    """Take up to `budget` further attempts where the planner wants them, a quarter of it per round; returns how many.

    As in the pipeline (measurement/extra_rounds.py), a round is planned while the one before is being made: it does not
    know what that brings, and leaves its questions out.
    """
    spent, planned = 0, 0
    known, under_way = counts(attempts.rollouts(), settings.looks), None
    while planned < budget:
        busy = [] if under_way is None else under_way["question_id"].unique().to_list()
        asked = questions.with_columns(busy=pl.col("question_id").is_in(busy))
        plan = next_round(known, asked, settings, seed, budget - planned, round_size=max(budget // 4, 2))
        if plan.is_empty() and under_way is None:  # nothing pays
            break
        known = counts(attempts.rollouts(), settings.looks)  # the round before is over
        taken = attempts.take(plan) if plan.height else 0
        if plan.height and not taken:  # there are no more attempts
            break
        spent, planned, under_way = spent + taken, planned + taken, plan if plan.height else None
    return spent


def settings_of(samples: int, further: float = 0.0, **more: Any) -> ToolBenefit:
    """The recipe's settings without control arms, with room for MOST samples."""
    return ToolBenefit(**{"most_samples": MOST, "controls": [], "samples": samples, "further": further, **more})


def measured(attempts: Attempts, truth: pl.DataFrame, settings: ToolBenefit, seed: int = 0) -> pl.DataFrame:
    """The table of tool benefit for what is taken, with the truth beside it (true_benefit)."""
    questions = truth.select("question_id", "task", "source", "chance")
    table = per_question(counts(attempts.rollouts(), settings.looks), questions, settings, seed)
    true = truth.select("question_id", true_benefit="benefit")
    return table.join(true, on="question_id", how="left", maintain_order="left")


def judge_decisions(table: pl.DataFrame, margin: float) -> pl.DataFrame:
    """A table of `measured` with column rightly: whether what is decided is true (null where nothing is): a gain where
    the true benefit is above 0, harm where it is below, none where it is at most the margin."""
    true = pl.col("true_benefit")
    return table.with_columns(
        rightly=pl.when(pl.col("decision") == "gain")
        .then(true > 1e-9)
        .when(pl.col("decision") == "harm")
        .then(true < -1e-9)
        .when(pl.col("decision") == "none")
        .then(true.abs() <= margin + 1e-9)
    )


KINDS = ("gain", "harm", "none")
"""The kinds of decisions."""
EDGES = np.linspace(0, 1, 11)
"""The edges of the bins in which stated probabilities are compared with how often they come true."""


def one_table(name: str, n: int, samples: int, further: float, seed: int) -> dict[str, object]:
    """One table of n questions drawn, measured and compared with the truth.

    Args:
        further: rollouts a question that the planner gives beyond `samples` in both arms.

    Returns coverage and coverage_80 (shares of the questions whose interval of 95 % and 80 % holds the truth), width
    (of the 95 % interval, on average), rollouts a question; {kind} and {kind}_wrong for each of KINDS: how many are
    decided so, and how many of them wrongly; bins, (10, 3): for gain_probability in EDGES how many questions, the sum
    of what is stated, and how many times it is true.
    """
    random = np.random.default_rng([seed, n, samples, int(further * 100), *name.encode()])
    truth = draw_truth(name, n, random)
    settings = settings_of(samples, further)
    right = Attempts.draw(truth, ("direct", "tools"), random)
    attempts = Attempts(truth["question_id"].to_list(), right).take_all(samples)
    if further:
        spend(attempts, truth, settings, round(further * n), seed)
    table = judge_decisions(measured(attempts, truth, settings, seed), settings.margin)
    narrow = measured(attempts, truth, settings_of(samples, further, confidence=0.8), seed)
    stated, true = table["gain_probability"].to_numpy(), table["true_benefit"].to_numpy() > settings.margin + 1e-9
    bins = np.stack([np.histogram(stated, EDGES, weights=w)[0] for w in (np.ones(n), stated, true.astype(float))], 1)
    return {
        "coverage": _covered(table),
        "coverage_80": _covered(narrow),
        "width": (table["benefit_high"] - table["benefit_low"]).mean(),
        "rollouts": attempts.taken / n,
        **{kind: (table["decision"] == kind).sum() for kind in KINDS},
        **{f"{kind}_wrong": table.filter(pl.col("decision") == kind, ~pl.col("rightly")).height for kind in KINDS},
        "bins": bins,
    }


def _covered(table: pl.DataFrame) -> float:
    low, high, true = (table[name].to_numpy() for name in ("benefit_low", "benefit_high", "true_benefit"))
    return float(((low <= true + 1e-9) & (true - 1e-9 <= high)).mean())


def true_totals(name: str, n: int = 400_000) -> dict[str, float]:
    """The totals of a population: means over n questions drawn from it (their own error is below 0.001)."""
    truth = draw_truth(name, n, np.random.default_rng(1))
    direct, tools, calls, results = (truth[arm].to_numpy() for arm in ARMS)
    benefit = float((tools - direct).mean())
    true = {
        "benefit": benefit,
        "corrected_benefit": cast(float, truth["benefit"].mean()),
        "gain": float(((1 - direct) * tools).mean()),
        "harm": float((direct * (1 - tools)).mean()),
        "habit": float((calls - direct).mean()),
        "content": float((tools - calls).mean()),
        "results_alone": float((results - direct).mean()),
    }
    if abs(benefit) > 0.01:
        true |= {"habit_share": true["habit"] / benefit, "results_share": true["results_alone"] / benefit}
    return true


def totals_coverage(name: str, n: int, tables: int, samples: int, seed: int) -> dict[str, tuple[int, int]]:
    """How often the 95 % interval of each total, over a table of n questions, holds the population's true value.

    The tables are drawn as the tasks of one large table, for which `totals` gives each its own row.

    Returns name of the total -> (tables with an interval, those of them whose interval does not hold the truth); a
    share of a benefit that may be 0 has none.
    """
    random = np.random.default_rng([seed, n, samples, *name.encode()])
    truth = draw_truth(name, n * tables, random)
    attempts = Attempts(truth["question_id"].to_list(), Attempts.draw(truth, ARMS, random, samples)).take_all(samples)
    facts = truth.select("question_id", "chance", task=pl.format("table {}", pl.int_range(pl.len()) // n))
    table = counts(attempts.rollouts(), (samples,)).join(facts, on="question_id", maintain_order="left")
    rows = totals(table, 0.95, seed).filter(pl.col("task") != "all")
    found = {}
    for total, true in true_totals(name).items():
        given = rows.drop_nulls(f"{total}_low")
        held = given.filter(pl.col(f"{total}_low") <= true + 1e-9, pl.col(f"{total}_high") >= true - 1e-9)
        found[total] = (given.height, given.height - held.height)
    return found


def mean_and_error(values: str, among: pl.Expr | None = None) -> tuple[pl.Expr, pl.Expr]:
    """The mean of a column and its standard error, {values}_error. For the share of `among` questions in all the error
    is at least the binomial one, for a few tables may agree by chance."""
    mean, error = pl.col(values).mean(), pl.col(values).std().fill_null(0) / pl.len().sqrt()
    if among is not None:
        error = pl.max_horizontal(error, (mean * (1 - mean) / among).sqrt())
    return mean, error.alias(f"{values}_error")
