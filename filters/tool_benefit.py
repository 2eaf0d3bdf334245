"""Do tools help with a question? The same question in two arms that differ in the tools alone.

The direct attempts counted here are others than those the difficulty filter chose the question by: a question picked
for few right answers would otherwise look as if anything helped it (regression to the mean).
"""

import polars as pl

from filters.difficulty import count_attempts
from filters.intervals import bootstrap_mean, wilson


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

    `table` needs a column task.

    Returns columns task (`all` last), questions, direct, tools, benefit, benefit_low, benefit_high.
    """
    groups = [(task, table.filter(pl.col("task") == task)) for task in table["task"].unique(maintain_order=True)]
    rows = []
    for task, group in [*sorted(groups), ("all", table)]:
        if group.is_empty():
            continue
        low, high = bootstrap_mean(group["benefit"], confidence, seed)
        rows.append(
            {
                "task": task,
                "questions": group.height,
                "direct": group["direct"].mean(),
                "tools": group["tools"].mean(),
                "benefit": group["benefit"].mean(),
                "benefit_low": low,
                "benefit_high": high,
            }
        )
    columns = ["direct", "tools", "benefit", "benefit_low", "benefit_high"]
    return pl.DataFrame(rows, schema={"task": pl.String, "questions": pl.Int64, **dict.fromkeys(columns, pl.Float64)})
