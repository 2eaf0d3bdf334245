"""The recipe file that an installation runs."""

import os
from pathlib import Path

from records.recipe import RecipeError


def recipe_path() -> Path:
    """The file that TOUCHSTONE_RECIPE names: a path, or the name of a recipe in pipelines/recipes/; demo by default.

    Raises:
        RecipeError: there is no such recipe; the message lists those that are shipped.
    """
    given = os.environ.get("TOUCHSTONE_RECIPE", "demo")
    if given.endswith((".yaml", ".yml")):
        return Path(given)
    folder = Path(__file__).parent / "recipes"
    path = folder / f"{given}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise RecipeError(f"TOUCHSTONE_RECIPE={given}: no such recipe; shipped ones: {known}; or give a path to a YAML")
    return path
