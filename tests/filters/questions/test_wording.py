"""Which texts ask one clear question."""

import collections
import random

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from filters.questions.wording import STAGE, apply
from records.question import TASKS, Question, Reject
from records.recipe.questions import Wording
from records.tables import from_frame, to_frame
from tests.support.clean_questions import CLEAN
from tests.support.planted_questions import DEFECTS, planted
from tests.support.question_rows import IMAGE

RULES = Wording()


def question(text, answer="Paris", task="search", answer_type="short_text", **more):
    return Question(source="s", source_row="1", task=task, text=text, answer=answer, answer_type=answer_type, **more)


def reasons(rows, rules=RULES):
    """The reason of each row, None where it is kept."""
    _, rejects = apply(to_frame(rows, Question), rules)
    found = dict(zip(rejects["row_id"], rejects["reason"], strict=True))
    return [found.get(row.question_id) for row in rows]


def test_every_planted_defect_is_found_for_its_reason_and_no_clean_row_is_lost():
    clean, broken, wanted = planted()
    assert len(clean) == len(CLEAN) > 80 and len(broken) == sum(map(len, DEFECTS.values())) > 100
    rows = list(zip([*clean, *broken], [*[None] * len(clean), *wanted], strict=True))
    random.Random(0).shuffle(rows)
    found = reasons([row for row, _ in rows])
    assert [(row.text, f, w) for (row, w), f in zip(rows, found, strict=True) if f != w] == []
    assert collections.Counter(found) == {None: len(clean), **{code: len(r) for code, r in DEFECTS.items()}}


def test_a_reject_names_the_row_and_quotes_the_text():
    row = question("Who is the current president of France?")
    kept, rejects = apply(to_frame([row], Question), RULES)
    assert kept.is_empty()
    (reject,) = from_frame(rejects, Reject)
    assert (reject.row_id, reject.stage, reject.task, reject.source) == (row.question_id, STAGE, "search", "s")
    assert reject.detail == "who is the current president of: Who is the current president of France?"


def test_a_question_that_breaks_several_rules_is_rejected_for_the_first():
    text = "Which of the following is shown in the picture today?"
    assert reasons([question(text), question(text, images=IMAGE)]) == ["image_mentioned", "options_missing"]


def test_time_bound_questions_stay_where_the_recipe_says_so():
    rows = [question("Who is the current president of France?"), question("What is it?")]
    assert reasons(rows, Wording(time_bound=False)) == [None, "ambiguous"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("As of {}, who is the current president?", None),
        ("Who was the current champion in May {}?", None),
        ("Who is the current coach of the player born in {}?", "time_bound"),
        ("Which band formed in {} is currently on tour?", "time_bound"),
    ],
)
def test_only_a_date_that_says_when_fixes_the_answer(text, reason):
    assert reasons([question(text.format(year)) for year in (1987, 2019)]) == [reason, reason]


def test_what_stands_in_the_text_is_not_missing():
    texts = {
        "Which of the following is prime?": "options_missing",
        "Which of the following is prime: 4, 7 or 9?": None,
        "Which of the following is prime?\nA) 4\nB) 7": None,
        "Which of the following is prime? 1) 4 2) 7": None,
        "In the graph, which point is lowest?": "image_mentioned",
        "[asy] draw((0,0)--(1,1)); [/asy] In the graph, which point is lowest?": None,
        "| x | 1 |\n| y | 2 |\nIn the table, what is y?": None,
    }
    assert reasons([question(text, "7", "math", "number") for text in texts]) == list(texts.values())
    listed = question("Which of the following is prime?", "A", answer_type="choice", choices=["7", "8"])
    assert reasons([listed]) == [None]


def test_an_image_shows_what_the_text_only_points_at():
    for text in ("What is this?", "Who designed this building?", "What is in the picture?", "When was he born?"):
        assert reasons([question(text)])[0] in ("ambiguous", "image_mentioned")
        assert reasons([question(text, images=IMAGE)]) == [None]


def test_the_embedded_sources_lose_only_what_gives_its_answer_away(tmp_path):
    from records.images.store import ImageStore
    from records.recipe import Source
    from sources.loaders.reasoning_gym import TASKS as PROBLEMS
    from sources.open import load_source

    rows = []
    for loader, options, limit in (
        ("easy_vqa", {}, 300),
        ("world_factbook", {}, None),
        ("reasoning_gym", {"tasks": {name: {"count": 4} for name in PROBLEMS}}, None),
    ):
        spec = Source(name=loader, loader=loader, options=options, limit=limit)
        rows += [r for r in load_source(spec, 0, ImageStore(str(tmp_path))) if isinstance(r, Question)]
    kept, rejects = apply(to_frame(rows, Question), RULES)
    assert kept.height > 3000
    assert set(rejects["reason"]) == {"answer_in_question"} and set(rejects["source"]) == {"world_factbook"}
    assert rejects.height < 20  # Djibouti of Djibouti, Luxembourg of Luxembourg, …


TEXTS = st.sampled_from([row[1] for row in CLEAN] + [row[1] for rows in DEFECTS.values() for row in rows])
ROWS = st.builds(
    Question,
    source=st.sampled_from("ab"),
    source_row=st.text(max_size=3),
    task=st.sampled_from(TASKS),
    text=st.text(max_size=30) | TEXTS,
    images=st.lists(st.just("00"), max_size=1),
    choices=st.lists(st.text(max_size=4), max_size=3),
    answer=st.text(max_size=8) | st.sampled_from(["yes", "A", "Paris"]),
    answer_type=st.sampled_from(["number", "choice", "short_text", "boolean", "expression", "set"]),
    aliases=st.lists(st.text(max_size=4), max_size=2),
)


@given(st.lists(ROWS, max_size=8, unique_by=lambda row: row.question_id), st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
def test_no_row_is_lost_and_decisions_do_not_depend_on_the_order(rows, random):
    table = to_frame(rows, Question).with_columns(first_seen=pl.lit(0))
    kept, rejects = apply(table, RULES)
    assert kept.schema == table.schema and rejects.schema == to_frame([], Reject).schema
    assert sorted([*kept["question_id"], *rejects["row_id"]]) == sorted(table["question_id"])
    places = {name: n for n, name in enumerate(table["question_id"])}
    for ids in (kept["question_id"], rejects["row_id"]):
        order = [places[name] for name in ids]
        assert order == sorted(order)
    assert apply(kept, RULES)[1].is_empty()
    shuffled = list(rows)
    random.shuffle(shuffled)
    again = apply(to_frame(shuffled, Question), RULES)[1]
    assert sorted(again.rows()) == sorted(rejects.rows())


def test_a_table_of_many_chunks_some_empty():
    from filters.questions import guessing, open_ended, verifiable

    clean, broken, _ = planted()
    whole = to_frame([*clean, *broken], Question)
    pieces = [whole[:50], whole.clear(), whole[50:120], whole[120:]]
    table = pl.concat(pieces, rechunk=False)
    assert table.n_chunks() > 2
    for chunked, same in zip(apply(table, RULES), apply(whole, RULES), strict=True):
        assert chunked.equals(same)
    for chunked, same in zip(verifiable.apply(table), verifiable.apply(whole), strict=True):
        assert chunked.equals(same)
    assert open_ended.apply(table).equals(open_ended.apply(whole))
    assert guessing.chance(table).equals(guessing.chance(whole))


def test_nulls_and_an_empty_table_are_no_trouble():
    empty = to_frame([], Question)
    assert [frame.height for frame in apply(empty, RULES)] == [0, 0]
    row = to_frame([question("What is the capital of Peru?")], Question)
    nulls = row.with_columns(pl.lit(None, dtype=row.schema[name]).alias(name) for name in ("text", "images", "choices"))
    kept, rejects = apply(nulls.with_columns(answer=pl.lit(None, dtype=pl.String)), RULES)
    assert kept.height + rejects.height == 1
