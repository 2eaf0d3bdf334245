"""Of duplicates the earliest kept one stands for the others, whatever comes later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.duplicates.keep_oldest import keep_first

PAIRS = st.integers(1, 25).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60))
)


def kept_by(pairs, n):
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return keep_first(left, right, n).tolist()


def test_a_duplicate_of_a_dropped_row_alone_is_kept():
    assert kept_by([(0, 1), (2, 1)], 4) == [-1, 0, -1, -1]
    assert kept_by([(3, 1), (3, 0), (2, 3)], 4) == [-1, -1, -1, 0]


def test_no_pairs_and_pairs_with_oneself_drop_nothing():
    assert kept_by([], 2) == [-1, -1]
    assert kept_by([(1, 1)], 2) == [-1, -1]
    assert keep_first([], [], 0).tolist() == []


def test_what_is_no_pair_is_refused():
    for left, right in (([0], [2]), ([-1], [0]), ([0, 1], [1]), ([0.5], [1.0])):
        with pytest.raises(ValueError, match=r"position|pairs"):
            keep_first(left, right, 2)


@given(PAIRS, st.randoms())
@settings(max_examples=150, deadline=None)
def test_a_row_goes_if_and_only_if_it_duplicates_an_earlier_kept_one(given_pairs, random):
    n, pairs = given_pairs
    result = kept_by(pairs, n)
    twins = {frozenset(pair) for pair in pairs}
    for row in range(n):
        keepers = [early for early in range(row) if result[early] == -1 and frozenset((early, row)) in twins]
        assert result[row] == (keepers[0] if keepers else -1)
    mixed = [pair if random.random() < 0.5 else pair[::-1] for pair in pairs]
    random.shuffle(mixed)
    assert kept_by(mixed, n) == result


@given(PAIRS, st.integers(0, 25))
@settings(max_examples=100, deadline=None)
def test_rows_that_come_later_change_no_earlier_decision(given_pairs, cut):
    n, pairs = given_pairs
    cut = min(cut, n)
    before = kept_by([pair for pair in pairs if max(pair) < cut], cut)
    assert kept_by(pairs, n)[:cut] == before
