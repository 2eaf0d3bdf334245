"""Targets of a benchmark, and whether they are met."""

from collections.abc import Iterable


def judged(rows: Iterable[tuple[str, float, str, float]]) -> list[dict[str, object]]:
    """Each (what, value, "at least" or "at most", bound) as a row with `met`."""
    return [
        {
            "what": what,
            "value": value,
            "target": f"{word} {bound}",
            "met": value <= bound if word == "at most" else value >= bound,
        }
        for what, value, word, bound in rows
    ]
