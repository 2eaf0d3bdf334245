"""The progress of each question: a table of attempts, read by a stopping rule."""

import polars as pl

from filters.difficulty.stopping import Rule
from filters.difficulty.unbiased_rate import unbiased_rate


def progress(attempts: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The progress of each question under a rule: what has been counted, whether it has stopped, and what is to be
    made.

    Waves are walked in order while all their samples are there, up to the first end of a wave where the rule decides.
    Samples after it are ignored even if stored: the result depends on the rule and the replies only, not on what was
    once sampled under another rule, or the estimate would be biased.

    Args:
        attempts: columns question_id, sample_index (from 0) and correct (null: a recorded outcome that is not an
            attempt). One row per question and sample; an index outside the rule's samples is ignored.

    Returns:
        Per question, as first seen: question_id, used (samples counted), attempts (those of them that are attempts),
        right, decision (null while open), stop_reason (certain, likely; all_samples: the rule decides nothing and all
        are made; undecided: all are made, but some gave no attempt and that leaves the decision open; null: open),
        pass_rate (unbiased under the rule, see filters/difficulty/unbiased_rate.py; while open, as if stopped here;
        null without an attempt) and next_samples (samples of the next wave that are missing; 0 when stopped).

    `pass_rate` is made for means: each is unbiased, so their mean over all questions asked is. For a single question it
    is coarse (see unbiased_rate.stopped_interval for what can be said), and over those that were kept it is selected.

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
    return _outcome(table, rule)


def _outcome(table: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The columns that `progress` returns, with the reason to stop and the samples that are missing."""
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
