import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import intervals
from filters.benefit.totals import totals

ARMS = ("direct", "tools", "call_only", "result_only", "oracle")
RATES = [
    "direct", "tools", "call_only", "result_only", "oracle", "churn", "benefit", "corrected_benefit", "gain", "harm",
    "habit", "content", "results_alone", "habit_share", "results_share",
]  # fmt: skip


def table_of(rows, task="math", chance=0.0, tool="python"):
    """A row a question: right attempts of eight per arm; None or left out: no attempt in that arm."""
    columns = {}
    for i, arm in enumerate(ARMS):
        right = [row[i] if i < len(row) else None for row in rows]
        columns[f"{arm}_first_attempts"] = pl.Series([8 if r is not None else 0 for r in right], dtype=pl.Int64)
        columns[f"{arm}_first_right"] = pl.Series([r or 0 for r in right], dtype=pl.Int64)
    return pl.DataFrame(columns).with_columns(
        task=pl.lit(task), chance=pl.lit(chance, pl.Float64), tool=pl.lit(tool, pl.String)
    )


def last(table, **options):
    return totals(table, 0.95, **options).row(-1, named=True)


def simulated(questions, seed, task=None):
    """A random table with true rates that differ between questions, and the true totals."""
    random = np.random.default_rng(seed)
    n = questions if task is None else len(task)
    direct, kind = random.beta(0.6, 1.2, n), random.random(n)
    effect = np.select([kind < 0.3, kind < 0.4], [random.uniform(0.2, 0.8, n), -0.4], 0.0)
    tools = np.clip(direct + effect, 0, 1)
    call_only, result_only = direct + 0.4 * (tools - direct), direct + 0.7 * (tools - direct)
    rates = {"direct": direct, "tools": tools, "call_only": call_only, "result_only": result_only, "oracle": tools}
    columns = {f"{arm}_first_attempts": np.full(n, 8) for arm in ARMS}
    columns |= {f"{arm}_first_right": random.binomial(8, rates[arm]) for arm in ARMS}
    columns |= {"chance": random.choice([0.0, 0.25, 1 / 3], n), "task": task or ["math"] * n, "tool": ["python"] * n}
    benefit, left = (tools - direct).mean(), 1 - columns["chance"].mean()
    truth = {
        "benefit": benefit,
        "corrected_benefit": benefit / left,
        "gain": ((1 - direct) * tools).mean(),
        "harm": (direct * (1 - tools)).mean(),
        "habit": (call_only - direct).mean(),
        "content": (tools - call_only).mean(),
        "results_alone": (result_only - direct).mean(),
        "habit_share": (call_only - direct).mean() / benefit,
        "results_share": (result_only - direct).mean() / benefit,
    }
    return pl.DataFrame(columns), truth


def test_the_numbers_of_a_small_table():
    row = last(table_of([(2, 6, 4, 6, 8), (4, 8, 4, 8, 8), (8, 6, 8, 6, 8)], chance=0.5))
    assert row["questions"] == row["call_only_questions"] == row["oracle_questions"] == 3
    assert row["direct"] == pytest.approx(14 / 24) and row["tools"] == pytest.approx(20 / 24)
    assert row["oracle"] == 1.0
    assert row["benefit"] == pytest.approx(6 / 24)
    assert row["corrected_benefit"] == pytest.approx(6 / 24 / 0.5)
    assert row["gain"] == pytest.approx((6 * 6 + 4 * 8 + 0) / 64 / 3)
    assert row["harm"] == pytest.approx((2 * 2 + 0 + 8 * 2) / 64 / 3)
    assert row["churn"] == pytest.approx((2 * 6 + 4 * 4 + 0) / 56 / 3)
    assert row["habit"] == pytest.approx(2 / 24) and row["content"] == pytest.approx(4 / 24)
    assert row["results_alone"] == pytest.approx(6 / 24)


def test_shares_need_a_benefit():
    assert last(table_of([(2, 6, 4), (4, 8, 4), (8, 6, 8)]))["habit_share"] is None  # from below 0 to above it
    row = last(table_of([(0, 6, 2, 6), (1, 8, 4, 8), (2, 5, 3, 5), (2, 8, 3, 8)] * 3))
    assert row["habit_share"] == pytest.approx((2 + 3 + 1 + 1) / (6 + 7 + 3 + 6))
    assert row["habit_share_low"] < row["habit_share"] < row["habit_share_high"]
    assert row["results_share"] == 1.0


rights = st.integers(0, 8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(rights, rights, st.none() | rights, st.none() | rights), min_size=1, max_size=12))
def test_what_must_add_up_adds_up(rows):
    table = table_of(rows)
    row = last(table)
    assert row["gain"] - row["harm"] == pytest.approx(row["benefit"], abs=1e-12)
    assert row["benefit"] == pytest.approx(row["tools"] - row["direct"], abs=1e-12)
    controlled = [r for r in rows if r[2] is not None]
    assert row["call_only_questions"] == len(controlled)
    if controlled:
        own = last(table_of(controlled))
        assert row["habit"] + row["content"] == pytest.approx(own["benefit"], abs=1e-12)
        assert row["habit"] == own["habit"]
    else:
        assert row["habit"] is row["content"] is row["call_only"] is row["habit_share"] is None
    for name in RATES[6:]:
        if row[f"{name}_low"] is not None:
            assert row[f"{name}_low"] - 1e-9 <= row[name] <= row[f"{name}_high"] + 1e-9


def test_only_questions_measured_in_both_arms_count():
    table = pl.concat(
        [table_of([(1, 5), (2, 4)]), table_of([(None, 8), (8, None)]), table_of([(None, 3)], task="search")]
    )
    found = totals(table, 0.95)
    assert found["task"].to_list() == ["math", "all"]
    assert found["questions"].to_list() == [2, 2]
    assert found["benefit"].to_list() == [3 / 8, 3 / 8]


def test_a_row_for_each_value_and_one_for_all():
    table = pl.concat([table_of([(1, 5)] * 3, tool="search"), table_of([(1, 2)] * 2, tool=None), table_of([(0, 8)])])
    found = totals(table, 0.95, by="tool")
    assert found["tool"].to_list() == ["(unknown)", "python", "search", "all"]
    assert found["questions"].to_list() == [2, 1, 3, 6]
    assert found["benefit"].to_list() == pytest.approx([1 / 8, 1, 4 / 8, (2 + 8 + 12) / 48])


def test_nothing_measured_gives_no_row():
    assert totals(table_of([]), 0.95).columns == totals(table_of([(1, 2)]), 0.95).columns
    assert totals(table_of([]), 0.95).is_empty() and totals(table_of([(1, None)]), 0.95).is_empty()


def test_one_question_has_no_interval():
    row = last(table_of([(1, 5, 2, 4, 8)]))
    assert row["benefit"] == 0.5 and row["benefit_low"] is None and row["habit_share"] is None


def test_questions_that_all_agree_do_not_make_it_certain():
    row = last(table_of([(4, 8)] * 40))
    most = 1 - 0.025 ** (1 / 40)  # the share of other questions that 40 could have missed: 8.8 %
    assert (row["harm"], row["harm_low"], row["harm_high"]) == pytest.approx((0, 0, most))
    assert (row["benefit_low"], row["benefit_high"]) == pytest.approx((0.5 - 1.5 * most, 0.5 + 0.5 * most))


def test_a_high_chance_is_capped_and_a_missing_one_is_none():
    assert last(table_of([(4, 5)] * 2, chance=1.0))["corrected_benefit"] == pytest.approx(0.125 / 0.1)
    assert last(table_of([(4, 5)] * 2, chance=None))["corrected_benefit"] == pytest.approx(0.125)
    third = last(table_of([(4, 5)] * 3, chance=1 / 3))["corrected_benefit"]
    assert third == pytest.approx(0.125 / (2 / 3), rel=1e-5)


def test_churn_needs_two_attempts():
    table = table_of([(4, 5), (1, 5)]).with_columns(direct_first_attempts=pl.Series([8, 1]))
    assert last(table)["churn"] == pytest.approx(4 * 4 / 56)
    assert last(table.tail(1))["churn"] is None


@pytest.mark.parametrize("questions", [60, 3_000])
def test_the_order_of_rows_changes_nothing(questions):
    table, _ = simulated(questions, 1)
    for by in ("task", "tool"):
        first = totals(table, 0.95, 7, by)
        assert first.equals(totals(table.sample(fraction=1.0, shuffle=True, seed=3), 0.95, 7, by))
        assert not first.equals(totals(table, 0.95, 8, by))


def test_many_questions_come_near_to_the_truth():
    table, truth = simulated(60_000, 2)
    row = last(table)
    for name, value in truth.items():
        half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
        assert abs(row[name] - value) < 2 * half < (0.05 if name.endswith("share") else 0.02)


def test_the_intervals_hold_the_truth_as_often_as_they_say(monkeypatch):
    """300 tables of 40 questions, as tasks of one."""
    monkeypatch.setattr(intervals, "DRAWS", 500)
    table, _ = simulated(None, 3, task=[f"{i:03}" for i in range(300) for _ in range(40)])
    _, truth = simulated(200_000, 4)
    found = totals(table, 0.95).filter(pl.col("task") != "all")
    assert found.height == 300
    for name in ("benefit", "gain", "harm", "habit"):
        held = found.select(pl.lit(truth[name]).is_between(f"{name}_low", f"{name}_high").mean()).item()
        assert abs(held - 0.95) <= 0.03, name
