"""Texts as decontamination compares them: as words, as runs of their sentences, and as n-grams."""

# ruff: noqa: RUF001 - signs that look alike are meant

from itertools import product

import numpy as np
import polars as pl

from filters.question_text import is_foreign, plain, where, without_frame
from records.words import SOUTH_EAST_ASIAN, UNSPACED, characters_apart, folded_column, worth

SENTENCE_WORDS = 5
"""The worth in words of the shortest part of a longer text that is compared with whole benchmark texts."""
STRIPPED = 2
"""Sentences in front and behind without which a text is compared too."""
_SENTENCE_END = r"[.?!:;]+(?:\s|$)|[。．？！：；｡।॥؟؛۔።။។]+|\s[-–—]\s|[\n\"“”()（）「」『』]"
_BASE = 0x9E3779B97F4A7C15
_SIZES = ((1.75, 1.0), (2.5, 1.25), (99.0, 2.0))
"""Tokens per word of a text, and below which of them its n-grams are how many times n tokens long. Fewer than would say
what n words do in scripts without blanks, where one more character in the middle breaks as many n-grams as a word."""
_NUMERALS = r"[〇零一二两兩三四五六七八九十百千万萬亿億](?: [〇零一二两兩三四五六七八九十百千万萬亿億])+"


def _words(texts: pl.Series) -> pl.Series:
    texts = plain(texts)
    foreign = is_foreign(texts)
    texts = where(texts, foreign, folded_column).str.to_lowercase().str.replace_all(r"['’]", "")
    texts = texts.str.replace_all(r"([\p{L}\p{M}\p{N}])-(\p{L})", "$1 $2").str.replace_all(r"(\d),(\d{3})\b", "$1$2")
    texts = where(texts.str.replace_all(r"([-+*/=<>^%])", " $1 "), foreign, characters_apart)
    return texts.str.replace_all(r"[^\p{L}\p{M}\p{N}\-+*/=<>^%]+", " ").str.strip_chars()


def words(text: pl.Expr) -> pl.Expr:
    """The text as words: no case, accents or punctuation; signs of mathematics are words, hyphens are not, and neither
    are the spellings of LaTeX. The characters of scripts without blanks are words each."""
    return text.map_batches(_words, return_dtype=pl.String)


def asked_words(text: pl.Expr) -> pl.Expr:
    """`words` without the instructions around a question (`filters.question_text.without_frame`)."""
    return text.map_batches(lambda texts: _words(without_frame(plain(texts))), return_dtype=pl.String)


def parts(texts: pl.DataFrame) -> pl.DataFrame:
    """place, words: the sentences of texts (place, text), and the texts without up to STRIPPED sentences in front and
    behind; those that are worth SENTENCE_WORDS words."""
    ends = pl.col("text").fill_null("").str.replace_all(_SENTENCE_END, "\n")
    ends = ends.str.replace_all(rf"([{SOUTH_EAST_ASIAN}]\p{{M}}*)\s+", "$1\n")  # where a blank is all that ends one
    sentences = texts.select("place", words=ends.str.split("\n")).explode("words")
    sentences = sentences.with_columns(words(pl.col("words"))).filter(pl.col("words") != "")
    whole = sentences.group_by("place", maintain_order=True).agg("words")
    count = pl.col("words").list.len().cast(pl.Int64)
    runs = [
        whole.filter(count > front + behind).select(
            "place", pl.col("words").list.slice(front, count - front - behind).list.join(" ")
        )
        for front, behind in product(range(STRIPPED + 1), repeat=2)
    ]
    return pl.concat([sentences, *runs]).unique().filter(worth(pl.col("words")) >= SENTENCE_WORDS - 1e-6)


def tokens_per_word(words: pl.Expr) -> pl.Expr:
    """1 where words stand between blanks, and as many as a word's worth of characters where they do not."""
    return (words.str.count_matches(" ") + 1) / worth(words)


def gram_size(ratio: pl.Expr, n: int) -> pl.Expr:
    """The length of a text's n-grams in tokens, from its `tokens_per_word`."""
    size = pl.lit(n)
    for below, times in reversed(_SIZES):
        size = pl.when(ratio < below).then(pl.lit(round(times * n))).otherwise(size)
    return size


def has_characters(words: pl.Expr) -> pl.Expr:
    """Whether some token of a text is a character of a script without blanks."""
    return words.str.contains(f"[{UNSPACED}]")


def numerals(words: pl.Expr) -> pl.Expr:
    """The numbers that a text writes with several Chinese numerals, as one token each."""
    return words.str.extract_all(_NUMERALS)


def grams(texts: pl.Series, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n-grams of words: for each the place of its text (ascending), and a 64-bit hash (polynomial in the
    words')."""
    split = texts.str.split(" ")
    owner = np.repeat(np.arange(len(texts), dtype=np.uint32), split.list.len().to_numpy())
    word = split.explode().hash(seed=1).to_numpy()
    size = len(word) - n + 1
    if size <= 0:
        return np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    gram = np.zeros(size, np.uint64)
    for place in range(n):
        gram *= np.uint64(_BASE)
        gram += word[place : place + size]
    whole = owner[:size] == owner[n - 1 :]
    return owner[:size][whole], gram[whole]
