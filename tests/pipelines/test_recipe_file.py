"""The recipe file that an installation runs."""

import pytest

from pipelines.recipe_file import recipe_path
from records.recipe import RecipeError


def test_the_recipe_file_is_named_by_the_environment(monkeypatch):
    monkeypatch.delenv("TOUCHSTONE_RECIPE", raising=False)
    assert recipe_path().name == "demo.yaml" and recipe_path().exists()
    monkeypatch.setenv("TOUCHSTONE_RECIPE", "elsewhere/own.yml")
    assert str(recipe_path()) == "elsewhere/own.yml"
    monkeypatch.setenv("TOUCHSTONE_RECIPE", "none")
    with pytest.raises(RecipeError, match=r"no such recipe; shipped ones: .*demo"):
        recipe_path()
