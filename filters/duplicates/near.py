"""The same question in almost the same words.

Two texts of a group are near duplicates when

1. the Jaccard similarity of their shingles is at least the threshold. Shingles are runs of three bytes of the
   normalised text: a slip costs three or four of them, where sets of words would lose a fifth of a question of eight
   words by one changed word, and runs of words more; and
2. they have the same words in the same order, slips aside. A similarity alone does not tell "the red car" from "the
   blue car" in a question of twenty words, and both questions may have the answer 2. Long texts may differ in one word
   of letters in forty. A word that a dictionary knows is no slip of another that it knows: boats and boots are two
   things (filters/duplicates/known_words.py).

What is normalised away does not count as a difference: case, punctuation, function words, politeness, instructions
around the question, how a number or a formula is written, and the order of its clauses. Numbers, signs of mathematics,
variables and short words are never slips, and neither are the characters of scripts without blanks.

Equal normalised texts are joined first. Candidates among the others are rows that are equal but for one word (there
all pairs with a slip in one word are found), and rows that share one of 6 MinHash bands of 5. Each is verified exactly,
so everything reported is a near duplicate. What is missed: pairs of similarity s with slips in two words or more,
with probability (1 - s^5)^6 (0.4 % at 0.9, 9 % at 0.8), and more of them where thousands of questions come from one
template: in a large bucket a row is compared with 64 others that are equal but for one word, with 4 of a band. That
bound keeps the cost linear in the rows.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl

from filters.duplicates.known_words import same_but_for_slips
from filters.question_text import is_foreign, plain, where, without_frame, without_particles
from records.words import characters_apart, folded_column

_NUMERALS = "〇零一二两兩三四五六七八九十百千万萬亿億"
FIRST = 8
"""Equal texts that each other one is paired with."""
FREE_WORDS = 1 / 40
"""Words that may be changed, added or dropped, per word of a text."""
GAP_WINDOW, BAND_WINDOW = 32, 2
"""Rows before it, and at the head of the bucket, that a row of a large bucket is compared with."""
_ENOUGH = 2**23
"""Candidates that are verified together: 64 MB."""


def _buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and offsets of texts in plain signs and without a frame; those beyond ASCII folded, the characters of
    scripts without blanks apart."""
    texts = without_frame(plain(texts))
    texts = where(texts, is_foreign(texts), lambda text: characters_apart(without_particles(folded_column(text))))
    arrow = texts.rechunk().to_arrow()
    offsets = np.frombuffer(arrow.buffers()[1], np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    data = arrow.buffers()[2]
    return np.frombuffer(data, np.uint8) if data else np.zeros(1, np.uint8), offsets


def _words(texts: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bytes, starts and ends of the normalised texts."""
    from filters.duplicates.kernels.clauses import order_clauses
    from filters.duplicates.kernels.question_words import BORDER, LISTS, all_words

    data, offsets = _buffers(texts)
    n = len(texts)
    out = np.empty(3 * int(offsets[-1]) + n + 1, np.uint8)  # touched only as far as there are words
    starts, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    all_words(data, offsets, out, starts, ends, LISTS)
    order_clauses(out, starts, ends, BORDER)
    return out, starts, ends


def _normalised(texts: pl.Series) -> pl.Series:
    import pyarrow as pa

    out, starts, ends = _words(texts)
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    take = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(out[take])]
    return pl.Series(texts.name, pa.Array.from_buffers(pa.large_string(), len(texts), buffers))


def normalised(text: pl.Expr) -> pl.Expr:
    """A text as near duplicates see it: words and signs with single spaces between.

    Folded; no sentence punctuation, quotes, function words (filters/duplicates/function_words.py), politeness
    ("please", "could you tell me"), words that point at what is shown ("the given", "shown"), `<image>` and
    instructions around the question (filters/question_text.py); some words in one spelling (picture, photo: image;
    colour: color; isn't: not; three: 3); numbers in one form (1,000.50: 1000.5); signs of mathematics
    as words of their own, and so each character of Chinese, Japanese, Thai and their like; clauses in alphabetical
    order. Empty for null and for a text without words.
    """
    return text.map_batches(_normalised, return_dtype=pl.String)


def number_key(text: pl.Expr) -> pl.Expr:
    """The numbers, variables and signs of mathematics of a text, in order, with single spaces; "" if it has none.

    What two questions must have in common to be one: "3 apples" and "5 apples", "2 + 3" and "2 - 3", "x^2" and "x^3" or
    "y^2" differ; "3.0" and "3", "1,000" and "1000", "three" and "3" do not. Variables are single letters. Hyphens, the
    dash, slashes between words and brackets of prose do not count.
    """
    return (
        normalised(text)
        .str.extract_all(rf"[^ ]*[^\p{{L}}\p{{M}} ][^ ]*|\b\p{{Latin}}\b|\b\p{{Greek}}\b|[{_NUMERALS}]")
        .list.join(" ")
    )


def _in_classes(order: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows with equal texts: every one with the first FIRST of its class."""
    rank = np.arange(len(order)) - np.repeat(first, sizes)
    head = np.repeat(first, sizes)
    places = [np.flatnonzero(rank > nth) for nth in range(FIRST)]
    left = [order[head[place] + nth] for nth, place in enumerate(places)]
    return np.concatenate(left), np.concatenate([order[place] for place in places])


def _between_classes(
    order: np.ndarray, first: np.ndarray, sizes: np.ndarray, a: np.ndarray, b: np.ndarray, similarity: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of rows from pairs of classes: the first FIRST of each with all of the other."""
    found = []
    for one, other, skip in ((a, b, 0), (b, a, FIRST)):
        for nth in range(FIRST):
            # The first ones of both are paired in the first turn.
            has = (sizes[one] > nth) & (sizes[other] > skip)
            count = sizes[other[has]] - skip
            begins = np.cumsum(count) - count
            place = np.arange(count.sum()) + np.repeat(first[other[has]] + skip - begins, count)
            left = np.repeat(order[first[one[has]] + nth], count)
            found.append((left, order[place], np.repeat(similarity[has], count)))
    left, right, similar = (np.concatenate(part) for part in zip(*found, strict=True))
    return left, right, similar


def _distinct(values: np.ndarray) -> np.ndarray:
    """Sorted, each once; none is 0, as no pair is."""
    values.sort()
    return values[np.diff(values, prepend=np.uint64(0)) != 0]


def _but_for_slips(out: np.ndarray, starts: np.ndarray, ends: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether no known word stands in place of another, for each pair of rows."""
    words = [
        [out[starts[row] : ends[row]].tobytes().decode().split(" ") for row in (pairs >> shift & low).tolist()]
        for shift, low in ((np.uint64(32), np.uint64(0xFFFFFFFF)), (np.uint64(0), np.uint64(0xFFFFFFFF)))
    ]
    return np.fromiter(map(same_but_for_slips, *words), bool, len(pairs))


def _similar(
    out: np.ndarray, starts: np.ndarray, ends: np.ndarray, groups: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Near duplicates among different texts: pairs (lower row << 32 | higher row) and their similarities."""
    from filters.duplicates.kernels import minhash, same_words

    n = len(starts)
    fixed, free = np.empty(n, np.uint64), np.empty(n, np.int64)
    minhash.fixed_words(out, starts, ends, groups, fixed, free)
    keys, bitmaps = np.empty((minhash.BANDS, n), np.uint32), np.empty((n, minhash.WORDS), np.uint64)
    minhash.sign(out, starts, ends, fixed, keys, bitmaps)
    sizes, share = (ends - starts).astype(np.int32), (1 - threshold) / (1 + threshold) + 1e-9
    waiting: list[np.ndarray] = []
    verified: list[tuple[np.ndarray, np.ndarray]] = []

    def look(entries: np.ndarray, window: int) -> None:
        """Candidates among the rows of equal keys."""
        heads, counts = np.empty(len(entries), np.int64), np.empty(len(entries), np.int64)
        matches = np.empty(len(entries), np.uint64)
        minhash.bucket_heads(entries, heads)
        minhash.candidates(entries, heads, bitmaps, sizes, share, window, matches, counts)
        begins = np.cumsum(counts)
        found = np.empty(int(begins[-1]) if len(begins) else 0, np.uint64)
        minhash.matching_pairs(entries, heads, window, matches, begins - counts, found)
        waiting.append(found)
        if sum(map(len, waiting)) > _ENOUGH:
            settle()

    def settle() -> None:
        pairs = _distinct(np.concatenate(waiting))
        waiting.clear()
        similarity = np.empty(len(pairs), np.float32)
        same_words.verify(out, starts, ends, fixed, pairs, threshold, FREE_WORDS, similarity)
        pairs, similarity = pairs[similarity > 0], similarity[similarity > 0]
        kept = _but_for_slips(out, starts, ends, pairs)
        verified.append((pairs[kept], similarity[kept]))

    entries = np.empty(int(free.sum()), np.uint64)
    minhash.gap_keys(out, starts, ends, fixed, 1 / FREE_WORDS, np.cumsum(free) - free, entries)
    entries.sort()
    look(entries, GAP_WINDOW)
    del entries
    banded = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(n, dtype=np.uint64)
    del keys
    with ThreadPoolExecutor(2) as threads:  # numpy sorts without the interpreter's lock
        list(threads.map(np.ndarray.sort, banded))
    for entries in banded:
        look(entries, BAND_WINDOW)
    settle()
    pairs, similarity = (np.concatenate(part) for part in zip(*verified, strict=True))
    order = np.argsort(pairs)
    pairs, similarity = pairs[order], similarity[order]
    new = np.diff(pairs, prepend=np.uint64(0)) != 0
    return pairs[new], similarity[new]


def pairs(texts: pl.Series, groups: pl.Series, threshold: float) -> pl.DataFrame:
    """Pairs of near duplicates: positions left < right (UInt32) and similarity (Float32), sorted, each once.

    `groups` (integers, as many as texts): only rows of equal groups are compared; null is a group. Of rows with equal
    normalised texts every one is paired with the first 8 of them; so with other texts' rows. That is enough for
    `keep_oldest.keep_first`, as of equal texts only the first can be kept, and where some pairs are struck out (the
    answers differ) it leaves a row 8 to stand for. Texts without words are like nothing. Deterministic.

    Raises ValueError if the lengths differ, if groups are not integers, or for a threshold outside 0 < t <= 1.
    """
    if len(texts) != len(groups):
        raise ValueError(f"{len(texts)} texts, but {len(groups)} groups")
    if not groups.dtype.is_integer():
        raise ValueError(f"groups are integers, not {groups.dtype}")
    if not 0 < threshold <= 1:
        raise ValueError(f"the threshold is above 0 and at most 1, not {threshold}")
    if not len(texts):
        return _table(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    from filters.duplicates.kernels import minhash

    of_row = groups.hash(seed=0).to_numpy()
    out, starts, ends = _words(texts)
    hashes = np.empty(len(texts), np.uint64)
    minhash.text_hashes(out, starts, ends, of_row, hashes)
    order = np.argsort(hashes, kind="stable")
    order = order[np.searchsorted(hashes[order], 1) :]  # those without words come first
    ranked = hashes[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(ranked)])
    sizes = np.diff(first, append=len(order))
    left, right = _in_classes(order, first, sizes)
    similarity = np.ones(len(left), np.float32)
    # Classes in the order of their first rows.
    by_row = np.argsort(order[first])
    first, sizes = first[by_row], sizes[by_row]
    heads = order[first]
    found, similar = _similar(out, starts[heads], ends[heads], of_row[heads], threshold)
    a, b = (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)
    more_left, more_right, more = _between_classes(order, first, sizes, a, b, similar)
    return _table(
        np.concatenate([left, more_left]), np.concatenate([right, more_right]), np.concatenate([similarity, more])
    )


def _table(left: np.ndarray, right: np.ndarray, similarity: np.ndarray) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "left": np.minimum(left, right).astype(np.uint32),
            "right": np.maximum(left, right).astype(np.uint32),
            "similarity": similarity,
        }
    )
    return frame.sort("left", "right")
