import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.selection import balance
from records.recipe.section import RecipeError, check_settings

SCHEMA = {"question_id": pl.String, "task": pl.String, "source": pl.String, "route": pl.String}


def table(groups):
    """One question per (task, route)."""
    rows = [(f"q{number}", task, "s", route) for number, (task, route) in enumerate(groups)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


tables = st.lists(
    st.tuples(st.sampled_from(["math", "search", "perception", None]), st.sampled_from(["rl", "cold_start"])),
    max_size=40,
).map(table)
ratios = st.sampled_from([1.0, 1.5, 2.0, 3.0])


def sizes(rows):
    return dict(rows.group_by("task").len().iter_rows())


@settings(max_examples=60, deadline=None)
@given(tables, ratios, st.integers(0, 3))
def test_no_row_is_lost_and_the_ratio_is_kept(rows, ratio, seed):
    kept, rejects = balance.apply(rows, balance.Options(by="task", max_ratio=ratio), seed)
    assert sorted([*kept["question_id"], *rejects["row_id"]]) == sorted(rows["question_id"])
    assert kept["question_id"].to_list() == [i for i in rows["question_id"] if i not in set(rejects["row_id"])]
    assert set(rejects["reason"]) <= {"balance"} and set(rejects["stage"]) <= {"selection"}
    assert rejects["detail"].null_count() == 0
    before, after = sizes(rows), sizes(kept)
    if before:
        least = min(before.values())
        assert after == {group: min(size, int(least * ratio)) for group, size in before.items()}


@settings(max_examples=60, deadline=None)
@given(tables, ratios, st.integers(0, 3), st.randoms(use_true_random=False))
def test_what_is_kept_does_not_depend_on_the_order(rows, ratio, seed, random):
    options = balance.Options(by="task", within=["route"], max_ratio=ratio)
    places = list(range(rows.height))
    random.shuffle(places)
    kept, _ = balance.apply(rows, options, seed)
    again, _ = balance.apply(rows[places], options, seed)
    assert sorted(kept["question_id"]) == sorted(again["question_id"])
    for route in ("rl", "cold_start"):
        after = kept.filter(route=route).group_by("task").len()["len"]
        assert after.is_empty() or after.max() <= after.min() * ratio


def test_another_seed_draws_others_and_the_detail_says_why():
    rows = table([("math", "rl")] * 40 + [("search", "rl")] * 10)
    options = balance.Options(by="task", max_ratio=2)
    kept, rejects = balance.apply(rows, options, 0)
    assert sizes(kept) == {"math": 20, "search": 10}
    assert kept["question_id"].to_list() != balance.apply(rows, options, 1)[0]["question_id"].to_list()
    assert set(rejects["detail"]) == {
        "task math has 40 questions, and at most 20 are kept: 2 times the smallest group's 10"
    }


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match="there is no column 'tsk'; there are: question_id, route, source, task"):
        balance.apply(table([]), balance.Options(by="tsk"), 0)


@pytest.mark.parametrize(("options", "says"), [({"by": "task", "max_ratio": 0.5}, "max_ratio"), ({}, "by: this key")])
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(RecipeError, match=f"r.yaml: selection.1.{says}"):
        check_settings(balance.Options, options, "r.yaml", "selection.1")
