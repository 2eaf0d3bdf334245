"""What guessing gives."""

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from filters.questions.guessing import MIN_ROWS, chance, template
from records.question import TASKS, Question
from records.tables import to_frame


def rows(count, text="What color is the {}?", answers="red", kind="short_text", **more):
    """`count` questions; `answers` in turn."""
    answers = answers.split("|")
    return [
        Question(
            source=more.get("source", "s"), source_row=str(n), task=more.get("task", "perception"), images=[str(n)],
            text=text.format(n), answer=answers[n % len(answers)], answer_type=kind, choices=more.get("choices", []),
        )
        for n in range(count)
    ]  # fmt: skip


def rates(questions):
    return chance(to_frame(questions, Question)).to_list()


def test_choices_by_their_number():
    two, four = rows(1, kind="choice", answers="A", choices=["x", "y"]), rows(1, kind="choice", choices=list("wxyz"))
    assert rates([*two, *four]) == [0.5, 0.25]


def test_skewed_letters_are_a_better_guess():
    skewed = rows(1000, kind="choice", answers="A|A|A|B", choices=list("wxyz"))
    even = rows(1000, kind="choice", answers="A|B|C|D", choices=list("wxyz"), source="t")
    found = rates([*skewed, *even])
    assert all(0.70 < rate < 0.75 for rate in found[:1000])
    assert set(found[1000:]) == {0.25}


def test_booleans_by_the_source():
    even, skewed = (
        rows(400, kind="boolean", answers="yes|No"),
        rows(400, kind="boolean", answers="true|Yes|yes|no", source="t"),
    )
    found = rates([*even, *skewed])
    assert set(found[:400]) == {0.5}
    assert all(0.70 < rate < 0.75 for rate in found[400:])


def test_small_answer_sets_by_the_kind_of_question():
    colours = rows(800, answers="red|blue|green|black|white|teal|gray|brown")
    shapes = rows(300, "What shape is {}?", "circle|square|triangle")
    names = rows(300, "Who is number {}?", "|".join(f"name {n}" for n in range(300)))
    found = rates([*colours, *shapes, *names])
    assert all(0.1 < rate < 0.125 for rate in found[:800])
    assert all(0.28 < rate < 1 / 3 for rate in found[800:1100])
    assert set(found[1100:]) == {0.0}


def test_a_few_stray_answers_change_nothing_much():
    counts = rows(970, "How many dogs are there in photo {}?", "1|2|3|4")
    strays = rows(30, "How many dogs are there in photo {}?", "|".join(str(n) for n in range(50, 80)))
    assert all(0.2 < rate < 0.25 for rate in rates([*counts, *strays]))


def test_a_kind_too_small_to_tell_gives_no_chance():
    assert set(rates(rows(MIN_ROWS - 1))) == {0.0}
    (rate,) = set(rates(rows(MIN_ROWS)))
    assert 0.8 < rate < 0.9  # all are red, but of 20 only


def test_luck_does_not_make_a_better_guess():
    """The bound is above the true share of the picked answer in few of many small kinds (5 % for a fixed answer)."""
    import random

    draw = random.Random(0)
    above = 0
    for kind in range(60):
        answers = "|".join(draw.choice(["left", "right"]) for _ in range(40))
        above += rates(rows(40, f"Where is the {'abcdefghijklmnopqrst'[kind % 20]} {{}}?", answers))[0] > 0.5
    assert above <= 12


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Count 12.5 days from Wednesday, May 3.", "count # days from @, @ #."),
        ("Who wrote Anna Karenina in 1877?", "who wrote @ in #?"),
        ("  What is it? ", "what is it?"),
    ],
)
def test_template(text, masked):
    assert pl.DataFrame({"t": [text]}).select(template(pl.col("t"))).item() == masked


def test_easy_vqa():
    import easy_vqa

    texts, answers, _ = easy_vqa.get_train_questions()
    truth, shape = pl.col("answer").is_in(["yes", "no"]), pl.col("answer").is_in(["circle", "rectangle", "triangle"])
    kind = pl.when(truth).then(pl.lit("yes_no")).when(shape).then(pl.lit("shape")).otherwise(pl.lit("colour"))
    answer_type = pl.when(truth).then(pl.lit("boolean")).otherwise(pl.lit("short_text"))
    table = pl.DataFrame({"text": texts, "answer": answers}).with_columns(
        source=pl.lit("easy_vqa"), task=pl.lit("perception"), choices=pl.lit([], dtype=pl.List(pl.String)),
        answer_type=answer_type, kind=kind,
    )  # fmt: skip
    found = dict(table.with_columns(chance(table)).group_by("kind").agg(pl.col("chance").mean()).iter_rows())
    assert found["yes_no"] == pytest.approx(0.5, abs=0.01)
    assert found["shape"] == pytest.approx(1 / 3, abs=0.02)
    assert found["colour"] == pytest.approx(1 / 8, abs=0.01)


ROWS = st.builds(
    Question,
    source=st.sampled_from("ab"),
    source_row=st.text(max_size=3),
    task=st.sampled_from(TASKS),
    text=st.sampled_from(["", "What is it?", "What is 5?", "Who?"]),
    choices=st.lists(st.text(max_size=4), max_size=4),
    answer=st.sampled_from(["A", "b", "red", "5", "yes", ""]),
    answer_type=st.sampled_from(["number", "choice", "short_text", "boolean", "set", "expression"]),
)


@given(st.lists(ROWS, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_a_rate_for_every_row_whatever_the_order(questions, random):
    table = to_frame(questions, Question).with_row_index("row")
    rate = chance(table)
    assert rate.name == "chance" and rate.dtype == pl.Float64 and len(rate) == table.height
    assert rate.null_count() == 0 and all(0 <= value <= 1 for value in rate)
    order = list(range(table.height))
    random.shuffle(order)
    assert chance(table[order]).to_list() == [rate[n] for n in order]
