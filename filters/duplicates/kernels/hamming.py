"""Compiled search of 64-bit hashes within a Hamming distance: multi-index hashing.

Norouzi, Punjani and Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing" (TPAMI 2014), section 3: a
hash is cut into 4 chunks of 16 bits. With d = 4 a + b, two hashes within d bits agree up to a bits in one of the first
b + 1 chunks, or up to a - 1 bits in one of the others. So only few buckets of each chunk's table are looked into.

This module imports numba, which loads slowly: import it where it is used.
"""

import itertools

import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from filters.duplicates.kernels.compiled import compiled

CHUNKS, WIDTH = 4, 16
_CHROMA_AT, _SIGNATURE = 256, 384


@intrinsic
def popcount(_context, _value):
    """Bits that are set in a uint64."""
    return types.uint64(types.uint64), lambda _target, builder, _signature, args: builder.ctpop(args[0])


def probes(bits: int) -> np.ndarray:
    """What to look up for hashes within `bits`: (m, 2) int64 of chunk and its bits to flip, fewest flips first."""
    deep, rest = divmod(bits, CHUNKS)
    found = []
    for flips in range(deep + 1):
        for chunk in range(CHUNKS if flips < deep else rest + 1):
            for places in itertools.combinations(range(WIDTH), flips):
                found.append((chunk, sum(1 << place for place in places)))
    return np.array(found, np.int64).reshape(-1, 2)


@compiled(parallel=True)
def tables(hashes):
    """For each chunk the hashes by its value: (starts (4, 65537), sorted hashes (4, n), their places (4, n) ascending
    within a value)."""
    n = len(hashes)
    starts = np.zeros((CHUNKS, (1 << WIDTH) + 1), np.int32)  # a table that stays in the cache
    ordered = np.empty((CHUNKS, n), np.uint64)
    places = np.empty((CHUNKS, n), np.int32)
    for chunk in prange(CHUNKS):
        shift = np.uint64(WIDTH * chunk)
        for i in range(n):
            starts[chunk, np.int64((hashes[i] >> shift) & np.uint64(0xFFFF)) + 1] += 1
        for value in range(1 << WIDTH):
            starts[chunk, value + 1] += starts[chunk, value]
        at = starts[chunk].copy()
        for i in range(n):
            value = np.int64((hashes[i] >> shift) & np.uint64(0xFFFF))
            ordered[chunk, at[value]] = hashes[i]
            places[chunk, at[value]] = i
            at[value] += 1
    return starts, ordered, places


@compiled
def _bucket(value, chunk, flips, starts):
    key = np.int64((value >> np.uint64(WIDTH * chunk)) & np.uint64(0xFFFF)) ^ flips
    return starts[chunk, key], starts[chunk, key + 1]


@compiled(parallel=True)
def pairs_within(queries, table, look_up, bits, most):
    """Places in the table within `bits` of each query: (counts (q,), places (q, most)); no more than `most` a query,
    those that share a chunk first."""
    starts, ordered, places = table
    counts = np.zeros(len(queries), np.int32)
    found = np.empty((len(queries), most), np.int32)
    for q in prange(len(queries)):
        value, count = queries[q], 0
        for p in range(len(look_up)):
            chunk = look_up[p, 0]
            first, last = _bucket(value, chunk, look_up[p, 1], starts)
            for k in range(first, last):
                if count < most and popcount(ordered[chunk, k] ^ value) <= bits:
                    place, new = places[chunk, k], True
                    for seen in range(count):
                        if found[q, seen] == place:
                            new = False
                            break
                    if new:
                        found[q, count] = place
                        count += 1
            if count >= most:
                break
        counts[q] = count
    return counts, found


@compiled
def agree(a, b, bits, limits):
    """Whether two signatures (256 cells of luma, 64 of Cb, 64 of Cr; uint8), whose hashes are `bits` apart, show one
    picture. `limits`: see filters/duplicates/images.py, LIMITS."""
    brightness, low_gain, high_gain, floor, rest, each_bit, cell, shift, chroma, tint = limits
    apart = 0
    for i in range(_CHROMA_AT, _SIGNATURE):
        off = abs(np.int32(a[i]) - np.int32(b[i]))
        if off > chroma:
            return False
        apart += off
    if apart > tint * (_SIGNATURE - _CHROMA_AT):
        return False
    sum_a, sum_b, aa, ab, bb = np.int32(0), np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for i in range(_CHROMA_AT):
        x, y = np.int32(a[i]), np.int32(b[i])
        sum_a += x
        sum_b += y
        aa += x * x
        ab += x * y
        bb += y * y
    n = float(_CHROMA_AT)
    mean_a, mean_b = sum_a / n, sum_b / n
    if abs(mean_a - mean_b) > brightness:
        return False
    var_a, var_b, cov = aa / n - mean_a * mean_a, bb / n - mean_b * mean_b, ab / n - mean_a * mean_b
    gain = 1.0
    if min(var_a, var_b) > floor * floor:
        gain = np.sqrt(var_b / var_a)
        if cov <= 0 or gain < low_gain or gain > high_gain:
            return False
    # Mean square of what a gain and an offset do not explain.
    left = var_b + gain * gain * var_a - 2 * gain * cov
    share = max(rest - each_bit * bits, 0.0)
    if left > max(floor * floor, share * share * min(var_a, var_b)):
        return False
    side = 16
    for y in range(side):
        for x in range(side):
            i = y * side + x
            off = abs((b[i] - mean_b) - gain * (a[i] - mean_a)) - cell
            if off > 0:
                low, high = a[i], a[i]
                for v in range(max(y - 1, 0), min(y + 2, side)):
                    for u in range(max(x - 1, 0), min(x + 2, side)):
                        low, high = min(low, a[v * side + u]), max(high, a[v * side + u])
                if off > shift * (np.int32(high) - np.int32(low)):
                    return False
    return True


@compiled(parallel=True)
def earliest_alike(rows, kept, hashes, signatures, table, look_up, bits, limits, most):
    """For each of `rows` the earliest of `kept` (ascending rows; `table` is made of their hashes) within `bits` whose
    signature agrees, or -1. At most `most` signatures are compared a row."""
    starts, ordered, places = table
    found = np.full(len(rows), -1, np.int64)
    for r in prange(len(rows)):
        row, best, compared = rows[r], len(kept), 0
        value = hashes[row]
        for p in range(len(look_up)):
            chunk = look_up[p, 0]
            first, last = _bucket(value, chunk, look_up[p, 1], starts)
            for k in range(first, last):
                away = popcount(ordered[chunk, k] ^ value)
                if away <= bits:
                    place = places[chunk, k]
                    if place >= best:
                        break
                    compared += 1
                    if agree(signatures[kept[place]], signatures[row], np.int64(away), limits):  # pyright: ignore[reportArgumentType] # numba: an integer
                        best = place
                        break
                    if compared >= most:
                        break
            if compared >= most:
                break
        if best < len(kept):
            found[r] = kept[best]
    return found


@compiled
def in_order(rows, hashes, signatures, bits, limits, most):
    """The same among `rows` themselves, each against those before it that are kept: (m,) rows or -1."""
    found = np.full(len(rows), -1, np.int64)
    kept, values, count = np.empty(len(rows), np.int64), np.empty(len(rows), np.uint64), 0
    for r in range(len(rows)):
        row, compared = rows[r], 0
        value = hashes[row]
        for k in range(count):
            away = popcount(values[k] ^ value)
            if away <= bits:
                compared += 1
                if agree(signatures[kept[k]], signatures[row], np.int64(away), limits):  # pyright: ignore[reportArgumentType] # numba: an integer
                    found[r] = kept[k]
                    break
                if compared >= most:
                    break
        if found[r] < 0:
            kept[count], values[count] = row, value
            count += 1
    return found
