"""All assets and checks of a recipe, and the check of what only the rooms below can check."""

import importlib
import pkgutil

import dagster as dg

import assets
from assets.rejects import rejects_asset
from assets.sources import benchmark_sources
from assets.stage import StageAssets
from filters.selection import prepared as selection_steps
from filters.trajectories import get_checks
from measurement.arms import check_controls
from records.recipe import Recipe
from records.recipe.section import RecipeError
from rollouts.dialects import get_dialect
from rollouts.prompts.examples import read_examples
from rollouts.tools import check_tools
from sources.open import check_corpus, check_source, must_be_checked_against
from training.formats import get_format


def check_recipe(recipe: Recipe, file: str) -> None:
    """Check the names and options that the recipe's own schema cannot know.

    Raises:
        RecipeError: naming the file and the key.
    """
    for index, source in enumerate(recipe.sources):
        check_source(source, file, index)
    for index, benchmark in enumerate(benchmark_sources(recipe)):
        check_source(benchmark, file, index, "questions.decontamination.benchmarks")
    _check_evaluation_sets(recipe, file)
    selection_steps(recipe.selection, file)
    for index, corpus in enumerate(recipe.search.corpus):
        check_corpus(corpus, file, index)
    check_tools(recipe, file)
    try:
        check_controls(recipe)
        get_dialect(recipe.dialect)
        read_examples(recipe.examples)
        get_checks(recipe.cold_start.checks)
        for section, kind in (("sft", recipe.sft), ("rl", recipe.rl)):
            for name in kind.formats:
                if section != get_format(name).KIND:
                    raise RecipeError(f"{section}.formats: {name!r} is no format for {section}")
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}") from None


def _check_evaluation_sets(recipe: Recipe, file: str) -> None:
    """Raises RecipeError for a source that shares its images with an evaluation set that the recipe does not name."""
    rules = recipe.questions.decontamination
    named = {str(benchmark.options.get("published", "")) for benchmark in rules.benchmarks} | set(rules.waived)
    named |= {benchmark.name for benchmark in rules.benchmarks}
    for source in recipe.sources:
        for wanted in must_be_checked_against(source):
            if not any(name.startswith(wanted) for name in named):
                raise RecipeError(
                    f"{file}: questions.decontamination.benchmarks: the source {source.name!r} comes from what "
                    f"{wanted!r} comes from, so that has to be among them (published: {wanted}), or in "
                    "questions.decontamination.waived"
                )


def build_assets(recipe: Recipe) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """The assets and checks of all stages, which are found by their files, and the asset of all rejects."""
    modules = [importlib.import_module(f"assets.{m.name}") for m in pkgutil.iter_modules(assets.__path__)]
    stages: list[StageAssets] = [module.stage(recipe) for module in modules if hasattr(module, "stage")]
    writers = {stage: writer for found in stages for stage, writer in found.rejects.items()}
    return [*(item for found in stages for item in found.assets), rejects_asset(writers)]
