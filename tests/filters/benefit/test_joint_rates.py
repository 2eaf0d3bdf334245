"""What is said about two pass rates is true as often as it says, however the attempts were stopped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.benefit.joint_rates import DIFFERENCE, GRID, fit, likelihoods, summary

POPULATIONS = {
    "half without an effect": lambda r, n, d: np.where(r.random(n) < 0.5, d, d + (1 - d) * r.beta(2, 1, n)),
    "small effects": lambda r, n, d: np.clip(d + r.normal(0.03, 0.12, n), 0, 1),
    "unrelated": lambda r, n, d: r.beta(1, 0.7, n),
    "gain and harm": lambda r, n, d: np.where(r.random(n) < 0.3, d * r.random(n), d + (1 - d) * r.random(n) ** 2),
}


def drawn(name, random, count):
    first = random.beta(0.6, 1.2, count)
    return first, POPULATIONS[name](random, count, first)


def measured(states, seed=0):
    distinct, place, many = np.unique(states, axis=0, return_inverse=True, return_counts=True)
    found = summary(fit(distinct, many, seed=seed).posterior(distinct), 0.0, 0.1, 0.95)
    return {name: values[place.ravel()] for name, values in found.items()}


def covered(found, difference):
    return (found["low"] <= difference + 1e-9) & (difference <= found["high"] + 1e-9)


@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_cover_and_probabilities_come_true(name):
    inside, stated, true = [], [], []
    for seed in range(8):
        random = np.random.default_rng(seed)
        first, second = drawn(name, random, 400)
        states = np.stack([np.full(400, 8), random.binomial(8, first), np.full(400, 8), random.binomial(8, second)], 1)
        found = measured(states, seed)
        inside.append(covered(found, second - first).mean())
        stated.append(found["above"].mean())
        true.append((second - first > 0.1).mean())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    # eight attempts cannot tell an effect just below the margin from one just above it
    assert np.mean(stated) == pytest.approx(np.mean(true), abs=0.1)


def stopped(first, second, random):
    """Two attempts an arm at a time, until one arm is three ahead or there are 16."""
    count = len(first)
    right, made, going = np.zeros((2, count), int), np.zeros(count, int), np.ones(count, bool)
    for _ in range(8):
        right[0] += going * random.binomial(2, first)
        right[1] += going * random.binomial(2, second)
        made += 2 * going
        going &= np.abs(right[1] - right[0]) < 3
    return np.stack([made, right[0], made, right[1]], axis=1)


@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_cover_when_sampling_stops_on_what_came_out(name):
    inside = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        first, second = drawn(name, random, 400)
        states = stopped(first, second, random)
        found = measured(states, seed)
        inside.append(covered(found, second - first).mean())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


counts = st.integers(0, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_posteriors_are_distributions_and_the_order_of_states_is_nothing(pairs):
    states = np.array([(*one, *other) for one, other in pairs])
    many = np.arange(1, len(states) + 1)
    posterior = fit(states, many).posterior(states)
    assert np.allclose(posterior.sum(axis=1), 1) and (posterior >= 0).all()
    assert np.allclose(fit(states[::-1], many[::-1]).posterior(states), posterior)
    found = summary(posterior, 0.0, 0.1, 0.95)
    assert (found["low"] <= found["high"]).all() and (found["above"] + found["below"] <= 1 + 1e-9).all()
    assert (np.abs(found["mean"]) <= 1).all()


def test_the_likelihood_is_that_of_two_binomials():
    one = likelihoods(np.array([[5, 2, 3, 3]]))[0].reshape(len(GRID), len(GRID))
    first, second = GRID**2 * (1 - GRID) ** 3, GRID**3
    assert np.allclose(one / one.sum(), np.outer(first, second) / np.outer(first, second).sum())
    assert DIFFERENCE.reshape(len(GRID), -1)[0, -1] == 1.0  # [first, second]: from never to always


def test_without_attempts_the_table_speaks_and_with_many_the_attempts_do():
    seen = np.array([[8, 0, 8, 8], [8, 0, 8, 0]])
    rates = fit(seen, np.array([500, 500]))
    found = summary(rates.posterior(np.array([[0, 0, 0, 0], [64, 32, 64, 32]])), 0.0, 0.1, 0.95)
    assert found["mean"][0] == pytest.approx(0.5, abs=0.05)
    assert abs(found["mean"][1]) < 0.02 and found["high"][1] - found["low"][1] < 0.4


def test_a_small_task_leans_on_the_table_and_a_large_one_on_itself():
    states = np.array([[4, 0, 4, 4], [4, 2, 4, 2]])
    rates = fit(states, np.array([400, 400]), strata=np.array([0, 1]))
    unseen = np.zeros((2, 4), int)
    means = summary(rates.posterior(unseen, np.array([0, 1])), 0.0, 0.1, 0.95)["mean"]
    assert means[0] > 0.7 and abs(means[1]) < 0.1


def test_chance_widens_what_a_difference_means():
    posterior = fit(np.array([[8, 4, 8, 7]]), np.array([50])).posterior(np.array([[8, 4, 8, 7]]))
    plain, guessable = summary(posterior, 0.0, 0.1, 0.95), summary(posterior, np.array([0.5]), 0.1, 0.95)
    for name in ("mean", "low", "high"):
        assert guessable[name] == pytest.approx(2 * plain[name])
    assert guessable["above"] == pytest.approx(summary(posterior, 0.0, 0.05, 0.95)["above"])


def test_no_questions_are_no_error():
    rates = fit(np.empty((0, 4)), np.empty(0))
    assert summary(rates.posterior(np.empty((0, 4))), 0.0, 0.1, 0.95)["mean"].shape == (0,)
    assert np.allclose(rates.posterior(np.zeros((1, 4))).sum(), 1)
