import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.intervals import bootstrap_mean, wilson


def interval(right, attempts):
    low, high = wilson(pl.lit(right), pl.lit(attempts), 0.95)
    return pl.select(low.alias("low"), high.alias("high")).row(0)


def test_wilson_gives_the_published_interval():
    assert interval(2, 8) == pytest.approx((0.0715, 0.5907), abs=1e-4)
    assert interval(0, 0) == (0.0, 1.0)


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilson_holds_the_rate(right, attempts):
    right = min(right, attempts)
    low, high = interval(right, attempts)
    assert 0 <= low <= right / attempts + 1e-12 and right / attempts - 1e-12 <= high <= 1


def test_the_bootstrap_of_nothing_and_of_equal_values():
    assert all(math.isnan(x) for x in bootstrap_mean([]))
    assert bootstrap_mean([0.25] * 9) == (0.25, 0.25)


def test_the_bootstrap_is_as_wide_as_the_normal_interval_for_many_values():
    low, high = bootstrap_mean([0.0, 1.0] * 200)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
