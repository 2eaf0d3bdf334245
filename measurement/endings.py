"""Arms whose attempts end alike without an answer: a sign of how the model is asked, and not of the model."""

from collections.abc import Iterator

import polars as pl

from records.trajectory import StopReason

ALIKE_SHARE = 0.9
"""The share of an arm's attempts from which a common end without an answer is not taken for chance."""
LOOK_AT: dict[StopReason, str] = {
    "no_answer": "look at the turns: the model may not know the dialect's form of an answer, or the server strips it",
    "max_tokens": "raise max_tokens or total_tokens of the arm's sampling",
    "max_turns": "raise max_turns of the arm's sampling, or look at the turns: the model may never stop calling",
    "context_length": "serve the model with a longer context, or lower max_tokens of the arm's sampling",
    "refused": "the endpoint's rules of content refuse these questions: use another endpoint",
    "malformed_reply": "look at the turns: the server's parser of thoughts or calls may not be that of the model",
    "lost_content": "the server gave answers or calls apart from the text: start it without its parsers",
    "unfinished": "the endpoint or a tool failed: the log says how; the next run tries them again",
}


def alike(endings: pl.DataFrame) -> Iterator[str]:
    """A sentence for each arm whose attempts ended nearly all the same way without an answer.

    Args:
        endings: one row per attempt: arm, stop_reason.
    """
    counted = endings.group_by("arm", "stop_reason", maintain_order=True).len("rows")
    counted = counted.with_columns(total=pl.col("rows").sum().over("arm"))
    most = counted.filter(
        (pl.col("stop_reason") != "answered")
        & (pl.col("total") > 1)
        & (pl.col("rows") >= ALIKE_SHARE * pl.col("total"))
    )
    for arm, reason, rows, total in most.select("arm", "stop_reason", "rows", "total").iter_rows():
        look_at = LOOK_AT.get(reason, "look at the turns")
        yield f"{arm}: {rows} of {total} attempts ended as {reason}, which is hardly the questions' doing: {look_at}"
