"""The rule that says when sampling of a question may stop, and what is decided about it then."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

from records.recipe import CountBand

Outcome = Literal["keep", "too_easy", "too_hard"]


class Decision(NamedTuple):
    """What is decided about a question, and whether the attempts not made could still have changed it."""

    decision: Outcome
    stop_reason: Literal["certain", "likely"]


@dataclass(frozen=True)
class Rule:
    """A question is asked `samples` times at most, in waves; after each wave the decision may already be made.

    With `error` 0 sampling stops when the decision of all `samples` attempts is certain (exact curtailment): nothing
    is ever decided differently than with all of them.

    With `error` above 0 it also stops when the posterior predictive probability that all `samples` attempts would lead
    to another decision than the likeliest is at most `error`.
    Bounded: the chance that a question is decided differently than with all its attempts, averaged over questions whose
    pass rates follow the prior. Also, of the questions stopped as `likely`, at most that share on average.
    Not bounded: the chance for one particular pass rate, which can be several times larger near an edge of the band
    (unbiased_rate.flip_probability is exact), and the average over questions whose pass rates follow another
    distribution than the prior.
    """

    waves: tuple[int, ...]
    """Samples in each wave, in order."""
    keep: CountBand | None
    """Kept are questions with that many right of all samples. None: nothing is decided, all samples are made."""
    error: float = 0.0
    prior: tuple[float, float] = (0.5, 0.5)
    """Beta prior of a question's pass rate (0.5, 0.5: Jeffreys), used only where `error` is above 0."""

    def __post_init__(self) -> None:
        if not self.waves or min(self.waves) < 1:
            raise ValueError(f"waves {list(self.waves)}: there must be at least one, of at least one sample each")

    @property
    def samples(self) -> int:
        return sum(self.waves)

    @property
    def looks(self) -> tuple[int, ...]:
        """Samples made at the end of each wave."""
        return tuple(accumulate(self.waves))

    def fixed_decision(self, right: int) -> Outcome | None:
        """The decision when all samples are attempts and `right` of them are right; None when `keep` is None."""
        return None if self.keep is None else _by_band(self.keep, right)

    def decision(self, attempts: int, right: int) -> Decision | None:
        """The decision at the end of a wave with `right` of `attempts` right; None while it is open.

        A sample that gave no attempt counts as one that could have gone either way. Nothing is decided on no attempt.
        """
        return _decision(self, attempts, right)

    def is_open(self, attempts: int, right: int) -> bool:
        """Whether a further attempt is wanted."""
        return attempts < self.samples and self.decision(attempts, right) is None

    def expected_more(self, attempts: int, right: int) -> float:
        """Expected number of further attempts, the pass rate following the prior updated with what is known.

        0 where the state is not open. Between two ends of waves, that wave is made in full first. Assumes that each
        further sample is an attempt.
        """
        return _expected_more(self, attempts, right)

    def chance_of_keep(self, attempts: int, right: int) -> float:
        """Chance that all samples lead to `keep`, the pass rate following the prior updated with what is known."""
        chances = _predictive(self.samples - attempts, self.prior[0] + right, self.prior[1] + attempts - right)
        return sum(c for j, c in enumerate(chances) if self.fixed_decision(right + j) == "keep")


def _by_band(keep: CountBand, right: int) -> Outcome:
    return "too_hard" if right < keep.min else "too_easy" if right > keep.max else "keep"


def _predictive(more: int, a: float, b: float) -> list[float]:
    """Beta-binomial probabilities of 0 to `more` right among `more` attempts, the pass rate being Beta(a, b).

    By the ratio of neighbours, with no library function in it: the same bits, so the same decisions, on any machine.
    """
    weights = [1.0]
    for j in range(more):
        weights.append(weights[-1] * (more - j) / (j + 1) * (a + j) / (b + more - j - 1))
    total = sum(weights)
    return [weight / total for weight in weights]


@lru_cache(maxsize=100_000)
def _decision(rule: Rule, attempts: int, right: int) -> Decision | None:
    if not 0 <= right <= attempts <= rule.samples:
        raise ValueError(f"{right} right of {attempts} attempts cannot be, with {rule.samples} samples")
    if rule.keep is None or attempts == 0:
        return None
    more = rule.samples - attempts
    lowest = _by_band(rule.keep, right)
    if lowest == _by_band(rule.keep, right + more):
        return Decision(lowest, "certain")
    if rule.error == 0:
        return None
    chances: dict[Outcome, float] = {"keep": 0.0, "too_easy": 0.0, "too_hard": 0.0}
    for j, chance in enumerate(_predictive(more, rule.prior[0] + right, rule.prior[1] + attempts - right)):
        chances[_by_band(rule.keep, right + j)] += chance
    likeliest = max(chances, key=lambda name: chances[name])
    other = sum(chance for name, chance in chances.items() if name != likeliest)
    return Decision(likeliest, "likely") if other <= rule.error else None


@lru_cache(maxsize=100_000)
def _expected_more(rule: Rule, attempts: int, right: int) -> float:
    if not rule.is_open(attempts, right):
        return 0.0
    wave = next(look for look in rule.looks if look > attempts) - attempts
    chances = _predictive(wave, rule.prior[0] + right, rule.prior[1] + attempts - right)
    return wave + sum(chance * _expected_more(rule, attempts + wave, right + j) for j, chance in enumerate(chances))
