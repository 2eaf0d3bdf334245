"""Ready-made mappings, and the settings that a recipe gives beside them."""

import json
import re

import pytest

from records.recipe import Source
from records.recipe.section import RecipeError
from sources.mapping.expressions import compiled
from sources.mapping.published import Published, published_names, read_published, with_published
from sources.mapping.settings import MappingOptions
from sources.open import check_source

PUBLISHED = {
    "path": "lab/data", "name": "main", "split": "validation", "revision": "abc", "task": "math", "licence": "mit",
    "keep": "level == 'hard'", "columns": {"text": "problem", "answer": "gold.truth", "id": "key"},
}  # fmt: skip
HUB = {"published", "path", "name", "split", "revision", "data_files", "task", "licence", "keep", "columns"}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    mapping = {"about": "a", "use": "training", "columns_known_from": "us", "options": PUBLISHED}
    (tmp_path / "lab.yaml").write_text(json.dumps(mapping))
    (tmp_path / "wrong.yaml").write_text(json.dumps({"about": "a", "options": {}}))
    monkeypatch.setattr("sources.mapping.published.FOLDER", tmp_path)
    read_published.cache_clear()
    yield
    read_published.cache_clear()


def test_a_published_mapping_alone(lab):
    assert published_names() == ["lab", "wrong"]
    assert with_published({"published": "lab"}, HUB) == {"published": "lab", **PUBLISHED}
    assert isinstance(read_published("lab"), Published)


def test_own_settings_win_columns_key_by_key(lab):
    own = {"published": "lab", "split": "train", "keep": None, "columns": {"answer": "final", "id": None}}
    merged = with_published(own, HUB)
    assert merged["columns"] == {"text": "problem", "answer": "final", "id": None}
    assert (merged["split"], merged["keep"], merged["path"], merged["revision"]) == ("train", None, "lab/data", "abc")
    assert own["columns"] == {"answer": "final", "id": None} and PUBLISHED["columns"]["id"] == "key"


def test_local_files_leave_out_what_is_said_of_the_place(lab):
    merged = with_published({"published": "lab", "path": "parquet", "data_files": "my.parquet"}, HUB)
    assert {k: merged.get(k) for k in ("path", "data_files", "name", "split", "revision")} == {
        "path": "parquet", "data_files": "my.parquet", "name": None, "split": None, "revision": None,
    }  # fmt: skip
    mirror = with_published({"published": "lab", "path": "mirror/data"}, HUB)
    assert (mirror["path"], mirror["name"], mirror["split"], mirror.get("revision")) == (
        "mirror/data", "main", "validation", None,
    )  # fmt: skip
    same = with_published({"published": "lab", "path": "lab/data", "split": "test"}, HUB)
    assert (same["revision"], same["split"]) == ("abc", "test")
    some = with_published({"published": "lab", "path": "lab/data", "data_files": "part.parquet"}, HUB)
    assert (some["revision"], some.get("name"), some.get("split")) == ("abc", None, None)
    local = with_published({"published": "lab", "path": "my.jsonl"}, HUB - {"data_files", "name", "split", "revision"})
    assert set(local) == {"published", "path", "task", "licence", "keep", "columns"} and local["path"] == "my.jsonl"


@pytest.mark.parametrize("name", [n for n in published_names() if read_published(n).options["path"] == "json"])
def test_files_that_are_on_no_hub_need_only_be_named(name):
    spec = Source(name="s", loader="huggingface", options={"published": name, "data_files": "x.json"})
    options = check_source(spec, "r.yaml", 0)
    assert (options.path, options.data_files) == ("json", "x.json")


@pytest.mark.parametrize(
    "name", ["revisual_r1", "deepeyesv2_rl_search", "deepeyesv2_rl_reason", "deepeyesv2_rl_perception", "fvqa"]
)
def test_rows_without_images_are_taken(name):
    value = compiled(MappingOptions(published=name).columns.images).value
    assert value({"images": None}) == value({"images": []}) == [] and value({"images": [b"x"]}) == [b"x"]


def test_a_wrong_mapping_names_its_file(lab):
    with pytest.raises(RecipeError, match=r"wrong.yaml: use: this key is needed"):
        read_published("wrong")
    with pytest.raises(RecipeError, match=r"no published mapping 'none'; known: lab, wrong"):
        with_published({"published": "none"}, HUB)


@pytest.mark.parametrize("name", published_names())
def test_every_shipped_mapping_is_sound(name):
    mapping = read_published(name)
    assert mapping.about.strip() and mapping.columns_known_from
    for loader, own in (("huggingface", {}), ("files", {"path": "x.jsonl"})):
        options = check_source(Source(name="s", loader=loader, options={"published": name, **own}), "r.yaml", 0)
        assert options.task == mapping.options["task"] and options.columns.text == mapping.options["columns"]["text"]
    assert options.path == "x.jsonl"
    revision = mapping.options.get("revision")
    assert revision is None or re.fullmatch("[0-9a-f]{40}", revision)
