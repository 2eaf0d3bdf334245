"""The questions that are worth asking, out of all that came: every rule about questions, in their order.

    verifiable -> wording -> control tokens -> images -> open-ended form -> duplicates (exact, then inexact) ->
    contamination

An incoming question keeps its identity through all of them, so that rows in = rows out + rejects, id by id. One that is
asked without its choices is another question at the end: `arrived_as` is the id with which it came.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from filters import contamination, duplicates
from filters.contamination import text as text_contamination
from filters.contamination import worked_examples
from filters.duplicates import exact, inexact
from filters.duplicates import images as image_duplicates
from filters.questions import control_text, guessing, image_size, open_ended, verifiable, wording
from records.control_tokens import OF_ALL_FAMILIES, ControlTokens
from records.recipe.questions import QuestionRules

Compare = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
"""A function (images, evaluation sets' images) -> hits, as `filters.contamination.images.hits` with its settings."""
STEPS = (verifiable.STAGE, wording.STAGE, control_text.STAGE, image_size.STAGE, duplicates.STAGE, contamination.STAGE)
"""The stages of rejects, in the order of the rules."""


@dataclass(frozen=True)
class EvaluationSets:
    """What the questions must not come from."""

    rows: pl.DataFrame
    """Columns benchmark, row, and those of Question."""
    compare: Compare
    """Finds the images that show an evaluation set's image."""


@dataclass(frozen=True)
class Prompts:
    """What the prompts and the policy make of a question."""

    shown: Sequence[str]
    """Questions that the prompt shows with their answers."""
    tokens: Callable[[], ControlTokens] = lambda: OF_ALL_FAMILIES
    """Gives the control tokens of the policy; asked only if a text holds anything like it."""


@dataclass(frozen=True)
class Curated:
    """What is worth asking, what is not, and what was found on the way."""

    kept: pl.DataFrame
    """The questions, with `arrived_as`, `original` (JSON text of a question that was asked with choices; null for the
    others), `pictures` (the representatives of the images) and `chance` (that the best guess is right)."""
    rejects: pl.DataFrame
    pairs: pl.DataFrame
    """Pairs that are nearly equal, around the thresholds (filters/duplicates/inexact.py)."""
    hits: pl.DataFrame
    """What was found of the evaluation sets: question_id, benchmark, row, kind, score."""


def curate(
    questions: pl.DataFrame,
    facts: pl.DataFrame,
    rules: QuestionRules,
    prompts: Prompts,
    evaluation: EvaluationSets,
    embed: inexact.Embed | None = None,
) -> Curated:
    """Apply all rules to a table of questions.

    Args:
        questions: of schema Question, with `first_seen`.
        facts: of schema ImageFacts, for the images of the questions and of the benchmarks.
        prompts: what the prompts make of a question.
        evaluation: what the questions must not come from.
        embed: unit vectors of texts; needed where the rules ask for semantic duplicates.
    """
    rejects = []

    def after(split: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
        rejects.append(split[1])
        return split[0]

    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    left = after(verifiable.apply(_with_pictures(questions.rechunk(), facts, rules)))
    left = after(wording.apply(left, rules.wording))
    left = after(control_text.apply(left, prompts.tokens))
    left = after(image_size.apply(left, facts, rules.images))
    left = _opened(left, rules)
    left = after(exact.apply(left))
    left, inexact_rejects, pairs = inexact.apply(left, rules.duplicates, embed)
    rejects.append(inexact_rejects)
    left = after(worked_examples.apply(left, prompts.shown))
    hits = _hits(left, facts, rules, evaluation, embed)
    left = after(text_contamination.apply(left, hits))
    left = left.with_columns(guessing.chance(left), arrived_as="question_id", question_id="asked_as").drop(
        "asked_as", "first_seen"
    )
    return Curated(left, pl.concat(rejects), pairs, hits)


def _opened(questions: pl.DataFrame, rules: QuestionRules) -> pl.DataFrame:
    """The questions as they are asked; `asked_as` is their id then, `question_id` stays that of what came."""
    if not rules.wording.open_choices:
        return questions.with_columns(original=pl.lit(None, dtype=pl.String), asked_as="question_id")
    opened = open_ended.apply(questions)
    return opened.with_columns(asked_as="question_id", question_id=questions["question_id"])


def _with_pictures(questions: pl.DataFrame, facts: pl.DataFrame, rules: QuestionRules) -> pl.DataFrame:
    """The questions with `pictures`: per image the oldest one that shows the same picture, among those of all questions
    that came, so that it does not depend on the rules."""
    if rules.duplicates.images is None:
        return questions.with_columns(pictures=pl.col("images").fill_null([]))
    used = (
        questions.select("first_seen", image="images")
        .explode("image")
        .drop_nulls("image")
        .group_by("image")
        .agg(pl.col("first_seen").min())
        .sort("first_seen", "image")
    )
    appearances = used.join(facts.unique("image", keep="any"), on="image", how="left", maintain_order="left")
    groups = image_duplicates.groups(appearances, rules.duplicates.images)
    places = questions.select(image="images").with_row_index("row").explode("image").drop_nulls("image")
    pictures = (
        places.join(groups, on="image", how="left", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(pictures="representative")
    )
    rows = questions.with_row_index("row").join(pictures, on="row", how="left", maintain_order="left")
    return rows.drop("row").with_columns(pl.col("pictures").fill_null([]))


def _hits(
    questions: pl.DataFrame,
    facts: pl.DataFrame,
    rules: QuestionRules,
    evaluation: EvaluationSets,
    embed: inexact.Embed | None,
) -> pl.DataFrame:
    """What of the evaluation sets is in the questions, by text and by image."""
    asked = evaluation.rows.with_columns(has_image=pl.col("images").list.len() > 0)
    by_text = text_contamination.hits(questions, asked, rules.decontamination, embed)
    carried = questions.select("question_id", image="images").explode("image").drop_nulls("image")
    appearances = facts.unique("image", keep="any").join(carried, on="image", how="semi")
    pictured = asked.select("benchmark", "row", image="images").explode("image").drop_nulls("image")
    by_image = evaluation.compare(appearances, pictured)
    columns = ["question_id", "benchmark", "row", "kind", "score"]
    found = by_image.join(carried, on="image").select(columns)
    return pl.concat([by_text.select(columns), found.cast(by_text.select(columns).schema)])
