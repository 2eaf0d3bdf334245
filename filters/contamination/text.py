"""Questions whose text is that of an evaluation set: equal, by n-grams, or in other words. Images are judged elsewhere.

Three kinds of hit:

- `text`: the whole text, one of its sentences, or the text without the first or last ones is a benchmark's text but for
  case, punctuation, spaces, spellings of mathematics and instructions around it; or the whole text is one but for
  function words and the order of its clauses (`filters.duplicates.near.normalised`). Score 1.
- `ngram`: the weighted share of the benchmark text's word n-grams that the question holds (containment; GPT-3, arXiv
  2005.14165, appendix C, looks for shared 13-grams). An n-gram weighs 1 / (benchmark texts that hold it), and nothing
  where more than STOCK of them do: "answer the question using a single word" proves nothing, and a text that is mostly
  such phrases is only compared whole. In a benchmark text of fewer than 4n words a single name or number makes another
  question; there every word but function words must be in the question. Longer ones are judged by the share alone: a
  story problem of which one number was changed has 0.8 to 0.9 of its n-grams left and is a hit at the default; with
  all of them changed it has less than half, and is not a hit.
- `embedding`: cosine of sentence vectors, for texts with the same numbers whose answers, where both sides tell one,
  agree. Without that guard the questions of one template would all be near one another.

A short text about an image ("What colour is the car?") belongs to its image. Where the question or the benchmark row
has an image, a text counts only if it is specific: more than n n-grams that are not stock phrases, so at least 2n
words. A question with an image is not a copy of a benchmark row without one.

Where a script has no blanks between words, its characters are the tokens: n-grams are of n in Chinese, of 1.25 n in
Japanese and of 2 n in Thai and its like, and where words count (2n, 4n) as many characters count as say what they do. A
number of several Chinese numerals is a word as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from filters.contamination import STAGE
from filters.contamination.tokens import asked_words, gram_size, grams, has_characters, numerals, parts, tokens_per_word
from filters.duplicates.answers import answer_keys
from filters.duplicates.function_words import FUNCTION_WORDS
from filters.duplicates.near import normalised, number_key
from filters.duplicates.semantic import nearest
from filters.rejects import reject_rows
from records.recipe.questions import Decontamination
from records.words import worth

STOCK = 32
"""Distinct benchmark texts that share an n-gram, above which it is a stock phrase."""
FORM_WORDS = 3
"""The worth in words of the shortest text, without its function words, that is compared in that form."""
NAMED = 3
"""Hits that a reject's detail names."""
_CHUNK = 50_000
_BITS = 26
_QUESTION_WORDS = (
    "a an the to from or what which who whom whose when where why how many much than if can could "
    "的 了 吗 呢 啊 吧 呀 是 在 は が を の か ね ครับ"
)
_LIGHT_WORDS = [*FUNCTION_WORDS, *_QUESTION_WORDS.split()]
"""Words that a short text may have more than the question that holds it."""
Embed = Callable[[pl.Series], np.ndarray]


@dataclass(frozen=True)
class _Index:
    """The distinct texts of the benchmarks."""

    rows: pl.DataFrame
    """benchmark, row, has_image, target, at (position in the benchmarks' table): the first row of each benchmark with
    that text, with and without an image."""
    texts: pl.DataFrame
    """target, words, form (without function words), size (of its n-grams), specific, content (list of words, null where
    the share alone decides)."""
    grams: pl.DataFrame
    """gram, target, share: n-grams that are not stock phrases; a target's shares sum to 1."""


def _index(benchmark: pl.DataFrame, n: int) -> _Index:
    rows = benchmark.with_row_index("at").with_columns(
        pl.col("has_image").fill_null(False), words=asked_words(pl.col("text"))
    )
    rows = rows.filter(pl.col("words") != "")
    texts = rows.unique("words", keep="first", maintain_order=True).with_row_index("target")
    texts = texts.select("target", "words", form=normalised(pl.col("text")))
    texts = texts.with_columns(ratio=tokens_per_word(pl.col("words")))
    texts = texts.with_columns(size=gram_size(pl.col("ratio"), n))
    found = _grams_by_size(texts, texts.select("size"), "target").unique()
    weighed = found.with_columns(weight=1 / pl.len().over("gram"), total=pl.len().over("target"))
    weighed = weighed.filter(pl.col("weight") >= 1 / STOCK).filter(2 * pl.len().over("target") >= pl.col("total"))
    counts = weighed.group_by("target").len("rare")
    split = pl.col("words").str.split(" ")
    content = pl.concat_list(split.list.set_difference(_LIGHT_WORDS), numerals(pl.col("words")))
    texts = texts.join(counts, on="target", how="left", maintain_order="left").with_columns(
        specific=(pl.col("rare") + pl.col("size") > 2 * n * pl.col("ratio") + 1e-6).fill_null(False),
        content=pl.when(split.list.len() < 4 * n * pl.col("ratio") - 1e-6).then(content),
    )
    rows = rows.join(texts.select("words", "target"), on="words", maintain_order="left")
    rows = rows.unique(["benchmark", "target", "has_image"], keep="first", maintain_order=True)
    return _Index(
        rows.select("benchmark", "row", "has_image", "target", "at"),
        texts,
        weighed.select("gram", "target", share=pl.col("weight") / pl.col("weight").sum().over("target")),
    )


def _grams_by_size(texts: pl.DataFrame, sizes: pl.DataFrame, name: str) -> pl.DataFrame:
    """gram, and the place of its text as `name`: the n-grams of texts in each of the sizes. Texts with a size of their
    own have theirs alone; of the others, only those with characters for words have any but the shortest."""
    parts = [pl.DataFrame(schema={name: pl.UInt32, "gram": pl.UInt64})]
    different = sorted(set(sizes["size"].to_list()))
    for size in different:
        if "size" in texts.columns:
            chosen = (texts["size"] == size).arg_true()
        elif size == different[0]:
            chosen = pl.Series(np.arange(len(texts), dtype=np.uint32))
        else:
            chosen = texts.select(has_characters(pl.col("words")).arg_true()).to_series()
        owner, gram = grams(texts["words"].gather(chosen), size)
        parts.append(pl.DataFrame({name: chosen.cast(pl.UInt32).gather(owner), "gram": gram}))
    return pl.concat(parts)


def _by_text(chunk: pl.DataFrame, index: _Index) -> pl.DataFrame:
    """place, target, kind, score: texts that are a target, whole or in part, or whole but for their function words."""
    both = pl.concat([chunk.select("place", "words"), parts(chunk)]).unique()
    found = both.join(index.texts.select("words", "target"), on="words").select("place", "target")
    forms = chunk.select("place", form=normalised(pl.col("text")))
    forms = forms.filter(worth(pl.col("form")) >= FORM_WORDS).join(index.texts.select("form", "target"), on="form")
    found = pl.concat([found, forms.select("place", "target")]).unique()
    return found.select("place", "target", kind=pl.lit("text"), score=pl.lit(1.0))


def _by_grams(chunk: pl.DataFrame, index: _Index, marks: np.ndarray, overlap: float) -> pl.DataFrame:
    """place, target, kind, score: texts that hold `overlap` of a target's n-grams."""
    all_grams = _grams_by_size(chunk.select("words"), index.texts.select("size"), "owner")
    known = marks[all_grams["gram"].to_numpy() >> np.uint64(64 - _BITS)]
    shares = (
        all_grams.filter(pl.Series(known))
        .unique()
        .join(index.grams, on="gram")
        .group_by("owner", "target")
        .agg(score=pl.col("share").sum().clip(upper_bound=1.0))
        .filter(pl.col("score") >= overlap - 1e-9)
    )
    held = pl.concat_list(pl.col("words").str.split(" "), numerals(pl.col("words")))
    found = (
        shares.join(chunk.with_row_index("owner").select("owner", "place", "words"), on="owner")
        .join(index.texts.select("target", "content"), on="target")
        .filter(pl.col("content").is_null() | (pl.col("content").list.set_difference(held).list.len() == 0))
    )
    return found.select("place", "target", kind=pl.lit("ngram"), score="score")


def hits(
    questions: pl.DataFrame,
    benchmark: pl.DataFrame,
    rules: Decontamination,
    embed: Embed | None = None,
) -> pl.DataFrame:
    """Which questions a benchmark asks: question_id, benchmark, row, kind (text, ngram, embedding), score (Float64).

    There is one row per question, benchmark, distinct text of it (`row` is the first that has it) and kind; for
    `embedding` only the nearest text of all. The rows of a question are together, in the order of `questions`, best
    first.

    Args:
        questions: question_id, text, images (list); answer, answer_type, choices and aliases where they are known.
        benchmark: benchmark, row, text, has_image; answer and so on where they are known.
        rules: ngram, overlap and similarity.
        embed: sentence vectors, (n, d), of n texts; None looks for no hits of kind `embedding`. It is given only the
            texts that have something to be compared with.
    """
    index = _index(benchmark, rules.ngram)
    marks = np.zeros(1 << _BITS, bool)
    marks[index.grams["gram"].to_numpy() >> np.uint64(64 - _BITS)] = True
    gathered = [pl.DataFrame(schema={"place": pl.UInt32, "target": pl.UInt32, "kind": pl.String, "score": pl.Float64})]
    for start in range(0, len(questions), _CHUNK):
        chunk = questions[start : start + _CHUNK].select(
            "text", place=pl.int_range(start, start + pl.len(), dtype=pl.UInt32), words=asked_words(pl.col("text"))
        )
        chunk = chunk.filter(pl.col("words") != "")
        gathered += [_by_text(chunk, index), _by_grams(chunk, index, marks, rules.overlap)]
    sides = questions.with_row_index("place").select("place", "question_id", image=_has_image())
    about = index.rows.join(index.texts.select("target", "specific"), on="target", maintain_order="left")
    no_image = ~pl.col("image") & ~pl.col("has_image")
    found = (
        pl.concat(gathered)
        .join(about, on="target")
        .join(sides, on="place")
        .filter(no_image | (pl.col("has_image") & pl.col("specific")))
    )
    columns = ["place", "question_id", "benchmark", "row", "kind", "score"]
    found = found.select(columns)
    if embed is not None:
        near = _by_vectors(questions, benchmark, about, rules.similarity, embed)
        found = pl.concat([found, near.join(about, on="at").join(sides, on="place").select(columns)])
    order = {"place": False, "score": True, "kind": True, "benchmark": False, "row": False}
    return found.sort(list(order), descending=list(order.values())).drop("place")


def _has_image() -> pl.Expr:
    return pl.col("images").list.len().fill_null(0) > 0


def _by_vectors(
    questions: pl.DataFrame, benchmark: pl.DataFrame, about: pl.DataFrame, similarity: float, embed: Embed
) -> pl.DataFrame:
    """place, at, kind, score: the nearest benchmark text of a question, from `similarity` on."""
    ours = _asked(questions).with_columns(image=questions.select(_has_image()).to_series()).with_row_index("row")
    theirs = _asked(benchmark)[about["at"]].with_columns(about["has_image"], about["specific"], row=about["at"])
    # As in `hits`: a text about an image must be specific, and then a question without one may be its copy too.
    theirs = theirs.filter(~pl.col("has_image") | pl.col("specific"))
    meets = (
        pl.when("has_image").then(pl.concat_list(pl.lit(False), pl.lit(True))).otherwise(pl.concat_list(pl.lit(False)))
    )
    theirs = theirs.with_columns(image=meets).explode("image")
    # Answers that are known on both sides must be the same; who tells none is compared with all.
    told, told_too = (side.filter(pl.col("accepted").list.len() > 0) for side in (ours, theirs))
    untold, untold_too = (side.filter(pl.col("accepted").list.len() == 0) for side in (ours, theirs))
    found = [pl.DataFrame(schema={"ours": pl.UInt32, "theirs": pl.UInt32, "similarity": pl.Float32})]
    for one, other, by in (
        (told.explode("accepted"), told_too.explode("accepted"), ["numbers", "image", "accepted"]),
        (untold, theirs, ["numbers", "image"]),
        (told, untold_too, ["numbers", "image"]),
    ):
        one, other = (side.select("row", key=pl.struct(by)) for side in (one, other))
        one, other = one.join(other, on="key", how="semi"), other.join(one, on="key", how="semi")
        if one.height:
            found.append(_nearest(one, other, questions["text"], benchmark["text"], embed, similarity))
    best = pl.concat(found).sort("similarity", descending=True, maintain_order=True)
    best = best.unique("ours", keep="first", maintain_order=True)
    return best.select(place="ours", at="theirs", kind=pl.lit("embedding"), score=pl.col("similarity").cast(pl.Float64))


def _asked(rows: pl.DataFrame) -> pl.DataFrame:
    """numbers (text) and accepted (list): the answers that can be compared, which a choice's letter cannot."""
    text, texts = pl.String(), pl.List(pl.String)
    absent = {"answer": text, "answer_type": text, "choices": texts, "aliases": texts}
    rows = rows.with_columns(
        pl.lit(None, dtype=t).alias(name) for name, t in absent.items() if name not in rows.columns
    )
    return rows.select(
        numbers=number_key(pl.col("text")).str.split(" ").list.sort().list.join(" "),
        accepted=answer_keys(rows).list.filter(pl.element().str.contains(r"\d|..")),
    )


def _nearest(
    one: pl.DataFrame,
    other: pl.DataFrame,
    our_texts: pl.Series,
    their_texts: pl.Series,
    embed: Embed,
    similarity: float,
) -> pl.DataFrame:
    """`filters.duplicates.semantic.nearest` of texts, of which only those that have a key are embedded."""
    sides, rows, vectors = [], [], []
    for side, texts in ((one, our_texts), (other, their_texts)):
        used = side.select(pl.col("row").unique()).sort("row").with_row_index("place")
        sides.append(side.join(used, on="row").select("key", row="place"))
        rows.append(used["row"])
        vectors.append(embed(texts.gather(used["row"])))
    found = nearest(sides[0], sides[1], vectors[0], vectors[1], similarity)
    return found.with_columns(ours=rows[0].gather(found["ours"]), theirs=rows[1].gather(found["theirs"]))


def apply(questions: pl.DataFrame, hits: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a table of questions into (kept, rejects: `in_benchmark`); both keep the order, and no row is lost.

    `hits`: question_id, benchmark, row, kind, score, of whatever kinds; the detail names a question's NAMED best, once
    for each row of a benchmark.
    """
    named = pl.format("{} row {} ({} {})", "benchmark", "row", "kind", pl.col("score").cast(pl.Float64).round(3))
    more = pl.len().cast(pl.Int64) - NAMED
    details = (
        hits.sort("score", descending=True, nulls_last=True, maintain_order=True)
        .unique(["question_id", "benchmark", "row"], keep="first", maintain_order=True)
        .group_by("question_id", maintain_order=True)
        .agg(named=named.head(NAMED).str.join(", "), more=more)
        .select(
            "question_id",
            _found=pl.concat_str(
                "named", pl.when(pl.col("more") > 0).then(pl.format(" and {} more", "more")).otherwise(pl.lit(""))
            ),
        )
    )
    judged = questions.join(details, on="question_id", how="left", maintain_order="left")
    hit = judged["_found"].is_not_null()
    return questions.filter(~hit), reject_rows(judged.filter(hit), STAGE, "in_benchmark", pl.col("_found"))
