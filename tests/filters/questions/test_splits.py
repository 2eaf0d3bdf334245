import polars as pl

from filters.questions.splits import draw_held_out, draw_split, held_out_questions, on_several_sides


def test_questions_about_one_picture_are_drawn_together_and_stay_where_they_are():
    questions = pl.DataFrame(
        {
            "question_id": [f"q{n}" for n in range(400)],
            "pictures": [[f"i{n // 4}"] if n < 200 else [] for n in range(400)],
        }
    )
    drawn = draw_split(questions, 0.3, "salt")
    by_image = questions.with_columns(drawn=drawn).head(200).group_by(pl.col("pictures").list.first())
    assert by_image.agg(pl.col("drawn").n_unique())["drawn"].max() == 1
    assert 0.2 < drawn.mean() < 0.4
    later = draw_split(questions.tail(100), 0.3, "salt")
    assert later.to_list() == drawn.tail(100).to_list()
    assert draw_split(questions, 0.3, "other").to_list() != drawn.to_list()


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
    sides = questions.with_columns(side=draw_split(questions, 0.3, "v"))
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
