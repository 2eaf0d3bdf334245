"""Multiple choice without the choices, where they are not needed."""

# ruff: noqa: E501 - a table of cases

import json

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from filters.questions.open_ended import apply
from records.question import TASKS, Question
from records.tables import from_frame, to_frame
from verdicts.rules import judge


def choice(text, answer, choices, task="perception", **more):
    return Question(source="s", source_row="1", task=task, text=text, answer=answer, answer_type="choice", choices=choices, images=["0"], **more)  # fmt: skip


OPENED = [
    (choice("What is the color of the backpack?", "B", ["red", "blue", "green"]), "blue", "short_text"),
    (choice("What material is the glove made of?", "rubber", ["rubber", "cotton"]), "rubber", "short_text"),
    (choice("What color is the dog?\n(A) red\n(B) blue\nAnswer with the option letter.", "A", ["red", "blue"]), "red", "short_text"),
    (choice("What color is the dog? Choices: A. red B. blue", "A", ["red", "blue"]), "red", "short_text"),
    (choice("Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\nQuestion: How many snowmen are there?\nChoices:\n(A) 10\n(B) 15", "B", ["10", "15"]), "15", "number"),
    (choice("What is the capital of Norway?", "A", ["A. Oslo", "B. Bergen"], "search"), "Oslo", "short_text"),
    (choice("What is $x$ if $x+1=3$?", "B", ["1", "2", "3"], "math"), "2", "number"),
    (choice("What is the measure of angle ABC?", "C", ["30°", "45°", "60°"], "math"), "60°", "number"),
    (choice("Find the length of AC.", "B", ["\\sqrt{3}", "2\\sqrt{5}", "4"], "math"), "2\\sqrt{5}", "expression"),
    (choice("What is the length of AB here?", "B", ["9", "16", "\\sqrt{2}"], "math"), "16", "number"),
    (choice("Is there a dog in the image?", "A", ["Yes", "No"]), "Yes", "boolean"),
    (choice("Is the man not wearing a hat?", "b", ["yes", "no"]), "no", "boolean"),
]  # fmt: skip

LEFT = [
    choice("Which of the following is a mammal?", "A", ["dog", "trout"]),
    choice("Which of these is red?", "A", ["dog", "trout"]),
    choice("Is the umbrella on the left or the right side?", "A", ["left", "right"]),
    choice("What is the best title?", "A", ["Rain", "Snow"]),
    choice("What is the man most likely doing?", "A", ["running", "sitting"]),
    choice("Which is taller?", "A", ["the tree", "the house"]),
    choice("Which statement is true?", "A", ["cats fly", "dogs bark"]),
    choice("All animals in the image are pets EXCEPT", "A", ["cat", "lion"]),
    choice("Is the statement below true?", "A", ["Yes", "No"]),
    choice("What is shown in the middle?", "C", ["cat", "dog", "none of the above"]),
    choice("What is the value of x?", "D", ["1", "2", "3", "Cannot be determined"]),
    choice("What is in the basket?", "C", ["apples", "pears", "both"]),
    choice("Which panel has the highest bar?", "A", ["(a)", "(b)"]),
    choice("Which curve is the steepest here?", "A", ["Figure 1", "Figure 2"]),
    choice("What does the graph tell about sales?", "A", ["The sales went up over all the years.", "They fell."]),
    choice("What does the loss do after step 10?", "A", ["It decreases", "It increases", "It stays flat"]),
    choice("What do the sales do in 2010?", "B", ["Rise then fall", "They increase"]),
    choice("What does the price do over time?", "A", ["Decreases", "Constant"]),
    choice("What is the trend of the blue curve?", "A", ["Upward", "Downward"]),
    choice("What does the red line indicate?", "A", ["Temperature", "Pressure"]),
    choice("What do the bars represent?", "A", ["Temperature", "Pressure"]),
    choice("What happens to the mass over time?", "A", ["Upward drift", "Downward drift"]),
    choice("What is the effect of noise on speed?", "A", ["Faster", "Slower"]),
    choice("What is the relationship of x and y?", "A", ["Linear", "Quadratic"]),
    choice("What is the color of the car?", "A", ["red", "dark red"]),
    choice("How many dogs are there?", "A", ["3", "3 dogs"]),
    choice("What time is it?", "A", ["5 AM", "5 PM"]),
    choice("What is the mass of the ball?", "A", ["9.8", "10.2"]),
    choice("What is the distance between them?", "A", ["12000 km", "15000 km"]),
    choice("What color is the red car?", "A", ["red", "blue"]),
    choice("What color is the car?", "Z", ["red", "blue"]),
    choice("Color?", "A", ["red", "blue"]),
    choice("What color is Mr A. Smith's car? (A) red (B) blue", "A", ["green", "blue"]),
]


@pytest.mark.parametrize(("row", "answer", "kind"), OPENED)
def test_opened_where_the_options_are_not_needed(row, answer, kind):
    opened = apply(to_frame([row], Question))
    (new,) = from_frame(opened, Question)
    assert (new.answer, new.answer_type, new.choices) == (answer, kind, [])
    assert new.question_id == opened["question_id"][0] != row.question_id
    assert not any(word in new.text.lower() for word in ("(a)", "option", "choices", "hint"))
    assert new.text.endswith(("?", "."))
    before = json.loads(opened["original"][0])
    assert before == {name: getattr(row, name) for name in ("text", "choices", "answer", "answer_type", "question_id")}
    assert judge(new.answer, new).correct
    wrong = [c for c in row.choices if c.removeprefix("B. ") not in (answer, f"A. {answer}")]
    assert wrong and not any(judge(c, new).correct for c in wrong)


@pytest.mark.parametrize("row", LEFT, ids=lambda row: row.text[:40])
def test_left_where_they_are(row):
    table = to_frame([row], Question)
    assert apply(table).equals(table.with_columns(original=pl.lit(None, dtype=pl.String)))


def test_aliases_stay_but_for_letters():
    row = choice("What is the color of the bag?", "A", ["gray", "blue"], aliases=["grey", "A", "(a)"])
    (new,) = from_frame(apply(to_frame([row], Question)), Question)
    assert new.aliases == ["grey"]


ROWS = st.sampled_from([row for row, _, _ in OPENED] + LEFT) | st.builds(
    Question,
    source=st.sampled_from("ab"),
    source_row=st.text(max_size=3),
    task=st.sampled_from(TASKS),
    text=st.text(max_size=30) | st.just("What is the color of this?"),
    choices=st.lists(st.text(max_size=6) | st.sampled_from(["red", "blue", "5", "yes", "no"]), max_size=4),
    answer=st.sampled_from(["A", "b", "red", "5", "yes", ""]),
    answer_type=st.sampled_from(["number", "choice", "choice", "short_text"]),
    aliases=st.lists(st.text(max_size=4), max_size=2),
)


@given(st.lists(ROWS, max_size=10), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_rows_and_their_order_stay_and_each_is_decided_alone(rows, random):
    table = to_frame(rows, Question).with_columns(first_seen=pl.int_range(pl.len()))
    opened = apply(table)
    assert opened.drop("original").schema == table.schema
    assert opened["first_seen"].equals(table["first_seen"])
    same = opened["original"].is_null()
    assert opened.filter(same).drop("original").equals(table.filter(same))
    for row in from_frame(opened.filter(~same), Question):
        assert row.answer_type != "choice" and row.choices == [] and row.answer
    ids = [row.question_id for row in from_frame(opened, Question)]
    assert opened["question_id"].to_list() == ids
    shuffled = opened.with_columns(expected="question_id").sample(
        fraction=1.0, shuffle=True, seed=random.randint(0, 99)
    )
    again = apply(table[shuffled["first_seen"].to_list()] if rows else table)
    assert again["question_id"].equals(shuffled["expected"].alias("question_id"))


def test_an_empty_table():
    opened = apply(to_frame([], Question))
    assert opened.is_empty() and opened.schema["original"] == pl.String
