"""Questions whose images a model can take: what model families ask of an image, as settings of the recipe.

A pure function over the table of questions and the table of images. A question is rejected once, for the first of its
images that breaks a rule, and for the first rule that image breaks, in this order:

    image_unknown          there are no facts of it
    image_too_small        the shorter side is below `min_side`
    image_too_elongated    the longer side is more than `max_aspect` times the shorter one
    image_too_many_pixels  width times height is above `max_pixels`
"""

import polars as pl

from filters.rejects import reject_rows
from records.recipe.questions import ImageRules

STAGE = "images"


def _rules(rules: ImageRules) -> list[tuple[str, pl.Expr, pl.Expr]]:
    """Reason, when it holds, and the detail that a person reads; over image, width and height."""
    width, height = pl.col("width"), pl.col("height")
    shorter, longer = pl.min_horizontal(width, height), pl.max_horizontal(width, height)

    def says(limit: str) -> pl.Expr:
        return pl.format("{}x{} pixels; {}", width, height, pl.lit(limit))

    return [
        ("image_unknown", width.is_null(), pl.format("no facts of the image {}", "image")),
        ("image_too_small", shorter < rules.min_side, says(f"the shorter side needs {rules.min_side}")),
        ("image_too_elongated", longer > shorter * rules.max_aspect, says(f"at most {rules.max_aspect:g} to 1")),
        ("image_too_many_pixels", width * height > rules.max_pixels, says(f"at most {rules.max_pixels} in all")),
    ]


def apply(questions: pl.DataFrame, images: pl.DataFrame, rules: ImageRules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost.

    Args:
        questions: rows of Question.
        images: rows of ImageFacts; only image, width and height are read.
        rules: only the limits on the size are used.
    """
    tests = _rules(rules)
    sizes = images.lazy().select("image", pl.col("width", "height").cast(pl.Int64)).unique("image")
    found = (
        questions.lazy()
        .select(_row=pl.int_range(pl.len()), image="images")
        .explode("image")
        .filter(pl.col("image").is_not_null())
        .with_columns(_place=pl.int_range(pl.len()))
        .join(sizes, on="image", how="left")
        .filter(pl.any_horizontal(breaks for _, breaks, _ in tests))
        .sort("_place")
        .unique("_row", keep="first")
        .select(
            "_row",
            reason=pl.coalesce(pl.when(breaks).then(pl.lit(code)) for code, breaks, _ in tests),
            detail=pl.coalesce(pl.when(breaks).then(says) for _, breaks, says in tests),
        )
        .collect()
    )
    judged = questions.with_row_index("_row").with_columns(pl.col("_row").cast(pl.Int64))
    judged = judged.join(found, on="_row", how="left", maintain_order="left")
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    lost = judged.filter(pl.col("reason").is_not_null())
    return kept, reject_rows(lost, STAGE, pl.col("reason"), pl.col("detail"))
