"""Decisions by the posterior false discovery rate: as many questions as the promise allows, the most certain first.

Each question has a posterior probability that a decision about it would be wrong, its error: that its benefit is not
above the margin (`gain`), not below minus the margin (`harm`), not within both (`none`). The largest set of questions
is decided whose average error is at most the rate that the recipe allows (Newton et al. 2004, Biostatistics 5:155-176;
Efron 2010, "Large-Scale Inference", ch. 5): the average is the expected share of wrong decisions in the set. No
question is decided whose own error is above a second bound, for the average alone would let it through.

A posterior is conditioned on all attempts, and whatever decided how many to make looked at the attempts alone, so
stopping early and planning change nothing (Berger and Wolpert 1988, "The Likelihood Principle", ch. 4). What the
promise does depend on is the distribution of the rates, which is estimated from the table. Errors are therefore counted
higher than they are stated (CAUTION), and a part of one is added for the set as a whole (DOUBT), which matters where
few are decided: those are the ones that the estimate by chance makes most of. And where a table as a whole cannot be
told from one in which tools change nothing, that estimate says little about effects: gains and harms are then decided
by the exact tests alone.
"""

from math import comb
from typing import cast

import numpy as np
import polars as pl

from filters.benefit import columns
from filters.benefit.columns import COMPARED
from records.recipe import ToolBenefit

CAUTION = 1.2
"""The factor by which errors are counted higher than stated. Measured without it: in tables in which every fourth guess
is right, 14 % of the gains are false where 10 % are promised; with it 11 (benchmarks/decisions.py)."""
DOUBT = 0.5
"""How many times the promised rate is counted as the error of one question more. Measured without it: 15 % of two gains
are false among 240 questions that all gain a little; with it it costs 1 % of the decisions there, 6 % among 20."""
EACH_WAY = 0.4
"""The share of the false discovery rate that gains, and harms, of a table without any effect may use up."""
DRAWS = 2_000
"""Tables drawn without any effect, with which the one at hand is compared."""


def decided(error: np.ndarray, rate: float, most: float) -> np.ndarray:
    """The largest set of questions whose average error, counted with caution, is at most `rate`, none above `most`.

    Questions with equal errors are decided together or not at all, so that no decision depends on their order.

    Args:
        error: (Q,) posterior probabilities that a decision is wrong, as stated; NaN where nothing is known.

    Returns:
        (Q,) of bool.
    """
    values, counts = np.unique(error[~np.isnan(error)], return_counts=True)
    if not len(values):
        return np.zeros(len(error), dtype=bool)
    fits = np.flatnonzero(keeps(np.cumsum(counts), np.cumsum(values * counts), rate) & (values * CAUTION <= most))
    return error <= (values[fits[-1]] if len(fits) else -1.0)


def keeps(count: np.ndarray | float, total: np.ndarray | float, rate: float) -> np.ndarray | bool:
    """Whether sets of `count` questions whose errors add up to `total` keep the promised rate."""
    return CAUTION * total + DOUBT * rate <= rate * count


def told_from_chance(table: pl.DataFrame, kind: str) -> float:
    """The p-value of "tools change nothing at any question" against gains (or harms) at some of them.

    A randomization test: if both arms have the same rate at a question, which of its right attempts are those with
    tools is chance (hypergeometric, given how many are right in all). The statistic adds up the squares of the
    standardized differences in the direction of `kind`: a few large effects count, and effects the other way do not
    hide them. Only the first samples enter, so it is exact whatever decided about further ones.

    Args:
        table: {arm}_first_attempts and {arm}_first_right of both arms.
        kind: `gain` or `harm`.
    """
    totals = table.select(
        *(pl.col(columns.first_attempts(arm)).alias(arm) for arm in COMPARED),
        right=pl.sum_horizontal(map(columns.first_right, COMPARED)), with_tools=columns.first_right("tools"),
    ).sort(*COMPARED, "right")  # fmt: skip
    random, found, drawn = np.random.default_rng(0), 0.0, np.zeros(DRAWS)
    grouped = totals.group_by(*COMPARED, "right", maintain_order=True).agg("with_tools")
    for without, tried, right, with_tools in grouped.iter_rows():
        possible, chances = _shares(without, tried, right)
        middle = float(chances @ possible)
        spread = float(chances @ (possible - middle) ** 2)
        if spread > 0:
            beyond = (possible - middle) * (1 if kind == "gain" else -1)
            scores = np.maximum(0.0, beyond) ** 2 / spread
            found += float(scores[np.array(with_tools) - possible[0]].sum())
            drawn += random.multinomial(len(with_tools), chances, size=DRAWS) @ scores
    return (1 + int((drawn >= found - 1e-9).sum())) / (DRAWS + 1)


def _shares(direct: int, tools: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of `right` right attempts may be those with tools, and how likely each number is by chance alone."""
    possible = np.arange(max(0, right - direct), min(tools, right) + 1)
    ways = np.array([comb(tools, int(n)) * comb(direct, right - int(n)) for n in possible], dtype=float)
    return possible, ways / ways.sum()


def decide(table: pl.DataFrame, settings: ToolBenefit) -> pl.Series:
    """The decision about each question.

    Args:
        table: the columns of filters.benefit.per_question.per_question that it follows from, decision_exact among them.
    """
    rate, most = settings.false_discovery_rate, settings.most_error
    decision = np.full(table.height, "open", dtype=object)
    for kind, error in errors(table).items():
        chosen = decided(error, rate, most)
        if kind != "none" and chosen.any() and not may_be_told(table, kind, settings):
            chosen = (table[columns.decision_by("exact")] == kind).to_numpy() & (error <= most)
        decision[chosen] = kind
    return pl.Series(decision, dtype=pl.String)


def kept(table: pl.DataFrame, settings: ToolBenefit) -> pl.Series:
    """The decisions of column decision_posterior that keep the promise among themselves: where some of the most certain
    ones have been taken out, the least certain ones of the others go too."""
    before = table[columns.decision_by("posterior")].to_numpy()
    decision = before.copy()
    for kind, error in errors(table).items():
        left = np.where(before == kind, error, np.nan)
        whole = decided(left, settings.false_discovery_rate, settings.most_error)
        dropped = (before == kind) & ~whole
        if dropped.any() and (kind == "none" or may_be_told(table, kind, settings)):
            decision[dropped] = "open"
    return pl.Series(decision, dtype=pl.String)


def errors(table: pl.DataFrame) -> dict[str, np.ndarray]:
    """The posterior probability that each question would be decided wrongly, by kind of decision."""
    gain, harm = (table[columns.probability(kind)].to_numpy() for kind in ("gain", "harm"))
    return {"gain": 1 - gain, "harm": 1 - harm, "none": gain + harm}


def may_be_told(table: pl.DataFrame, kind: str, settings: ToolBenefit) -> bool:
    """Whether the table as a whole shows more gains (or harms) than chance alone would.

    Where tools change nothing at all, whatever is decided is wrong: the false discovery rate is then the share of
    tables in which anything is decided, and it is divided between gains, harms and the exact tests.
    """
    return told_from_chance(table, kind) <= EACH_WAY * settings.false_discovery_rate


def bound(table: pl.DataFrame, kind: str, settings: ToolBenefit) -> float:
    """The error up to which a question like those of the table is decided: that of the least certain one that is, or
    what the false discovery rate allows for one alone."""
    errors = table.filter(pl.col("decision") == kind)["decision_error"]
    alone = (1 - DOUBT) * settings.false_discovery_rate / CAUTION
    return alone if errors.is_empty() else max(alone, cast(float, errors.max()))


def error() -> pl.Expr:
    """The posterior probability that the decision of a row is wrong; null where nothing is decided."""
    gain, harm = pl.col(columns.probability("gain")), pl.col(columns.probability("harm"))
    return (
        pl.when(pl.col("decision") == "gain").then(1 - gain)
        .when(pl.col("decision") == "harm").then(1 - harm)
        .when(pl.col("decision") == "none").then(gain + harm)
    )  # fmt: skip
