import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from filters import intervals
from filters.intervals import bootstrap_mean, bootstrap_ratio, student_quantile, wilson


def interval(right, attempts):
    low, high = wilson(pl.lit(right), pl.lit(attempts), 0.95)
    return pl.select(low.alias("low"), high.alias("high")).row(0)


def test_wilson_gives_the_published_interval():
    assert interval(2, 8) == pytest.approx((0.0715, 0.5907), abs=1e-4)
    assert interval(0, 0) == (0.0, 1.0)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson_holds_the_rate(right, attempts):
    right = min(right, attempts)
    low, high = interval(right, attempts)
    assert 0 <= low <= right / attempts + 1e-12 and right / attempts - 1e-12 <= high <= 1


def test_the_bootstrap_of_too_little_and_of_equal_values():
    assert all(math.isnan(x) for x in (*bootstrap_mean([]), *bootstrap_mean([0.5])))
    assert bootstrap_mean([0.25] * 9) == (0.25, 0.25)
    assert all(math.isnan(x) for x in bootstrap_ratio(np.ones(2), np.zeros(2), np.ones(2)))


def test_the_bootstrap_is_as_wide_as_the_normal_interval_for_many_values():
    low, high = bootstrap_mean([0.0, 1.0] * 200)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)


def test_the_percentiles_are_expanded_for_few_values():
    """The tails of ten values are 0.86 % and 99.14 % instead of 2.5 % and 97.5 %."""
    tail = norm.cdf(-math.sqrt(10 / 9) * t.ppf(0.975, 9))
    assert tail == pytest.approx(0.0086, abs=1e-4)
    values = [0.0] * 5 + [1.0] * 5
    drawn = np.random.default_rng(1).binomial(10, 0.5, 100_000) / 10
    assert bootstrap_mean(values) == tuple(np.quantile(drawn, [tail, 1 - tail]))


def test_states_are_questions_with_equal_values():
    values, counts = np.array([0.0, 0.5, 1.0]), np.array([30, 5, 15])
    assert bootstrap_ratio(values, np.ones(3), counts) == bootstrap_mean(np.repeat(values, counts))


def test_many_questions_are_drawn_from_the_normal_distribution_alike(monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 20_000)
    numerators, denominators = np.array([0.0, 0.5, 1.0, 1.0]), np.array([0.5, 1.0, 1.0, 0.8])
    counts = np.array([500, 300, 400, 800])
    normal = bootstrap_ratio(numerators, denominators, counts)
    monkeypatch.setattr(intervals, "_NORMAL_FROM", math.inf)
    multinomial = bootstrap_ratio(numerators, denominators, counts)
    assert normal != multinomial
    assert normal == pytest.approx(multinomial, abs=0.02 * (normal[1] - normal[0]))


def test_a_rare_value_is_not_taken_for_normal():
    low, high = bootstrap_ratio(np.array([0.0, 1.0]), np.ones(2), np.array([999_997, 3]))
    assert low == 0.0 and high == pytest.approx(7e-6)  # percentiles of Poisson's distribution with mean 3


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 58, 1_000, 1_000_000])
def test_student_quantiles(freedom):
    for probability in (0.75, 0.95, 0.975, 0.9995):
        assert student_quantile(probability, freedom) == pytest.approx(t.ppf(probability, freedom), rel=1e-5)
