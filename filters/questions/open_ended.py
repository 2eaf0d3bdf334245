"""Multiple choice becomes an open question where the options are not needed to answer it.

A blind guess among four options is right 25 % of the time, and a model can eliminate options instead of finding out.
DeepEyes (arXiv 2505.14362, sec. 3) turns choices into open questions before it measures difficulty, and DeepEyesV2
(sec. 3.3) asks for open-ended questions. The options stay where one of these holds, because an open answer could then
not be judged:

- the text compares the options or refers to them ("which of these", "best", "closest", "most likely", "which option",
  "except", "not", "the following", "complete", a "which is …" that names no kind), offers two itself ("or"), or asks
  for an estimate, a trend, an effect, or what something indicates or represents;
- an option refers to others or refuses ("all of the above", "both", "cannot be determined", "other"), is a sentence
  (over 5 words or 40 characters), or the name of a part of the picture (a letter, "figure B", "II only"), or a
  clause ("It decreases"; the right one "decreases"), which can be put in many ways;
- two options read the same for a judge: one contains the other as words ("red", "dark red"; "5", "5 cm"), or both are
  one number ("5 AM", "5 PM");
- the right option is a decimal or a number rounded to thousands, which another way of working it out may miss;
- the right option stands in the text itself, or nothing is left to ask once the options are taken out of the text.

Two options yes/no or true/false become a boolean question, whatever the text compares, unless it speaks of options.
The answer is then the option's text; its type is inferred as sources do: boolean, number, an
expression (mathematics with operators or LaTeX commands), else short text.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

from string import ascii_uppercase
from typing import cast

import polars as pl

from filters.questions.verifiable import are_numbers
from filters.questions.wording_rules import normalised
from records.identity import content_hash

_ROWS = 50_000
"""Rows looked at at once: bounds the memory that copies of the texts take."""
MAX_WORDS = 5
"""Words of an option: a longer one is a statement, which nobody writes the same way again."""
MAX_CHARS = 40
"""Characters of an option."""

# Instructions to answer with a letter, and the options in the text itself.
_INSTRUCTION = (
    r"(?i)\s*(?:hint:\s*)?(?:please\s+)?(?:answer|respond|reply|provide|give|select|choose|pick|write|output|indicate)\b"
    r"(?:e\.g\.|i\.e\.|[^.?!\n])*?\b(?:letters?|options?|choices?|alternatives?)\b(?:e\.g\.|i\.e\.|[^.?!\n])*"
    r"(?:[.!:]|$|\n)(?:\s*question:\s*)?"
)
_HEAD = r"(?is)\s*(?:(?:answer\s+)?(?:options|choices)\s*:?\s*)?(?:^|[\s(\[])\(?a\s?[).:\]]\s*"
_FIRST, _INLINE = f"^{_HEAD}", rf"{_HEAD}\S.*$"
_STILL_LISTED = r"(?is)(?:^|[\s(\[])a\s?[).:\]].*[\s(\[]b\s?[).:\]]"
_LABEL = r"^\s*\(?([A-Z])[).:]\s*"

_SPEAKS_OF_OPTIONS = r"(?i)\b(?:options?|choices?|alternatives?|following|above|below|statements?|letters?)\b"
_COMPARES = (
    r"(?i)\b(?:which|what|any|one|none|all|some) of\b|\b(?:these|those|or|not|except|best|closest|nearest|"
    r"likel(?:y|iest)|probabl[ye]|possibl[ye]|approximate(?:ly)?|about|roughly|estimated?|nearly|appropriate|suitable|"
    r"accurate(?:ly)?|correct(?:ly)?|incorrect(?:ly)?|true|false|similar|different|compared?|same as|odd one|"
    r"describes?|suggests?|inferred?|impl(?:y|ies|ied)|conclude[ds]?|could|might|may|should|would|must|can be|"
    r"examples? of|choose|select|pick|complete|fill|rounded|main|primary|purpose|reason|why|"
    r"how (?:do|does|did|is|are|can)|e\.g\.|trends?|indicate[sd]?|represent(?:s|ed)?|happen(?:s|ed|ing)?|"
    r"effects?|relationships?)\b|n't\b|≈|_{2,}"
    r"|\bwhich (?:is|are|was|were|has|have|had|does|do|did|can|will|sentence|figure|image|picture|diagram|graph|panel|"
    r"plot|curve|equation|expression|formula|pair|set|group|answer|point|line|side|object|item|thing|type|kind)\b"
)
_REFERS = (
    r"(?i)\b(?:above|below|both|neither|either|none|all of|these|cannot|can't|can not|not|enough|determined|uncertain|"
    r"unknown|unsure|other|others|depends|maybe|possibly|don't|same|equal|similar|different|more|less|only|"
    r"no (?:answer|one|change))\b"
)
_CLAUSE = r"(?i)^\W*(?:it|they|there|he|she)\b"
_VERB = (
    r"(?i)^\W*(?:is|are|was|were|has|have|had|does|did|can|will|increase[sd]?|decrease[sd]?|rises?|rose|falls?|fell|"
    r"grows?|grew|drops?|dropped|declines?d?|remain(?:s|ed)?|stay(?:s|ed)?|become[s]?|became|fluctuate[sd]?|var(?:y|ies|ied)|"
    r"change[sd]?|double[sd]?|peak(?:s|ed)|converge[sd]?|diverge[sd]?|improve[sd]?|worsen(?:s|ed)?|reduce[sd]?|goes|went|"
    r"shows?|showed|moves?d?|turn(?:s|ed)|gets?|got|starts|started|stops|stopped)\b"
)
_PART = (
    r"(?i)^\W*(?:(?:image|figure|fig\.?|panel|picture|photo|graph|diagram|option|point|line|step|statement|choice|group|"
    r"sample|box|region|label|curve|plot|segment|angle|triangle|pair|row|column|object|circle|side)s?\s*)?(?:[a-z]|[ivx]+)"
    r"\W*(?:(?:,|and|or|&)\s*(?:[a-z]|[ivx]+)\W*)*$"
    r"|(?i)^\W*(?:image|figure|fig\.?|panel|picture|photo|graph|diagram|option|point|step|statement|choice|group|sample|"
    r"box|region|label|curve|plot|object)\s*\d+\W*$|^\W*\d+\s*(?:and|,|&)\s*\d+.*$|^[△∠⊙∆]"
)
_PLAIN_NUMBER = r"^[+\-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?\s?(?:\\?%|°|[a-zA-Z]{1,3}[²³]?)?$"
_WHOLE = r"^[+\-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\s*/\s*\d+)?(?:\D|$)"
_VALUE = r"^([+\-−]?[\d,.]+)"
_ROUNDED = r"\d[,.]?000(?:\D|$)|\d\.\d"
_MATHS = r"\\[a-zA-Z]+|[\^=√π]|[a-z0-9)]\s*[+*/×]\s*[a-z0-9(]|\d[a-z]\b"
_TRUTH = ["yes", "no", "true", "false"]


def _readable(option: pl.Expr) -> pl.Expr:
    """An option as words, its numbers whole."""
    plain = option.fill_null("").str.normalize("NFKD").str.to_lowercase().str.replace_all(r"\p{M}|['’]", "")
    return plain.str.replace_all(r"[^\p{L}\p{N}.%/\\^+\-]+|\.(?:\s|$)", " ").str.strip_chars()


def _prepared(choices: pl.DataFrame) -> pl.DataFrame:
    """Columns of a chunk of choice questions: row, stem, options, chosen, and what the rules look at."""
    # "A. red", "B. blue": the labels go if every option has its own.
    labels = pl.col("choices").list.eval(pl.element().fill_null("").str.extract(_LABEL))
    alphabet = pl.lit(ascii_uppercase).str.slice(0, pl.col("choices").list.len())
    clean = pl.col("choices").list.eval(pl.element().fill_null("").str.strip_chars())
    bare = pl.col("choices").list.eval(pl.element().fill_null("").str.replace(_LABEL, "").str.strip_chars())
    answer = pl.col("answer").fill_null("").str.strip_chars()
    letter = answer.str.extract(r"^\(?([A-Za-z])[).]?$").str.to_uppercase().str.to_integer(base=36, strict=False) - 10
    text = pl.col("text").fill_null("").str.strip_chars()
    table = choices.with_columns(
        options=pl.when(labels.list.join("") == alphabet).then(bare).otherwise(clean)
    ).with_columns(
        # By the letter if there is such a choice, otherwise by the text: as the verdict reads it.
        chosen=pl.col("options")
        .list.get(letter, null_on_oob=True)
        .fill_null(pl.when(pl.col("options").list.contains(answer)).then(answer)),
        inline=text.str.extract(f"({_INLINE})"),
    )
    # Inline options are taken out of the text only if they are the choices, from the first one on.
    listed = pl.col("inline").str.replace(_FIRST, "").str.starts_with(pl.col("options").list.first())
    most = cast("int | None", table["options"].list.len().max())
    for n in range(1, most or 0):
        option = pl.col("options").list.get(n, null_on_oob=True).fill_null("")
        listed = listed & pl.col("inline").str.contains(option, literal=True)
    listed = listed.fill_null(False)
    stem = pl.when(listed).then(text.str.replace(_INLINE, "")).otherwise(text)
    return table.with_columns(stem=stem.str.replace_all(_INSTRUCTION, "").str.strip_chars())


def _overlapping(table: pl.DataFrame) -> pl.Series:
    """Whether one of a row's options contains another one, as words."""
    names = pl.col("options").list.eval(_readable(pl.element()))
    listed = table.select("row", name=names).with_columns(joined=pl.format("| {} |", pl.col("name").list.join(" | ")))
    each = listed.explode("name").with_columns(name=pl.col("name").fill_null(""))
    often = pl.col("joined").str.count_matches(pl.format(" {} ", "name"), literal=True)
    found = each.group_by("row", maintain_order=True).agg(overlaps=((often > 1) | (pl.col("name") == "")).any())
    return found["overlaps"]


def _opened(choices: pl.DataFrame) -> pl.DataFrame:
    """Row, and the open form's text, answer and answer_type, of those in a chunk of choice questions that have one."""
    table = _prepared(choices).filter(pl.col("chosen").is_not_null() & (pl.col("options").list.len() > 1))
    table = table.with_columns(is_number=are_numbers(table["chosen"]))
    stem, chosen, options = pl.col("stem"), pl.col("chosen"), pl.col("options")

    def any_option(holds: pl.Expr) -> pl.Expr:
        return options.list.eval(holds).list.any()

    element = pl.element()
    lower = options.list.eval(element.str.to_lowercase().str.strip_chars(" .").str.strip_chars())
    truth = (options.list.len() == 2) & (lower.list.set_difference(_TRUTH).list.len() == 0)
    asks = (normalised(stem).str.count_matches(" ") >= 2) | stem.str.contains(r"[\p{Han}\p{Hiragana}\p{Thai}]{3}")
    inferred = chosen.str.contains(_PLAIN_NUMBER) & pl.col("is_number")
    values = pl.format("|{}|", options.list.eval(element.str.extract(_VALUE)).list.join("||", ignore_nulls=True))
    often = values.str.count_matches(pl.format("|{}|", chosen.str.extract(_VALUE)), literal=True)
    apart = often < 2  # "5 AM", "5 PM": 5 would be right for both
    whole = chosen.str.contains(_WHOLE) & ~chosen.str.contains(_ROUNDED)
    numeric = any_option(element.str.contains(r"^\W*\d"))
    maths = (pl.col("task") == "math") & chosen.str.contains(_MATHS)
    kind = (
        pl.when(truth)
        .then(pl.lit("boolean"))
        .when(inferred)
        .then(pl.lit("number"))
        .when(maths)
        .then(pl.lit("expression"))
        .otherwise(pl.lit("short_text"))
    )
    readable = (
        ~stem.str.contains(_COMPARES)
        & ~any_option(element.str.contains(_REFERS))
        & ~any_option(element.str.contains(_PART))
        & ~any_option(element.str.contains(_CLAUSE))
        & ~chosen.str.contains(_VERB)
        & (options.list.eval(element.str.len_chars()).list.max() <= MAX_CHARS)
        & (options.list.eval(element.str.count_matches(r"\s+")).list.max() < MAX_WORDS)
        & (~numeric | whole)
        & (~inferred | apart)
        & (~lower.list.set_intersection(_TRUTH).list.len().cast(pl.Boolean))
        & (normalised(chosen) != "")
        & ~pl.format(" {} ", normalised(stem)).str.contains(pl.format(" {} ", normalised(chosen)), literal=True)
    )
    needed = ~(truth | readable) | stem.str.contains(_SPEAKS_OF_OPTIONS) | stem.str.contains(_STILL_LISTED) | ~asks
    table = table.filter(~needed)
    table = table.filter(~_overlapping(table)) if table.height else table
    return table.select("row", open_text=stem, open_answer=chosen, open_type=kind)


def _identities(rows: pl.DataFrame) -> list[str]:
    """The ids that records.question.Question gives."""
    fields = ("task", "text", "images", "choices", "answer")
    return [content_hash(list(row)) for row in rows.select(fields).iter_rows()]


def apply(questions: pl.DataFrame) -> pl.DataFrame:
    """The same questions in the same order, opened where that is possible, with one more column `original: String`.

    An opened row has no choices, the option's text as its answer, and as `original` the JSON text of the {text,
    choices, answer, answer_type, question_id} that it had; all other rows are as they were, with null there. Aliases
    stay, but for letters, which name nothing any more.
    """
    # In one piece: polars 2.1 panics in `format` of a sliced text whose column has empty chunks.
    numbered = questions.rechunk().with_row_index("row")
    choices = numbered.filter(pl.col("answer_type") == "choice")
    parts = [_opened(chunk) for chunk in choices.iter_slices(_ROWS)]
    opened = pl.concat([_opened(choices.clear()), *parts])
    kept = ("text", "choices", "answer", "answer_type", "question_id")
    changed = numbered.join(opened, on="row", how="inner", maintain_order="left").with_columns(
        original=pl.struct(kept).struct.json_encode()
    )
    aliases = pl.col("aliases").list.filter(
        ~pl.element().str.contains(r"^\s*\(?[A-Za-z][).]?\s*$") & pl.element().is_not_null()
    )
    changed = changed.with_columns(
        text=pl.col("open_text"),
        choices=pl.lit([], dtype=pl.List(pl.String)),
        answer=pl.col("open_answer"),
        answer_type=pl.col("open_type"),
        aliases=aliases,
    )
    changed = changed.with_columns(question_id=pl.Series(_identities(changed), dtype=pl.String))
    same = numbered.join(opened, on="row", how="anti", maintain_order="left")
    same = same.with_columns(original=pl.lit(None, dtype=pl.String))
    columns = ["row", *questions.columns, "original"]
    return pl.concat([same.select(columns), changed.select(columns)]).sort("row").drop("row")
