"""All assets and checks of a recipe, and the check of what only the rooms below can check."""

from assets.cold_start import cold_start_assets
from assets.difficulty import difficulty_assets
from assets.evaluation import evaluation_assets
from assets.questions import questions_assets
from assets.rejects import rejects_assets
from assets.search_index import search_index
from assets.selection import selection_assets
from assets.sources import benchmark_sources, sources_assets
from assets.tool_benefit import tool_benefit_assets
from assets.training import training_assets
from assets.training_sets import training_sets_assets
from filters.trajectories import get_checks
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
    for index, corpus in enumerate(recipe.search.corpus):
        check_corpus(corpus, file, index)
    check_tools(recipe, file)
    try:
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


def build_assets(recipe: Recipe) -> list:
    """Assets and asset checks, in the order of the flow."""
    return [
        *sources_assets(recipe),
        search_index,
        *questions_assets(recipe),
        *difficulty_assets,
        *tool_benefit_assets,
        *selection_assets,
        *cold_start_assets,
        *training_sets_assets,
        *training_assets,
        *evaluation_assets,
        *rejects_assets(recipe),
    ]
