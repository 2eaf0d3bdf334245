"""A cell of a raw row as text, and the fault of a row that has none."""

import math
from typing import Any


class BrokenRow(Exception):
    """A row that cannot become a question. `reason` is the code for the reject row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def cell_text(value: Any) -> str:
    """A cell as text; "" for null and NaN, yes/no for booleans, no ".0" behind whole numbers.

    Raises:
        BrokenRow: `not_a_text` for a list, a struct or bytes; `not_unicode` for half a surrogate pair.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list | tuple | dict | bytes):
        raise BrokenRow("not_a_text", f"a {type(value).__name__} where a text is needed")
    text = str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BrokenRow("not_unicode", str(error)) from None
    return text
