"""The words that make a question, as compiled code over the bytes of its text: see
`filters.duplicates.near.normalised`.

Works on UTF-8 that is NFKC and lower case wherever it is not ASCII. What it writes is tokens with single spaces: words
of letters and digits, numbers in one form, signs of mathematics, and BORDER where a clause may end.
"""

# ruff: noqa: SIM109, SIM110, SIM905 - plain loops and comparisons compile best

import numpy as np
from numba import prange

from filters.duplicates.function_words import CLAUSE_WORDS, FUNCTION_WORDS
from filters.duplicates.kernels.compiled import compiled

VOID, REPLACE, OPENER, MODAL, ARTICLE, CLAUSE, WHEN, RELATIVE = 1, 2, 3, 4, 5, 6, 7, 8
"""What a word of the lists is: nothing anywhere; another word; nothing while the question has not begun; nothing
before "you", "I" or "we" while it has not begun; nothing before a word; the beginning of a clause; the same, and a word
too; another word at the beginning of a clause, nothing within one."""
BORDER = 30
"""The byte that stands as a token where a clause ends."""

_VOID = "an the please kindly just exactly actually really thanks shown displayed depicted provided attached theres"
_OPENER = (
    "hi hello hey ok okay so well tell me us you u i we im am want wanna need like to know let lets wonder wondering "
    "curious help answer question questions q following"
)
_MODAL = "can could would will do may might"
_SPOKEN_TO = "you u i we please kindly"
_REPLACE = {
    "picture": "image", "pictures": "images", "photo": "image", "photos": "images", "photograph": "image",
    "colour": "color", "colours": "colors", "grey": "gray", "centre": "center", "metre": "meter", "metres": "meters",
    "which": "what", "whats": "what", "wheres": "where", "whos": "who", "hows": "how", "isnt": "not", "arent": "not",
    "wasnt": "not",
    "werent": "not", "doesnt": "not", "dont": "not", "didnt": "not", "cant": "can not", "cannot": "can not",
    "wont": "not", "never": "not",
    **{word: str(number) for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split())},
}  # fmt: skip

_LETTER, _DIGIT, _SPACE, _OTHER = 1, 2, 3, 4
_SLOTS = 4096
_LONGEST = 16
"""Bytes of the longest word of the lists."""
_THREE_BYTES = 0xE0
"""First byte of a character of three bytes: of those written before a comma, nearly all are of Asian scripts."""
_OFFSET, _PRIME = 0xCBF29CE484222325, 0x100000001B3
"""FNV-1a, 64 bits."""


def _kinds() -> np.ndarray:
    kinds = np.full(256, _OTHER, np.uint8)
    kinds[128:] = _LETTER
    for code in range(128):
        if chr(code).isalpha():
            kinds[code] = _LETTER
        elif chr(code).isdigit():
            kinds[code] = _DIGIT
        elif code <= 32 or code == 127:
            kinds[code] = _SPACE
    return kinds


def _hash(word: str) -> int:
    value = _OFFSET
    for byte in word.encode():
        value = (value ^ byte) * _PRIME % 2**64
    return value


def _lists() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Open addressing: (SLOTS,) hash of the word or 0, (SLOTS,) what it is + 16 if it follows a modal, (SLOTS, 8) what
    it is replaced by, ended by a zero byte."""
    keys, what = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8)
    instead = np.zeros((_SLOTS, 9), np.uint8)
    words = dict.fromkeys(_OPENER.split(), OPENER) | dict.fromkeys(_MODAL.split(), MODAL) | {"a": ARTICLE}
    words |= dict.fromkeys([*_VOID.split(), *FUNCTION_WORDS], VOID) | dict.fromkeys(_REPLACE, REPLACE)
    words |= dict.fromkeys(CLAUSE_WORDS, CLAUSE) | {"when": WHEN, "which": RELATIVE}
    words = {word: kind for word, kind in words.items() if len(word.encode()) <= _LONGEST}
    for word, kind in words.items():
        slot = _hash(word) % _SLOTS
        while keys[slot]:
            slot = (slot + 1) % _SLOTS
        keys[slot], what[slot] = _hash(word), kind + 16 * (word in _SPOKEN_TO.split())
        new = _REPLACE.get(word, "").encode()
        instead[slot, : len(new)] = np.frombuffer(new, np.uint8)
    return keys, what, instead


KINDS = _kinds()
LISTS = _lists()
"""Given to the compiled code as an argument: what it knows from elsewhere stays in its cache when a list changes."""
_OPERATORS = np.array([chr(code) in "+*/^=<>" for code in range(256)])


@compiled
def _is_operand(text, at, start, end, step):
    """Whether the next that is no space, from `at` on in direction `step`, is a number, a variable or a bracket."""
    while start <= at < end and KINDS[text[at]] == _SPACE:
        at += step
    if at < start or at >= end:
        return False
    char = text[at]
    if KINDS[char] == _DIGIT:
        return True
    if KINDS[char] == _LETTER:
        beyond = at + step
        return beyond < start or beyond >= end or KINDS[text[beyond]] > _DIGIT
    if step > 0:
        return char == ord("(") or char == ord("{") or char == ord("\\") or char == ord("[")
    return char == ord(")") or char == ord("}") or char == ord("]")


@compiled
def _is_operator(text, at, start, end, step):
    if start <= at < end and text[at] == ord("-"):
        return True
    while start <= at < end and KINDS[text[at]] == _SPACE:
        at += step
    return start <= at < end and _OPERATORS[text[at]]


@compiled
def _is_sign(text, at, start, end):
    """Whether this character, no letter, digit or space, is mathematics and not punctuation."""
    char = text[at]
    before = KINDS[text[at - 1]] if at > start else _SPACE
    after = KINDS[text[at + 1]] if at + 1 < end else _SPACE
    if char == ord("+") or char == ord("^") or char == ord("=") or char == ord("%") or char == ord("|"):
        return True
    if char == ord("-") or char == ord("*") or char == ord("/") or char == ord("<") or char == ord(">"):
        if _is_operand(text, at + 1, start, end, 1) and _is_operand(text, at - 1, start, end, -1):
            return True
        if char == ord("-"):
            return after == _DIGIT and (before == _SPACE or before == _OTHER)
        return (char == ord("<") or char == ord(">")) and at + 1 < end and text[at + 1] == ord("=")
    if char == ord("(") or char == ord("["):
        outer = before
    elif char == ord(")") or char == ord("]"):
        outer = after
    else:
        if char == ord(":"):  # a ratio, a time
            return before == _DIGIT and after == _DIGIT
        if char == ord("!"):  # a factorial
            return before == _DIGIT or (at > start and text[at - 1] == ord(")"))
        if char == ord("'") or char == ord("#"):  # f', C#
            return after > _DIGIT and before == _LETTER and _is_operand(text, at - 1, start, end, -1)
        return False
    if outer <= _DIGIT:  # f(x), 2(x + 1)
        return True
    return _is_operator(text, at + 1, start, end, 1) or _is_operator(text, at - 1, start, end, -1)


@compiled
def _number(text, at, end, out, put):
    """Write the number that starts here in one form, 1,000.50 as 1000.5; where it ends, and where the output does."""
    whole = True
    point = -1
    while at < end:
        char = text[at]
        if KINDS[char] == _DIGIT:
            out[put] = char
            put += 1
            at += 1
        elif char == ord(",") and whole:
            digits = 0
            while digits < 4 and at + 1 + digits < end and KINDS[text[at + 1 + digits]] == _DIGIT:
                digits += 1
            if digits != 3:
                break
            at += 1
        elif char == ord(".") and whole and at + 1 < end and KINDS[text[at + 1]] == _DIGIT:
            whole = False
            point = put
            out[put] = char
            put += 1
            at += 1
        else:
            break
    if point >= 0:
        while out[put - 1] == ord("0"):
            put -= 1
        if put - 1 == point:
            put -= 1
    return at, put


@compiled
def _is_image_tag(text, at, end):
    """<image>, as datasets write it where the image stands."""
    tag = b"<image>"
    if at + 7 > end:
        return False
    for i in range(7):
        if text[at + i] | 32 != tag[i] | 32:
            return False
    return True


@compiled
def _is_border(text, at, start, end, subordinate):
    """Whether this sign of punctuation ends a clause: the end of a sentence, or a comma behind a subordinate clause or
    behind a character of a script whose commas do."""
    char = text[at]
    if at + 1 < end and KINDS[text[at + 1]] != _SPACE:
        return False
    if char == ord(","):
        before = at - 1
        while before > start and KINDS[text[before]] == _SPACE:
            before -= 1
        return subordinate or (before - 2 >= start and text[before - 2] >= _THREE_BYTES)
    return char == ord(".") or char == ord("!") or char == ord("?") or char == ord(";")


@compiled
def _listed(out, begin, put, keys):
    """The slot of the word in the lists, or -1."""
    if put - begin > _LONGEST:
        return -1
    value = np.uint64(_OFFSET)
    for i in range(begin, put):
        value = (value ^ np.uint64(out[i])) * np.uint64(_PRIME)
    slot = np.int64(value % np.uint64(_SLOTS))
    while keys[slot] != 0:
        if keys[slot] == value:
            return slot
        slot = (slot + 1) % _SLOTS
    return -1


@compiled
def write_words(text, start, end, out, put, lists):
    """Write the tokens of text[start:end] to `out` from `put` on; where they end. Takes at most thrice the bytes."""
    keys, kinds_of_words, instead = lists
    first = put
    opening = True
    subordinate = False
    modal = -1  # where the output ended before a modal verb that may turn out to be politeness
    at = start
    while at < end:
        char = text[at]
        kind = KINDS[char]
        if kind == _SPACE:
            at += 1
            continue
        before = put
        if put > first:
            out[put] = ord(" ")
            put += 1
        begin = put
        if kind == _OTHER:
            if _is_image_tag(text, at, end):
                at += 7
                put = before
            elif _is_sign(text, at, start, end):
                out[put] = char
                put += 1
                at += 1
                opening = False
            elif put > first and out[put - 2] != BORDER and _is_border(text, at, start, end, subordinate):
                out[put] = BORDER
                put += 1
                at += 1
                subordinate = False
            else:
                put = before
                at += 1
            continue
        while at < end:
            char = text[at]
            kind = KINDS[char]
            if kind == _LETTER:
                out[put] = char + 32 if 65 <= char <= 90 else char
                put += 1
                at += 1
            elif kind == _DIGIT:
                at, put = _number(text, at, end, out, put)
            elif (
                char == ord("'") and at + 1 < end and KINDS[text[at + 1]] == _LETTER and KINDS[out[put - 1]] == _LETTER
            ):
                at += 1
            else:
                break
        slot = _listed(out, begin, put, keys)
        what = kinds_of_words[slot] if slot >= 0 else 0
        if opening and modal >= 0 and what & 16:
            before = modal
        modal = -1
        what &= 15
        within = before > first and out[before - 1] != BORDER
        if what == VOID or (opening and what == OPENER) or (what == RELATIVE and within):
            put = before
        elif what == ARTICLE:
            following = at
            while following < end and KINDS[text[following]] == _SPACE:
                following += 1
            if (
                following + 1 < end
                and following > at
                and (
                    KINDS[text[following]] == _DIGIT
                    or (KINDS[text[following]] == _LETTER and KINDS[text[following + 1]] == _LETTER)
                )
            ):
                put = before
        elif opening and what == MODAL and before == first:
            modal = before
        elif what == CLAUSE or what == WHEN:
            subordinate = True
            put = before
            if within:
                out[put] = ord(" ")
                out[put + 1] = BORDER
                put += 2
            if what == WHEN:
                opening = False
                if put > first:
                    out[put] = ord(" ")
                    put += 1
                for letter in b"when":
                    out[put] = letter
                    put += 1
        else:
            opening = False
            if what == REPLACE or what == RELATIVE:
                put = begin
                i = 0
                while instead[slot, i] != 0:
                    out[put] = instead[slot, i]
                    put += 1
                    i += 1
    return put


BLOCK = 4096
"""Rows whose tokens are written one after another, so that no more memory is touched than they need."""


@compiled(parallel=True)
def all_words(text, offsets, out, starts, ends, lists):
    """Write the tokens of every row: text (bytes,), offsets (n + 1,), out (3 * bytes + n,), starts and ends (n,);
    lists: LISTS."""
    rows = len(starts)
    for block in prange((rows + BLOCK - 1) // BLOCK):
        row = block * BLOCK
        put = 3 * offsets[row] + row
        for i in range(row, min(row + BLOCK, rows)):
            starts[i] = put
            put = write_words(text, offsets[i], offsets[i + 1], out, put, lists)
            ends[i] = put
