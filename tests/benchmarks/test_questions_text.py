"""The benchmark of near duplicates measures what it says: known plants, decisions judged, peers named when missing."""

from importlib import metadata

import polars as pl
import pytest

from benchmarks.questions import languages
from benchmarks.questions import synthetic as synthetic_questions
from benchmarks.questions import text as questions_text
from benchmarks.questions.synthetic import make


def test_questions_are_the_same_each_time_and_their_plants_known():
    table = make(2_000)
    assert table.equals(make(2_000)) and not table.equals(make(2_000, seed=1))
    counts = dict(table["plant"].value_counts().iter_rows())
    assert counts == {"": 1_700, "near": 200, "number": 50, "thing": 50}
    planted = table.with_row_index("row").filter(pl.col("plant") != "")
    originals = table[planted["original"]]
    assert (planted["original"] < planted["row"].cast(pl.Int64)).all()
    assert (originals["plant"] == "").all() and (originals["text"] != planted["text"]).all()
    assert table.filter(pl.col("plant") == "")["text"].is_unique().all()
    numbers = planted.with_columns(before=originals["text"]).filter(pl.col("plant") == "number")
    digits = r"\b\d+\b"
    assert (numbers["text"].str.replace_all(digits, "0") == numbers["before"].str.replace_all(digits, "0")).all()
    lengths = table["text"].str.split(" ").list.len()
    assert 15 <= lengths.median() <= 25 and lengths.max() > 100


def test_decisions_are_judged():
    table = pl.DataFrame({"plant": ["", "", "near", "near", "number", "thing"]})
    wanted = {"recall": 0.5, "precision": 0.3333, "plants_precision": 0.5}
    assert questions_text.quality(table, [True, False, True, False, True, False]) == wanted
    assert questions_text.quality(table, [False] * 6) == {"recall": 0, "precision": 0, "plants_precision": 0}


def test_ours_reaches_the_recall():
    table = synthetic_questions.make(3_000)
    result = questions_text.quality(table, questions_text.ours(table["text"]))
    assert result["recall"] >= questions_text.RECALL and result["precision"] >= questions_text.RECALL


def test_a_missing_peer_is_named(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(questions_text.metadata, "version", missing)
    with pytest.raises(SystemExit, match="pip install 'rensa"):
        questions_text.measure(1_000)


@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_pairs_are_told_apart_in_every_language(language):
    pairs = languages.make(language, 40)
    assert pairs.equals(languages.make(language, 40)) and (pairs["one"] != pairs["other"]).all()
    same = pairs["same"].to_list()
    assert languages.duplicates_found(pairs) == same
    originals = set(pairs["one"])
    leaks = languages.leaks_found(pairs, "other")
    assert all(leak == (one or text in originals) for leak, one, text in zip(leaks, same, pairs["other"], strict=True))
    assert not any(languages.leaks_found(pairs, "clean"))
