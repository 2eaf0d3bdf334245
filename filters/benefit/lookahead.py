"""What further attempts at a question are expected to bring: every course of them, weighed by what is known of it.

A question can be dropped between two looks. What the best plan brings at a price per rollout is found from the last
look backwards (Bellman 1957, "Dynamic Programming"), for many prices at once. The highest price at which further
attempts still pay is the question's index: with many questions and one budget, those with the highest index go first
(Gittins 1979, JRSS B 41:148-177; Whittle 1988, Journal of Applied Probability 25A:287-298).
"""

from dataclasses import dataclass, field
from math import comb
from typing import NamedTuple

import numpy as np

from filters.benefit.exact_tests import boschloo
from filters.benefit.joint_rates import DIFFERENCE, GRID, MOST_CHANCE, JointRates

PRICES = np.geomspace(2e-4, 0.5, 32)
"""Decisions that a rollout has to bring. At less than one in 5,000 rollouts a question is dropped in any case."""
GAIN, HARM, NONE, ROLLOUTS = range(4)
ERRORS = slice(4, 7)
"""Of gain, harm and none: the sum of the posterior probabilities that what is decided is wrong."""
EXPECTED = 7
"""How many numbers say what is to be expected: the seven above."""
_BLOCK = 4_000_000
"""Numbers of a matrix of chances in memory at once."""


class Position(NamedTuple):
    """What questions that are planned for together share: all but how many attempts were right."""

    stratum: int
    chance: float
    samples: tuple[int, int]
    """Made in the first and in the second arm."""
    attempts: tuple[int, int]
    """Those of them with a verdict."""


class Bounds(NamedTuple):
    """What decides a question at a look; -1 where it decides nothing."""

    levels: tuple[float, float]
    """The bounds for a gain and for a harm: up to it a p-value, divided by the weight of its look, decides
    (exact_tests.ladder_level)."""
    errors: tuple[float, float, float]
    """The bounds for a gain, for a harm and for none: up to it the posterior probability of being wrong decides."""


def _sequence(attempts: int) -> np.ndarray:
    """The chance of one series of attempts with 0, 1, ... of them right, (attempts + 1, POINTS), at rates of GRID."""
    right = np.arange(attempts + 1)[:, None]
    return GRID**right * (1 - GRID) ** (attempts - right)


def ways(before: int, more: int) -> np.ndarray:
    """How many series of `more` attempts lead from 0 to `before` right ones to 0 to `before + more`."""
    steps = np.arange(before + more + 1) - np.arange(before + 1)[:, None]
    counts = np.array([comb(more, step) for step in range(more + 1)], dtype=float)
    return np.where((steps >= 0) & (steps <= more), counts[np.clip(steps, 0, more)], 0.0)


def edge(chance: float, margin: float) -> float:
    """The largest difference of rates that is within the margin when corrected for chance, as joint_rates.summary
    corrects it."""
    return margin * (1 - min(chance, MOST_CHANCE)) + 1e-9


def outcomes(rates: JointRates, stratum: int, attempts: tuple[int, int]) -> np.ndarray:
    """How likely each pair of series of attempts is in each draw of the rates' distribution.

    Returns (DRAWS, attempts[0] + 1, attempts[1] + 1), by right attempts. Those that one posterior is made of: that is
    the mean over the draws of what each one's posterior says.
    """
    draws = rates.draws[stratum].reshape(-1, len(GRID), len(GRID))
    return _sequence(attempts[0]) @ draws @ _sequence(attempts[1]).T


def probability(rates: JointRates, stratum: int, attempts: tuple[int, int], event: np.ndarray) -> np.ndarray:
    """Posterior probability that a question's pair of rates is in `event` (POINTS * POINTS,), after each outcome:
    (attempts[0] + 1, attempts[1] + 1). The same as JointRates.posterior says, for all outcomes at once."""
    among = JointRates(rates.draws[stratum : stratum + 1] * event)
    return (outcomes(among, 0, attempts) / outcomes(rates, stratum, attempts)).mean(axis=0)


@dataclass(frozen=True)
class Lookahead:
    """The rules by which a question is decided, and what is known of the questions' rates."""

    rates: JointRates
    looks: tuple[int, ...]
    weights: tuple[float, ...]
    """Weights of the looks (exact_tests.look_weights)."""
    bounds: Bounds
    margin: float
    _known: dict[Position, np.ndarray] = field(default_factory=dict)

    def step(self, at: Position) -> tuple[int, tuple[int, int]] | None:
        """The next look (its number), and the samples that it takes in each arm; None after the last one."""
        for number, look in enumerate(self.looks):
            if look > min(at.samples):
                return number, (max(look - at.samples[0], 0), max(look - at.samples[1], 0))
        return None

    def ahead(self, at: Position) -> np.ndarray:
        """What is expected of an open question whose attempts continue as far as they pay.

        At a look ahead all samples are taken to be attempts, and what is stored beyond it to be part of it: so what can
        come of questions that differ in that is found once for all.

        Returns:
            (attempts[0] + 1, attempts[1] + 1, EXPECTED, PRICES), by right attempts in each arm: decisions for GAIN,
            HARM and NONE, ROLLOUTS, and ERRORS, on average; all 0 where further attempts do not pay. After the last
            look one number, 0, is for all prices.
        """
        if at in self._known:
            return self._known[at]
        step = self.step(at)
        if step is None:
            return np.zeros((at.attempts[0] + 1, at.attempts[1] + 1, EXPECTED, 1))  # the same at each price
        number, more = step
        samples = (at.samples[0] + more[0], at.samples[1] + more[1])
        then = Position(at.stratum, at.chance, samples, samples)
        found = self._average(at, then, self._arrived(then, number))
        found[:, :, ROLLOUTS] += sum(more)
        pays = found[:, :, :ROLLOUTS].sum(axis=2) > PRICES * found[:, :, ROLLOUTS]
        self._known[at] = found * pays[:, :, None]
        return self._known[at]

    def _arrived(self, at: Position, number: int) -> np.ndarray:
        """The same as `ahead`, but at a look just made: what is decided there stays decided."""
        found = self.ahead(at).copy()
        first, second = at.attempts
        weight, (levels, errors) = self.weights[number], self.bounds
        end = edge(at.chance, self.margin)
        above = probability(self.rates, at.stratum, at.attempts, end < DIFFERENCE)
        below = probability(self.rates, at.stratum, at.attempts, -end > DIFFERENCE)
        gain = (boschloo(first, second) <= levels[0] * weight) | (1 - above <= errors[0])
        harm = ~gain & ((boschloo(second, first) <= levels[1] * weight).T | (1 - below <= errors[1]))
        none = ~gain & ~harm & (above + below <= errors[2])
        for kind, decided, error in ((GAIN, gain, 1 - above), (HARM, harm, 1 - below), (NONE, none, above + below)):
            found[decided] = 0
            found[decided, kind] = 1
            found[decided, ERRORS.start + kind] = error[decided][:, None]
        return found

    def _average(self, at: Position, then: Position, values: np.ndarray) -> np.ndarray:
        """The mean of `values`, of each outcome at `then`, as seen from each outcome at `at`."""
        before = outcomes(self.rates, at.stratum, at.attempts)
        after = outcomes(self.rates, at.stratum, then.attempts).reshape(len(before), -1)
        series = [ways(now, later - now) for now, later in zip(at.attempts, then.attempts, strict=True)]
        flat = values.reshape(after.shape[1], -1)
        rows = max(1, _BLOCK // (after.shape[1] * before.shape[2]))
        parts = []
        for start in range(0, before.shape[1], rows):
            part = slice(start, start + rows)
            # of one series: how likely afterwards over how likely before; times the number of series
            chances = (1 / before[:, part]).reshape(len(before), -1).T @ after / len(before)
            parts.append((chances * np.kron(series[0][part], series[1])) @ flat)
        return np.concatenate(parts).reshape(*before.shape[1:], *values.shape[2:])


def index(ahead: np.ndarray) -> np.ndarray:
    """The price up to which further attempts pay, in decisions per rollout: (...,) of `ahead` (..., EXPECTED, PRICES);
    0: never."""
    decisions, rollouts = ahead[..., :ROLLOUTS, :].sum(axis=-2), ahead[..., ROLLOUTS, :]
    last = (rollouts > 0).sum(axis=-1, keepdims=True) - 1  # the prices at which it pays are the lower ones
    best = [np.take_along_axis(values, np.maximum(last, 0), axis=-1)[..., 0] for values in (decisions, rollouts)]
    return np.divide(best[0], best[1], out=np.zeros_like(best[0]), where=best[1] > 0)
