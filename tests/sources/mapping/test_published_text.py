"""Ready-made mappings of the text half of the published sources, each on a small file with the published columns."""

import csv
import json

import pytest

from records.question import Reject
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.mapping.expressions import compiled
from sources.mapping.published import read_published
from sources.mapping.settings import MappingOptions
from sources.open import get_loader
from tests.sources.mapping import published_text
from tests.sources.mapping.published_text import Case, Expected, renamed, write_parquet

TRAINING = sorted(set(published_text.ROWS) - {"gsm8k_test", "math_test", "hotpotqa_dev"})


def place(case: Case, folder) -> dict:
    """Writes the dataset in the format it is published in; the settings that say where it is."""
    path = folder / case.published_as
    if path.suffix == ".parquet":
        write_parquet(path, case.schema, case.rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in case.rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(case.rows))
    else:
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(case.schema), delimiter="\t")
            table.writeheader()
            table.writerows(case.rows)
        return {"path": str(folder)}  # `datasets` knows by the ending how columns are separated
    return {"path": "parquet" if path.suffix == ".parquet" else "json", "data_files": str(path), "split": "train"}


def unpack(case: Case, folder) -> dict:
    """Writes the files of image_folder; the setting that says where they are."""
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return {"image_folder": str(folder)} if case.files else {}


def load(name: str, loader: str, **options):
    module = get_loader(loader)
    checked = module.Options(published=name, **options)
    return list(module.load(Source(name="src", loader=loader, options={}), checked, 0).drafts)


def check_case(name: str, case: Case, tmp_path) -> None:
    """The rows of a case, read through the Hugging Face loader, become what is expected of them."""
    (tmp_path / "data").mkdir()
    found = load(name, "huggingface", **place(case, tmp_path / "data"), **unpack(case, tmp_path / "images"))
    mapping = read_published(name).options
    seen = []
    for number, item in enumerate(found):
        if isinstance(item, Reject):
            seen.append(item.reason)
            continue
        fields = item.fields
        assert (fields["task"], fields["licence"]) == (mapping["task"], mapping.get("licence", "unknown"))
        assert list(json.loads(fields["extra"])) == mapping["columns"].get("extra", [])
        row = None if fields["source_row"] == str(number) and "id" not in mapping["columns"] else fields["source_row"]
        kept = ("text", "answer", "answer_type", "choices", "aliases")
        seen.append(Expected(**{key: fields[key] for key in kept}, pictures=len(item.pictures), source_row=row))
    assert seen == case.expected


def values(name: str) -> list[str]:
    """The columns and expressions of a mapping."""
    options = MappingOptions(published=name)
    return [*options.columns.named("questions").values(), *([options.keep] if options.keep is not None else [])]


def check_missing(name: str, case: Case, tmp_path) -> None:
    """Every column and field that a mapping reads is named in the error when the dataset calls it otherwise."""
    paths = {path for value in values(name) for path in compiled(value).paths}
    assert paths
    for number, path in enumerate(sorted(paths)):
        for length in range(1, len(path) + 1):
            gone = path[:length]
            file = tmp_path / f"{number}_{length}.parquet"
            write_parquet(file, renamed(case.schema, gone), [])
            with pytest.raises(RecipeError, match=rf"there is no (?:column|field) '{'.'.join(gone)}'"):
                load(name, "files", path=str(file))


@pytest.mark.parametrize("name", TRAINING)
def test_published_rows_become_questions(tmp_path, name):
    check_case(name, published_text.ROWS[name], tmp_path)


@pytest.mark.parametrize("name", TRAINING)
def test_a_missing_column_is_named(tmp_path, name):
    check_missing(name, published_text.ROWS[name], tmp_path)


def test_a_recipe_overrides_a_mapping(tmp_path):
    case = published_text.ROWS["gsm8k"]
    where = place(case, tmp_path)
    (first, *_) = load("gsm8k", "huggingface", **where, task="search", columns={"answer": "regex(answer, '<<(.+?)=')"})
    assert (first.fields["task"], first.fields["answer"]) == ("search", "3*400")
    assert first.fields["text"] == case.rows[0]["question"]


def test_the_gold_paragraphs_are_the_evidence(tmp_path):
    (first, *_) = load("hotpotqa", "huggingface", **place(published_text.ROWS["hotpotqa"], tmp_path))
    assert (first.evidence.texts, first.evidence.boxes) == (["It is deep."], [])


@pytest.mark.parametrize("name", TRAINING)
def test_what_is_known_is_said(name):
    mapping = read_published(name)
    assert mapping.use == "training"
    assert all((mapping.about, mapping.columns_known_from, mapping.notes, mapping.options["path"]))
