"""Intervals and tests against known values, and sentences that say no more than the numbers."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluate import compare_with_base, mcnemar_exact, pass_rates


def judged(base: list[bool | None], other: list[bool | None]) -> pl.DataFrame:
    rows = [
        {"checkpoint": name, "arm": "tools", "task": "math", "question_id": f"q{n}", "correct": correct}
        for name, outcomes in (("base", base), ("sft", other))
        for n, correct in enumerate(outcomes)
    ]
    return pl.DataFrame(rows, schema_overrides={"correct": pl.Boolean})


def test_known_values() -> None:
    assert mcnemar_exact(10, 2) == pytest.approx(0.0386, abs=1e-4)
    assert mcnemar_exact(3, 3) == 1.0
    assert mcnemar_exact(0, 0) == 1.0


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_symmetric_and_a_probability(gained: int, lost: int) -> None:
    assert mcnemar_exact(gained, lost) == mcnemar_exact(lost, gained)
    assert 0 < mcnemar_exact(gained, lost) <= 1


def test_table_counts_every_task_and_all() -> None:
    table = pass_rates(judged([True, False, None], [True, True, True]))
    assert table.filter(checkpoint="base", task="math").select("questions", "right").row(0) == (2, 1)
    assert set(table["task"]) == {"math", "all"}


def test_small_differences_are_not_claimed() -> None:
    row = compare_with_base(judged([False] * 5 + [True] * 5, [True] * 10)).row(0, named=True)
    assert (row["gained"], row["lost"], row["questions"]) == (5, 0, 10)
    assert row["low"] > 0, "the bootstrap alone would claim it"
    assert "no difference that n = 10 can carry" in row["summary"]


def test_large_differences_are() -> None:
    frame = compare_with_base(judged([False] * 12 + [True] * 8, [True] * 20))
    assert "better on n = 20" in frame.filter(task="math").row(0, named=True)["summary"]
    frame = compare_with_base(judged([True] * 20, [False] * 12 + [True] * 8))
    assert "worse on n = 20" in frame.filter(task="math").row(0, named=True)["summary"]


def test_only_questions_both_attempted_are_compared() -> None:
    row = compare_with_base(judged([True, None, False], [None, True, True])).row(0, named=True)
    assert (row["questions"], row["gained"]) == (1, 1)


def test_several_attempts_are_paired_by_question() -> None:
    frame = pl.concat([judged([True, False], [True, True]), judged([False, False], [True, True])])
    row = compare_with_base(frame).filter(task="math").row(0, named=True)
    assert row["p"] is None
    assert row["difference"] == pytest.approx(0.75)
    assert pass_rates(frame).filter(checkpoint="base", task="math").row(0, named=True)["attempts"] == 4


def test_nothing_to_compare() -> None:
    assert compare_with_base(judged([True], [])).is_empty()
    with pytest.raises(ValueError, match="no column 'arm'"):
        pass_rates(judged([True], [True]).drop("arm"))
