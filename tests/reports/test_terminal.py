"""The tables for a terminal, over a small table of measured questions."""

import numpy as np
import polars as pl
import pytest

from filters.benefit.per_question import ARMS
from filters.benefit.totals import totals
from reports import terminal as report


@pytest.fixture
def benefits():
    right = {"direct": [0, 4, 1, 2], "tools": [4, 0, 3, 2], "call_only": [1, 4, 1, 2], "result_only": [4, 1, 3, 2]}
    columns = {
        "task": ["math", "math", "search", "search"],
        "decision": ["gain", "harm", "open", "none"],
        "chance": 0.0,
    }
    for arm in ARMS:
        columns[f"{arm}_first_attempts"] = 4 * np.ones(4, int) if arm in right else np.zeros(4, int)
        columns[f"{arm}_first_right"] = right.get(arm, [0] * 4)
    return pl.DataFrame(columns)


def test_an_estimate_with_its_interval_is_one_text(benefits):
    rows = totals(benefits, 0.95)
    assert rows["task"].to_list() == ["math", "search", "all"]
    shown = report._with_interval(rows, "gain").to_list()
    assert all(text.startswith(f"{gain:.2f} [") for text, gain in zip(shown, rows["gain"], strict=True))
    assert set(report._with_interval(rows, "habit_share")) == {"-"}  # gain and harm cancel out
    alone = totals(benefits.head(1), 0.95)
    assert report._with_interval(alone, "gain").to_list()[0] == "1.00"  # no interval over one question


def test_decisions_are_counted(benefits):
    assert report._decisions(benefits).rows() == [
        ("math", 2, 1, 1, 0, 0),
        ("search", 2, 0, 0, 1, 1),
        ("all", 4, 1, 1, 1, 1),
    ]
    assert report._decisions(benefits.clear()).rows() == [("all", 0, 0, 0, 0, 0)]
