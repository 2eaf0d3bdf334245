"""The arm `direct`: the question without tools."""

from records.recipe import Recipe
from rollouts.prompts.forms import FORMS

FORM = FORMS["direct"]


def first_sample(recipe: Recipe) -> int:
    """The first sample after those that decided about difficulty: what chose the question must not count again."""
    return recipe.difficulty.samples
