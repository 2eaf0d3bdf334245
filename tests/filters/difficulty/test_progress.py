import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.difficulty.progress import progress
from filters.difficulty.stopping import Rule
from records.recipe import CountBand
from tests.filters.difficulty.test_stopping import every_sequence, rules

RULE = Rule((2, 2, 4), CountBand(min=1, max=6))


@pytest.mark.parametrize(
    "samples, rule, expected",  # expected: used, attempts, right, decision, stop_reason, pass_rate, next_samples
    [
        ({}, RULE, (0, 0, 0, None, None, None, 2)),
        ({0: True}, RULE, (0, 0, 0, None, None, None, 1)),
        ({0: True, 2: True, 3: True}, RULE, (0, 0, 0, None, None, None, 1)),
        ({2: True, 3: True}, RULE, (0, 0, 0, None, None, None, 2)),
        ({0: True, 1: True, 3: False}, RULE, (2, 2, 2, None, None, 1.0, 1)),
        ({0: True, 1: None}, RULE, (2, 1, 1, None, None, 1.0, 2)),
        ({0: None, 1: None}, RULE, (2, 0, 0, None, None, None, 2)),
        ({0: None, 1: None}, Rule((2, 2), CountBand(max=4)), (2, 0, 0, None, None, None, 2)),
        ({0: True, 1: False, 2: False, 3: True, 4: False}, RULE, (4, 4, 2, "keep", "certain", 0.5, 0)),
        (dict.fromkeys(range(8)), RULE, (8, 0, 0, None, "undecided", None, 0)),
        ({i: None if i == 3 else False for i in range(8)}, RULE, (8, 7, 0, None, "undecided", 0.0, 0)),
        ({i: i > 1 for i in range(6)}, Rule((4, 2), None), (6, 6, 4, None, "all_samples", 4 / 6, 0)),
        ({0: None, 1: True, 2: False}, Rule((3,), None), (3, 2, 1, None, "all_samples", 0.5, 0)),
        ({0: True, 1: True}, Rule((2, 4), None), (2, 2, 2, None, None, 1.0, 4)),
    ],
)
def test_progress_of_a_question(samples, rule, expected):
    indices = [*samples, -1, 99]  # two that no rule counts
    table = pl.DataFrame(
        {"question_id": ["q"] * len(indices), "sample_index": indices, "correct": [*samples.values(), True, True]}
    )
    assert progress(table, rule).row(0)[1:] == expected


def test_questions_come_as_first_seen_and_an_empty_table_goes_through():
    table = pl.DataFrame({"question_id": list("bab"), "sample_index": [1, 0, 0], "correct": [None, None, None]})
    assert progress(table, RULE)["question_id"].to_list() == ["b", "a"]
    assert progress(table.clear(), RULE).is_empty()


def test_a_sample_that_is_there_twice_is_refused():
    table = pl.DataFrame({"question_id": ["a", "b", "b"], "sample_index": [0, 1, 1], "correct": [True, True, False]})
    with pytest.raises(ValueError, match="question b: sample 1 is in the table twice"):
        progress(table, RULE)


@settings(max_examples=40, deadline=None)
@given(rules(), st.data())
def test_samples_beyond_the_stop_change_nothing(rule, data):
    failures = data.draw(st.sets(st.integers(0, rule.samples - 1)))
    _, table = every_sequence(rule.samples, failures)
    more = table.with_columns(pl.col("sample_index") + rule.samples)
    found = progress(pl.concat([table, more]).sample(fraction=1, shuffle=True, seed=1).sort("question_id"), rule)
    needed = table.join(found, on="question_id").filter(pl.col("sample_index") < pl.col("used"))
    assert progress(needed, rule).sort("question_id").equals(found)
    assert found["next_samples"].sum() == 0
