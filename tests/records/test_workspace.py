"""A data folder belongs to one recipe."""

from pathlib import Path

import pytest

from records.recipe import RecipeError
from records.workspace import Workspace


def test_two_recipes_do_not_share_a_data_folder(tmp_path: Path) -> None:
    text = Path("pipelines/recipes/demo.yaml").read_text()
    for name in ("demo", "other"):
        (tmp_path / f"{name}.yaml").write_text(text.replace("name: demo\n", f"name: {name}\n", 1))
    first, other = (Workspace(str(tmp_path / f"{name}.yaml"), str(tmp_path / "data")) for name in ("demo", "other"))
    first.claim()
    first.claim()
    with pytest.raises(RecipeError, match=r"recipe 'demo', and this is 'other'.*TOUCHSTONE_DATA"):
        other.claim()
    (tmp_path / "data" / "recipe.txt").unlink()
    other.claim()
