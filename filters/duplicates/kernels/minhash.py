"""Compiled code of the near duplicates: keys, signatures and candidates (see filters/duplicates/near.py).

A row here is one text's tokens: the bytes buffer[starts[row]:ends[row]]. Its shingles are all runs of three bytes of
the tokens with a space before and behind, as numbers below 2^24.

Sources: MinHash: Broder, On the resemblance and containment of documents (1997); bands: Leskovec, Rajaraman & Ullman,
Mining of Massive Datasets, section 3.4; bitmaps that bound the overlap from above: Sandes, Teodoro & Melo, Bitmap
filter: speeding up exact set similarity joins (2020).
"""

# ruff: noqa: SIM110 - plain loops and comparisons compile best

import numpy as np
from numba import prange

from filters.duplicates.kernels.compiled import compiled

BANDS, ROWS = 6, 5
"""A pair of similarity s shares a band with probability 1 - (1 - s^5)^6: 0.996 at 0.9, 0.91 at 0.8."""
WORDS = 4
"""64-bit words of a row's bitmap."""
LONG_WORD = 4
"""Characters from which a word may hold a slip of the pen; shorter ones are other words then."""

_random = np.random.default_rng(20)
_FACTORS = _random.integers(0, 2**31, BANDS * ROWS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
_TERMS = _random.integers(0, 2**32, BANDS * ROWS, dtype=np.uint32)
SPACE, _A, _Z = 32, 97, 122


@compiled
def drop_in_order(early, late, kept_by):
    """Greedy: pairs sorted by (late, early), early < late; kept_by is -1 at first and holds the result."""
    for i in range(len(early)):
        if kept_by[late[i]] < 0 and kept_by[early[i]] < 0:
            kept_by[late[i]] = early[i]


@compiled
def _mixed(value):
    """The finaliser of splitmix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled(parallel=True)
def text_hashes(buffer, starts, ends, groups, hashes):
    """64 bits of group and text; equal for equal ones, 0 for no text."""
    for row in prange(len(starts)):
        value = np.uint64(0)
        if ends[row] > starts[row]:
            value = _mixed(groups[row] + np.uint64(0x9E3779B97F4A7C15))
            for at in range(starts[row], ends[row]):
                value = (value ^ np.uint64(buffer[at])) * np.uint64(0x100000001B3)
            value = _mixed(value) | np.uint64(1)
        hashes[row] = value


@compiled
def is_continuation(byte):
    return byte & 0xC0 == 0x80


@compiled
def characters(buffer, start, end):
    count = 0
    for at in range(start, end):
        count += not is_continuation(buffer[at])
    return count


@compiled
def only_letters(buffer, start, end):
    for at in range(start, end):
        if buffer[at] < 128 and not _A <= buffer[at] <= _Z:
            return False
    return True


@compiled
def is_free(buffer, start, end):
    """A word that may hold a slip, or be another in a long text: no number, no sign, no variable, no "not"."""
    return only_letters(buffer, start, end) and characters(buffer, start, end) >= LONG_WORD


@compiled
def _word_hash(buffer, start, end):
    value = np.uint64(0)
    for at in range(start, end):
        value = (value + np.uint64(buffer[at]) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return value


@compiled
def next_word(buffer, at, end):
    """Where the word that begins here ends."""
    while at < end and buffer[at] != SPACE:
        at += 1
    return at


@compiled(parallel=True)
def fixed_words(buffer, starts, ends, groups, fixed, counts):
    """Fill fixed (rows,) uint64, equal for rows of a group whose words that are not free are the same in the same
    order, as they are in all near duplicates; and counts (rows,), the number of free words."""
    for row in prange(len(starts)):
        value, free = _mixed(groups[row] + np.uint64(1)), 0
        at = starts[row]
        while at < ends[row]:
            stop = next_word(buffer, at, ends[row])
            if is_free(buffer, at, stop):
                free += 1
            else:
                value = _mixed(value ^ _word_hash(buffer, at, stop))
            at = stop + 1
        fixed[row], counts[row] = value, free


@compiled(parallel=True)
def gap_keys(buffer, starts, ends, fixed, long_text, begins, found):
    """One entry for each free word of a row, from begins[row] on in found (entries,) uint64: the row in the lower half,
    in the upper one a key that is equal for rows that differ in this word alone: short texts if its first letter is the
    same, those of `long_text` words or more whatever it is."""
    for row in prange(len(starts)):
        words, total = 0, fixed[row]
        at = starts[row]
        while at < ends[row]:
            stop = next_word(buffer, at, ends[row])
            total += _mixed(_word_hash(buffer, at, stop) + np.uint64(words))
            words += 1
            at = stop + 1
        at, place, put = starts[row], 0, begins[row]
        while at < ends[row]:
            stop = next_word(buffer, at, ends[row])
            if is_free(buffer, at, stop):
                letter = np.uint64(0 if words >= long_text else buffer[at])
                gap = total - _mixed(_word_hash(buffer, at, stop) + np.uint64(place))
                key = _mixed(gap ^ _mixed((letter << np.uint64(32)) + np.uint64(place)))
                found[put] = (key >> np.uint64(32) << np.uint64(32)) | np.uint64(row)
                put += 1
            place += 1
            at = stop + 1


@compiled
def shingle(buffer, start, end, number):
    """Shingle number 0 .. end - start - 1."""
    at = start + number
    before = np.uint32(buffer[at - 1] if number > 0 else SPACE)
    after = np.uint32(buffer[at + 1] if at + 1 < end else SPACE)
    return (before << np.uint32(16)) | (np.uint32(buffer[at]) << np.uint32(8)) | after


@compiled(parallel=True)
def sign(buffer, starts, ends, groups, keys, bitmaps):
    """For every row: keys (BANDS, rows) uint32, equal in a band with probability s^ROWS within a group; bitmaps
    (rows, WORDS) uint64, with one bit set for each of its shingles."""
    rows = len(starts)
    block = 1024
    for part in prange((rows + block - 1) // block):
        least = np.empty(BANDS * ROWS, np.uint32)
        for row in range(part * block, min((part + 1) * block, rows)):
            least[:] = np.uint32(0xFFFFFFFF)
            bitmaps[row] = 0
            for number in range(ends[row] - starts[row]):
                mixed = _mixed(np.uint64(shingle(buffer, starts[row], ends[row], number)) + np.uint64(1))
                bit = mixed >> np.uint64(56)
                bitmaps[row, np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
                low = np.uint32(mixed)
                for k in range(BANDS * ROWS):
                    value = np.uint32(low * _FACTORS[k] + _TERMS[k])
                    least[k] = min(least[k], value)
            for band in range(BANDS):
                key = groups[row] + np.uint64(band)
                for k in range(band * ROWS, (band + 1) * ROWS):
                    key = _mixed(key ^ np.uint64(least[k])) + np.uint64(k)
                keys[band, row] = np.uint32(key >> np.uint64(32))


@compiled
def _may_match(bitmaps, sizes, a, b, share):
    """No false negatives: the rows differ in at least as many shingles as their bitmaps do in bits, and similar ones
    differ in at most `share` = (1 - t) / (1 + t) of both counts together."""
    different = 0
    for word in range(WORDS):
        bits = bitmaps[a, word] ^ bitmaps[b, word]
        bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        different += np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))
    return different <= share * (sizes[a] + sizes[b])


@compiled
def _other(head, place, window, turn):
    """With whom a row is compared: first the head of the bucket, at most `window` rows; then at most as many before it;
    -1 when there are no more."""
    early = min(place, head + window) - head
    other = head + turn if turn < early else place - 1 - (turn - early)
    return other if turn < 2 * window and (turn < early or other >= head + window) else -1


@compiled(parallel=True)
def candidates(ordered, heads, bitmaps, sizes, share, window, matches, counts):
    """Which of the up to 2 * window <= 64 rows that each is compared with may match it, as bits in matches (m,) uint64,
    and their counts (m,). ordered (m,) uint64: key in the upper, row in the lower half, sorted; heads (m,): where each
    one's bucket begins."""
    block = 1024
    for part in prange((len(ordered) + block - 1) // block):
        for place in range(part * block, min((part + 1) * block, len(ordered))):
            row = np.int64(ordered[place] & np.uint64(0xFFFFFFFF))
            bits, count = np.uint64(0), 0
            turn = 0
            other = _other(heads[place], place, window, 0) if heads[place] < place else -1
            while other >= 0:
                twin = np.int64(ordered[other] & np.uint64(0xFFFFFFFF))
                if twin != row and _may_match(bitmaps, sizes, row, twin, share):
                    bits |= np.uint64(1) << np.uint64(turn)
                    count += 1
                turn += 1
                other = _other(heads[place], place, window, turn)
            matches[place], counts[place] = bits, count


@compiled(parallel=True)
def matching_pairs(ordered, heads, window, matches, begins, found):
    """Write the pairs that `candidates` saw from begins[place] on to found (pairs,) uint64: the lower row in the upper
    half, the higher one in the lower half."""
    for place in prange(len(ordered)):
        put = begins[place]
        for turn in range(64 if matches[place] else 0):
            if matches[place] >> np.uint64(turn) & np.uint64(1):
                row = ordered[place] & np.uint64(0xFFFFFFFF)
                twin = ordered[_other(heads[place], np.int64(place), window, turn)] & np.uint64(0xFFFFFFFF)
                found[put] = (twin << np.uint64(32)) | row
                put += 1


@compiled
def bucket_heads(ordered, heads):
    for place in range(len(ordered)):
        same = place > 0 and (ordered[place] >> np.uint64(32)) == (ordered[place - 1] >> np.uint64(32))
        heads[place] = heads[place - 1] if same else place
