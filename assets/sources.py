"""One asset per source of the recipe, and one per evaluation set that must not be trained on."""

import dagster as dg
import polars as pl
from pydantic import Field

from assets.conservation import decided
from assets.stage import StageAssets
from records.recipe import EvaluationSource, Recipe, Source
from records.workspace import Workspace
from reports.markdown import counts
from reports.samples import reject_samples, sample_questions
from sources.open import get_loader
from sources.refresh import read_state, refresh


class SourceConfig(dg.Config):
    """The configuration of one materialization of a source."""

    accept_change: bool = Field(
        default=False,
        description="Accept the source although it has shrunk or its columns have changed (the check `not_shrunk`).",
    )


def benchmark_name(name: str) -> str:
    """The name of the asset, and of the table, of an evaluation set."""
    return f"benchmark_{name}"


def benchmark_sources(recipe: Recipe) -> list[Source]:
    """The evaluation sets of the recipe, as sources."""
    return [
        EvaluationSource(name=benchmark_name(b.name), loader=b.loader, limit=b.limit, options=b.options)
        for b in recipe.questions.decontamination.benchmarks
    ]


def source_keys(recipe: Recipe) -> list[dg.AssetKey]:
    return [dg.AssetKey(source.name) for source in recipe.sources]


def _about(spec: Source, recipe: Recipe, group: str) -> str:
    loader = (get_loader(spec.loader).__doc__ or "").strip().split("\n\n")[0]
    limit = f"at most {spec.limit} rows, drawn with the seed {recipe.seed}" if spec.limit else "all rows"
    use = "An evaluation set: questions that are like it are removed.\n\n" if group == "benchmarks" else ""
    return (
        f"{use}{loader}\n\nLoader `{spec.loader}`, {limit}. A row that is not a question goes to the rejects "
        "with its reason. Images get a normal form or reject their row, and are stored once."
    )


def _not_read(spec: Source, kept: pl.DataFrame) -> dict[str, object]:
    """Why parts of an evaluation set's rows could not be read; nothing is compared with those parts."""
    if not spec.evaluation:
        return {}
    reasons = kept.select(reason=pl.col("extra").str.json_path_match("$.not_read")).drop_nulls()
    return {"not_read": counts(reasons, "reason")}


def _source_asset(spec: Source, recipe: Recipe, group: str) -> list:
    @dg.asset(name=spec.name, group_name=group, kinds={"polars"}, description=_about(spec, recipe, group))
    def source(config: SourceConfig, workspace: dg.ResourceParam[Workspace]) -> dg.Output[pl.DataFrame]:
        refreshed = refresh(workspace, spec, recipe.seed, accept=config.accept_change)
        kept, rejects = refreshed.questions, refreshed.rejects
        return decided(
            workspace,
            spec.name,
            kept.height + rejects.height,
            kept,
            rejects,
            new=refreshed.new,
            gone=refreshed.gone,
            images_decoded=refreshed.images_new,
            revision=refreshed.state.revision or "(not known)",
            rows_of_the_source=refreshed.state.rows,
            held_back=refreshed.state.problem or "no",
            **_not_read(spec, kept),
            rejected=reject_samples(rejects, kept, workspace.images),
            samples=sample_questions(kept, workspace.images),
            by_answer_type=counts(kept, "task", "answer_type"),
        )

    @dg.asset_check(
        asset=source,
        blocking=True,
        description="The source kept its rows and columns: it has not lost more rows than `max_shrink` allows, and its "
        "columns have the same types. If not, its table is left unchanged until the source is materialized with "
        "`accept_change: true`.",
    )
    def not_shrunk(workspace: dg.ResourceParam[Workspace]) -> dg.AssetCheckResult:
        state = read_state(workspace, spec.name)
        problem = state.problem if state is not None else "the source was never read"
        how = f"{problem}. If this is right, materialize {spec.name} with the configuration accept_change: true"
        return dg.AssetCheckResult(
            passed=not problem, description=how if problem else "The source kept its rows and columns."
        )

    return [source, not_shrunk]


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of all sources and evaluation sets. The rejects of evaluation sets stay with them."""
    built = [item for spec in recipe.sources for item in _source_asset(spec, recipe, "sources")]
    built += [item for spec in benchmark_sources(recipe) for item in _source_asset(spec, recipe, "benchmarks")]
    return StageAssets(built, {source.name: source.name for source in recipe.sources})
