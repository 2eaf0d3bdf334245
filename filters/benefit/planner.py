"""The plan of further rollouts: they go where they settle most, to questions for which it is open whether tools help,
and to gains for which it is open whether the call or its result explains them.

A question is settled when it is decided to be a gain, a harm, or neither (filters/benefit/per_question.py). What
further attempts would bring follows from what is known of its pass rates (filters/benefit/lookahead.py), and the
questions that promise most decisions per rollout go first. The plan may look at everything: estimates and each
question's test stay valid, whatever chose how often it is asked.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from filters.benefit import columns, lookahead
from filters.benefit.columns import COMPARED
from filters.benefit.exact_tests import look_weights
from filters.benefit.joint_rates import DIFFERENCE, JointRates, one_thread
from filters.benefit.lookahead import EXPECTED, GAIN, HARM, NONE, PRICES, ROLLOUTS, Lookahead, Position
from filters.benefit.per_question import CLEAR, STRATUM, fitted, per_question
from filters.benefit.thresholds import Thresholds
from records.recipe import ToolBenefit

_CHANCES = 20
"""Chances are told apart in steps of 1 / 20."""
_ROUNDS = 24
"""Rounds at most in which the expected decisions and the thresholds that follow from them come to agree."""
_POSITION = ["stratum", "chance_step", *map(columns.samples, COMPARED), *map(columns.attempts, COMPARED)]
_RIGHT = [columns.right(arm) for arm in COMPARED]


def next_round(
    counts: pl.DataFrame,
    questions: pl.DataFrame,
    settings: ToolBenefit,
    seed: int,
    budget: int,
    round_size: int | None = None,
) -> pl.DataFrame:
    """Which questions get further samples now, up to their next look; to be asked again when those are made.

    Args:
        counts: as filters.benefit.per_question.counts returns them, with the looks of the settings.
        questions: columns question_id, task, source and, if known, chance and busy (whether samples of it are under
            way: it gets none now).
        seed: of the estimates, as for filters.benefit.per_question.per_question.
        budget: rollouts that are left in all. The plan is the first part of what pays best with all of them.
        round_size: rollouts in this round; without it, all that are left. One question may take more than that, if it
            comes first and the budget allows it.

    Returns:
        question_id, arm (direct, tools, call_only) and wanted: how many samples it should have in that arm in all, a
        look of the settings. By question and arm; only what is not there yet. Empty where nothing is left that pays.
    """
    steps = _prospect(counts, questions, settings, seed, budget).steps
    steps = steps.filter(pl.col("index") >= PRICES[0], pl.col("cost") <= budget)
    if "busy" in questions.columns:
        steps = steps.join(questions.filter("busy"), on="question_id", how="anti")
    steps = steps.sort(["index", "question_id"], descending=[True, False])
    size = budget if round_size is None else min(budget, max(round_size, int(steps["cost"].head(1).sum())))
    wanted = _affordable(steps, size).unpivot(
        ["direct", "tools", "call_only"], index="question_id", variable_name="arm", value_name="wanted"
    )
    return wanted.drop_nulls().sort("question_id", "arm")


def forecast(
    counts: pl.DataFrame, questions: pl.DataFrame, settings: ToolBenefit, seed: int, rollouts: int = 1000
) -> dict[str, Any]:
    """What a number of further rollouts is expected to settle, made where `next_round` wants them.

    Settings without further rollouts: what they would settle if there were some, at the doublings of `samples` up to
    `most_samples`.

    Args:
        counts, questions, settings, seed: as for `next_round`.

    Returns:
        open (questions now), rollouts (how many the plan would use), settled (questions), gain, harm, none (those of
        them that come to be decided so), and by_task: for each task open and settled. What is expected has a decimal.
    """
    prospect = _prospect(counts, questions, settings, seed, rollouts)
    whole = prospect.brought.sum(axis=0)
    is_open = dict(prospect.open.group_by("task").len().iter_rows())
    by_task = {
        task: {"open": is_open.get(task, 0), "settled": round(float(sums[:ROLLOUTS].sum()), 1)}
        for task, sums in zip(prospect.tasks, prospect.brought, strict=True)
    }
    return {
        "open": prospect.open.height,
        "rollouts": round(float(whole[ROLLOUTS]) + prospect.for_controls),
        "settled": round(float(whole[:ROLLOUTS].sum()), 1),
        **{name: round(float(whole[kind]), 1) for name, kind in (("gain", GAIN), ("harm", HARM), ("none", NONE))},
        "by_task": by_task,
    }


class _Prospect(NamedTuple):
    tasks: list[str]
    open: pl.DataFrame
    """The questions that nothing is decided about."""
    brought: np.ndarray
    """(tasks, EXPECTED): what the budget is expected to bring, and the rollouts it takes."""
    for_controls: float
    """Rollouts that control arms take besides."""
    steps: pl.DataFrame
    """One row for each that could be made: question_id, index, cost, and what is wanted in direct, tools, call_only."""


@one_thread
def _prospect(
    counts: pl.DataFrame, questions: pl.DataFrame, settings: ToolBenefit, seed: int, budget: int
) -> _Prospect:
    ladder = settings if settings.further else settings.model_copy(update={"further": 1.0})
    table = per_question(counts, questions, settings, seed).with_columns(
        stratum=STRATUM,
        chance_step=(pl.col("chance") * _CHANCES).round().cast(pl.Int64),
    )
    tasks = table["task"].unique().sort().to_list()
    is_open = table.filter(pl.col("decision") == "open")
    states = is_open.select(*_POSITION, *_RIGHT).unique(maintain_order=True).with_row_index("state")
    is_open = is_open.join(states, on=[*_POSITION, *_RIGHT], how="left", maintain_order="left")
    state = is_open["state"].to_numpy()
    rates = fitted(table, COMPARED, seed)
    controls = _control_steps(table, ladder, seed)
    control_cost = (controls["cost"].to_numpy()[:, None] * (controls["index"].to_numpy()[:, None] > PRICES)).sum(axis=0)

    thresholds = Thresholds(table, is_open, settings, ladder.looks)
    for _ in range(_ROUNDS):
        sure = thresholds.sure()
        undecided = ~np.any(sure, axis=0)
        rule = Lookahead(rates, ladder.looks, look_weights(ladder.looks), thresholds.bounds(), settings.margin)
        going = np.bincount(state[undecided], minlength=states.height)
        by_price, indices = _ahead(rule, states, going, len(tasks))
        mix = _mix(by_price.sum(axis=0)[ROLLOUTS] + control_cost, max(budget, 0))
        brought = by_price @ mix
        for kind, mine in enumerate(sure):
            brought[:, kind] += np.bincount(is_open["stratum"].to_numpy()[mine], minlength=len(tasks))
        if thresholds.agree(brought.sum(axis=0), sure):
            break
    for kind, name in ((GAIN, "gain"), (HARM, "harm")):
        if name not in thresholds.told:  # what the estimate promises may be chance as a whole
            brought[:, kind] = 0
    steps = _steps(is_open.filter(undecided), indices[state[undecided]], ladder.looks)
    return _Prospect(tasks, is_open, brought, float(control_cost @ mix), pl.concat([steps, controls]))


def _ahead(rule: Lookahead, states: pl.DataFrame, questions: np.ndarray, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """What this many questions in each state bring in all at each price, (tasks, EXPECTED, PRICES), and the index of
    each state."""
    brought, indices = np.zeros((tasks, EXPECTED, len(PRICES))), np.zeros(states.height)
    for (stratum, chance, *made), part in states.partition_by(_POSITION, as_dict=True, maintain_order=True).items():
        samples, attempts = tuple(made[:2]), tuple(made[2:])
        lattice = rule.ahead(Position(stratum, chance / _CHANCES, samples, attempts))
        rows, right = part["state"].to_numpy(), [part[name].to_numpy() for name in _RIGHT]
        mine = lattice[right[0], right[1]]
        indices[rows] = lookahead.index(mine)
        brought[stratum] += np.tensordot(questions[rows], mine, axes=1)
    return brought, indices


def _mix(rollouts: np.ndarray, budget: int) -> np.ndarray:
    """The share of the questions that is played at each price, (PRICES,), so that the budget is used and not exceeded:
    between the two prices at which too many and too few rollouts (PRICES,), falling, are asked for."""
    shares = np.zeros(len(PRICES))
    above = int((rollouts > budget).sum())
    if above == 0:
        shares[0] = 1
    elif above == len(PRICES):
        shares[-1] = budget / rollouts[-1]
    else:
        more, less = rollouts[above - 1], rollouts[above]
        shares[above - 1] = (budget - less) / (more - less)
        shares[above] = 1 - shares[above - 1]
    return shares


def _steps(questions: pl.DataFrame, indices: np.ndarray, looks: Sequence[int]) -> pl.DataFrame:
    """The step of each question, with its index (Q,), to its next look, where there is one."""
    least = pl.min_horizontal(*map(columns.samples, COMPARED))
    look = pl.min_horizontal(pl.when(least < look).then(look) for look in looks).cast(pl.Int64)
    steps = questions.with_columns(index=pl.Series(indices), look=look).drop_nulls("look")
    missing = {arm: (pl.col("look") - pl.col(columns.samples(arm))).clip(lower_bound=0) for arm in COMPARED}
    wanted = {arm: pl.when(more > 0).then("look") for arm, more in missing.items()}
    cost = missing["direct"] + missing["tools"]
    return steps.select("question_id", "index", cost=cost, **wanted, call_only=pl.lit(None, pl.Int64))


def _control_steps(table: pl.DataFrame, settings: ToolBenefit, seed: int) -> pl.DataFrame:
    """The steps that take call_only, once, to the look that tools have reached, of gains whose attribution is unclear.

    Worth the probability that the attribution is clear then: a gain explained counts as much as a question decided.
    """
    none = dict.fromkeys(COMPARED, pl.lit(None, pl.Int64))
    wanted = ["question_id", "index", "cost", "direct", "tools", "call_only"]
    parts = [
        table.clear().select(
            "question_id", index=0.0, cost=pl.lit(0, pl.Int64), **none, call_only=pl.lit(None, pl.Int64)
        )
    ]
    if "call_only" not in settings.controls:
        return parts[0]
    reached = pl.max_horizontal(pl.when(pl.col(columns.samples("tools")) >= look).then(look) for look in settings.looks)
    unclear = table.with_columns(call_only=reached.cast(pl.Int64), **none).filter(
        pl.col("attribution") == "unclear",
        pl.col("call_only") > settings.samples,
        pl.col(columns.attempts("call_only")) == pl.col(columns.first_attempts("call_only")),
    )
    # the counts do not say how many of its samples gave no verdict; so it may cost less than this
    unclear = unclear.with_columns(cost=pl.col("call_only") - pl.col(columns.attempts("call_only")))
    habit, content = fitted(table, ("direct", "call_only"), seed), fitted(table, ("call_only", "tools"), seed)
    arms = ("direct", "call_only", "tools")
    shared = ["stratum", "chance_step", *map(columns.attempts, arms), "cost"]
    for key, part in unclear.partition_by(shared, as_dict=True, maintain_order=True).items():
        names = [columns.right(arm) for arm in arms]
        states = part.select(names).unique(maintain_order=True)
        clear = _clear(habit, content, key, [states[name].to_numpy() for name in names], settings.margin)
        part = part.join(states.with_columns(clear=pl.Series(clear)), on=names, how="left", maintain_order="left")
        parts.append(part.with_columns(index=pl.col("clear") / pl.col("cost")).select(wanted))
    return pl.concat(parts)


def _clear(
    habit: JointRates, content: JointRates, shared: tuple[int, ...], right: list[np.ndarray], margin: float
) -> np.ndarray:
    """The probability that more samples of call_only make the attribution clear.

    Args:
        shared: what the questions have in common: stratum, chance, attempts in direct, call_only and tools, and the
            number of further samples, each of which is taken to be an attempt.
        right: (Q,) right attempts of each question in the three arms.
    """
    stratum, chance, direct, calls, tools, more = shared
    event = lookahead.edge(chance / _CHANCES, margin) < DIFFERENCE
    by_habit = lookahead.probability(habit, stratum, (direct, calls + more), event) >= CLEAR
    by_content = lookahead.probability(content, stratum, (calls + more, tools), event) >= CLEAR
    direct_right, calls_right, tools_right = (values[:, None] for values in right)
    then = calls_right + np.arange(more + 1)
    before = lookahead.outcomes(content, stratum, (calls, tools))[:, calls_right, tools_right]
    after = lookahead.outcomes(content, stratum, (calls + more, tools))[:, then, tools_right]
    chances = (after / before).mean(axis=0) * lookahead.ways(calls, more)[calls_right, then]
    return (chances * (by_habit[direct_right, then] | by_content[then, tools_right])).sum(axis=1)


def _affordable(steps: pl.DataFrame, budget: int) -> pl.DataFrame:
    """The steps in their order, without those that what is left of the budget is too small for."""
    taken = [steps.clear()]
    while not steps.is_empty():
        taken.append(steps.filter(pl.col("cost").cum_sum() <= budget))
        budget -= int(taken[-1]["cost"].sum())
        steps = steps.slice(taken[-1].height).filter(pl.col("cost") <= budget)
    return pl.concat(taken)
