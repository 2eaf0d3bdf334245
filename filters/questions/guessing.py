"""The accuracy of the best blind guess, without the image and without reasoning.

A pass rate says little until it is known what guessing gives. The chance rate of a question is

- choice: one over the number of choices; more where the right letters of the source are skewed: the share of its
  commonest letter among the questions of the source with as many choices;
- boolean: the share of the more frequent answer among the source's booleans, at least one half. The words of the
  question are not used here: "no" is a better guess for rare things, but that is knowledge of the world's priors,
  which is not chance;
- number, short text, expression, set: the share of the most frequent answer among questions of one kind, if the kind
  has a small set of answers; otherwise 0. A kind is a source, task, answer type and template, where a template is the
  text's first two words, its first three, or the whole of it (250 characters), each with numbers and names masked.
  A kind counts from 20 questions on, and has a small set of answers if its 12 commonest cover 95 % of it (so that a
  few stray answers change nothing). Of the three templates the one with the highest chance counts.

The commonest answer is picked after looking, and of many small kinds some have a common answer by luck; so every share
is the lower end of Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001) at one-sided 95 %, which comes
near to the plain share as the kind grows.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

import polars as pl

from filters.intervals import wilson

MIN_ROWS = 20
"""Questions from which a kind counts."""
MAX_ANSWERS = 12
"""Answers of a small set."""
COVERED = 0.95
"""Share of a kind that its commonest answers cover if they are a small set."""
CONFIDENCE = 0.9
"""Confidence of the two-sided interval, whose lower end is the one-sided bound at 95 %."""
TEMPLATE_CHARS = 250
"""Characters of a text that its template is made of."""


def template(text: pl.Expr) -> pl.Expr:
    """The text with its numbers and names masked, in lower case: what questions of one kind have in common."""
    start = text.fill_null("").str.strip_chars().str.slice(0, TEMPLATE_CHARS)
    masked = start.str.replace_all(r"(\s)[\"“'‘(]?\p{Lu}[\p{L}\p{N}'’.\-]*(?:\s\p{Lu}[\p{L}\p{N}'’.\-]*)*", "${1}@")
    return masked.str.replace_all(r"\d+(?:[.,]\d+)*", "#").str.to_lowercase()


def _modal_share(rows: pl.DataFrame, kind: list[str], small: bool) -> pl.DataFrame:
    """The lower bound of the share of each kind's commonest answer; `small`: only kinds with few answers.

    `rows` has the columns of `kind` and `said`. Kinds of fewer than MIN_ROWS rows are left out.
    """
    counts = rows.group_by([*kind, "said"]).len("times")
    top = pl.col("times").top_k(MAX_ANSWERS).sum()
    kinds = counts.group_by(kind).agg(size=pl.col("times").sum(), most=pl.col("times").max(), top=top)
    kinds = kinds.filter(pl.col("size") >= MIN_ROWS)
    if small:
        kinds = kinds.filter(pl.col("top") >= pl.col("size") * COVERED)
    low, _ = wilson(pl.col("most"), pl.col("size"), CONFIDENCE)
    return kinds.select(*kind, share=low)


def _with_share(rows: pl.DataFrame, kind: list[str], small: bool, name: str) -> pl.DataFrame:
    shares = _modal_share(rows, kind, small).rename({"share": name})
    return rows.join(shares, on=kind, how="left", maintain_order="left", nulls_equal=True)


def chance(questions: pl.DataFrame) -> pl.Series:
    """The chance rate of every question, in the order of the table: a Series `chance` of Float64 in [0, 1].

    Columns used: source, task, text, choices, answer, answer_type. Decided by the table as a whole, but not by its
    order.
    """
    answer = pl.col("answer").fill_null("").str.strip_chars().str.to_lowercase()
    letter = answer.str.extract(r"^\(?([a-z])[).]?$")
    truth = answer.replace({"true": "yes", "false": "no"})
    is_choice, is_boolean = pl.col("answer_type") == "choice", pl.col("answer_type") == "boolean"
    words = template(pl.col("text"))
    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    rows = questions.rechunk().select(
        "source",
        "task",
        "answer_type",
        row=pl.int_range(pl.len()),
        count=pl.col("choices").list.len().fill_null(0),
        # An answer that is a choice's text is not a letter: such rows are counted apart and skew nothing.
        said=pl.when(is_choice).then(letter.fill_null(pl.format("={}", answer))).when(is_boolean).then(truth)
        .otherwise(answer),
        two=words.str.extract(r"^(\S+\s+\S+)").fill_null(words),
        three=words.str.extract(r"^(\S+\s+\S+\s+\S+)").fill_null(words),
        whole=words,
    )  # fmt: skip
    choices = _with_share(rows.filter(is_choice), ["source", "count"], False, "share")
    booleans = _with_share(rows.filter(is_boolean), ["source"], False, "share")
    others = rows.filter(~(is_choice | is_boolean).fill_null(False))
    kind = ["source", "task", "answer_type"]
    for name in ("two", "three", "whole"):
        others = _with_share(others, [*kind, name], True, f"share_{name}")
    rates = pl.concat(
        [
            choices.select("row", chance=pl.max_horizontal(1 / pl.col("count").clip(1), "share")),
            booleans.select("row", chance=pl.max_horizontal(pl.lit(0.5), "share")),
            others.select("row", chance=pl.max_horizontal(pl.lit(0.0), "share_two", "share_three", "share_whole")),
        ]
    )
    return rates.sort("row")["chance"].cast(pl.Float64)
