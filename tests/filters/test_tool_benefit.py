import numpy as np
import polars as pl
import pytest

from filters import tool_benefit


def rollouts(**arms):
    """arm -> (question -> outcomes)"""
    rows = [
        {"question_id": question, "arm": arm, "correct": outcome}
        for arm, questions in arms.items()
        for question, outcomes in questions.items()
        for outcome in outcomes
    ]
    return pl.DataFrame(rows, schema={"question_id": pl.String, "arm": pl.String, "correct": pl.Boolean})


def test_newcombe_gives_the_published_interval():
    # Newcombe 1998, table II, case (a), method 10: 56/70 against 48/80 gives 0.0524 to 0.3339
    table = tool_benefit.per_question(
        rollouts(tools={"q": [True] * 56 + [False] * 14}, direct={"q": [True] * 48 + [False] * 32}), 0.95
    )
    assert table.select("benefit", "benefit_low", "benefit_high").row(0) == pytest.approx(
        (0.2, 0.0524, 0.3339), abs=1e-4
    )


def test_unfinished_rollouts_are_no_attempts_and_unmeasured_questions_are_left_out():
    table = tool_benefit.per_question(
        rollouts(tools={"a": [True, None], "b": [True]}, direct={"a": [False, False], "b": [None]}), 0.95
    )
    assert table.select("question_id", "tools_attempts", "direct_attempts", "benefit").rows() == [("a", 1, 2, 1.0)]


def test_the_interval_over_questions_covers_the_true_mean():
    random = np.random.default_rng(1)
    covered = 0
    for repeat in range(100):
        rates = random.uniform(0, 1, (30, 2))
        right = random.binomial(4, rates)
        table = pl.DataFrame(
            {
                "task": "t",
                "direct": right[:, 0] / 4,
                "tools": right[:, 1] / 4,
                "benefit": (right[:, 1] - right[:, 0]) / 4,
            }
        )
        row = tool_benefit.totals(table, 0.95, repeat).row(-1, named=True)
        covered += row["benefit_low"] <= 0 <= row["benefit_high"]
    assert covered >= 86  # 95 % nominal, less for 30 questions; below this only once in thousands of runs


def test_totals_name_each_task_and_all():
    table = pl.DataFrame({"task": ["a", "b"], "direct": [0.0, 0.5], "tools": [1.0, 0.5], "benefit": [1.0, 0.0]})
    assert tool_benefit.totals(table, 0.95)["task"].to_list() == ["a", "b", "all"]
    assert tool_benefit.totals(table.clear(), 0.95).is_empty()
