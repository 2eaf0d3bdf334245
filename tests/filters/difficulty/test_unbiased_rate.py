from itertools import product
from math import isclose

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.difficulty.progress import progress
from filters.difficulty.stopping import Rule
from filters.difficulty.unbiased_rate import flip_probability, stopped_interval, stopping_points, unbiased_rate
from records.recipe import CountBand
from tests.filters.difficulty.test_stopping import every_sequence, rules

RATES = (0.0, 0.05, 0.3, 0.5, 0.77, 1.0)


def mean(values, sequences, p):
    """Expectation of a value per sequence, for attempts that are right with chance p."""
    rights = np.array([sum(sequence) for sequence in sequences])
    return float(np.dot(values, p**rights * (1 - p) ** (len(sequences[0]) - rights)))


@settings(max_examples=60, deadline=None)
@given(rules(), st.data())
def test_the_estimate_is_unbiased_whatever_the_rule_and_whichever_samples_fail(rule, data):
    failures = data.draw(st.sets(st.integers(0, rule.samples - 1), max_size=rule.samples - 1))
    sequences, table = every_sequence(rule.samples, failures)
    rates = progress(table, rule)["pass_rate"].to_numpy()
    for p in RATES:
        assert isclose(mean(rates, sequences, p), p, abs_tol=1e-12)


@settings(max_examples=60, deadline=None)
@given(rules(samples=20))
def test_the_estimate_is_unbiased_over_the_stopping_points(rule):
    points = stopping_points(rule)
    rates = {point: unbiased_rate(rule, tuple(n for n in rule.looks if n <= point[0]), point[1]) for point in points}
    for p in RATES:
        chances = {(n, s): paths * p**s * (1 - p) ** (n - s) for (n, s), paths in points.items()}
        assert isclose(sum(chances.values()), 1)
        assert isclose(sum(chances[point] * rates[point] for point in points), p, abs_tol=1e-12)


def test_the_plain_ratio_would_be_biased():
    rule = Rule((1,) * 8, CountBand(min=1, max=8))  # stops at the first right attempt
    points = stopping_points(rule)
    assert sum(paths * 0.3**s * 0.7 ** (n - s) * s / n for (n, s), paths in points.items()) > 0.45
    assert unbiased_rate(rule, (1,), 1) == 1.0
    assert unbiased_rate(rule, (1, 2, 3), 1) == 0.0


def test_without_an_early_stop_it_is_the_plain_ratio():
    assert [unbiased_rate(Rule((3, 4), None), (3, 7), right) for right in range(8)] == [n / 7 for n in range(8)]


def test_expected_attempts_at_a_given_pass_rate():
    points = stopping_points(Rule((1,) * 8, CountBand(min=1, max=7)))
    made = {p: sum(n * paths * p**s * (1 - p) ** (n - s) for (n, s), paths in points.items()) for p in (0.25, 0.5)}
    assert {p: round(n, 2) for p, n in made.items()} == {0.25: 3.93, 0.5: 2.98}


@settings(max_examples=30, deadline=None)
@given(rules(samples=7))
def test_flip_probability_is_that_of_all_sequences(rule):
    sequences, table = every_sequence(rule.samples)
    fixed = pl.Series([rule.fixed_decision(sum(sequence)) for sequence in sequences])
    flipped = (progress(table, rule)["decision"] != fixed).to_numpy()
    for p in RATES:
        assert isclose(flip_probability(rule, p), mean(flipped, sequences, p), abs_tol=1e-12)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(
    "rule",
    [
        Rule((2, 2, 2, 2), CountBand(min=1, max=7)),
        Rule((1,) * 8, CountBand(max=2), 0.1),
        Rule((4, 4, 4, 4), CountBand(min=2, max=12), 0.05),
        Rule((3, 1, 5), CountBand(min=2, max=4), 0.3, (1.0, 1.0)),
        Rule((4, 4), None),
    ],
)
def test_the_interval_covers_every_pass_rate(rule, confidence):
    intervals = {point: stopped_interval(rule, *point, confidence) for point in stopping_points(rule)}
    for (attempts, right), (low, high) in intervals.items():
        assert 0 <= low <= right / attempts <= high <= 1
    edges = [edge for pair in intervals.values() for edge in pair]  # coverage is lowest right beside an end
    for p in [*np.linspace(0, 1, 101), *(min(1, max(0, edge + d)) for edge, d in product(edges, (-1e-9, 1e-9)))]:
        covered = sum(
            paths * p**s * (1 - p) ** (n - s)
            for (n, s), paths in stopping_points(rule).items()
            if intervals[n, s][0] <= p <= intervals[n, s][1]
        )
        assert covered >= confidence - 1e-7


def test_without_an_early_stop_it_is_the_interval_of_clopper_and_pearson():
    rule = Rule((10,), None)
    assert stopped_interval(rule, 10, 0) == pytest.approx((0, 1 - 0.025 ** (1 / 10)), abs=1e-9)
    assert stopped_interval(rule, 10, 3) == pytest.approx((0.0667395, 0.6524529), abs=1e-6)


def test_states_in_which_the_rule_does_not_stop_have_no_estimate():
    rule = Rule((2, 2), CountBand(min=1, max=4))
    with pytest.raises(ValueError, match="1 right of 3 attempts is not a state in which this rule stops"):
        stopped_interval(rule, 3, 1)
    with pytest.raises(ValueError, match="would have stopped at an earlier look"):
        unbiased_rate(rule, (2, 4), 4)
    with pytest.raises(ValueError, match="no attempt"):
        unbiased_rate(rule, (0,), 0)
