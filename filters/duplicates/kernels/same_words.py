"""Compiled code that verifies candidates for near duplicates: the same words but for slips, and the exact similarity.

Texts are tokens as in filters/duplicates/kernels/minhash.py. A slip is an edit distance of one with swapped neighbours:
Damerau, A technique for computer detection and correction of spelling errors (1964), whose finding it is that most
misspellings are just that.
"""

# ruff: noqa: SIM110 - plain loops and comparisons compile best

import numpy as np
from numba import prange

from filters.duplicates.kernels.compiled import compiled
from filters.duplicates.kernels.minhash import (
    LONG_WORD,
    SPACE,
    characters,
    is_continuation,
    is_free,
    only_letters,
    shingle,
)


@compiled
def _is_slip(buffer, a, a_end, b, b_end):
    """Whether two words are one but for a slip: equal, or long, of letters, with the same first letter and one letter
    dropped, added, changed, or two neighbours swapped. Slips hardly ever hit the first letter, and words that differ in
    it are mostly other words (boat, coat)."""
    front = 0
    while a + front < a_end and b + front < b_end and buffer[a + front] == buffer[b + front]:
        front += 1
    if a + front == a_end and b + front == b_end:
        return True
    if abs((a_end - a) - (b_end - b)) > 4 or not only_letters(buffer, a, a_end):  # bytes of one character
        return False
    while front > 0 and (
        (a + front < a_end and is_continuation(buffer[a + front]))
        or (b + front < b_end and is_continuation(buffer[b + front]))
    ):
        front -= 1
    if front == 0 or not only_letters(buffer, b, b_end):
        return False
    if min(characters(buffer, a, a_end), characters(buffer, b, b_end)) < LONG_WORD:
        return False
    a, b = a + front, b + front
    back = 0
    while a < a_end - back and b < b_end - back and buffer[a_end - 1 - back] == buffer[b_end - 1 - back]:
        back += 1
    while back > 0 and is_continuation(buffer[a_end - back]):
        back -= 1
    a_end, b_end = a_end - back, b_end - back
    in_a, in_b = characters(buffer, a, a_end), characters(buffer, b, b_end)
    if in_a <= 1 and in_b <= 1:
        return True
    if in_a != 2 or in_b != 2 or a_end - a != b_end - b:
        return False
    second = a + 1
    while is_continuation(buffer[second]):
        second += 1
    length, rest = second - a, a_end - second
    for i in range(length):
        if buffer[a + i] != buffer[b + rest + i]:
            return False
    for i in range(rest):
        if buffer[second + i] != buffer[b + i]:
            return False
    return True


@compiled
def _word_bounds(buffer, start, end):
    """(words + 1,) where each word begins; the last, where one more would."""
    bounds = np.empty((end - start) // 2 + 3, np.int64)
    count = 0
    for at in range(start, end):
        if at == start or buffer[at - 1] == SPACE:
            bounds[count] = at
            count += 1
    bounds[count] = end + 1
    return bounds[: count + 1]


@compiled
def _within_changes(buffer, a, b, allowed):
    """Whether at most `allowed` free words are changed, dropped or added between two texts, slips not counted: banded
    edit distance over words. a, b: bounds of the words."""
    far = allowed + 1
    width = 2 * allowed + 1
    last = np.full(width, far, np.int64)
    row = np.empty(width, np.int64)
    for i in range(len(a)):
        row[:] = far
        for d in range(width):
            j = i + d - allowed
            if j < 0 or j >= len(b):
                continue
            if i == 0 and j == 0:
                row[d] = 0
                continue
            a_free = i > 0 and is_free(buffer, a[i - 1], a[i] - 1)
            b_free = j > 0 and is_free(buffer, b[j - 1], b[j] - 1)
            best = far
            if i > 0 and j > 0:
                if _is_slip(buffer, a[i - 1], a[i] - 1, b[j - 1], b[j] - 1):
                    best = last[d]
                elif a_free and b_free:
                    best = last[d] + 1
            if a_free and d + 1 < width:
                best = min(best, last[d + 1] + 1)
            if b_free and d > 0:
                best = min(best, row[d - 1] + 1)
            row[d] = best
        last[:] = row
    at = len(b) - len(a) + allowed
    return 0 <= at < width and last[at] <= allowed


@compiled
def _same_words(buffer, a, a_end, b, b_end, per_word):
    """Whether two texts have the same words in the same order but for slips, and in long texts a few changes: at most
    `per_word` times the number of words."""
    count = 1
    for at in range(a, a_end):
        count += buffer[at] == SPACE
    allowed = int(per_word * count + 1e-9)
    if allowed > 0:
        return _within_changes(buffer, _word_bounds(buffer, a, a_end), _word_bounds(buffer, b, b_end), allowed)
    while a < a_end and b < b_end:
        a_word, b_word = a, b
        while a < a_end and buffer[a] != SPACE:
            a += 1
        while b < b_end and buffer[b] != SPACE:
            b += 1
        if not _is_slip(buffer, a_word, a, b_word, b):
            return False
        a, b = a + 1, b + 1
    return a >= a_end and b >= b_end


@compiled
def _mark(marks, which):
    """Set a bit; whether it was not set."""
    word, bit = which >> np.uint32(6), np.uint64(1) << np.uint64(which & np.uint32(63))
    new = not marks[word] & bit
    marks[word] |= bit
    return new


@compiled
def _unmark(marks, which):
    """Clear a bit; whether it was set."""
    word, bit = which >> np.uint32(6), np.uint64(1) << np.uint64(which & np.uint32(63))
    was = marks[word] & bit != 0
    marks[word] &= ~bit
    return was


@compiled
def _jaccard(buffer, a, a_end, b, b_end, marks):
    """Exact similarity of the sets of shingles. marks (2^18,) uint64: all zero, and so again at the end."""
    in_a, in_b, common = 0, 0, 0
    for i in range(a_end - a):
        in_a += _mark(marks, shingle(buffer, a, a_end, i))
    for i in range(b_end - b):
        common += _unmark(marks, shingle(buffer, b, b_end, i))
    for i in range(a_end - a):
        _unmark(marks, shingle(buffer, a, a_end, i))
    for i in range(b_end - b):
        in_b += _mark(marks, shingle(buffer, b, b_end, i))
    for i in range(b_end - b):
        _unmark(marks, shingle(buffer, b, b_end, i))
    return common / (in_a + in_b - common)


@compiled(parallel=True)
def verify(buffer, starts, ends, groups, pairs, threshold, per_word, similarity):
    """The exact similarity (pairs,) float32 of each pair of rows, or 0 where it is no near duplicate."""
    parts = min(32, 1 + len(pairs) // 1024)  # each needs 2 MB
    for part in prange(parts):
        marks = np.zeros(2**18, np.uint64)
        for i in range(part * len(pairs) // parts, (part + 1) * len(pairs) // parts):
            a, b = np.int64(pairs[i] >> np.uint64(32)), np.int64(pairs[i] & np.uint64(0xFFFFFFFF))
            similarity[i] = 0
            if groups[a] != groups[b]:
                continue
            if not _same_words(buffer, starts[a], ends[a], starts[b], ends[b], per_word):
                continue
            exact = _jaccard(buffer, starts[a], ends[a], starts[b], ends[b], marks)
            if exact >= threshold:
                similarity[i] = exact
