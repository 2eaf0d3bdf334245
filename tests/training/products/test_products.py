"""A product is one module: from it follow an asset, its checks, its rejects and its files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml

from assets.graph import build_assets, check_recipe
from assets.resources import resources
from records.question import Question
from records.recipe.section import RecipeError
from records.tables import to_frame
from records.trajectory import Trajectory
from records.workspace import Workspace, rejects_table
from tests.support.dropped_in import dropped_in
from tests.support.training_rows import question, trajectory
from training import formats, products
from training.formats import format_names, get_format
from training.products import ProductInput, get_product, product_names

RECIPE = {
    "name": "small",
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m", "revision": "1"}},
    "selection": [{"to": "rl"}],
    "split": {"held_out": 0.2, "validation": 0.5},
}
PAIRS = """
from records.question import Reject
from training.products import Product, RowEntry


def make(inputs, rejects):
    split_of, rows = inputs.split_of("rl_questions"), []
    for key, answer in inputs.tables["rl_questions"].select("question_id", "answer").iter_rows():
        if answer == "3":
            rejects.append(Reject(row_id=key, stage="pairs_training_set", reason="equal", detail="the same answer"))
        else:
            rows.append({"id": key, "chosen": answer, "rejected": "3", "split": split_of(key)})
    return rows


def entry(row):
    return RowEntry(row["id"], row["id"], "math", row["split"])


PRODUCT = Product(
    name="pairs", description="Pairs of answers, one better than the other", kind="preference", section=None,
    source_table="rl_questions", id_column="question_id", make=make, entry=entry,
)
"""
LINES = """
import json

from training.formats import Digest, Readback, compare, read_manifest, write_manifest

KIND = "preference"


def write(rows, folder, *, images=None, tokenizer=None):
    digest = Digest()
    for row in rows:
        digest.add([("user", row["chosen"]), ("user", row["rejected"])], [])
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
    return [folder / "pairs.jsonl", write_manifest(folder, "lines", {"all": digest.state()})]


def read_back(folder, *, tokenizer=None):
    digest = Digest()
    for line in (folder / "pairs.jsonl").read_text().splitlines():
        row = json.loads(line)
        digest.add([("user", row["chosen"]), ("user", row["rejected"])], [])
    splits = read_manifest(folder, "lines")["splits"]
    return Readback(compare(folder, {"all": digest.state()}, splits), "json")
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Three questions that may train, and one that is held out."""
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    made = Workspace(recipe_file=str(tmp_path / "recipe.yaml"), data=str(tmp_path / "data"))
    asked = [question(number) for number in range(4)]
    table = to_frame(asked, type(asked[0])).with_columns(
        pictures=pl.lit([], dtype=pl.List(pl.String)), split=pl.Series(["curation"] * 3 + ["held_out"])
    )
    made.tables.write("questions", table)
    made.tables.write("rl_questions", table.head(3))
    return made


@contextmanager
def both_dropped_in(folder: Path, product: str) -> Iterator[None]:
    """The product `pairs` with this text, and the format `lines`."""
    for name in ("products", "formats"):
        (folder / name).mkdir()
    with (
        dropped_in(products, "pairs", product, folder / "products"),
        dropped_in(formats, "lines", LINES, folder / "formats"),
    ):
        yield


def materialize(workspace: Workspace, asset: str) -> dg.ExecuteInProcessResult:
    """The asset with its checks, over the tables that are there."""
    return dg.materialize(
        build_assets(workspace.recipe),
        selection=dg.AssetSelection.assets(asset),
        resources=resources(workspace),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


CHECKS = {"no_row_lost": True, "train_validation_held_out_disjoint": True}


def test_a_product_and_a_format_that_are_dropped_in_make_an_asset(workspace: Workspace, tmp_path: Path) -> None:
    with both_dropped_in(tmp_path, PAIRS):
        check_recipe(workspace.recipe, "recipe.yaml")
        result = materialize(workspace, "pairs_training_set")
        everything = build_assets(workspace.recipe)
    assert result.success and passed(result) == CHECKS
    table, rejected = (workspace.tables.read(t) for t in ("pairs_training_set", rejects_table("pairs_training_set")))
    asked = list(workspace.tables.read("rl_questions")["question_id"])
    assert table["row_id"].to_list() == asked[:2] and set(table["split"]) <= {"train", "validation"}
    assert rejected.select("row_id", "reason").rows() == [(asked[2], "equal")]
    written = (workspace.folder("training_sets") / "pairs/lines/pairs.jsonl").read_text().splitlines()
    assert [json.loads(line)["chosen"] for line in written] == ["1", "2"]
    metadata = result.asset_materializations_for_node("pairs_training_set")[0].metadata
    assert {"content_hash", "by_split", "formats", "folder", "rows_in"} <= set(metadata)
    (gathered,) = (a for a in everything if isinstance(a, dg.AssetsDefinition) and dg.AssetKey("rejects") in a.keys)
    assert dg.AssetKey("pairs_training_set") in gathered.dependency_keys
    assert product_names() == ["rl", "sft"]


def test_what_was_in_a_train_part_stays_there(workspace: Workspace, tmp_path: Path) -> None:
    """Of three questions, one trains. When it is left with one other, it is the other that is validated on."""
    questions = workspace.tables.read("rl_questions")
    with both_dropped_in(tmp_path, PAIRS.replace('answer == "3"', "False")):
        assert materialize(workspace, "pairs_training_set").success
        first = dict(workspace.tables.read("pairs_training_set").select("question_id", "split").iter_rows())
        assert sorted(first.values()) == ["train", "validation", "validation"]
        (train,) = (key for key, split in first.items() if split == "train")
        assert workspace.tables.read("in_train/pairs")["id"].to_list() == [train]
        (other,) = list(first.keys() - {train})[:1]
        workspace.tables.write("rl_questions", questions.filter(pl.col("question_id").is_in([train, other])))
        assert materialize(workspace, "pairs_training_set").success
        second = dict(workspace.tables.read("pairs_training_set").select("question_id", "split").iter_rows())
    assert second == {train: "train", other: "validation"}


def test_a_lost_row_of_a_product_fails_its_check(workspace: Workspace, tmp_path: Path) -> None:
    losing = PAIRS.replace("rejects.append(", "str(")
    with both_dropped_in(tmp_path, losing):
        assert passed(materialize(workspace, "pairs_training_set")) == CHECKS | {"no_row_lost": False}


def test_rl_questions_leave_in_the_formats_of_the_recipe(workspace: Workspace) -> None:
    result = materialize(workspace, "rl_training_set")
    assert passed(result) == CHECKS
    assert workspace.tables.read("rl_training_set").columns == ["row_id", "question_id", "task", "split"]
    folder = workspace.folder("training_sets") / "rl"
    assert sorted(path.name for path in folder.iterdir()) == ["trl_prompts", "verl_parquet"]
    described = {key.path[-1]: text for a in build_assets(workspace.recipe) if isinstance(a, dg.AssetsDefinition)
                 for key, text in a.descriptions_by_key.items()}  # fmt: skip
    assert "verl_parquet, trl_prompts" in described["rl_training_set"]
    assert "llamafactory_sharegpt, trl_messages" in described["sft_training_set"]


def test_every_format_has_the_kind_of_a_product() -> None:
    assert {get_format(name).KIND for name in format_names()} <= {get_product(name).kind for name in product_names()}


def test_a_format_of_another_kind_is_refused(workspace: Workspace) -> None:
    recipe = workspace.recipe
    wrong = recipe.model_copy(update={"sft": recipe.sft.model_copy(update={"formats": ["verl_parquet"]})})
    with pytest.raises(RecipeError, match=r"sft.formats: 'verl_parquet' is not a format for sft"):
        get_product("sft").formats(wrong)


def test_a_product_goes_by_the_name_of_its_module(tmp_path: Path) -> None:
    with (
        dropped_in(products, "pears", PAIRS, tmp_path),
        pytest.raises(ValueError, match="calls itself 'pairs', not 'pears'"),
    ):
        get_product("pears")


@pytest.mark.parametrize("kept", [True, False])
def test_reasoning_that_came_apart_is_in_the_turns_unless_the_recipe_leaves_it_out(tmp_path: Path, kept: bool) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(RECIPE | {"sft": {"reasoning": kept}}))
    asked = question(0)
    made = trajectory(asked)
    messages = [
        message.model_copy(update={"reasoning_apart": "FIRST I think."}) if message.role == "assistant" else message
        for message in made.messages
    ]
    tables = {
        "trajectories": to_frame([made.model_copy(update={"messages": messages})], Trajectory),
        "cold_start_questions": to_frame([asked], Question).with_columns(pictures=pl.col("images")),
    }
    (row,) = get_product("sft").make(ProductInput(Workspace(str(tmp_path / "small.yaml"), str(tmp_path)), tables), [])
    learnt = [turn.text for turn in row.completion if turn.role == "assistant"]
    assert [text.startswith("<think>FIRST I think.</think>\nLEARNT") for text in learnt] == [kept, kept]
    assert [text.removeprefix("<think>FIRST I think.</think>\n") for text in learnt] == [
        message.raw for message in messages if message.role == "assistant"
    ]
