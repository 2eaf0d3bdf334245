"""Which questions can be checked at all."""

# ruff: noqa: E501, RUF001 - a table of cases, and signs that look alike are meant

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.questions.verifiable import apply
from records.question import TASKS, Question, Reject
from records.tables import from_frame, to_frame


def question(**changes):
    row = dict(source="s", source_row="1", task="math", text="What is 1+1?", answer="2", answer_type="number")
    return Question(**{**row, **changes})


def text_question(text, answer):
    return question(text=text, answer=answer, answer_type="short_text")


def choice(answer, choices):
    return question(answer=answer, answer_type="choice", choices=choices)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (question(text=" "), "empty_text"),
        (question(answer=""), "empty_answer"),
        (text_question("Q", "x" * 101), "answer_too_long"),
        (question(answer="seven"), "number_unreadable"),
        (question(answer="1/0"), "number_unreadable"),
        (question(answer="3 to 4"), "number_unreadable"),
        *[
            (question(answer=a), "several_answers")
            for a in ("3 or 4", "3, 4", "3 and 4", "±3", "(a) 3 (b) 4", "x=1; x=2")
        ],
        (text_question("Q", "red or orange"), "several_answers"),
        (text_question("Q", "(a) the cat (b) the dog"), "several_answers"),
        (question(answer="x=1 or x=2", answer_type="expression"), "several_answers"),
        (choice("A and B", ["x", "y"]), "several_answers"),
        (choice("A, B", ["x", "y"]), "several_answers"),
        *[
            (question(answer=a, answer_type=kind), "answer_says_nothing")
            for kind in ("number", "boolean", "short_text", "expression", "set")
            for a in ("N/A", "none", "See solution.", "unknown", "Cannot be determined", "(see the figure)", "nan", "?")
        ],
        *[
            (question(answer=a, answer_type="expression"), "expression_unreadable")
            for a in (
                "\\frac{1}{2",
                "(x+1",
                "3x +",
                "x greater than two",
                "the line through A",
                "{}",
                "x # y",
                "\\begin{x}",
            )
        ],
        (question(answer="yes", answer_type="boolean", aliases=["No"]), "aliases_contradict"),
        (question(answer="A", answer_type="choice", choices=["x", "y"], aliases=["Y"]), "aliases_contradict"),
        (question(answer="100", aliases=["1e2", "200"]), "aliases_contradict"),
        (question(answer="maybe", answer_type="boolean"), "boolean_unreadable"),
        (question(answer="[ ]", answer_type="set"), "set_empty"),
        (choice("A", []), "choices_too_few"),
        (choice("x", ["x", "X "]), "choices_repeat"),
        (choice("C", ["x", "y"]), "answer_not_a_choice"),
        (choice("z", ["x", "y"]), "answer_not_a_choice"),
    ],
)
def test_rejected(row, reason):
    kept, rejects = apply(to_frame([row], Question))
    assert kept.is_empty()
    assert [(r.reason, r.row_id, r.stage) for r in from_frame(rejects, Reject)] == [
        (reason, row.question_id, "verifiable")
    ]


@pytest.mark.parametrize(
    "row",
    [
        *[question(answer=a) for a in ("-1,234.5", "3/4", "1 1/2", "7 km", "50%", "$5", ".5", "1e-3", "\\frac{1}{2}", "6.")],
        choice("B", ["x", "y"]),
        choice("(b)", ["x", "y"]),
        choice("Y", ["x", "y"]),
        question(answer="yes", answer_type="boolean", aliases=["true"]),
        question(answer="100", aliases=["1e2", "a hundred", "104"]),
        question(answer="A", answer_type="choice", choices=["x", "y"], aliases=["X", "x"]),
        choice("Cannot be determined", ["3", "Cannot be determined"]),
        *[text_question("Q", a) for a in ("Sink or Swim", "Trinidad and Tobago", ".de", "Na", "undefined", "nobody", "3/4 cup", "A, B")],
        text_question("Q", "proof"),
        question(answer="red or orange", answer_type="short_text", aliases=["red", "orange"]),
        *[
            question(answer=a, answer_type="expression")
            for a in ("-6.0 + 2.0i", "[2,5)", "\\left\\{1,2\\right\\}", "$x^2$", "\\boxed{\\frac{1}{2}}", "\\text{even}", "(-\\infty, 3]", "y = 2x", "5\\text{ square units}", "\\sin x", "1,-2", "A", "\\begin{pmatrix}1\\end{pmatrix}")
        ],
        question(answer="$5$"),
        question(answer="\\boxed{5}"),
        question(text="Simplify 2x + 2x", answer="4*x", answer_type="expression"),
    ],
)  # fmt: skip
def test_kept(row):
    kept, rejects = apply(to_frame([row], Question))
    assert rejects.is_empty(), rejects.to_dicts()
    assert from_frame(kept, Question) == [row]


def test_the_gold_numbers_of_the_filter_are_numbers_of_the_verdict():
    from verdicts.numbers import parse_number

    texts = ["-1,234.5", "3/4", "1 1/2", "7 km", "50%", "$5", ".5", "1e-3", "\\frac{1}{2}", "6.", "357,022 sq km", "−4"]
    _, rejects = apply(to_frame([question(answer=t, text=t + "?") for t in texts], Question))
    assert rejects.is_empty()
    assert all(parse_number(t) is not None for t in texts)


ROWS = st.builds(
    Question,
    source=st.sampled_from("ab"),
    source_row=st.text(max_size=3),
    task=st.sampled_from(TASKS),
    text=st.text(max_size=30) | st.just("What is in the image?"),
    images=st.lists(st.sampled_from(["00", "11"]), max_size=2),
    choices=st.lists(st.text(max_size=4), max_size=4),
    answer=st.text(max_size=8) | st.sampled_from(["yes", "A", "B", "1/2", "3 km"]),
    answer_type=st.sampled_from(["number", "choice", "short_text", "boolean", "expression", "set"]),
    aliases=st.lists(st.text(max_size=4), max_size=2),
)


@given(st.lists(ROWS, max_size=12))
@settings(max_examples=20, deadline=None)
def test_no_row_is_lost(rows):
    table = to_frame(rows, Question)
    kept, rejects = apply(table)
    assert kept.schema == table.schema
    assert rejects.schema == to_frame([], Reject).schema
    assert kept.height + rejects.height == table.height
    assert sorted(pl.concat([kept["question_id"], rejects["row_id"]])) == sorted(table["question_id"])
    assert apply(kept)[1].is_empty()
