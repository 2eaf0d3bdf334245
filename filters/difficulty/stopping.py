"""When may sampling of a question stop, and how far is each question? The rule, and a table of attempts read by it."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

import polars as pl

from filters.difficulty.unbiased_rate import unbiased_rate
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
    is ever decided otherwise than with all of them.

    With `error` above 0 it also stops when the posterior predictive probability that all `samples` attempts would lead
    to another decision than the likeliest is at most `error`.
    Bounded: the chance that a question is decided otherwise than with all its attempts, averaged over questions whose
    pass rates follow the prior. Also, of the questions stopped as `likely`, at most that share on average.
    Not bounded: the chance for one particular pass rate, which can be several times larger near an edge of the band
    (estimates.flip_probability is exact), and the average over questions whose pass rates follow another
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
        if self.keep is None:
            return None
        return "too_hard" if right < self.keep.min else "too_easy" if right > self.keep.max else "keep"

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
    lowest = rule.fixed_decision(right)
    if lowest == rule.fixed_decision(right + more):
        return Decision(lowest, "certain")
    if rule.error == 0:
        return None
    chances = {"keep": 0.0, "too_easy": 0.0, "too_hard": 0.0}
    for j, chance in enumerate(_predictive(more, rule.prior[0] + right, rule.prior[1] + attempts - right)):
        chances[rule.fixed_decision(right + j)] += chance
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


def progress(attempts: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """How far each question is under a rule: what has been counted, whether it has stopped, and what is to be made.

    Waves are walked in order while all their samples are there, up to the first end of a wave where the rule decides.
    Samples after it are ignored even if stored: what comes out depends on the rule and the replies alone, not on what
    was once sampled under another rule, and only so is the estimate unbiased.

    Args:
        attempts: columns question_id, sample_index (from 0) and correct (null: a recorded outcome that is no attempt).
            One row per question and sample; an index outside the rule's samples is ignored.

    Returns:
        Per question, as first seen: question_id, used (samples counted), attempts (those of them that are attempts),
        right, decision (null while open), stop_reason (certain, likely; all_samples: the rule decides nothing and all
        are made; undecided: all are made, but some gave no attempt and that leaves the decision open; null: open),
        pass_rate (unbiased under the rule, see estimates.unbiased_rate; while open, as if stopped here; null without an
        attempt) and next_samples (samples of the next wave that are missing; 0 when stopped).

    `pass_rate` is made for means: each is unbiased, so their mean over all questions asked is. For a single question it
    is coarse (see estimates.stopped_interval for what can be said), and over those that were kept it is selected.

    Raises:
        ValueError: when a sample of a question is there twice.
    """
    rows = attempts.select("question_id", pl.col("sample_index").cast(pl.Int64), pl.col("correct").cast(pl.Boolean))
    questions = rows.select(pl.col("question_id").unique(maintain_order=True)).with_row_index("row")
    rows = rows.filter(pl.col("sample_index").is_between(0, rule.samples - 1)).join(questions, on="question_id")
    _refuse_twice(rows, rule.samples)
    looks = _looks(rows, rule)
    reached = (
        looks.filter("reached")
        .group_by("row", maintain_order=True)
        .agg(
            pl.col("right", "decision", "stop_reason").last(),
            used=pl.col("size").sum(),
            looks=pl.col("attempts"),
            attempts=pl.col("attempts").last(),
            wave=pl.len().cast(pl.Int64),
        )
    )
    table = questions.join(reached, on="row", how="left", maintain_order="left").with_columns(
        pl.col("used", "attempts", "right", "wave").fill_null(0)
    )
    table = table.join(looks.select("row", "wave", "made"), on=["row", "wave"], how="left", maintain_order="left")
    table = table.join(_rates(reached, rule), on=["looks", "right"], how="left", maintain_order="left")
    all_made = pl.col("wave") == len(rule.waves)
    size = _per_index(rule.waves, pl.col("wave").clip(upper_bound=len(rule.waves) - 1))
    return table.select(
        "question_id",
        "used",
        "attempts",
        "right",
        "decision",
        stop_reason=pl.when(pl.col("decision").is_not_null())
        .then("stop_reason")
        .when(all_made)
        .then(pl.lit("all_samples" if rule.keep is None else "undecided")),
        pass_rate="pass_rate",
        next_samples=pl.when(pl.col("decision").is_not_null() | all_made)
        .then(pl.lit(0, pl.Int64))
        .otherwise(size - pl.col("made").fill_null(0)),
    )


def _per_index(values: tuple[int, ...], index: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(values, dtype=pl.Int64)).gather(index)


def _refuse_twice(rows: pl.DataFrame, samples: int) -> None:
    key = pl.col("row").cast(pl.Int64) * samples + pl.col("sample_index")
    if rows.select(key.n_unique()).item() < rows.height:
        twice = rows.filter(pl.struct("row", "sample_index").is_duplicated()).row(0, named=True)
        raise ValueError(f"question {twice['question_id']}: sample {twice['sample_index']} is in the table twice")


def _looks(rows: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Per question and wave with a sample: row, wave, size, made, attempts and right so far, decision, stop_reason,
    and whether the walk over the waves reached the end of this one."""
    wave_of = tuple(wave for wave, size in enumerate(rule.waves) for _ in range(size))
    looks = (
        rows.group_by("row", wave=_per_index(wave_of, pl.col("sample_index")))
        .agg(made=pl.len().cast(pl.Int64), tried=pl.col("correct").count(), hit=pl.col("correct").sum())
        .sort("row", "wave")
        .with_columns(size=_per_index(rule.waves, pl.col("wave")))
        .with_columns(
            complete=((pl.col("wave") == pl.int_range(pl.len())) & (pl.col("made") == pl.col("size")))
            .cast(pl.Int8)
            .cum_min()
            .over("row"),
            attempts=pl.col("tried").cast(pl.Int64).cum_sum().over("row"),
            right=pl.col("hit").cast(pl.Int64).cum_sum().over("row"),
        )
    )
    states = looks.select("attempts", "right").unique()
    decisions = [rule.decision(*state) or (None, None) for state in states.rows()]
    states = states.with_columns(
        decision=pl.Series([d[0] for d in decisions], dtype=pl.String),
        stop_reason=pl.Series([d[1] for d in decisions], dtype=pl.String),
    )
    looks = looks.join(states, on=["attempts", "right"], how="left", maintain_order="left")
    stopped_before = pl.col("decision").is_not_null().cast(pl.Int8).cum_sum().shift(1, fill_value=0).over("row") > 0
    return looks.with_columns(reached=(pl.col("complete") == 1) & ~stopped_before)


def _rates(reached: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The estimate of each distinct (looks, right) among the questions: few, so computed one by one."""
    states = reached.filter(pl.col("attempts") > 0).select("looks", "right").unique()
    rates = [unbiased_rate(rule, tuple(looks), right) for looks, right in states.rows()]
    return states.with_columns(pass_rate=pl.Series(rates, dtype=pl.Float64))
