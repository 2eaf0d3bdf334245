import dagster as dg
import polars as pl
import pytest
import yaml

from assets.resources import TableIOManager
from records.workspace import Workspace
from rollouts.models.roles import Models, RoleError

RECIPE = {
    "name": "remote",
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {
        "policy": {"url": "http://127.0.0.1:1/v1", "model": "m", "revision": "3", "api_key_env": "TOUCHSTONE_TEST_KEY"}
    },
    "selection": [{"to": "rl"}],
}


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return Workspace(recipe_file=str(tmp_path / "recipe.yaml"), data=str(tmp_path / "data"))


def test_a_remote_role_needs_its_key_and_has_no_weights(workspace, monkeypatch):
    models = Models(workspace)
    monkeypatch.delenv("TOUCHSTONE_TEST_KEY", raising=False)
    with pytest.raises(RoleError, match="TOUCHSTONE_TEST_KEY is not set"):
        models.completer("policy")
    monkeypatch.setenv("TOUCHSTONE_TEST_KEY", "secret")
    policy, teacher = models.completer("policy"), models.completer("teacher")
    assert policy.fingerprint == teacher.fingerprint and policy.model == "m"
    assert "secret" not in repr(policy)
    with pytest.raises(RoleError, match="need weights"):
        models.files("policy")


def test_assets_hand_each_other_tables_through_the_store(workspace):
    @dg.asset
    def first() -> pl.DataFrame:
        return pl.DataFrame({"a": [1, 2], "b": [["x"], []]})

    @dg.asset
    def second(first: pl.DataFrame) -> pl.DataFrame:
        return first.filter(pl.col("a") > 1)

    result = dg.materialize([first, second], resources={"io_manager": TableIOManager(workspace)})
    assert result.success
    assert workspace.tables.read("second").to_dicts() == [{"a": 2, "b": []}]
    metadata = result.asset_materializations_for_node("first")[0].metadata
    assert metadata["dagster/row_count"].value == 2
    assert [c.name for c in metadata["dagster/column_schema"].value.columns] == ["a", "b"]
