"""The same question twice, and the same question with two answers."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.duplicates.exact import apply
from records.question import Question, Reject
from records.tables import to_frame


def question(text="What is 1+1?", answer="2", **changes):
    row = dict(source="s", source_row="1", task="math", text=text, answer=answer, answer_type="short_text")
    return Question(**{**row, **changes})


def reasons(*rows):
    kept, rejects = apply(to_frame(rows, Question))
    assert kept.height + rejects.height == len(rows)
    return kept["source_row"].to_list(), rejects["reason"].to_list()


def test_the_oldest_is_kept_whatever_the_order():
    rows = [question(source="b"), question(source="a", source_row="2", text=" what is  1+1 "), question(source="c")]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        kept, rejects = apply(to_frame([rows[i] for i in order], Question))
        assert kept["source"].to_list() == ["a"]
        assert set(rejects["reason"]) == {"duplicate"}
        assert set(rejects["detail"]) == {"the same as a row 2"}


def test_contradicting_answers_lose_every_row():
    kept, why = reasons(question(), question(answer="3"), question(answer="2", source_row="9"))
    assert kept == [] and why == ["contradicting_answers"] * 3


def test_answers_that_agree_in_another_form():
    assert reasons(question(answer="2"), question(answer="2.0", source_row="2"))[1] == ["duplicate"]
    assert reasons(question(answer="Kyiv", aliases=["Kiev"]), question(answer="kiev"))[1] == ["duplicate"]


def test_choices_in_another_order_are_the_same_question():
    one = question(answer="A", answer_type="choice", choices=["p", "q"])
    assert reasons(one, question(answer="B", answer_type="choice", choices=["q", "p"]))[1] == ["duplicate"]
    assert (
        reasons(one, question(answer="A", answer_type="choice", choices=["q", "p"]))[1] == ["contradicting_answers"] * 2
    )
    assert reasons(one, question(answer="A", answer_type="choice", choices=["p", "r"]))[1] == []


def test_what_differs_stays():
    rows = [
        question("2 + 3"), question("2 - 3"), question("2 * 3"), question("3.5"), question("35"), question("f(x)"),
        question("f'(x)"), question("same", images=["00"]), question("same", images=["11"]), question("same"),
    ]  # fmt: skip
    assert reasons(*rows)[1] == []


ROWS = st.builds(
    question,
    text=st.sampled_from(["a", "A ", "b?", "b"]),
    answer=st.sampled_from(["1", "1.0", "2", "A", "B"]),
    answer_type=st.sampled_from(["choice", "short_text", "number"]),
    choices=st.sampled_from([[], ["x", "y"], ["y", "x"]]),
    images=st.sampled_from([[], ["00"]]),
    aliases=st.sampled_from([[], ["2"]]),
    source=st.sampled_from("ab"),
)


@given(st.lists(ROWS, max_size=10), st.randoms())
@settings(max_examples=150, deadline=None)
def test_no_row_is_lost_and_the_order_does_not_matter(rows, random):
    table = to_frame(rows, Question)
    kept, rejects = apply(table)
    assert kept.schema == table.schema and rejects.schema == to_frame([], Reject).schema
    assert sorted(pl.concat([kept["question_id"], rejects["row_id"]])) == sorted(table["question_id"])
    assert apply(kept)[1].is_empty()
    random.shuffle(rows)
    assert sorted(apply(to_frame(rows, Question))[0]["question_id"]) == sorted(kept["question_id"])
