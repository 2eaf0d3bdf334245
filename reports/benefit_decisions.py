"""What the asset `tool_benefit` says of its decisions: how many, what they promise, what the other rule decides."""

import polars as pl

from filters.benefit import columns
from filters.benefit.columns import COMPARED
from filters.benefit.posterior_decisions import may_be_told
from records.recipe import ToolBenefit
from reports import benefit_charts as charts
from reports.markdown import markdown_table

ALL = "all"
"""The name of the row of all questions."""
NEVER_SOLVED = "none (never solved)"
"""How a question is called that tools make no difference to because no attempt at it is right."""


def decisions(table: pl.DataFrame, settings: ToolBenefit) -> str:
    """How many questions of each task are decided in which way, what a decision promises, and what the other rule
    would decide."""
    never = (pl.col("decision") == "none") & never_solved()
    of = {name: ((pl.col("decision") == name) & ~never).sum() for name in charts.DECISIONS}
    of[NEVER_SOLVED] = never.sum()
    counted = table.group_by("task").agg(questions=pl.len(), **of).sort("task")
    if counted.height > 1:
        counted = pl.concat([counted, counted.select(pl.lit(ALL).alias("task"), pl.exclude("task").sum())])
    said = by_posterior(table, settings) if settings.decide_by == "posterior" else by_exact_tests(settings)
    return (
        f"{markdown_table(counted)}\n\n{said} `{NEVER_SOLVED}`: no attempt in either arm was right. `open`: neither; "
        f"more attempts may decide.\n\n{moved(table, settings)}"
    )


def by_exact_tests(settings: ToolBenefit) -> str:
    """What decisions by the exact tests promise."""
    looks = settings.looks
    at = f"{looks[0]} attempts per arm" if len(looks) == 1 else f"{', '.join(map(str, looks))} attempts per arm"
    return (
        f"`gain`, `harm`: exact tests at {at}; over all such tables at most {settings.false_discovery_rate:.0%} of the "
        f"questions called `gain` have none, on average, and likewise for `harm` (false discovery rate). `none`: the "
        f"difference lies within {100 * settings.margin:.0f} points with a probability of at least "
        f"{settings.confidence:.0%}."
    )


def by_posterior(table: pl.DataFrame, settings: ToolBenefit) -> str:
    """What decisions by the posterior false discovery rate promise, and where they fall back to the exact tests."""
    return (
        f"`gain`: the benefit is above {100 * settings.margin:.0f} points, `harm`: below minus that, `none`: between "
        f"them. At most {settings.false_discovery_rate:.0%} of the questions of each kind are wrong on average, by "
        "what the whole table says about each (false discovery rate), and none is decided that is wrong with a "
        f"probability above {settings.most_error:.0%}.{fallback(table, settings)}"
    )


def fallback(table: pl.DataFrame, settings: ToolBenefit) -> str:
    """What cannot be told from chance over the whole table, in a sentence; "" where both kinds can, or exact tests
    decide anyway."""
    if settings.decide_by == "exact":
        return ""
    back = [f"{kind}s" for kind in ("gain", "harm") if not may_be_told(table, kind, settings)]
    if not back:
        return ""
    return (
        f" Over the whole table, {' and '.join(back)} cannot be told from chance: of these, only what the exact tests "
        "find is decided."
    )


def moved(table: pl.DataFrame, settings: ToolBenefit) -> str:
    """How many decisions the two rules do not share."""
    counts = {rule: dict(table[columns.decision_by(rule)].value_counts().iter_rows()) for rule in columns.RULES}
    apart = int((table[columns.decision_by("posterior")] != table[columns.decision_by("exact")]).sum())
    listed = "; ".join(
        f"`{rule}`: {', '.join(f'{counts[rule].get(name, 0):,} {name}' for name in ('gain', 'harm', 'none', 'open'))}"
        for rule in columns.RULES
    )
    return (
        f"By the rule {listed}. The rules differ at {apart:,} of {table.height:,} questions; `{settings.decide_by}` is "
        "in force."
    )


def never_solved() -> pl.Expr:
    """Whether no attempt in either of the compared arms is right."""
    return pl.all_horizontal(pl.col(columns.right(arm)) == 0 for arm in COMPARED)
