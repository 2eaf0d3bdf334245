"""The clauses of a question in a fixed order, as compiled code over its tokens (kernels/question_words.py).

"If it costs 3, what do 2 cost" and "what do 2 cost if it costs 3" are one question.
"""

import numpy as np
from numba import prange

from filters.duplicates.kernels.compiled import compiled

LEAST = 3
"""Words of a clause that is moved; a shorter one stays with what follows it, the last one with what is before it."""
_SPACE = 32


@compiled
def _is_before(text, a, a_end, b, b_end):
    """Whether one run of bytes comes before another."""
    while a < a_end and b < b_end:
        if text[a] != text[b]:
            return text[a] < text[b]
        a += 1
        b += 1
    return a_end - a < b_end - b


@compiled
def _in_order(out, start, end, border):
    """Write the clauses of out[start:end] in order, without the borders; where they end."""
    text = out[start:end].copy()
    begins, ends = np.empty(len(text) + 1, np.int64), np.empty(len(text) + 1, np.int64)
    clauses, words, begin, stop, at = 0, 0, 0, 0, 0
    while at < len(text):
        until = at
        while until < len(text) and text[until] != _SPACE:
            until += 1
        if text[at] == border:
            if words >= LEAST:
                begins[clauses], ends[clauses] = begin, stop
                clauses += 1
                begin, words = until + 1, 0
        else:
            words += 1
            stop = until
        at = until + 1
    if words >= LEAST or clauses == 0:
        begins[clauses], ends[clauses] = begin, stop
        clauses += 1
    elif words > 0:
        ends[clauses - 1] = stop
    for one in range(1, clauses):  # few: each is put in its place among those before it
        begin, stop, place = begins[one], ends[one], one
        while place > 0 and _is_before(text, begin, stop, begins[place - 1], ends[place - 1]):
            begins[place], ends[place] = begins[place - 1], ends[place - 1]
            place -= 1
        begins[place], ends[place] = begin, stop
    put = start
    for one in range(clauses):
        at = begins[one]
        while at < ends[one]:
            until = at
            while until < ends[one] and text[until] != _SPACE:
                until += 1
            if text[at] != border:
                if put > start:
                    out[put] = _SPACE
                    put += 1
                for i in range(at, until):
                    out[put] = text[i]
                    put += 1
            at = until + 1
    return put


@compiled(parallel=True)
def order_clauses(out, starts, ends, border):
    """Order the clauses of every row, in place: out (bytes,), starts and ends (n,), which change."""
    for row in prange(len(starts)):
        for at in range(starts[row], ends[row]):
            if out[at] == border:
                ends[row] = _in_order(out, starts[row], ends[row], border)
                break
