"""Do tools help with a question? The same question in two arms that differ in the tools alone.

The direct attempts counted here are others than those the difficulty filter chose the question by: a question picked
for few right answers would otherwise look as if anything helped it (regression to the mean).
"""

from statistics import NormalDist

import numpy as np
import polars as pl

from filters.difficulty import count_attempts

BOOTSTRAP_DRAWS = 2000


def wilson(right: pl.Expr, attempts: pl.Expr, confidence: float) -> tuple[pl.Expr, pl.Expr]:
    """Wilson's score interval for a proportion (Wilson 1927), as expressions for its lower and upper end."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = right / attempts
    centre = (rate + z * z / (2 * attempts)) / (1 + z * z / attempts)
    half = z / (1 + z * z / attempts) * (rate * (1 - rate) / attempts + z * z / (4 * attempts**2)).sqrt()
    return (centre - half).clip(0, 1), (centre + half).clip(0, 1)


def per_question(rollouts: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """Benefit of each question: p(tools) - p(direct), with Newcombe's hybrid score interval.

    Newcombe (1998), Statistics in Medicine 17:873-890, method 10: the two Wilson intervals combined.

    Returns columns question_id, direct_attempts, direct_right, tools_attempts, tools_right, direct, tools, benefit,
    benefit_low, benefit_high (rates in 0 to 1). Questions without an attempt in both arms are left out.
    """
    counts = count_attempts(rollouts)

    def of(arm: str) -> pl.DataFrame:
        chosen = counts.filter((pl.col("arm") == arm) & (pl.col("attempts") > 0))
        return chosen.select("question_id", pl.col("attempts", "right").name.prefix(f"{arm}_"))

    table = of("direct").join(of("tools"), on="question_id", how="inner", maintain_order="left")
    low_d, high_d = wilson(pl.col("direct_right"), pl.col("direct_attempts"), confidence)
    low_t, high_t = wilson(pl.col("tools_right"), pl.col("tools_attempts"), confidence)
    direct = pl.col("direct_right") / pl.col("direct_attempts")
    tools = pl.col("tools_right") / pl.col("tools_attempts")
    benefit = tools - direct
    return table.with_columns(
        direct=direct,
        tools=tools,
        benefit=benefit,
        benefit_low=benefit - ((tools - low_t) ** 2 + (high_d - direct) ** 2).sqrt(),
        benefit_high=benefit + ((high_t - tools) ** 2 + (direct - low_d) ** 2).sqrt(),
    )


def totals(table: pl.DataFrame, confidence: float, seed: int = 0) -> pl.DataFrame:
    """Mean rates and mean benefit per task and over all, with a bootstrap interval over questions.

    The question is the unit that is drawn again (percentile bootstrap, Efron and Tibshirani 1993, ch. 13), so that
    attempts at one question are not taken for independent evidence. `table` needs a column task.

    Returns columns task (`all` last), questions, direct, tools, benefit, benefit_low, benefit_high.
    """
    random = np.random.default_rng(seed)
    groups = [(task, table.filter(pl.col("task") == task)) for task in table["task"].unique(maintain_order=True)]
    rows = []
    for task, group in [*sorted(groups), ("all", table)]:
        if group.is_empty():
            continue
        values = group["benefit"].to_numpy()
        draws = random.choice(values, size=(BOOTSTRAP_DRAWS, len(values))).mean(axis=1)
        low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
        rows.append(
            {
                "task": task,
                "questions": len(values),
                "direct": group["direct"].mean(),
                "tools": group["tools"].mean(),
                "benefit": float(values.mean()),
                "benefit_low": float(low),
                "benefit_high": float(high),
            }
        )
    columns = ["direct", "tools", "benefit", "benefit_low", "benefit_high"]
    return pl.DataFrame(rows, schema={"task": pl.String, "questions": pl.Int64, **dict.fromkeys(columns, pl.Float64)})
