"""The names and types written down are those of the table, and each column has a sentence."""

import polars as pl
import pytest

from filters.benefit import columns
from filters.benefit.per_question import counts, per_question
from records.recipe import ToolBenefit

SETTINGS = ToolBenefit(samples=4, further=1.0, most_samples=8)
SCHEMA = {"question_id": pl.String, "arm": pl.String, "sample_index": pl.Int64, "correct": pl.Boolean}


def table(questions):
    rows = [(f"q{n}", arm, k, (n + k) % 3 == 0) for n in range(questions) for arm in columns.ARMS for k in range(8)]
    ids = pl.Series("question_id", [f"q{n}" for n in range(questions)], dtype=pl.String)
    asked = ids.to_frame().with_columns(task=pl.lit("math"), source=pl.lit("s"))
    made = counts(pl.DataFrame(rows, schema=SCHEMA, orient="row"), SETTINGS.looks)
    return per_question(made, asked, SETTINGS), made


@pytest.mark.parametrize("questions", [0, 3])
def test_the_table_is_what_its_schema_says(questions):
    found, _ = table(questions)
    assert dict(found.schema) == columns.SCHEMA and found.columns == list(columns.COLUMNS)


def test_every_column_has_a_sentence_of_its_own():
    said = list(columns.COLUMNS.values())
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in said)
    assert len(set(said)) == len(said)


def test_the_names_are_those_of_the_counts():
    _, made = table(3)
    for arm in columns.COMPARED:
        for look in SETTINGS.looks:
            assert {columns.attempts(arm, look), columns.right(arm, look)} <= set(made.columns)
    assert columns.attempts("direct", look=8) == "direct_attempts_8" and columns.right("tools") == "tools_right"
