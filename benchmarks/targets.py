"""Targets of a benchmark, and whether they are met."""

import json
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


def concluded(figures: dict, check: bool) -> int:
    """Print the targets among the figures as a table and then all figures as one line of JSON; the exit status: 1 where
    a target is missed and `check` asks for them."""
    print("\n| target | value | wanted | met |\n|---|---|---|---|")
    for row in figures["targets"]:
        print(f"| {row['what']} | {row['value']} | {row['target']} | {'yes' if row['met'] else 'NO'} |")
    print(json.dumps(figures))
    return int(check and not all(row["met"] for row in figures["targets"]))
