"""The held-out questions, the validation split, and the check that no question or picture is on two sides."""

import math
from collections.abc import Collection

import polars as pl

from filters.rejects import reject_rows
from records.identity import unit_interval

STAGE = "questions"
"""The stage of the rejects: a question is split where the table of questions is made."""
FEW_UNITS = 50
"""Below this many units, a number of them is drawn for validation and not a share of the hashes."""


def _draw(units: pl.Series, share: float, salt: str) -> pl.Series:
    """True for about `share` of the texts, by their hash."""
    return units.map_elements(lambda unit: unit_interval(unit, salt) < share, return_dtype=pl.Boolean)


def draw_held_out(questions: pl.DataFrame, share: float, salt: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The questions with `split` (held_out for about `share` of them, else curation), and the rejects.

    Each picture is drawn on its own, and a question without one by its id, so that a draw stays when others come or go.
    A question between pictures that were drawn apart is rejected: `picture_on_both_sides`.
    """
    shown = questions.select(unit="pictures").explode("unit").drop_nulls().unique()
    alone = questions.filter(pl.col("pictures").list.len() == 0).select(unit="question_id")
    drawn = pl.concat([shown, alone.unique()])
    drawn = drawn.with_columns(out=_draw(drawn["unit"], share, salt))
    unit = pl.when(pl.col("pictures").list.len() > 0).then("pictures").otherwise(pl.concat_list("question_id"))
    sides = (
        questions.select(unit=unit)
        .with_row_index("row")
        .explode("unit")
        .join(drawn, on="unit", how="left", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(any=pl.col("out").any(), all=pl.col("out").all())
    )
    split = pl.when(sides["any"]).then(pl.lit("held_out")).otherwise(pl.lit("curation"))
    apart = sides["any"] != sides["all"]
    detail = "its pictures are also those of questions on both sides of the held-out split"
    lost = reject_rows(questions.filter(apart), STAGE, "picture_on_both_sides", detail, row_id="arrived_as")
    return questions.with_columns(split=split).filter(~apart), lost


def held_out_questions(questions: pl.DataFrame, limit_per_task: int | None = None) -> pl.DataFrame:
    """The questions that the evaluation asks: those held out, and of each task the first `limit_per_task`."""
    held_out = questions.filter(pl.col("split") == "held_out")
    return held_out if limit_per_task is None else held_out.group_by("task", maintain_order=True).head(limit_per_task)


def draw_validation(questions: pl.DataFrame, share: float, salt: str, in_train: Collection[str] = ()) -> pl.Series:
    """True for the questions of the validation part; those that are linked by their pictures are one unit.

    Of FEW_UNITS or more, the units whose hash is below `share` are drawn: a draw stays when others come or go. Of
    fewer, that would be any number of them, so the share of them with the lowest hashes is drawn, rounded up; one at
    least is left to train on.

    Args:
        in_train: ids of questions and of pictures that have been in a train part: their units are never drawn.
    """
    units = _linked(questions)
    shown = questions.select(unit=units, mark=pl.col("pictures")).explode("mark")
    marks = pl.concat([shown, questions.select(unit=units, mark="question_id")])
    seen = marks.filter(pl.col("mark").is_in(list(in_train)))["unit"].unique()
    whole = units.unique().sort()
    free = whole.filter(~whole.is_in(seen.implode()))
    places = free.map_elements(lambda unit: unit_interval(unit, salt), return_dtype=pl.Float64)
    if len(whole) >= FEW_UNITS:
        drawn = free.filter(places < share)
    else:
        wanted = math.ceil(round(share * len(whole), 9))  # 0.1 * 30 is a little more than 3
        drawn = free.gather(places.arg_sort()).head(min(wanted, len(whole) - 1))
    return units.is_in(drawn.implode())


def _linked(questions: pl.DataFrame) -> pl.Series:
    """The unit of each question: one of the pictures that it is linked to, or its id."""
    links = questions.select("pictures").with_row_index("row").explode("pictures").drop_nulls()
    links = links.with_columns(unit="pictures")
    while True:
        joined = links.with_columns(unit=pl.col("unit").min().over("row")).with_columns(
            unit=pl.col("unit").min().over("pictures")
        )
        if joined.equals(links):
            break
        links = joined
    units = (
        questions.select("question_id")
        .with_row_index("row")
        .join(links.unique("row", keep="any").select("row", "unit"), on="row", how="left", maintain_order="left")
    )
    return units.select(pl.coalesce("unit", "question_id"))["unit"]


def on_several_sides(sides: pl.DataFrame) -> pl.DataFrame:
    """The questions and pictures on more than one side. `sides`: columns question_id, pictures and side."""
    units = pl.concat(
        [sides.select("side", unit="question_id"), sides.select("side", unit="pictures").explode("unit").drop_nulls()]
    )
    return units.group_by("unit").agg(sides=pl.col("side").n_unique()).filter(pl.col("sides") > 1)
