"""Columns and fields that are not there, and expressions that are wrong, are named with their keys."""

import pyarrow as pa
import pytest

from records.recipe import Source
from records.recipe.section import RecipeError
from sources.mapping.settings import MappingOptions, check_columns
from sources.open import check_source

SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("gold", pa.struct([("truth", pa.string()), ("style", pa.string())])),
        (
            "turns",
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(pa.struct([("text", pa.string())])))])),
        ),
        ("raw", pa.string()),
        ("a.b", pa.string()),
    ]
)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"answer": "truth"},
            r"'src'.*no column 'truth' \(columns.answer\); columns there: question, gold, turns, raw",
        ),
        (
            {"answer": "boxed(truth)"},
            r"no column 'truth' used in 'boxed\(truth\)' \(columns.answer\); columns there: q",
        ),
        (
            {"answer": "gold.gone"},
            r"no field 'gold.gone' used in 'gold.gone' \(columns.answer\); fields there: truth, s",
        ),
        ({"answer": "raw", "extra": ["gold.truth", "x"]}, r"no column 'x' \(columns.extra.1\)"),
        ({"answer": "turns[?who=='user'].content"}, r"no field 'turns.who'.*fields there: role, content"),
        ({"answer": "turns[-1].content[0].body"}, r"no field 'turns.content.body'.*fields there: text"),
        ({"answer": "raw || other"}, r"no column 'other' used in 'raw \|\| other'"),
    ],
)
def test_a_column_or_field_that_is_gone_is_named(columns, message):
    with pytest.raises(RecipeError, match=message):
        check_columns(MappingOptions(columns=columns), SCHEMA, "questions", "src")


def test_columns_and_fields_that_are_there():
    for answer in ("gold.truth", "turns[?role=='user'].content[].text", "parse_json(raw).x", "raw.x", "a.b", "'yes'"):
        check_columns(MappingOptions(columns={"answer": answer}), SCHEMA, "questions", "src")
    options = MappingOptions(columns={"text": "question", "answer": "gold.truth", "id": "raw"}, keep="level == 'x'")
    with pytest.raises(RecipeError, match=r"no column 'level' used in .* \(keep\)"):
        check_columns(options, SCHEMA, "questions", "src")
    check_columns(options, SCHEMA, "documents", "src")
    check_columns(options, ["question", "gold", "raw", "level"], "questions", "src")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"text": "boxed(a"}}, r"r.yaml: sources.2.options.columns.text: neither a column name nor"),
        ({"columns": {"extra": ["a", "nope(a)"]}}, r"options.columns.extra.1: there is no function nope\(\); known: "),
        ({"keep": "regex(a, '(')"}, r"options.keep: regex\(\): not a regular expression"),
        ({"published": "gsm9k"}, r"sources.2.options: there is no published mapping 'gsm9k'; known: .*arxivqa, "),
    ],
)
def test_a_wrong_expression_is_refused_with_its_key(options, message):
    spec = Source(name="src", loader="files", options={"path": "x", "task": "math", **options})
    with pytest.raises(RecipeError, match=message):
        check_source(spec, "r.yaml", 2)
