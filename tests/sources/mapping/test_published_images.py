"""The ready-made mappings with images, on small files with the columns of the published datasets."""

import importlib.util
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from records.question import Question, Reject
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.contract import Draft
from sources.mapping.expressions import compiled
from sources.mapping.published import published_names, read_published
from sources.open import check_source, get_loader

HERE = Path(__file__).parent


def rows_of(file):
    spec = importlib.util.spec_from_file_location(f"rows_of_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.ROWS


ROWS = rows_of(HERE / "published_images.py")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)


def write(folder, case, without=None):
    """The case's data file (without one column or field) and images; the settings that make a recipe use them."""
    images = folder / "images_of"
    for name, data in case.files.items():
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(data)
    rows = [_cut(row, without) for row in case.rows] if without else case.rows
    if case.schema is not None:
        path = folder / "data.parquet"
        schema = case.schema if without is None else pa.schema(_cut_fields(case.schema, without))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        place = {"path": "parquet", "data_files": str(path)}
    else:
        path = folder / ("data.jsonl" if case.lines else "data.json")
        path.write_text("\n".join(map(json.dumps, rows)) if case.lines else json.dumps(rows))
        place = {"path": "json", "data_files": str(path)}
    return place | ({"image_folder": str(images)} if case.files else {})


def _cut(value, path):
    """A row without the field of that path."""
    if isinstance(value, list):
        return [_cut(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    if len(path) == 1:
        return {k: v for k, v in value.items() if k != path[0]}
    return {k: _cut(v, path[1:]) if k == path[0] else v for k, v in value.items()}


def _cut_fields(fields, path):
    """The fields of a schema or struct without the one of that path."""
    for item in fields:
        if item.name != path[0]:
            yield item
        elif len(path) > 1:
            kind = item.type
            inner = pa.struct(list(_cut_fields(kind.value_type if pa.types.is_list(kind) else kind, path[1:])))
            yield pa.field(item.name, pa.list_(inner) if pa.types.is_list(kind) else inner)


def drafts(options):
    spec = Source(name="src", loader="huggingface", options=options)
    return list(get_loader("huggingface").load(spec, check_source(spec, "r.yaml", 0), 0).drafts)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_published_rows_become_questions(tmp_path, name):
    case = ROWS[name]
    made = drafts({"published": name, **write(tmp_path, case)})
    assert len(made) == len(case.made) == len(case.rows)
    task = read_published(name).options["task"]
    for item, expected in zip(made, case.made, strict=True):
        if isinstance(expected, str):
            assert isinstance(item, Reject), item
            assert item.reason == expected, item
            continue
        assert isinstance(item, Draft), item
        fields = item.fields
        Question(**fields)
        assert (fields["text"], fields["answer"], fields["answer_type"], fields["task"]) == (
            expected.text, expected.answer, expected.answer_type, task,
        )  # fmt: skip
        assert (fields["choices"], fields["aliases"]) == (expected.choices, expected.aliases)
        assert item.pictures == expected.pictures


@pytest.mark.parametrize("name", ["vstar_gqa", "vstar_llava_focus", "vstar_spatial_relation", "vstar_vaw_attribute"])
def test_the_boxes_of_a_row_are_its_evidence(tmp_path, name):
    made = [
        item.evidence for item in drafts({"published": name, **write(tmp_path, ROWS[name])}) if isinstance(item, Draft)
    ]
    (box,) = ROWS[name].rows[0]["target_instances"]
    assert (made[0].texts, made[0].boxes, made[0].form) == ([], [tuple(box["bbox"])], "xywh")
    assert [evidence is not None for evidence in made] == [
        bool(row["target_instances"]) for row in ROWS[name].rows[: len(made)]
    ]


def used(name):
    """Every column, and every field of a struct of the small file, that a mapping reads, with the settings that do."""
    spec = Source(name="src", loader="huggingface", options={"published": name})
    options = check_source(spec, "r.yaml", 0)
    values = {f"columns.{k}": v for k, v in options.columns.named("questions").items()}
    values |= {"keep": options.keep} if options.keep else {}
    for key, value in values.items():
        for path in compiled(value).paths:
            yield path, key


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_missing_column_is_named(tmp_path, name):
    case = ROWS[name]
    for path in sorted({path[:1] for path, _ in used(name)}):
        place = write(tmp_path, case, without=path)
        with pytest.raises(RecipeError, match=rf"'src': there is no column '{path[0]}'.*columns there: "):
            drafts({"published": name, **place})


@pytest.mark.parametrize("name", [n for n in sorted(ROWS) if ROWS[n].schema is not None])
def test_a_missing_field_of_a_struct_is_named(tmp_path, name):
    case = ROWS[name]
    for path in sorted({path for path, _ in used(name) if len(path) > 1}):
        place = write(tmp_path, case, without=path)
        with pytest.raises(RecipeError, match=rf"there is no field '{'.'.join(path)}' used in .*; fields there: "):
            drafts({"published": name, **place})


def test_every_mapping_is_tested():
    tested = {name for file in HERE.glob("published_*.py") for name in rows_of(file)}
    assert set(published_names()) - tested == set()
    assert tested - set(published_names()) == set()
