"""Do tools help with a question, do they harm, and is it the call or what it brings? The same question in several arms.

The direct attempts counted here are new ones, not those by which the difficulty filter chose the question: a question
picked for few right answers would look as if anything helped it (regression to the mean).

Two kinds of statement, both valid although how often a question was asked may depend on what came out:
- Estimates and probabilities are posterior ones (filters/benefit/joint_rates.py): calibrated on average over the
  questions of a table.
- Decisions, by one of two rules. `posterior` decides as many questions as the false discovery rate allows by these
  probabilities (filters/benefit/posterior_decisions.py). `exact` tests each question's own attempts at fixed looks
  (filters/benefit/exact_tests.py), whatever the distribution of the rates is. Where all questions are asked equally
  often, that their false discovery rate is controlled over the table is a theorem; where a plan made of all questions'
  attempts chose how often (filters/benefit/planner.py), each test is still valid alone, and for the table simulation
  shows it (benchmarks/tool_benefit.py).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from filters.benefit import columns, posterior_decisions, unreadable
from filters.benefit.columns import ARMS, COMPARED, RULES
from filters.benefit.exact_tests import adjusted, boschloo, ladder_p, look_weights
from filters.benefit.joint_rates import JointRates, fit, one_thread, summary
from records.recipe import ToolBenefit

NO_TOOL = "(none)"
CLEAR = 0.8
"""The probability from which a gain counts as explained by the habit of calling, or by the content of the results."""
STRATUM = pl.col("task").rank("dense").cast(pl.Int64) - 1
"""The number of a task, over a whole table."""
_CONTROLLED = ("habit", "content")
"""The differences that the control arm call_only is needed for."""
_AT_ONCE = 4096


def counts(
    rollouts: pl.LazyFrame | pl.DataFrame, looks: Sequence[int], starts: Mapping[str, int] | None = None
) -> pl.DataFrame:
    """What came out of the attempts at each question.

    Args:
        rollouts: one row per sample: question_id, arm, sample_index, correct (null: no attempt) and, if known, tool
            (the one that the attempt called first, null where it called none) and unreadable (whether it named no
            action, or its action was lost).
        looks: samples at which a question may be decided, rising.
        starts: the index of an arm's first sample, where it is not 0. Arms beyond ARMS are counted if they are here.

    Returns:
        One row per question, by question_id. For each arm of ARMS {arm}_attempts and {arm}_right, and of the first
        `looks[0]` samples {arm}_first_attempts and {arm}_first_right; for direct and tools also {arm}_samples (made,
        with or without a verdict), {arm}_silent and {arm}_lost (unreadable, with a verdict and without), and at each
        look n {arm}_attempts_{n}, {arm}_right_{n}, {arm}_silent_{n} and {arm}_lost_{n}; `tool`: the one called
        first in most of the first `looks[0]` attempts with tools, "(none)" where more than half called none, null where
        it is not known.
    """
    rows = rollouts.lazy()
    named = rows.collect_schema().names()
    known, unread = "tool" in named, pl.col("unreadable") if "unreadable" in named else pl.lit(False)
    number = pl.col("sample_index").cast(pl.Int64)
    for arm, start in (starts or {}).items():
        number = pl.when(pl.col("arm") == arm).then(number - start).otherwise(number)
    rows = rows.select(
        "question_id", *(["tool"] if known else []), arm="arm", number=number, tried=pl.col("correct").is_not_null(),
        hit=pl.col("correct").fill_null(False), unread=unread,
    )  # fmt: skip
    sums: dict[str, pl.Expr] = {}
    tried, hit, unread = pl.col("tried"), pl.col("hit"), pl.col("unread")
    for arm in dict.fromkeys([*ARMS, *(starts or ())]):
        mine = pl.col("arm") == arm
        first = mine & (pl.col("number") < looks[0])
        sums |= {columns.attempts(arm): mine & tried, columns.right(arm): mine & hit}
        sums |= {columns.first_attempts(arm): first & tried, columns.first_right(arm): first & hit}
        if arm in COMPARED:
            sums[columns.samples(arm)] = mine
            for look in (None, *looks):
                among = mine if look is None else mine & (pl.col("number") < look)
                sums |= {columns.attempts(arm, look): among & tried, columns.right(arm, look): among & hit}
                sums[columns.silent(arm, look)] = among & unread & tried
                sums[columns.lost(arm, look)] = among & unread & ~tried
    table = rows.group_by("question_id").agg(**{name: what.sum().cast(pl.Int64) for name, what in sums.items()})
    found = table.collect(engine="streaming").sort("question_id")
    if not known:
        return found.with_columns(tool=pl.lit(None, pl.String))
    first = rows.filter(pl.col("number") < looks[0])  # further ones must not move a question from tool to tool
    return found.join(_tools(first), on="question_id", how="left", maintain_order="left")


def _tools(rows: pl.LazyFrame) -> pl.DataFrame:
    """question_id and tool: the one called first in most of its attempts with tools."""
    used = rows.filter(pl.col("arm") == "tools").group_by("question_id", "tool").agg(times=pl.len())
    used = used.collect(engine="streaming")
    made = used.group_by("question_id").agg(
        all=pl.col("times").sum(), none=pl.col("times").filter(pl.col("tool").is_null()).sum()
    )
    called = used.drop_nulls("tool").sort(["times", "tool"], descending=[True, False])
    most = made.join(called.unique("question_id", keep="first", maintain_order=True), on="question_id", how="left")
    idle = (pl.col("none") * 2 > pl.col("all")) | pl.col("tool").is_null()
    return most.select("question_id", tool=pl.when(idle).then(pl.lit(NO_TOOL)).otherwise("tool"))


def _arms(counts: pl.DataFrame) -> list[str]:
    """The arms that these counts are of."""
    arms = [name.removesuffix("_attempts") for name in counts.columns if name.endswith("_attempts")]
    return [arm for arm in arms if not arm.endswith("_first")]


@one_thread
def per_question(counts: pl.DataFrame, questions: pl.DataFrame, settings: ToolBenefit, seed: int = 0) -> pl.DataFrame:
    """What tools do for each question that has an attempt in both arms.

    Args:
        counts: as `counts` returns them, with the looks of the settings.
        questions: columns question_id, task, source and, if known, chance (how often a guess is right, 0 to 1, to two
            decimals). Counts of other questions are left out; the order of the result is theirs.
        seed: of the bootstrap draws behind the estimates.

    Returns:
        question_id, task, source, chance, tool, the counts, and per arm its rate (right of attempts, null without
        any); benefit, benefit_low, benefit_high: tools minus direct, corrected for chance (joint_rates.summary);
        gain_probability and harm_probability: that it is beyond the margin; gain_p, gain_q, harm_p, harm_q: of the
        exact tests, q adjusted over the table; decision by the rule in force, decision_error (the posterior probability
        that it is wrong), decision_posterior and decision_exact; benefit and decision with every unreadable attempt
        counted as wrong and with none counted: a decision that differs between them is `open`;
        habit (call_only minus direct) and content (tools minus call_only), each with _low, _high, _probability, null
        where call_only has no attempt; attribution of a gain: `content`, `habit`, `both` or `unclear`.
    """
    chance = pl.col("chance") if "chance" in questions.columns else pl.lit(0.0).alias("chance")
    chance = chance.cast(pl.Float64).fill_nan(None).fill_null(0.0).clip(0, 1)
    asked = questions.select("question_id", "task", "source", chance)
    table = asked.join(counts, on="question_id", how="inner", maintain_order="left")
    table = table.filter(pl.col(columns.attempts(arm)) > 0 for arm in COMPARED)
    table = table.with_columns(_rate(arm).alias(arm) for arm in _arms(table))
    table = table.with_columns(
        *_difference(table, COMPARED, "benefit", settings, seed),
        *_difference(table, ("direct", "call_only"), "habit", settings, seed),
        *_difference(table, ("call_only", "tools"), "content", settings, seed),
        *_tests(table, settings.looks),
    )
    renamed = {f"benefit_{side}": columns.probability(what) for side, what in (("above", "gain"), ("below", "harm"))}
    controlled = [name for what in _CONTROLLED for name in (what, columns.low(what), columns.high(what))]
    table = table.rename(renamed).with_columns(
        pl.col(controlled).fill_nan(None),
        *(pl.col(f"{what}_above").fill_nan(None).alias(columns.probability(what)) for what in _CONTROLLED),
        decision_exact=_exactly(settings),
    )
    table = table.with_columns(posterior_decisions.decide(table, settings).alias(columns.decision_by("posterior")))
    table = unreadable.both_ways(table, lambda counted: _decided(counted, settings, seed), settings.decide_by)
    table = table.with_columns(decision_posterior=posterior_decisions.kept(table, settings))
    table = table.with_columns(pl.col(columns.decision_by(settings.decide_by)).alias("decision"))
    table = table.with_columns(decision_error=posterior_decisions.error())
    looked_at = [name for look in settings.looks for name in columns.state(COMPARED, look)]
    looked_at += [
        name(arm, look) for name in (columns.silent, columns.lost) for arm in COMPARED for look in settings.looks
    ]
    spent = [f"{what}_{side}" for what in _CONTROLLED for side in ("above", "below")]
    return table.with_columns(attribution=_attribution()).drop(*looked_at, *spent)


def _decided(table: pl.DataFrame, settings: ToolBenefit, seed: int) -> pl.DataFrame:
    """The columns benefit and decision_{rule} of these counts; null and `open` where an arm has no attempt."""
    found = table.select(
        *(first(arm) for arm in COMPARED for first in (columns.first_attempts, columns.first_right)),
        *_difference(table, COMPARED, "benefit", settings, seed),
        *_tests(table, settings.looks),
    ).rename({f"benefit_{side}": columns.probability(what) for side, what in (("above", "gain"), ("below", "harm"))})
    found = found.with_columns(_exactly(settings).alias(columns.decision_by("exact")))
    found = found.with_columns(posterior_decisions.decide(found, settings).alias(columns.decision_by("posterior")))
    compared = table.select(pl.all_horizontal(pl.col(columns.attempts(arm)) > 0 for arm in COMPARED)).to_series()
    return found.select(
        pl.when(compared).then("benefit").alias("benefit"),
        *(
            pl.when(compared).then(rule).otherwise(pl.lit("open")).alias(rule)
            for rule in map(columns.decision_by, RULES)
        ),
    )


def _rate(arm: str) -> pl.Expr:
    """Right attempts per attempt; null without an attempt."""
    made = pl.col(columns.attempts(arm))
    return pl.when(made > 0).then(pl.col(columns.right(arm)) / made)


def fitted(table: pl.DataFrame, arms: tuple[str, str], seed: int) -> JointRates:
    """The joint distribution of the rates in two arms; its strata are the tasks, in order.

    Args:
        table: columns task and, of both arms, {arm}_attempts and {arm}_right.
    """
    key = columns.state(arms)
    made = table.with_columns(stratum=STRATUM).filter(pl.col(key[0]) > 0, pl.col(key[2]) > 0)
    made = made.group_by(*key, "stratum").len()
    return fit(made.select(key).to_numpy(), made["len"].to_numpy(), made["stratum"].to_numpy(), seed)


def _difference(
    table: pl.DataFrame, arms: tuple[str, str], name: str, settings: ToolBenefit, seed: int
) -> list[pl.Series]:
    """The columns {name}, {name}_low, {name}_high, {name}_above and {name}_below: what is known about the rate of the
    second arm minus that of the first; NaN where one of them has no attempt. Computed once for each distinct state."""
    key, rates = columns.state(arms), fitted(table, arms, seed)
    rows = table.select(*key, pl.col("chance").round(2), stratum=STRATUM)
    states = rows.filter(pl.col(key[0]) > 0, pl.col(key[2]) > 0).unique(maintain_order=True)
    parts = []
    for part in states.iter_slices(_AT_ONCE):
        posterior = rates.posterior(part.select(key).to_numpy(), part["stratum"].to_numpy())
        found = summary(posterior, part["chance"].to_numpy(), settings.margin, settings.confidence)
        parts.append(part.with_columns(**{what: pl.Series(values) for what, values in found.items()}))
    names = {"mean": name, **{what: f"{name}_{what}" for what in ("low", "high", "above", "below")}}
    empty = states.clear().with_columns(**dict.fromkeys(names, pl.lit(None, pl.Float64)))
    joined = rows.join(pl.concat([empty, *parts]), on=rows.columns, how="left", maintain_order="left")
    return joined.select(pl.col(what).fill_null(np.nan).alias(column) for what, column in names.items()).get_columns()


def _tests(table: pl.DataFrame, looks: Sequence[int]) -> list[pl.Series]:
    """The columns gain_p, gain_q, harm_p and harm_q."""
    made = table.select(pl.min_horizontal(*map(columns.samples, COMPARED))).to_series().to_numpy()
    smallest = {"gain": np.ones(table.height), "harm": np.ones(table.height)}
    whole = np.ones(table.height, dtype=bool)
    for look, weight in zip(looks, look_weights(looks), strict=True):
        direct, direct_right, tools, tools_right = (table[name].to_numpy() for name in columns.state(COMPARED, look))
        reached = (made >= look) | (look == looks[0])
        whole &= ~reached | ((direct == look) & (tools == look))
        tried = reached & (direct > 0) & (tools > 0)
        for sizes in np.unique(np.stack([direct, tools], axis=1)[tried], axis=0):
            rows = tried & (direct == sizes[0]) & (tools == sizes[1])
            test = boschloo(int(sizes[0]), int(sizes[1]))
            gain = test[direct_right[rows], tools_right[rows]]
            harm = test[sizes[0] - direct_right[rows], sizes[1] - tools_right[rows]]  # right and wrong change places
            for what, p in (("gain", gain), ("harm", harm)):
                smallest[what][rows] = np.minimum(smallest[what][rows], p / weight)
    # where samples gave no attempt the ladder is another one, and its union bound is taken; that a question may stop
    # before it is known which of both counts was enumerated: the level is kept to within 0.1 % of itself
    p_values = {what: np.where(whole, ladder_p(least, looks), least) for what, least in smallest.items()}
    found = {columns.p_value(what): p for what, p in p_values.items()}
    found |= {columns.q_value(what): adjusted(p) for what, p in p_values.items()}
    return [pl.Series(name, values) for name, values in found.items()]


def _exactly(settings: ToolBenefit) -> pl.Expr:
    """`gain` or `harm`: the exact test says so, at the false discovery rate of the settings among the questions of
    that decision (Benjamini and Hochberg 1995, JRSS B 57:289-300). `none`: tested for neither, and the posterior
    probability that the benefit lies within the margin is at least the confidence. `open`: all others."""
    level = settings.false_discovery_rate
    within = 1 - pl.col("gain_probability") - pl.col("harm_probability")
    return (
        pl.when((pl.col("gain_q") <= level) & (pl.col("gain_p") < pl.col("harm_p")))
        .then(pl.lit("gain"))
        .when(pl.col("harm_q") <= level)
        .then(pl.lit("harm"))
        .when(within >= settings.confidence)
        .then(pl.lit("none"))
        .otherwise(pl.lit("open"))
    )


def _attribution() -> pl.Expr:
    habit, content = pl.col("habit_probability") >= CLEAR, pl.col("content_probability") >= CLEAR
    which = (
        pl.when(habit & content)
        .then(pl.lit("both"))
        .when(habit)
        .then(pl.lit("habit"))
        .when(content)
        .then(pl.lit("content"))
        .otherwise(pl.lit("unclear"))
    )
    return pl.when((pl.col("decision") == "gain") & pl.col("habit_probability").is_not_null()).then(which)
