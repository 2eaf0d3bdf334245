import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from filters.questions.splits import draw_held_out, draw_validation, held_out_questions, on_several_sides


def test_questions_about_one_picture_are_drawn_together_and_stay_where_they_are():
    questions = pl.DataFrame(
        {
            "question_id": [f"q{n}" for n in range(400)],
            "pictures": [[f"i{n // 4}"] if n < 200 else [] for n in range(400)],
        }
    )
    drawn = draw_validation(questions, 0.3, "salt")
    by_image = questions.with_columns(drawn=drawn).head(200).group_by(pl.col("pictures").list.first())
    assert by_image.agg(pl.col("drawn").n_unique())["drawn"].max() == 1
    assert 0.2 < drawn.mean() < 0.4
    later = draw_validation(questions.tail(100), 0.3, "salt")
    assert later.to_list() == drawn.tail(100).to_list()
    assert draw_validation(questions, 0.3, "other").to_list() != drawn.to_list()


def test_a_question_or_picture_on_both_sides_is_found():
    sides = pl.DataFrame(
        {"question_id": ["a", "b", "c", "c"], "pictures": [["i"], ["i"], [], []], "side": ["x", "y", "x", "y"]},
        schema_overrides={"pictures": pl.List(pl.String)},
    )
    assert sorted(on_several_sides(sides)["unit"]) == ["c", "i"]
    assert on_several_sides(sides.head(1)).is_empty()


def pictured(*pictures):
    """Questions with the given pictures."""
    names = [f"q{number}" for number in range(len(pictures))]
    return pl.DataFrame(
        {"question_id": names, "arrived_as": names, "pictures": list(pictures)},
        schema_overrides={"pictures": pl.List(pl.String)},
    )


def test_linked_questions_are_never_on_both_sides():
    linked = [[f"a{n}", f"b{n}"] for n in range(200)] + [[f"b{n}", f"c{n}"] for n in range(200)]
    questions = pictured(*linked, *([f"c{n}"] for n in range(200)), *([] for _ in range(100)))
    kept, lost = draw_held_out(questions, 0.2, "salt")
    assert on_several_sides(kept.select("question_id", "pictures", side="split")).is_empty()
    assert kept.height + lost.height == questions.height and 0 < lost.height < 250
    assert set(lost["reason"]) == {"picture_on_both_sides"}
    assert 0.1 < (kept["split"] == "held_out").mean() < 0.3
    # A draw stays when others go.
    fewer, _ = draw_held_out(questions.tail(250), 0.2, "salt")
    assert fewer.join(kept, on=["question_id", "split"], how="semi").height == fewer.height
    sides = questions.with_columns(side=draw_validation(questions, 0.3, "v"))
    assert on_several_sides(sides.select("question_id", "pictures", "side")).is_empty()
    assert 0.2 < sides["side"].mean() < 0.4


def test_the_evaluation_asks_the_first_held_out_questions_of_each_task():
    questions = pl.DataFrame(
        {
            "question_id": list("abcd"),
            "task": ["math", "search", "math", "math"],
            "split": ["held_out"] * 3 + ["curation"],
        }
    )
    assert held_out_questions(questions)["question_id"].to_list() == ["a", "b", "c"]
    assert held_out_questions(questions, 1)["question_id"].to_list() == ["a", "b"]


@given(st.integers(1, 49), st.floats(0, 0.49), st.text(max_size=3))
def test_of_few_units_their_share_is_drawn_and_one_is_left_to_train_on(size, share, salt):
    questions = pictured(*([f"i{number // 2}"] if number % 2 else [] for number in range(size)))
    drawn = draw_validation(questions, share, salt)
    assert drawn.sum() == min(math.ceil(round(share * size, 9)), size - 1)
    assert draw_validation(questions.reverse(), share, salt).reverse().equals(drawn)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), min_size=10, max_size=10),
    st.integers(0, 45), st.floats(0.01, 0.49),
)  # fmt: skip
def test_what_was_trained_on_is_never_validated_on_over_ten_refreshes(refreshes, size, share):
    """Questions come and go, some about pictures that are there already, across the number from which hashes decide."""
    rows = [(f"q{number}", [f"p{number % 7}"] if number % 3 == 0 else []) for number in range(size)]
    trained, number = set(), size
    for more, fewer in refreshes:
        rows = rows[fewer:] + [(f"q{n}", [f"p{n % 9}"] if n % 3 == 0 else []) for n in range(number, number + more)]
        number += more
        if not rows:
            continue
        schema = {"question_id": pl.String, "pictures": pl.List(pl.String)}
        questions = pl.DataFrame(rows, schema=schema, orient="row")
        drawn = draw_validation(questions, share, "salt", trained)
        validation = {mark for mark, pictures in questions.filter(drawn).iter_rows() for mark in (mark, *pictures)}
        train = {mark for mark, pictures in questions.filter(~drawn).iter_rows() for mark in (mark, *pictures)}
        assert not validation & (trained | train) and train
        trained |= train
