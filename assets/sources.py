"""One asset for each source of the recipe, and the corpus that the search tool searches."""

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Workspace
from assets.stage import decided
from records.question import Question, Reject
from records.recipe import Recipe, Source
from records.tables import to_frame
from sources import get_loader, load_source


def source_keys(recipe: Recipe) -> list[dg.AssetKey]:
    return [dg.AssetKey(source.name) for source in recipe.sources]


def _source_asset(spec: Source, recipe: Recipe) -> list:
    loader = get_loader(spec.loader)
    about = (loader.__doc__ or "").strip().split("\n\n")[0]

    @dg.asset(
        name=spec.name,
        group_name="sources",
        kinds={"polars"},
        description=f"{about}\n\nLoader `{spec.loader}`; at most {spec.limit or 'all'} rows, drawn with the seed "
        f"{recipe.seed}. A row that is no question goes to the rejects with its reason.",
    )
    def source(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.Output[pl.DataFrame]:
        questions, rejects = [], []
        for row in load_source(spec, recipe.seed, workspace.images):
            (questions if isinstance(row, Question) else rejects).append(row)
        kept = to_frame(questions, Question)
        return decided(
            workspace,
            spec.name,
            len(questions) + len(rejects),
            kept,
            to_frame(rejects, Reject),
            samples=show.sample_questions(kept, workspace.images),
            by_answer_type=show.counts(kept, "task", "answer_type"),
        )

    return [source]


def sources_assets(recipe: Recipe) -> list:
    return [asset for spec in recipe.sources for asset in _source_asset(spec, recipe)]
