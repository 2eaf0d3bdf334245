"""Checkpoints compared on the same held-out questions, with intervals, and no more said than the numbers carry."""

import math

import polars as pl

from filters.intervals import bootstrap_mean, wilson

COLUMNS = ("checkpoint", "arm", "task", "question_id", "correct")
ALL_TASKS = "all"


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided exact McNemar p: of the questions whose outcome changed, are gains and losses equally likely?"""
    n = gained + lost
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n
    return min(1.0, 2 * tail)


def _per_question(judged: pl.DataFrame) -> pl.DataFrame:
    """Pass rate of each question, per checkpoint, arm and task, with the task "all" added; unjudged rows do not count.

    Raises:
        ValueError: a column is missing.
    """
    if missing := [c for c in COLUMNS if c not in judged.columns]:
        raise ValueError(f"the judged rollouts have no column {missing[0]!r}; needed: {', '.join(COLUMNS)}")
    rows = judged.filter(pl.col("correct").is_not_null())
    keys = ["checkpoint", "arm", "task", "question_id"]
    rates = rows.group_by(keys).agg(
        pl.col("correct").cast(pl.Float64).mean().alias("rate"),
        pl.col("correct").cast(pl.Int64).sum().alias("right"),
        pl.len().cast(pl.Int64).alias("attempts"),
    )
    return pl.concat([rates, rates.with_columns(pl.lit(ALL_TASKS).alias("task"))]).sort(keys)


def pass_rates(judged: pl.DataFrame) -> pl.DataFrame:
    """A row for each checkpoint, arm and task (and the task "all").

    Columns: checkpoint, arm, task, questions, attempts, right, rate, low, high. `rate` is the mean over questions; the
    interval is Wilson's for that many questions, because several attempts at one question are not independent.
    """
    groups = _per_question(judged).group_by(["checkpoint", "arm", "task"], maintain_order=True)
    table = groups.agg(
        pl.len().cast(pl.Int64).alias("questions"),
        pl.col("attempts").sum(),
        pl.col("right").sum(),
        pl.col("rate").mean(),
    )
    low, high = wilson(pl.col("rate") * pl.col("questions"), pl.col("questions"))
    return table.with_columns(low=low, high=high)


def compare_with_base(judged: pl.DataFrame, base: str = "base", confidence: float = 0.95) -> pl.DataFrame:
    """Every other checkpoint against `base`, paired by question, for each arm and task (and the task "all").

    Only questions that both attempted are compared. Columns: checkpoint, arm, task, questions, base_rate, rate,
    difference, low, high (paired bootstrap), gained, lost (questions whose pass rate rose or fell), p (exact McNemar;
    null unless every question was attempted once), summary (one sentence).
    """
    rates = _per_question(judged)
    reference = rates.filter(pl.col("checkpoint") == base).select(
        "arm", "task", "question_id", pl.col("rate").alias("base_rate"), pl.col("attempts").alias("base_attempts")
    )
    pairs = rates.filter(pl.col("checkpoint") != base).join(reference, on=["arm", "task", "question_id"])
    records = []
    for (checkpoint, arm, task), group in pairs.group_by(["checkpoint", "arm", "task"], maintain_order=True):
        group = group.sort("question_id")
        differences = (group["rate"] - group["base_rate"]).to_list()
        gained, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        single = group["attempts"].max() == 1 and group["base_attempts"].max() == 1
        low, high = bootstrap_mean(differences, confidence)
        record = {
            "checkpoint": checkpoint,
            "arm": arm,
            "task": task,
            "questions": len(group),
            "base_rate": group["base_rate"].mean(),
            "rate": group["rate"].mean(),
            "difference": sum(differences) / len(differences),
            "low": low,
            "high": high,
            "gained": gained,
            "lost": lost,
            "p": mcnemar_exact(gained, lost) if single else None,
        }
        records.append(record | {"summary": _sentence(record, base, confidence)})
    schema = {
        "checkpoint": pl.String, "arm": pl.String, "task": pl.String, "questions": pl.Int64, "base_rate": pl.Float64,
        "rate": pl.Float64, "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "gained": pl.Int64,
        "lost": pl.Int64, "p": pl.Float64, "summary": pl.String,
    }  # fmt: skip
    return pl.DataFrame(records, schema=schema).sort("checkpoint", "arm", "task")


def _sentence(row: dict, base: str, confidence: float) -> str:
    """What can be said. With one attempt a question the exact test decides: a bootstrap of few pairs is too sure."""
    where = f"{row['checkpoint']} against {base}, {row['arm']} arm, {row['task']}"
    interval = f" [{row['low']:+.1%}, {row['high']:+.1%}]" if row["questions"] > 1 else ""  # one has none
    numbers = f"{row['base_rate']:.1%} -> {row['rate']:.1%}, {row['difference']:+.1%}{interval}"
    test = f", p = {row['p']:.2g}" if row["p"] is not None else ""
    sure = row["p"] < 1 - confidence if row["p"] is not None else row["low"] > 0 or row["high"] < 0
    if not sure:
        return f"{where}: no difference that n = {row['questions']} can carry ({numbers}{test})."
    return f"{where}: {'better' if row['difference'] > 0 else 'worse'} on n = {row['questions']} ({numbers}{test})."
