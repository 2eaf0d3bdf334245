"""The answers of questions that may be one: whether they agree, as the verdict says, and a key to find them by.

Equal texts agree without being judged, and most rows that are compared have them. Only the other pairs are put to the
verdict (verdicts/agreement.py), each distinct one once.
"""

# ruff: noqa: RUF001 - tables, and signs that look alike are meant

from collections.abc import Sequence
from itertools import product

import polars as pl

from filters.question_text import is_foreign, plain, where
from records.question import AnswerRule, AnswerType, Question
from records.tables import completed
from records.words import UNSPACED
from verdicts.agreement import agree

LISTS = 8
"""Distinct lists of choices of one text, the oldest, that a list in another spelling is compared with."""
_CHEAPEST_FIRST: tuple[AnswerType, ...] = ("short_text", "number", "boolean", "set", "expression")
_MATHEMATICS = "\\^√π/()+="


def comparable_text(texts: pl.Series) -> pl.Series:
    """Texts as they are compared: without case, sentence punctuation, extra spaces and spellings of mathematics."""
    texts = plain(texts).str.normalize("NFKC").str.to_lowercase()
    # Sentence punctuation only where no digit or letter follows at once: 3.5 and f(x) stay what they are.
    texts = texts.str.replace_all(r"[.,;:!?…]+(\s|$)", " ").str.replace_all(r"[\"“”]", "")
    texts = texts.str.replace_all(r"\s+", " ").str.replace_all(r" ?([-+*/=<>^∈∪∩]) ?", "$1")
    texts = where(texts, is_foreign(texts), lambda text: text.str.replace_all(rf" ?([{UNSPACED}]) ?", "$1"))
    return texts.str.strip_chars()


def accepted(questions: pl.DataFrame) -> pl.Series:
    """Every text that counts as the answer, as one list per question; a choice's letter is its text."""
    letter = pl.col("answer").fill_null("").str.strip_chars().str.extract(r"^\(?([A-Za-z])[).]?$")
    place = letter.str.to_uppercase().str.to_integer(base=36, strict=False) - 10
    chosen = pl.col("choices").fill_null([]).list.get(place, null_on_oob=True)
    is_choice = (pl.col("answer_type") == "choice").fill_null(False)
    answer = pl.when(is_choice & chosen.is_not_null()).then(chosen).otherwise(pl.col("answer"))
    both = pl.concat_list(answer.fill_null(""), pl.col("aliases").fill_null([]))
    return questions.select(accepted=both.list.eval(pl.element().str.strip_chars()))["accepted"]


def _keys(answers: pl.Series) -> pl.Series:
    """Equal for most spellings of one answer, and for nothing else: what a hash can do of an agreement."""
    texts = comparable_text(answers).str.replace_all(r"\b(?:a|an|the) ", "")
    number = texts.str.extract(r"^[$€£¥]?(-?[\d,]*\.?\d+)%?$").str.replace_all(",", "")
    number = number.cast(pl.Float64, strict=False)
    top, bottom = (texts.str.extract(r"^(-?\d+)/(\d+)$", group).cast(pl.Float64, strict=False) for group in (1, 2))
    frame = pl.DataFrame({"text": texts, "number": number, "top": top, "bottom": bottom})
    percent = pl.when(pl.col("text").str.ends_with("%")).then(100.0).otherwise(1.0)
    quotient = pl.when(pl.col("bottom") > 0).then(pl.col("top") / pl.col("bottom"))
    frame = frame.with_columns(value=pl.coalesce(pl.col("number") / percent, quotient).round_sig_figs(12))
    exact = (pl.col("value").abs() < 1e11).fill_null(False)  # a Float64 would take larger ones for each other
    return frame.select(pl.when(exact).then(pl.col("value").cast(pl.String)).otherwise("text").alias("key")).to_series()


def _keys_of_lists(lists: pl.Series) -> pl.Series:
    rows = pl.DataFrame({"answer": lists}).with_row_index("row")
    flat = rows.explode("answer").drop_nulls("answer")
    keyed = flat.select("row", key=_keys(flat["answer"])).group_by("row", maintain_order=True).agg("key")
    return rows.join(keyed, on="row", how="left", maintain_order="left")["key"].fill_null([])


def answer_keys(questions: pl.DataFrame) -> pl.Series:
    """A list per question of one key for each text that counts as its answer, to look for agreeing answers by."""
    return _keys_of_lists(accepted(questions))


def choices_in_any_order(questions: pl.DataFrame) -> pl.Series:
    """The choices of each question as they are compared, as one text."""
    return _keys_of_lists(questions["choices"]).list.sort().list.join("\n")


def agreeing(questions: pl.DataFrame, left: pl.Series, right: pl.Series) -> pl.Series:
    """Whether the answers of the rows at two places agree, for each pair: some answer of the one, alias or not, with
    some answer of the other, under the type and the rule of either."""
    told = completed(questions, Question).select("answer_type", "answer_rule", accepted=accepted(questions))
    both = pl.concat(
        [told[left].rename({"answer_type": "one", "answer_rule": "rule", "accepted": "ours"}),
         told[right].rename({"answer_type": "other", "answer_rule": "other_rule", "accepted": "theirs"})],
        how="horizontal",
    ).with_row_index("pair")  # fmt: skip
    same = both.select(pl.col("ours").list.set_intersection("theirs").list.len() > 0).to_series()
    columns = ["ours", "theirs", "one", "other", "rule", "other_rule"]
    asked = both.filter(~same)
    distinct = asked.select(columns).unique(maintain_order=True)
    verdicts = [_agree(*row) for row in distinct.iter_rows()]
    judged = asked.join(
        distinct.with_columns(verdict=pl.Series(verdicts, dtype=pl.Boolean)), on=columns, nulls_equal=True
    )
    right_ones = judged.filter("verdict")["pair"]
    return both.select((pl.col("pair").is_in(right_ones.implode())) | same).to_series()


def _agree(
    ours: Sequence[str], theirs: Sequence[str], one: str | None, other: str | None, *rules: AnswerRule | None
) -> bool:
    pairs = [(a, b) for a, b in product(ours, theirs) if a and b]
    under: set[AnswerRule] = {rule or "" for rule in rules or ("",)}
    return any(agree(a, b, kind, (), rule) for a, b in pairs for kind in _types((one, other), a, b) for rule in under)


def _types(given: Sequence[str | None], one: str, other: str) -> list[AnswerType]:
    """Under which types two answers are compared: those of their questions. A text may be a number all the same, and a
    choice stands here as its text, which says what it is."""
    types = {kind if kind and kind != "choice" else "short_text" for kind in given}
    if "short_text" in types and any(c.isdigit() for c in one) and any(c.isdigit() for c in other):
        types.add("number")
    if "choice" in given and any(sign in one or sign in other for sign in _MATHEMATICS):
        types.add("expression")
    return [kind for kind in _CHEAPEST_FIRST if kind in types]


def alike_choices(questions: pl.DataFrame, within: pl.Series) -> pl.Series:
    """The choices of each question as one text, equal where the lists are one but for order and spelling.

    Args:
        questions: oldest first, with the column choices.
        within: what must be equal for two lists to be compared by the verdict, as integers.
    """
    rows = questions.select("choices", form=choices_in_any_order(questions), within=within)
    lists = rows.filter(pl.col("form") != "").unique(["within", "form"], keep="first", maintain_order=True)
    several = lists.filter(pl.len().over("within", pl.col("choices").list.len()) > 1)
    instead: dict[tuple[int, str], str] = {}
    known: dict[tuple[int, int], list[tuple[str, list[str]]]] = {}
    for choices, form, group in several.iter_rows():
        before = known.setdefault((group, len(choices)), [])
        like = next((older for older, theirs in before if _same_list(choices, theirs)), None)
        if like is not None:
            instead[group, form] = like
        elif len(before) < LISTS:
            before.append((form, choices))
    if not instead:
        return rows["form"]
    found = pl.DataFrame(
        [(group, form, like) for (group, form), like in instead.items()],
        schema={"within": within.dtype, "form": pl.String, "like": pl.String},
        orient="row",
    )
    joined = rows.join(found, on=["within", "form"], how="left", maintain_order="left")
    return joined.select(form=pl.coalesce("like", "form"))["form"]


def _same_list(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    left = list(theirs)
    for choice in ours:
        like = next((other for other in left if choice == other or _agree([choice], [other], "choice", "choice")), None)
        if like is None:
            return False
        left.remove(like)
    return True
