"""The bounds of a result that the worker and its supervisor share, and how texts are kept within them.

Standard library only: the worker imports it behind the walls.
"""

import re

MAX_PIXELS = 4_000_000
"""The most pixels of one result image; larger ones are shrunk to fit, and the answer says so."""
MAX_NOTES = 100
"""The most notes of one result."""
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{9,16}\b")
"""An object's address as reprs write it. A shorter number is the code's own: no object lies so low."""
THREAD = re.compile(r"\bstarted( daemon)? \d{9,16}(?=\)>)")
"""A thread's address, as the repr of a thread ends."""


def without_addresses(text: str) -> str:
    """The text with every object's address written `0x...`, because it is another one in every session."""
    return THREAD.sub(r"started\1 ...", ADDRESS.sub("at 0x...", text))


def cut(text: str, limit: int) -> str:
    """`text` within `limit` characters, lone surrogates spelt out, its middle left out if need be, and saying so."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]}\n[... {len(text) - limit} characters cut ...]\n{text[len(text) - limit + head :]}"
