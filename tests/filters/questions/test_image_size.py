"""What model families ask of an image, as a filter over two tables."""

import polars as pl
import pytest

from filters.questions.image_size import apply
from records.images.store import ImageFacts
from records.question import Question, Reject
from records.recipe.questions import ImageRules
from records.tables import schema, to_frame

SIZES = {
    "good": (640, 480), "least": (28, 28), "low": (27, 500), "narrow": (500, 27), "long": (28, 5601),
    "edge": (28, 5600), "large": (8000, 8000), "all wrong": (1, 60_000_000),
}  # fmt: skip


def facts(sizes=SIZES):
    common = {"arrived": "", "format": "png", "phash": 0, "inner_phash": 0, "thumbnail": b""}
    return to_frame((ImageFacts(image=i, width=w, height=h, **common) for i, (w, h) in sizes.items()), ImageFacts)


def questions(*images):
    rows = (
        Question(
            source="s",
            source_row=str(n),
            task="perception",
            text=f"q{n}",
            images=i,
            answer="a",
            answer_type="short_text",
        )
        for n, i in enumerate(images)
    )
    return to_frame(rows, Question).with_columns(first_seen=pl.lit(0, pl.Int64))


def test_each_defect_is_found_with_its_numbers_and_nothing_is_lost():
    table = questions(
        ["good"], ["low"], [], ["narrow"], ["least", "edge"], ["long"], ["good", "large"], ["gone"],
        ["all wrong"], ["good"],
    )  # fmt: skip
    kept, rejects = apply(table, facts(), ImageRules())
    assert kept["text"].to_list() == ["q0", "q2", "q4", "q9"] and kept.schema == table.schema
    assert rejects.schema == schema(Reject) and set(rejects["stage"]) == {"images"}
    assert list(zip(rejects["reason"], rejects["detail"], strict=True)) == [
        ("image_too_small", "27x500 pixels; the shorter side needs 28"),
        ("image_too_small", "500x27 pixels; the shorter side needs 28"),
        ("image_too_elongated", "28x5601 pixels; at most 200 to 1"),
        ("image_too_many_pixels", "8000x8000 pixels; at most 50000000 in all"),
        ("image_unknown", "no facts of the image gone"),
        ("image_too_small", "1x60000000 pixels; the shorter side needs 28"),
    ]
    assert rejects["row_id"].to_list() == table["question_id"].gather([1, 3, 5, 6, 7, 8]).to_list()


@pytest.mark.parametrize(
    ("rules", "lost"),
    [
        (ImageRules(min_side=1, max_aspect=1e9, max_pixels=50_000_000), ["large", "all wrong"]),
        (
            ImageRules(min_side=29, max_pixels=50_000_000),
            ["least", "low", "narrow", "long", "edge", "large", "all wrong"],
        ),
        (ImageRules(min_side=1, max_aspect=100, max_pixels=50_000_000), ["long", "edge", "large", "all wrong"]),
        (ImageRules(min_side=1, max_aspect=1e9, max_pixels=640 * 480 - 1), ["good", "large", "all wrong"]),
    ],
)
def test_the_limits_are_the_recipes(rules, lost):
    table = questions(*([name] for name in SIZES))
    kept, rejects = apply(table, facts(), rules)
    assert kept["images"].explode().to_list() == [name for name in SIZES if name not in lost]
    assert len(rejects) == len(lost)


def test_the_first_bad_image_of_a_question_is_the_one_that_is_named():
    kept, rejects = apply(questions(["good", "gone", "low"], ["low", "gone"]), facts(), ImageRules())
    assert len(kept) == 0 and rejects["reason"].to_list() == ["image_unknown", "image_too_small"]


def test_facts_that_came_twice_double_no_question():
    kept, _ = apply(questions(["good"], ["good"]), pl.concat([facts(), facts()]), ImageRules())
    assert kept["text"].to_list() == ["q0", "q1"]


def test_empty_tables_and_rows_without_a_list():
    for table in (questions(), questions([], [])):
        kept, rejects = apply(table, facts({}), ImageRules())
        assert kept.equals(table) and rejects.schema == schema(Reject) and len(rejects) == 0
    table = questions([]).with_columns(images=pl.lit(None, pl.List(pl.String)))
    assert apply(table, facts(), ImageRules())[0].equals(table)
