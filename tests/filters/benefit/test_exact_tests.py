from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.benefit.exact_tests import adjusted, boschloo, ladder_level, ladder_p, look_weights

RATES = np.concatenate([[0.0, 1.0], np.geomspace(1e-4, 0.05, 12), 1 - np.geomspace(1e-4, 0.05, 12)])
RATES = np.sort(np.append(RATES, np.linspace(0.06, 0.94, 40)))


def binomial(n, p):
    chances = np.ones(1)
    for _ in range(n):
        chances = np.convolve(chances, [1 - p, p])
    return chances


def largest_excess(values, chances):
    """How far the chance that a p-value is at most a lies above a, at worst, relative to a."""
    order = np.argsort(values)
    upto = np.cumsum(chances[order])
    last = np.append(np.diff(values[order]) > 0, True)
    return (upto[last] / values[order][last]).max() - 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12))
@example(1, 1)
@example(16, 16)
@example(32, 32)
@example(32, 5)
def test_the_test_is_never_above_its_level(n_first, n_second):
    values = boschloo(n_first, n_second).ravel()
    for p in RATES:
        for behind in {p, 0.9 * p, 0.0}:  # the boundary of the null hypothesis and its inside
            chances = np.outer(binomial(n_first, p), binomial(n_second, behind)).ravel()
            assert largest_excess(values, chances) < 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.data())
def test_it_gives_the_values_of_scipy(n_first, n_second, data):
    from scipy.stats import boschloo_exact

    first, second = data.draw(st.integers(0, n_first)), data.draw(st.integers(0, n_second))
    table = [[second, first], [n_second - second, n_first - first]]
    given_by_scipy = boschloo_exact(table, alternative="greater").pvalue
    if 0 < first + second < n_first + n_second:  # scipy says nan when all or none are right
        above = boschloo(n_first, n_second)[first, second] / given_by_scipy - 1
        assert -1e-9 < above < 1e-3  # for the grid's error never too small
    else:
        assert boschloo(n_first, n_second)[first, second] == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20))
def test_more_right_of_the_second_and_fewer_of_the_first_is_more_evidence(n_first, n_second):
    values = boschloo(n_first, n_second)
    assert values.shape == (n_first + 1, n_second + 1) and (values > 0).all() and (values <= 1).all()
    assert (np.diff(values, axis=0) >= 0).all() and (np.diff(values, axis=1) <= 0).all()


@pytest.mark.parametrize("n", [8, 32])
def test_right_and_wrong_change_places_with_the_arms(n):
    values = boschloo(n, n)
    np.testing.assert_allclose(values, values[::-1, ::-1].T, rtol=1e-9)


def test_without_attempts_nothing_is_shown():
    assert boschloo(0, 0).tolist() == [[1.0]]
    assert boschloo(0, 3).tolist() == [[1.0] * 4]
    with pytest.raises(ValueError, match="negative"):
        boschloo(-1, 3)


def test_nobody_can_spoil_what_the_cache_holds():
    with pytest.raises(ValueError, match="read-only"):
        boschloo(4, 4)[0, 0] = 0.0


def test_the_looks_share_the_level():
    assert look_weights((8,)) == (1.0,)
    assert look_weights((8, 16)) == (0.5, 0.5)
    assert look_weights((8, 16, 32)) == (0.5, 0.25, 0.25)
    assert sum(look_weights(range(1, 9))) == 1.0
    with pytest.raises(ValueError, match="a look"):
        look_weights(())


@pytest.mark.parametrize("looks", [(2, 4), (3, 6, 12)])
def test_who_stops_where_it_suits_best_is_still_not_above_the_level(looks):
    """Every way through the looks, enumerated; the p-value is the smallest over all looks."""
    steps = np.diff((0, *looks))
    paths = np.array(list(product(*(range(step + 1) for step in steps for _ in range(2)))))
    first, second = paths[:, 0::2].cumsum(axis=1), paths[:, 1::2].cumsum(axis=1)
    weights = look_weights(looks)
    shares = [boschloo(n, n)[first[:, j], second[:, j]] / weights[j] for j, n in enumerate(looks)]
    union = np.min(shares, axis=0)
    exact = ladder_p(union, looks)
    assert (exact <= union).all() and (exact < 0.8 * union)[union < 0.2].any()
    for p in RATES[::3]:
        for behind in (p, 0.8 * p):
            chances = np.ones(len(paths))
            for j, step in enumerate(steps):
                chances = chances * binomial(step, p)[paths[:, 2 * j]] * binomial(step, behind)[paths[:, 2 * j + 1]]
            assert largest_excess(union, chances) < 1e-9 and largest_excess(exact, chances) < 1e-9


@pytest.mark.parametrize("looks", [(4,), (4, 8, 16)])
def test_the_level_of_a_ladder_is_what_its_p_value_rejects(looks):
    smallest = np.geomspace(1e-6, 1, 400)
    for level in (0.001, 0.02, 0.1):
        rejected = ladder_p(smallest, looks) <= level
        assert np.array_equal(rejected, smallest <= ladder_level(level, looks))


def test_adjusted_gives_the_published_example():
    # Benjamini and Hochberg (1995), section 4: at 0.05 the first four of fifteen are rejected.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    q = adjusted(np.array(p))
    assert (q <= 0.05).sum() == 4
    assert q[:4] == pytest.approx([0.0015, 0.003, 0.0095, 0.035625])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=40), st.floats(0.01, 0.5))
def test_adjusted_rejects_what_the_step_up_rule_rejects(p, level):
    p = np.array(p, float)
    q = adjusted(p)
    tested = np.sort(p[~np.isnan(p)])
    passing = [value for i, value in enumerate(tested, 1) if value * (len(tested) / i) <= level]
    assert np.array_equal(np.isnan(q), np.isnan(p))
    assert set(p[q <= level]) == {value for value in tested if passing and value <= max(passing)}
    assert (q[~np.isnan(q)] <= 1).all() and (q[~np.isnan(q)] >= p[~np.isnan(p)]).all()


def test_false_discoveries_stay_at_their_level():
    """30 of 100 questions gain for certain (0.1 to 0.95), the others have equal rates; 200 tables."""
    random = np.random.default_rng(5)
    gains = np.arange(100) < 30
    direct = np.where(gains, 0.1, 0.4)
    tools = np.where(gains, 0.95, 0.4)
    false, found = [], []
    for _ in range(200):
        p = boschloo(8, 8)[random.binomial(8, direct), random.binomial(8, tools)]
        chosen = adjusted(p) <= 0.1
        false.append((chosen & ~gains).sum() / max(chosen.sum(), 1))
        found.append((chosen & gains).sum() / 30)
    assert np.mean(false) <= 0.1
    assert np.mean(found) > 0.9
