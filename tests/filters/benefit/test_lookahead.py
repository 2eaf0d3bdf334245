from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.benefit.exact_tests import boschloo, look_weights
from filters.benefit.joint_rates import DIFFERENCE, GRID, fit, summary
from filters.benefit.lookahead import (
    ERRORS,
    EXPECTED,
    GAIN,
    HARM,
    NONE,
    PRICES,
    ROLLOUTS,
    Bounds,
    Lookahead,
    Position,
    edge,
    index,
    probability,
)

STATES = np.array([[2, 0, 2, 0], [2, 0, 2, 2], [2, 1, 2, 1], [2, 2, 2, 2], [2, 2, 2, 0]])
RATES = fit(np.vstack([STATES, STATES]), np.arange(10, 110, 10), np.repeat([0, 1], 5))
FIRST, SECOND = np.repeat(GRID, len(GRID)), np.tile(GRID, len(GRID))


def rule(looks, gain_level=0.3, harm_level=0.1, confidence=0.5, errors=(-1.0, -1.0)):
    bounds = Bounds((gain_level, harm_level), (*errors, 1 - confidence))
    return Lookahead(RATES, looks, look_weights(looks), bounds, 0.2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1), st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.0, 0.25, 0.95]))
def test_probabilities_are_those_of_the_posterior(stratum, first, second, chance):
    states = np.array([[first, s, second, t] for s in range(first + 1) for t in range(second + 1)])
    posterior = RATES.posterior(states, np.full(len(states), stratum))
    found = summary(posterior, chance, 0.2, 0.95)
    within = probability(RATES, stratum, (first, second), np.abs(DIFFERENCE) <= edge(chance, 0.2))
    above = probability(RATES, stratum, (first, second), edge(chance, 0.2) < DIFFERENCE)
    assert within.ravel() == pytest.approx(1 - found["above"] - found["below"], abs=1e-9)
    assert above.ravel() == pytest.approx(found["above"], abs=1e-9)


def decision(kind, error):
    return np.eye(EXPECTED)[kind] + error * np.eye(EXPECTED)[ERRORS.start + kind]


def best(rule, price, look, state, chance):
    """What going on brings at that price, by a walk through each single outcome: gain, harm, none, rollouts, and the
    sums of the errors of gains, harms and nones."""
    if look + 1 == len(rule.looks):
        return np.zeros(EXPECTED)
    more, weight = rule.looks[look + 1] - rule.looks[look], rule.weights[look + 1]
    posterior = RATES.posterior(state)[0]
    found = 2 * more * np.eye(EXPECTED)[ROLLOUTS]
    for x in range(more + 1):
        for y in range(more + 1):
            ways = comb(more, x) * comb(more, y)
            chances = FIRST**x * (1 - FIRST) ** (more - x) * SECOND**y * (1 - SECOND) ** (more - y)
            (n, s, m, t) = state[0] + [more, x, more, y]
            then = np.array([[n, s, m, t]])
            said = summary(RATES.posterior(then), chance, rule.margin, 0.95)
            gain, harm, _ = rule.bounds.errors
            if boschloo(n, m)[s, t] <= rule.bounds.levels[0] * weight or 1 - said["above"][0] <= gain:
                value = decision(GAIN, 1 - said["above"][0])
            elif boschloo(m, n)[t, s] <= rule.bounds.levels[1] * weight or 1 - said["below"][0] <= harm:
                value = decision(HARM, 1 - said["below"][0])
            elif said["above"][0] + said["below"][0] <= rule.bounds.errors[2]:
                value = decision(NONE, said["above"][0] + said["below"][0])
            else:
                value = best(rule, price, look + 1, then, chance)
            found += ways * (posterior @ chances) * value
    return found if found[:ROLLOUTS].sum() > price * found[ROLLOUTS] else np.zeros(EXPECTED)


@pytest.mark.parametrize("errors", [(-1.0, -1.0), (0.12, 0.1)])
def test_going_on_is_weighed_over_every_outcome(errors):
    looks, chance = (1, 2, 4), 0.25
    looking = rule(looks, *((0.3, 0.1) if errors[0] < 0 else (-1.0, -1.0)), confidence=0.7, errors=errors)
    found = looking.ahead(Position(0, chance, (1, 1), (1, 1)))
    bought = set()
    for price in (0, 20, 27):
        for s in range(2):
            for t in range(2):
                expected = best(looking, PRICES[price], 0, np.array([[1, s, 1, t]]), chance)
                assert found[s, t, :, price] == pytest.approx(expected, abs=1e-9)
                bought.add(expected[ROLLOUTS] > 0)
    assert True in bought and (False in bought or errors[0] > 0)
    assert errors[0] > 0 or found[:, :, ROLLOUTS, 0].max() > 2, "at a low price it is gone on with past the next look"
    assert (found[:, :, :3, 0].max(axis=(0, 1)) > 0).all()


def test_the_index_is_the_highest_price_that_pays():
    looking = rule((2, 4, 8))
    ahead = looking.ahead(Position(1, 0.0, (2, 2), (2, 2)))
    worth = ahead[:, :, :ROLLOUTS].sum(axis=2)
    pays = ahead[:, :, ROLLOUTS] > 0
    indices = index(ahead)
    assert (pays == (indices[:, :, None] > PRICES)).all()
    assert (np.diff(worth, axis=-1) <= 1e-12).all() and (np.diff(ahead[:, :, ROLLOUTS], axis=-1) <= 1e-12).all()
    assert (worth <= 1 + 1e-9).all()


def test_after_the_last_look_nothing_is_to_be_had():
    looking = rule((2, 4))
    assert looking.step(Position(0, 0.0, (4, 4), (3, 4))) is None
    assert not index(looking.ahead(Position(0, 0.0, (4, 4), (3, 4)))).any()


def test_an_arm_that_is_ahead_waits_for_the_other():
    looking = rule((2, 4, 8))
    assert looking.step(Position(0, 0.0, (8, 2), (8, 2))) == (1, (0, 2))
    assert looking.step(Position(0, 0.0, (3, 3), (3, 2))) == (1, (1, 1))
    at = looking.ahead(Position(0, 0.0, (8, 2), (8, 2)))
    assert at[:, :, ROLLOUTS].max() <= 6
