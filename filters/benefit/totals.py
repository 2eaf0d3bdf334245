"""What tools do over many questions: gain and harm, and how much of them the controls explain.

All numbers come from the first samples of each arm, which every question has whatever the planner added to it: plain
means over questions are unbiased then.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from filters.benefit import columns
from filters.benefit.columns import COMPARED
from filters.benefit.joint_rates import MOST_CHANCE
from filters.intervals import bootstrap_ratio

_UNIT = 1_000_000
"""The unit of 1 - chance as a whole number, so that sums do not depend on the order of rows."""
_OTHERS = ("call_only", "result_only", "oracle")
_WITH_INTERVAL = (
    "benefit", "corrected_benefit", "gain", "harm", "habit", "content", "results_alone", "habit_share", "results_share",
)  # fmt: skip


def totals(table: pl.DataFrame, confidence: float, seed: int = 0, by: str = "task") -> pl.DataFrame:
    """Rates, benefit, gain and harm, and what the controls explain, per task or per tool and over all.

    With p the rates of right attempts of a question in an arm, averaged over questions:

    - benefit: p_tools - p_direct. corrected_benefit: the sum of the benefits over the sum of 1 - chance (Abbott 1925,
      Journal of Economic Entomology 18:265-267; a ratio estimator, Cochran 1977, ch. 6): the share of what guessing
      leaves to gain; chance is at most MOST_CHANCE.
    - gain: (1 - p_direct) p_tools, the chance that a question is wrong without tools and right with them. harm:
      p_direct (1 - p_tools), the other way round. Attempts of the two arms are independent, so both are unbiased.
      gain - harm = benefit.
    - churn: s (n - s) / (n (n - 1)) with s right of n direct attempts, n >= 2; unbiased for p_direct (1 - p_direct).
      It is how often one direct attempt is right and another wrong. If tools changed nothing, gain and harm would both
      be as large as churn: harm beyond it is the tools' doing, harm up to it may be what asking twice does anyway.
    - habit: p_call_only - p_direct, what calling alone does. content: p_tools - p_call_only, what the results add to
      it; the two sum to the benefit of the questions they are taken from. results_alone: p_result_only - p_direct.
      habit_share and results_share: the sum of habit, or of results_alone, over the sum of the benefits of the same
      questions; null when the interval of that benefit holds 0, as a share of nothing means nothing.

    Questions that count: all but the control arms' numbers are over those with an attempt in direct and tools
    (`questions`); `call_only`, habit, content and habit_share over those of them with one in call_only too
    (`call_only_questions`); `result_only`, results_alone and results_share, and `oracle`, likewise.

    Intervals: `bootstrap_ratio` over questions. Below about ten questions they hold the truth some points less often
    than they say. Where all questions agree the bootstrap would call nothing uncertain; there the interval holds what
    could be if a share of 1 - (tail)^(1/n) of all questions, the upper bound of Clopper and Pearson (1934) for 0 of n,
    had the lowest or the highest value possible.

    Args:
        table: the table of the asset tool_benefit: columns {arm}_first_attempts and {arm}_first_right of all five arms,
            chance (null: 0) and `by`.
        confidence: of the intervals.
        seed: of the draws. Equal tables give equal totals, whatever the order of their rows.
        by: a column of text; its null counts as "(unknown)".

    Returns:
        one row per value of `by` with a question that counts, sorted, then `all`. Columns: `by`, questions,
        call_only_questions, result_only_questions, oracle_questions, direct, tools, call_only, result_only, oracle,
        churn, and benefit, corrected_benefit, gain, harm, habit, content, results_alone, habit_share, results_share,
        each followed by its _low and _high (null for a single question). Null where no question counts.
    """
    left = ((1 - pl.col("chance").cast(pl.Float64).fill_null(0).clip(0, MOST_CHANCE)) * _UNIT).round().cast(pl.Int64)
    table = table.with_columns(
        pl.col(by).cast(pl.String).fill_null("(unknown)"), left=left, chance_bin=left // (_UNIT // 100)
    )
    states = {"tools": _states(table, [by, "chance_bin"], COMPARED)}
    states |= {arm: _states(table, [by], (*COMPARED, arm)) for arm in _OTHERS}
    rows = [
        {by: value} | _row({name: rows.filter(pl.col(by) == value) for name, rows in states.items()}, confidence, seed)
        for value in states["tools"][by].unique().sort()
    ]
    if rows:
        rows.append({by: "all"} | _row(states, confidence, seed))
    return pl.DataFrame(rows, schema=_schema(by))


def _schema(by: str) -> dict[str, type[pl.DataType]]:
    counts = ["questions", "call_only_questions", "result_only_questions", "oracle_questions"]
    rates = ["direct", "tools", "call_only", "result_only", "oracle", "churn"]
    rates += [end for name in _WITH_INTERVAL for end in (name, columns.low(name), columns.high(name))]
    return {by: pl.String, **dict.fromkeys(counts, pl.Int64), **dict.fromkeys(rates, pl.Float64)}


def _states(table: pl.DataFrame, keys: Sequence[str], arms: Sequence[str]) -> pl.DataFrame:
    """Questions with an attempt in each of the arms, those with equal counts and keys put together.

    Columns: the keys, the counts, questions, and `left`: the sum of 1 - chance in millionths.
    """
    chosen = table.filter(pl.all_horizontal(pl.col(columns.first_attempts(arm)) > 0 for arm in arms))
    keys = [*keys, *(name(arm) for arm in arms for name in (columns.first_attempts, columns.first_right))]
    return chosen.group_by(keys).agg(questions=pl.len(), left=pl.col("left").sum()).sort(keys)


def _row(states: dict[str, pl.DataFrame], confidence: float, seed: int) -> dict[str, float | None]:
    """The numbers of one row, without its name."""
    measured = _Measure(confidence, seed)
    pairs = states["tools"]
    questions, left, right, attempts = _numbers(
        pairs, "questions", "left", columns.first_right("direct"), columns.first_attempts("direct")
    )
    direct, tools = _rates(pairs, "direct", "tools")
    twice = attempts >= 2
    churn = (right * (attempts - right) / np.maximum(attempts * (attempts - 1), 1))[twice]
    row = {"questions": int(questions.sum()), "direct": _ratio(direct, questions), "tools": _ratio(tools, questions)}
    row |= {"churn": _ratio(churn, questions[twice])}
    row |= measured("benefit", tools - direct, questions)
    row |= measured("corrected_benefit", tools - direct, questions, left / _UNIT / questions)
    row |= measured("gain", (1 - direct) * tools, questions, lowest=0.0)
    row |= measured("harm", direct * (1 - tools), questions, lowest=0.0)

    for control, alone, share in (
        ("call_only", "habit", "habit_share"),
        ("result_only", "results_alone", "results_share"),
    ):
        (questions,) = _numbers(states[control], "questions")
        direct, tools, controlled = _rates(states[control], "direct", "tools", control)
        row |= {f"{control}_questions": int(questions.sum()), control: _ratio(controlled, questions)}
        row |= measured(alone, controlled - direct, questions)
        if control == "call_only":
            row |= measured("content", tools - controlled, questions)
        _, low, high = measured("benefit", tools - direct, questions).values()
        if low is not None and high is not None and not low <= 0 <= high:
            row |= measured(share, controlled - direct, questions, tools - direct)

    (questions,) = _numbers(states["oracle"], "questions")
    (oracle,) = _rates(states["oracle"], "oracle")
    return row | {"oracle_questions": int(questions.sum()), "oracle": _ratio(oracle, questions)}


def _numbers(states: pl.DataFrame, *names: str) -> list[np.ndarray]:
    return [states[name].to_numpy().astype(float) for name in names]


def _rates(states: pl.DataFrame, *arms: str) -> list[np.ndarray]:
    return [(states[columns.first_right(arm)] / states[columns.first_attempts(arm)]).to_numpy() for arm in arms]


def _ratio(values: np.ndarray, questions: np.ndarray, of: np.ndarray | float = 1.0) -> float | None:
    """The sum of the values over questions divided by the sum of what they are shares of; None without a question."""
    return float((values * questions).sum() / (of * questions).sum()) if len(questions) else None


@dataclass(frozen=True)
class _Measure:
    """Ratios over questions with the ends of their intervals."""

    confidence: float
    seed: int

    def __call__(
        self,
        name: str,
        values: np.ndarray,
        questions: np.ndarray,
        of: np.ndarray | None = None,
        lowest: float = -1.0,
    ) -> dict[str, float | None]:
        """The columns of sum(values) / sum(of) over questions; the values are from `lowest` to 1."""
        of = np.ones(len(values)) if of is None else of
        ratio, n = _ratio(values, questions, of), questions.sum()
        lower = upper = None
        if n >= 2 and np.abs(values - ratio * of).max() > 1e-9:
            lower, upper = bootstrap_ratio(values, of, questions, self.confidence, self.seed)
        elif n >= 2:
            others = 1 - ((1 - self.confidence) / 2) ** (1 / n)
            mean = (of * questions).sum() / n
            lower, upper = sorted(float((1 - others) * ratio + others * end / mean) for end in (lowest, 1.0))
        return {name: ratio, columns.low(name): lower, columns.high(name): upper}
