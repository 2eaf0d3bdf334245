"""What is known about two pass rates of a question from few attempts at it and the attempts at all other questions.

Empirical Bayes (Robbins 1956; Efron 2010, "Large-Scale Inference", ch. 1): the questions of a table are draws from one
joint distribution of two pass rates. It is estimated from the table, and each question's own posterior follows.
A posterior depends on the attempts through their likelihood alone, so it holds whatever rule, looking at the attempts,
decided how many to make (Berger and Wolpert 1988, "The Likelihood Principle", ch. 4).

The distribution is a mixture of fixed components on a grid of pairs of rates, as in adaptive shrinkage (Stephens 2017,
Biostatistics 18:275-294), but in two dimensions: rates that are exactly equal, rates that differ by little (half-normal
in the arcsine scale, at several widths, up and down), and rates that have nothing to do with each other. The
proportions are fitted by EM, with a pull towards diffuse ones that counts as much as STRENGTH questions. They are
fitted DRAWS times, each time with new weights of the questions by the Bayesian bootstrap (Rubin 1981, Annals of
Statistics 9:130-134), and the posteriors are averaged, so that what a small table leaves open about its own
distribution widens the intervals (Laird and Louis 1987, JASA 82:739-750).
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

POINTS = 33
_ANGLES = np.pi / 2 * np.arange(POINTS) / (POINTS - 1)
GRID = np.sin(_ANGLES) ** 2
"""Pass rates, (POINTS,), 0 and 1 among them: evenly spaced where the spread of an observed rate is the same."""
GRID[-1] = 1.0
DIFFERENCE = (GRID[None, :] - GRID[:, None]).ravel()
"""Second rate minus first of each pair of rates, (POINTS * POINTS,), in the order [first, second]."""

STRENGTH = 20.0
"""Questions that the pull towards diffuse distributions counts for."""
DRAWS = 20
"""How often the distribution is fitted."""
_ITERATIONS = 100
_BUMPS = 7
_WIDTHS = (0.06, 0.12, 0.25, 0.5)
"""Widths of local differences, in the arcsine scale."""
_SHARES = {"equal": 0.05, "near": 0.45, "apart": 0.5}
"""Shares of the kinds of components in the mixture that the fit is pulled to."""
MOST_CHANCE = 0.9
"""A higher chance would turn noise into large differences when corrected for."""
_AT_ONCE = 4096

one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""A decorator for functions of many small matrix products: on shared cores the threads of BLAS mostly wait."""

_order = np.argsort(np.round(DIFFERENCE, 9), kind="stable")
_VALUES, _starts = np.unique(np.round(DIFFERENCE, 9)[_order], return_index=True)
"""The distinct differences, rising."""


def _components() -> tuple[np.ndarray, np.ndarray]:
    """The components, (K, POINTS * POINTS), each a distribution, and their proportions before any data, (K,)."""
    centres = np.linspace(0, np.pi / 2, _BUMPS)
    apart = np.clip((_ANGLES - centres[:, None]) / (centres[1] - centres[0]), -1, 1)
    rates = np.vstack([np.cos(apart * np.pi / 2) ** 2, np.eye(POINTS)[[0, -1]]])  # bumps, and the very ends
    rates /= rates.sum(axis=1, keepdims=True)
    made = [("equal", np.diag(rate)) for rate in rates]
    steps = _ANGLES[None, :] - _ANGLES[:, None]
    for width in _WIDTHS:
        for way in (1, -1):
            kernel = np.exp(-0.5 * (steps / width) ** 2) * (way * steps > 0)
            total = kernel.sum(axis=1, keepdims=True)
            kernel = np.divide(kernel, total, out=np.zeros_like(kernel), where=total > 0)
            near = [rate[:, None] * kernel for rate in rates]
            made += [("near", component / component.sum()) for component in near if component.sum() > 0]
    made += [("apart", np.outer(first, second)) for first in rates for second in rates]
    kinds = np.array([kind for kind, _ in made])
    parts = ((kinds == kind) * (share / (kinds == kind).sum()) for kind, share in _SHARES.items())
    shares = sum(parts, start=np.zeros(len(kinds)))
    return np.stack([component.ravel() for _, component in made]), shares


_COMPONENTS, _BASE = _components()


def _likelihood(attempts: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The likelihood of each rate of the grid, (S, POINTS), as a share of the largest."""
    with np.errstate(divide="ignore"):
        hit, miss = np.log(GRID), np.log1p(-GRID)
    hits, misses = right[:, None], (attempts - right)[:, None]
    with np.errstate(invalid="ignore"):  # 0 times the logarithm of 0
        logs = np.where(hits > 0, hits * hit, 0.0) + np.where(misses > 0, misses * miss, 0.0)
    return np.exp(logs - logs.max(axis=1, keepdims=True))


def likelihoods(states: np.ndarray) -> np.ndarray:
    """The likelihood of each pair of rates, up to a factor for each state.

    Args:
        states: (S, 4) whole numbers: attempts and right ones at the first rate, attempts and right ones at the second.

    Returns:
        (S, POINTS * POINTS).
    """
    first, second = _likelihood(states[:, 0], states[:, 1]), _likelihood(states[:, 2], states[:, 3])
    return (first[:, :, None] * second[:, None, :]).reshape(len(states), POINTS**2)


@dataclass(frozen=True)
class JointRates:
    """The distribution of two pass rates over questions, as often as it was drawn, in each stratum."""

    draws: np.ndarray
    """(strata, DRAWS, POINTS * POINTS) probabilities."""

    def posterior(self, states: np.ndarray, stratum: np.ndarray | None = None) -> np.ndarray:
        """The probability of each pair of rates for questions in these states, (S, POINTS * POINTS).

        Args:
            states: (S, 4), as `likelihoods` takes them; no attempt at all is allowed.
            stratum: (S,) of each state; the first where not given.
        """
        states = np.asarray(states, dtype=np.int64).reshape(-1, 4)
        chosen = np.zeros(len(states), dtype=np.int64) if stratum is None else np.asarray(stratum)
        found = likelihoods(states)
        for number in np.unique(chosen):
            rows, draws = chosen == number, self.draws[number]
            mine = found[rows]
            found[rows] = mine * ((1 / (mine @ draws.T)) @ draws)
        return found / found.sum(axis=1, keepdims=True)


@one_thread
def fit(states: np.ndarray, questions: np.ndarray, strata: np.ndarray | None = None, seed: int = 0) -> JointRates:
    """Estimate the joint distribution of two pass rates.

    With several strata (tasks) the table is fitted whole first; then each stratum, pulled half to the whole table's
    proportions and half to the diffuse ones.

    Args:
        states: (S, 4), as `likelihoods` takes them. Their order does not matter.
        questions: (S,) how many questions are in each state.
        strata: (S,) numbers from 0; a state that occurs in two strata is there twice.
        seed: of the bootstrap draws.
    """
    states, questions = np.asarray(states, dtype=np.int64).reshape(-1, 4), np.asarray(questions, dtype=float)
    strata = np.zeros(len(states), dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    order = np.lexsort((questions, *states.T, strata))
    states, questions, strata = states[order], questions[order], strata[order]
    fits = np.vstack([likelihoods(part) @ _COMPONENTS.T for part in _chunks(states)] or [np.empty((0, len(_BASE)))])
    random = np.random.default_rng(seed)
    weights = random.gamma(questions, size=(DRAWS, len(questions))).T
    weights *= questions.sum() / np.maximum(weights.sum(axis=0), 1e-300)
    base = np.repeat(_BASE[:, None], DRAWS, axis=1)
    _, first, place = np.unique(states, axis=0, return_index=True, return_inverse=True)
    together = np.zeros((len(first), DRAWS))
    np.add.at(together, place.ravel(), weights)
    whole = _em(fits[first], together, STRENGTH * base)
    count = int(strata.max(initial=0)) + 1
    if count == 1:
        return JointRates((whole.T @ _COMPONENTS)[None])
    pull = STRENGTH / 2 * (whole + base)
    each = [_em(fits[strata == number], weights[strata == number], pull) for number in range(count)]
    return JointRates(np.stack([shares.T @ _COMPONENTS for shares in each]))


def _em(fits: np.ndarray, weights: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Proportions of the components, (K, DRAWS), for states with these likelihoods under each, (S, K), and weights,
    (S, DRAWS). `pull`, (K, DRAWS), counts as that many questions seen in each component (Dirichlet prior, its mode)."""
    shares = pull / pull.sum(axis=0)
    for _ in range(_ITERATIONS):
        shares = shares * (fits.T @ (weights / (fits @ shares))) + pull
        shares /= shares.sum(axis=0)
    return shares


def summary(
    posterior: np.ndarray, chance: np.ndarray | float, margin: float, confidence: float
) -> dict[str, np.ndarray]:
    """What a posterior says about the difference, second rate minus first, corrected for guessing.

    Corrected rates are (p - c) / (1 - c) (Abbott 1925, Journal of Economic Entomology 18:265-267), so their difference
    is the plain one over 1 - c.

    Args:
        posterior: (S, POINTS * POINTS).
        chance: (S,) or one for all: how often a guess is right (0 to 1; above 0.9 it counts as 0.9).
        margin: a corrected difference up to which the rates count as equal.
        confidence: of the interval, whose two tails have the same probability.

    Returns:
        mean, low, high: of the corrected difference; above, below: the probabilities that it is more than `margin`, and
        less than minus `margin`. Each (S,).
    """
    room = 1 - np.minimum(np.broadcast_to(np.asarray(chance, dtype=float), len(posterior)), MOST_CHANCE)
    tail = (1 - confidence) / 2
    parts = [_summary(part, edge, tail) for part, edge in zip(_chunks(posterior), _chunks(margin * room), strict=True)]
    found = np.hstack(parts) if parts else np.empty((5, 0))
    mean, low, high = found[:3] / room
    return {"mean": mean, "low": low, "high": high, "above": found[3], "below": found[4]}


def _summary(posterior: np.ndarray, edge: np.ndarray, tail: float) -> np.ndarray:
    masses = np.add.reduceat(posterior[:, _order], _starts, axis=1)
    sums = np.cumsum(masses, axis=1)
    middles = sums - masses / 2  # a grid point stands for what lies around it
    until = np.hstack([np.zeros((len(sums), 1)), sums])
    rows = np.arange(len(sums))
    above = 1 - until[rows, np.searchsorted(_VALUES, edge + 1e-9, side="right")]
    below = until[rows, np.searchsorted(_VALUES, -edge - 1e-9, side="left")]
    ends = [_quantile(middles, level) for level in (tail, 1 - tail)]
    return np.stack([posterior @ DIFFERENCE, *ends, np.clip(above, 0, 1), np.clip(below, 0, 1)])


def _quantile(middles: np.ndarray, level: float) -> np.ndarray:
    """The value at which each row of `middles`, (S, values), passes the level, linear between the values."""
    rows, after = np.arange(len(middles)), (middles < level).sum(axis=1)
    right = np.clip(after, 1, middles.shape[1] - 1)
    low, high = middles[rows, right - 1], middles[rows, right]
    share = np.divide(level - low, high - low, out=np.zeros_like(low), where=high > low)
    return _VALUES[right - 1] + np.clip(share, 0, 1) * (_VALUES[right] - _VALUES[right - 1])


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
