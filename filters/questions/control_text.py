"""Questions that no export could take, because a text of theirs is a control or media token for a tokenizer.

They are told before any rollout is paid, by the very function that the exports use (records/control_tokens.py):

    placeholder_in_text    <image>, <video> or <audio> in the text, a choice or the answer: loaders count it as media
    control_token_in_text  a control token, such as <|im_end|>, of the policy's tokenizer or, without one, of any family

A mark `<image>` that only says where an image belongs is taken off when a row is read (sources/mapping/image_marks.py).
"""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from filters.rejects import reject_rows
from records.control_tokens import PLACEHOLDER, ControlTokens, is_suspicious

STAGE = "control_text"


def _texts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "text", row["text"] or ""
    yield from (("a choice", choice or "") for choice in row["choices"] or [])
    yield "answer", row["answer"] or ""


def apply(questions: pl.DataFrame, tokens: Callable[[], ControlTokens]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects); both keep the order, and no row is lost.

    Args:
        tokens: gives what must not stand in a text; it is asked only when a text holds anything like it.
    """
    joined = pl.concat_str(
        pl.col("text").fill_null(""), pl.col("choices").list.join(" ", ignore_nulls=True).fill_null(""),
        pl.col("answer").fill_null(""),
        separator=" ",
    )  # fmt: skip
    numbered = questions.rechunk().with_row_index("row")
    marked = numbered.filter(joined.str.contains_any(["<", "["])).select("row", "text", "choices", "answer")
    found: list[tuple[int, str, str]] = []
    for row in marked.iter_rows(named=True):
        texts = [(where, text) for where, text in _texts(row) if is_suspicious(text)]
        if not texts:
            continue
        known = tokens()
        hit = next(((where, *hit) for where, text in texts if (hit := known.find(text)) is not None), None)
        if hit is not None:
            where, reason, token = hit
            why = "loaders count it as media" if reason == PLACEHOLDER else f"known from {known.known_from}"
            found.append((row["row"], reason, f"the {where.removeprefix('a ')} holds {token}: {why}"))
    broken = pl.DataFrame(found, schema={"row": pl.UInt32, "reason": pl.String, "detail": pl.String}, orient="row")
    judged = numbered.join(broken, on="row", how="left", maintain_order="left")
    kept = judged.filter(pl.col("reason").is_null()).select(questions.columns)
    return kept, reject_rows(judged.filter(pl.col("reason").is_not_null()), STAGE, pl.col("reason"), pl.col("detail"))
