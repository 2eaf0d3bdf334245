"""Rollouts saved by stopping early against a fixed number of samples, and what the bounded rule gets wrong for it.

`python -m benchmarks.savings` prints a table for each band; the last line is one JSON object of the key figures.
Nothing is simulated: the figures for distributions of pass rates are exact expectations over the stopping points, and
those for recorded attempts are replays.
"""

import json
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from filters.difficulty.progress import progress
from filters.difficulty.stopping import Rule
from filters.difficulty.unbiased_rate import flip_probability, flipped_sequences, stopping_points
from records.recipe import CountBand

RECORDED = Path(__file__).parent / "recorded.parquet"
"""Attempts of the demo's model without tools: question_id, task, sample_index (0 to 15), correct."""
BANDS = [(8, 1, 7), (8, 1, 6), (8, 0, 2), (16, 2, 12)]
"""Samples, and the least and most right answers of a question that is kept; 0 to 2 of 8 is DeepEyesV2's."""
WAVES = {8: [(1,) * 8, (2,) * 4, (4, 2, 2), (4, 4)], 16: [(1,) * 16, (4,) * 4, (8, 4, 4)]}
ERRORS = [0.0, 0.02, 0.05, 0.1]
BETAS = {"Beta(0.3, 0.3)": (0.3, 0.3), "Beta(0.5, 0.5)": (0.5, 0.5), "uniform": (1.0, 1.0)}
CALCULATED = {
    (8, 1, 7): {(1,) * 8: (26, 34, 44), (2,) * 4: (23, 32, 41), (4, 2, 2): (19, 25, 33), (4, 4): (17, 23, 30)},
    (8, 1, 6): {(1,) * 8: (20, 24, 31), (2,) * 4: (13, 18, 24), (4, 2, 2): (14, 18, 24), (4, 4): (11, 15, 20)},
    (16, 2, 12): {(1,) * 16: (21, 25, 31), (4,) * 4: (11, 15, 22), (8, 4, 4): (11, 16, 21)},
}
"""Percent saved by exact curtailment, for the pass rates of BETAS in order, as calculated when the project was planned
and before there was any code: an independent check. They look like simulated ones, good to a point: they differ between
plans that cannot differ (16, keep 2 to 12: nothing can be certain after 4, so 4,4,4,4 and 8,4,4 save the same)."""
DIFFERS = 0.5
"""Percentage points: the calculated figures are rounded to whole ones."""
_GRID = np.linspace(0, 1, 201)


def _chance(a: float, b: float, attempts: int, right: int) -> float:
    """The chance of one given sequence with `right` of `attempts` right, for a pass rate that follows Beta(a, b)."""
    hits = prod(a + i for i in range(right))
    return hits * prod(b + i for i in range(attempts - right)) / prod(a + b + i for i in range(attempts))


def expected_attempts(rule: Rule, a: float, b: float) -> float:
    """Expected attempts at a question whose pass rate follows Beta(a, b)."""
    return sum(n * paths * _chance(a, b, n, s) for (n, s), paths in stopping_points(rule).items())


def flipped_share(rule: Rule, a: float, b: float) -> float:
    """Expected share of questions decided otherwise than by all samples, their pass rates following Beta(a, b)."""
    return sum(n * _chance(a, b, rule.samples, right) for right, n in enumerate(flipped_sequences(rule)))


def replayed(attempts: pl.DataFrame, rule: Rule) -> tuple[float, float]:
    """Share of the rule's samples that a replay leaves out, and share of questions that it decides otherwise than all
    samples do, of those questions that have all samples as attempts."""
    first = attempts.filter(pl.col("sample_index") < rule.samples)
    full = first.group_by("question_id").agg(made=pl.col("correct").count(), total=pl.col("correct").sum())
    full = full.filter(pl.col("made") == rule.samples)
    table = progress(first, rule).join(full, on="question_id")
    totals = range(rule.samples + 1)
    fixed = table["total"].replace_strict(totals, [rule.fixed_decision(n) for n in totals], return_dtype=pl.String)
    used, otherwise = cast(float, table["used"].mean()), cast(float, (table["decision"] != fixed).mean())
    return 1 - used / rule.samples, otherwise


def savings_table() -> pl.DataFrame:
    """Every band, wave plan and rule of this file, for every distribution of pass rates and the recorded attempts.

    Returns columns samples, keep, waves, error, pass_rates (texts but for samples and error); in percent: saved,
    calculated (null where there is none), flipped and worst_flipped (over all pass rates, reached at worst_at).
    """
    recorded = pl.read_parquet(RECORDED)
    rows = []
    for samples, low, high in BANDS:
        for waves in WAVES[samples]:
            for error in ERRORS:
                rule = Rule(waves, CountBand(min=low, max=high), error)
                flips = [flip_probability(rule, float(p)) for p in _GRID]
                results = {
                    name: (1 - expected_attempts(rule, a, b) / samples, flipped_share(rule, a, b))
                    for name, (a, b) in BETAS.items()
                } | {"recorded": replayed(recorded, rule)}
                known = CALCULATED.get((samples, low, high), {}).get(waves, ()) if error == 0 else ()
                calculated = dict(zip(BETAS, known, strict=False))
                rows += [
                    {
                        "samples": samples,
                        "keep": f"{low}-{high}",
                        "waves": "one at a time" if max(waves) == 1 else ",".join(map(str, waves)),
                        "error": error,
                        "pass_rates": name,
                        "saved": 100 * saved,
                        "calculated": calculated.get(name),
                        "flipped": 100 * flipped,
                        "worst_flipped": 100 * max(flips),
                        "worst_at": float(_GRID[int(np.argmax(flips))]),
                    }
                    for name, (saved, flipped) in results.items()
                ]
    return pl.DataFrame(rows, schema_overrides={"calculated": pl.Float64})


def _cell(row: dict) -> str:
    text = f"{row['saved']:.1f}"
    if row["calculated"] is not None:
        text += f" (calculated {row['calculated']:.0f})"
    return text + (f", flips {row['flipped']:.2f}" if row["error"] else "")


def _markdown(table: pl.DataFrame) -> str:
    names = [*BETAS, "recorded"]
    lines = [
        f"| waves | rule | {' | '.join(names)} | worst flips over all pass rates |",
        "|" + "---|" * (len(names) + 3),
    ]
    for (waves, error), group in table.group_by("waves", "error", maintain_order=True):
        cells = [_cell(row) for row in group.iter_rows(named=True)]
        worst = f"{group['worst_flipped'][0]:.1f} at p = {group['worst_at'][0]:.2f}"
        rule = f"bounded, error {error:g}" if error else "curtailed"
        lines.append(f"| {waves} | {rule} | {' | '.join(cells)} | {worst if group['worst_flipped'][0] else 0} |")
    return "\n".join(lines)


def _figures(table: pl.DataFrame, different: pl.DataFrame) -> dict[str, object]:
    chosen = table.filter(pl.col("waves").is_in(["2,2,2,2", "4,4,4,4"]), pl.col("error").is_in([0.0, 0.05]))
    figures: dict[str, object] = {
        "compared_with_calculated": table["calculated"].count(),
        "different_from_calculated": different.height,
        "largest_difference_points": round(cast(float, (table["saved"] - table["calculated"]).abs().max()), 2),
    }
    for (samples, keep, error), group in chosen.group_by("samples", "keep", "error", maintain_order=True):
        figures[f"k{samples} keep {keep} " + (f"bounded {error:g}" if error else "curtailed")] = {
            "saved_percent": {name: round(saved, 1) for name, saved in group.select("pass_rates", "saved").rows()},
            "flipped_percent": {name: round(share, 2) for name, share in group.select("pass_rates", "flipped").rows()},
            "worst_flipped_percent": round(group["worst_flipped"][0], 2),
        }
    return figures


def report() -> dict[str, object]:
    """Print the tables, and return their key figures."""
    table = savings_table()
    questions = pl.read_parquet(RECORDED)["question_id"].n_unique()
    print("Rollouts saved against all samples, in percent; flips: questions decided otherwise than by all samples, in")
    print(
        f"percent. The rule's prior is Beta(0.5, 0.5) throughout. Recorded: {questions} questions of the demo's model."
    )
    for (samples, keep), group in table.group_by("samples", "keep", maintain_order=True):
        print(f"\n### {keep} right of {samples} are kept\n\n{_markdown(group)}")
    different = table.filter((pl.col("saved") - pl.col("calculated")).abs() > DIFFERS)
    print(f"\nOf {table['calculated'].count()} calculated figures, {different.height} differ from ours:")
    for row in different.iter_rows(named=True):
        print(
            f"- {row['keep']} of {row['samples']}, {row['waves']}, {row['pass_rates']}: "
            f"ours {row['saved']:.1f}, calculated {row['calculated']:.0f}"
        )
    return _figures(table, different)


if __name__ == "__main__":
    print(json.dumps(report()))
