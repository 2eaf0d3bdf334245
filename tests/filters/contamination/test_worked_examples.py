import polars as pl

from filters.contamination import worked_examples as contamination


def test_a_question_that_an_example_answers_is_rejected_unless_its_image_is_another():
    questions = pl.DataFrame(
        {
            "question_id": ["a", "b", "c", "d"],
            "task": "search",
            "source": "s",
            "text": ["What is 2 + 3?", "what is  2 + 3", "What is 2 - 3?", "What is 2 + 3?"],
            "images": [[], [], [], ["i"]],
        },
        schema_overrides={"images": pl.List(pl.String)},
    )
    kept, rejects = contamination.apply(questions, ["What is 2 + 3?"])
    assert kept["question_id"].to_list() == ["c", "d"]
    assert rejects.select("row_id", "reason").rows() == [(i, "shown_as_worked_example") for i in ("a", "b")]
