"""From all sources to one table of questions that can be checked, each once, and split for good."""

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Workspace
from assets.sources import source_keys
from assets.stage import conservation_check, decided
from filters import contamination, duplicates, verifiable
from records.identity import unit_interval
from records.question import TASKS, Question
from records.recipe import Recipe
from records.tables import stack
from rollouts.prompts import read_examples

STAGE = "questions"


def draw_split(questions: pl.DataFrame, share: float, salt: str) -> pl.Series:
    """True for about `share` of the questions, drawn by the hash of the first image (the question if it has none).

    Questions about the same image are drawn together, and a question keeps its draw when others come and go.
    """
    unit = questions.select(unit=pl.coalesce(pl.col("images").list.first(), "question_id"))["unit"]
    return unit.map_elements(lambda key: unit_interval(key, salt) < share, return_dtype=pl.Boolean)


def on_several_sides(sides: pl.DataFrame) -> pl.DataFrame:
    """The questions and images on more than one side. `sides`: columns question_id, images and side."""
    units = pl.concat(
        [sides.select("side", unit="question_id"), sides.select("side", unit="images").explode("unit").drop_nulls()]
    )
    return units.group_by("unit").agg(sides=pl.col("side").n_unique()).filter(pl.col("sides") > 1)


def questions_assets(recipe: Recipe) -> list:
    names = [source.name for source in recipe.sources]

    @dg.asset(
        group_name="questions",
        kinds={"polars"},
        ins={name: dg.AssetIn(key) for name, key in zip(names, source_keys(recipe), strict=True)},
        description="All questions of all sources whose answers can be checked, each once. The column `split` says "
        "which are held out for the evaluation and never rolled out for curation; it goes by the image (or the "
        "question), so that no image is on both sides.",
    )
    def questions(workspace: Workspace, **sources: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        table = stack(sources.values(), Question)
        checked, unverifiable = verifiable.apply(table)
        unique, repeated = duplicates.apply(checked)
        examples = read_examples(workspace.recipe.examples)
        shown = [example.question for task in TASKS for example in examples.of(task)]
        unique, leaked = contamination.apply(unique, shown)
        held_out = draw_split(unique, recipe.split.held_out, recipe.split.salt)
        sides = pl.when(held_out).then(pl.lit("held_out")).otherwise(pl.lit("curation"))
        kept = unique.with_columns(split=sides)
        return decided(
            workspace,
            STAGE,
            table.height,
            kept,
            pl.concat([unverifiable, repeated, leaked]),
            by_split=show.counts(kept, "task", "split"),
            samples=show.sample_questions(kept, workspace.images),
        )

    check = conservation_check(
        "questions", STAGE, lambda w: [i for name in names for i in w.tables.read(name)["question_id"]]
    )

    @dg.asset_check(asset=questions, blocking=True, description="No question and no image is on both sides.")
    def split_disjoint(questions: pl.DataFrame) -> dg.AssetCheckResult:
        straddling = on_several_sides(questions.select("question_id", "images", side="split"))
        return dg.AssetCheckResult(passed=straddling.is_empty(), metadata={"on_both_sides": straddling.height})

    return [questions, check, split_disjoint]
