"""Texts that are shown as markdown: tables, counts, and values that must not be read as markup."""

import re
from collections.abc import Sequence

import polars as pl

CELL_CHARS = 160
"""Characters of a table's cell; longer texts are cut."""


class Markdown(str):
    """A text that is meant to be read as markdown; an asset shows it so."""


NONE = Markdown("(none)")


def plain(value: object, cut: int = CELL_CHARS) -> str:
    """A value as one line of markdown that shows it as it is: no markup, no HTML, no picture fetched from elsewhere."""
    text = "" if value is None else str(value)[: 10 * cut]
    text = " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
    text = text if len(text) <= cut else f"{text[: cut - 1]}…"
    text = re.sub(r"\S{40}(?=\S)", "\\g<0>\u200b", text)  # a long word may be broken, or it widens the table
    # An underscore inside a word marks nothing, and codes stay readable where markdown is printed.
    text = re.sub(r"([\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_table(frame: pl.DataFrame, markdown: Sequence[str] = (), cut: int = CELL_CHARS) -> Markdown:
    """A table as markdown; floats with three digits, texts cut, the columns named in `markdown` as they are."""
    header = f"| {' | '.join(frame.columns)} |\n|{'---|' * frame.width}"
    lines = []
    for row in frame.iter_rows(named=True):
        cells = [value or "" if name in markdown else _cell(value, cut) for name, value in row.items()]
        lines.append(f"| {' | '.join(cells)} |")
    return Markdown("\n".join([header, *lines]))


def _cell(value: object, cut: int) -> str:
    return f"{value:.3f}" if isinstance(value, float) else plain(value, cut)


def counts(frame: pl.DataFrame, *by: str) -> Markdown:
    """How many rows there are of each kind."""
    if frame.is_empty():
        return NONE
    return markdown_table(frame.group_by(*by).len("rows").sort(*by))
