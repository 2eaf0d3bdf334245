"""Questions whose answer the prompt itself gives away, because one of its worked examples asks the same."""

from collections.abc import Sequence

import polars as pl

from filters.contamination import STAGE
from filters.duplicates.answers import comparable_text
from filters.rejects import reject_rows


def apply(questions: pl.DataFrame, shown: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reject questions without images that ask what one of the texts `shown` asks, but for case and punctuation.

    Two questions about different images are different questions, however similar their texts are.
    """
    examples = comparable_text(pl.Series("text", list(shown), dtype=pl.String))
    no_image = pl.col("images").list.len().fill_null(0) == 0
    leaked = pl.lit(comparable_text(questions["text"]).is_in(examples.to_list())) & no_image
    detail = "a worked example of the prompt asks the same and shows the answer"
    return questions.filter(~leaked), reject_rows(questions.filter(leaked), STAGE, "shown_as_worked_example", detail)
