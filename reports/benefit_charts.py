"""Pictures of what tools are good for: pass rates of single questions, gain and harm, what explains the gain.

Each takes a table and gives a markdown image of some kB. Where a number is null nothing is drawn for it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from filters.benefit.columns import COMPARED, attempts, right
from reports.drawing import (  # fmt: skip
    CONTENT,
    FAINT,
    GAIN,
    HABIT,
    HARM,
    INK,
    RESULTS,
    columns,
    markdown_image,
    new_figure,
    one_line,
    say,
    scale,
    strokes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECISIONS = {
    "gain": ("tools help", GAIN),
    "harm": ("tools harm", HARM),
    "open": ("still open", INK),
    "none": ("tools make no difference", CONTENT),
}
"""What a decision says, and its colour; in the order that pictures and tables show them."""
PARTS = (
    ("benefit", "tools - direct", INK),
    ("habit", "habit of calling: call_only - direct", HABIT),
    ("content", "content of the results: tools - call_only", CONTENT),
    ("results_alone", "results alone: result_only - direct", RESULTS),
)
STEPS = (0.5, 0.25, 0.2, 0.1, 0.05, 0.02)
"""Distances of the lines of a scale."""


def in_percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A share in percent, with its interval where there is one: `31.0 (22.4 to 40.1)`."""
    if value is None:
        return "not measured"
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f}{interval}"


def _questions(number: int) -> str:
    return f"{number:,} question{'' if number == 1 else 's'}"


def question_rates(chosen: pl.DataFrame, counts: dict[str, int], confidence: float) -> str:
    """One line per question: direct (ring) and tools (dot) joined, the benefit's interval, and the attempts.

    Args:
        chosen: columns number, decision, text, direct, tools (rates), benefit, benefit_low, benefit_high and
            {direct,tools}_{right,attempts}; in the order to show, by decision.
        counts: how many questions of the whole table each decision has.
    """
    parts = [(name, chosen.filter(pl.col("decision") == name)) for name in DECISIONS]
    figure, axes = columns(chosen.height + 1.4 * len(parts), (44, 20, 14, 17, 5), head=3)
    texts, rates, tried, benefits, estimates = axes
    scale(rates, 0, 1, [(0, "0"), (0.25, ""), (0.5, "50 %"), (0.75, ""), (1, "100 %")])
    scale(benefits, -1, 1, [(-1, "-100"), (-0.5, ""), (0, "0"), (0.5, ""), (1, "100")])
    say(rates, 0.5, -2.6, "right answers: ○ direct  ● tools", ha="center")
    say(benefits, 0, -2.6, f"benefit, {confidence:.0%} interval, points", ha="center")
    y = 0.2
    for name, part in parts:
        said, colour = DECISIONS[name]
        shown = f", {part.height} of them shown" if part.height < counts[name] else ""
        say(texts, 0, y, f"{name}: {said} ({counts[name]:,}{shown})", colour, fontsize=10, weight="bold")
        lines = y + 1.1 + np.arange(part.height)
        for line, row in zip(lines, part.iter_rows(named=True), strict=True):
            say(texts, 0.05, line, row["number"], ha="right")
            say(texts, 0.07, line, one_line(row["text"], 50))
            counted = [f"{row[right(arm)]}/{row[attempts(arm)]}" for arm in COMPARED]
            say(tried, 0.5, line, " to ".join(counted), ha="center")
            say(estimates, 1, line, f"{round(100 * row['benefit']):+d}", ha="right")
        direct, tools, benefit, low, high = part.select(
            "direct", "tools", "benefit", "benefit_low", "benefit_high"
        ).get_columns()
        strokes(rates, zip(direct, tools, lines, strict=True), colour, 2.5)
        rates.plot(direct, lines, "o", markersize=7, markerfacecolor="none", markeredgecolor=colour, clip_on=False)
        rates.plot(tools, lines, "o", markersize=4.5, color=colour, clip_on=False)
        strokes(benefits, zip(low, high, lines, strict=True), colour, 1.2)
        benefits.plot(benefit, lines, "o", markersize=4.5, color=colour, clip_on=False)
        y += 1.4 + part.height
    return markdown_image(figure, "direct against tools, question by question")


def rate_plane(cells: pl.DataFrame, steps: int) -> str:
    """Direct rate across, tools rate up; the area of a disc is the number of questions with these two rates.

    Args:
        cells: columns direct, tools (0 to `steps`) and questions (count), each pair once.
        steps: how many steps the axes have, so that a rate is a step over `steps`.
    """
    figure = new_figure(8.6, 4.8)
    axes = figure.subplots()
    direct, tools, questions = (cells[name].to_numpy() for name in ("direct", "tools", "questions"))
    room = 290 / (steps + 1)  # points from one step to the next
    size = np.maximum(np.sqrt(questions / max(questions.max(initial=1), 1)) * max(room, 18), 3).round(1)
    sides = {1: "more often right with tools", 0: "as often", -1: "less often right with tools"}
    for sign, said in sides.items():
        here = np.sign(tools - direct) == sign
        label = f"{int(questions[here].sum()):,}  {said}"
        axes.plot([], [], "o", markersize=8, color=_side(sign), label=label)
        # A disc is the round end of a line without length: a circle's path takes ten times the bytes.
        for points in np.unique(size[here]):
            x, y = direct[here & (size == points)], tools[here & (size == points)]
            strokes(axes, zip(x, x, y, strict=True), _side(sign), points, solid_capstyle="round")
    for x, y, count, points in zip(direct, tools, questions, size, strict=True):
        if len(f"{count:,}") * 5.6 < points:
            say(axes, x, y, f"{count:,}", "white", ha="center")
    axes.axline((0, 0), (steps, steps), color=INK, linewidth=0.8, zorder=1)
    ticks = {"ticks": [0, steps / 2, steps], "labels": ["0", "50 %", "100 %"]}
    axes.set_xticks(**ticks)
    axes.set_yticks(**ticks)
    axes.set(xlabel="right without (direct)", xlim=(-0.5, steps + 0.5), ylim=(-0.5, steps + 0.5), aspect="equal")
    axes.set_title("right with tools", loc="left", fontsize=9)
    axes.set_facecolor("none")
    note = "Single attempts differ by luck alone:\nwithout any effect of tools\nthere would be discs on both sides."
    axes.plot([], [], " ", label=f"\n{note}")
    title = "The area of a disc: questions with these rates"
    figure.legend(loc="outside right upper", title=title, alignment="left")
    return markdown_image(figure, "direct against tools, all questions")


def _side(difference: float) -> str:
    return INK if difference == 0 else GAIN if difference > 0 else HARM


def gain_and_harm(parts: Sequence[tuple[str, pl.DataFrame]], confidence: float) -> str:
    """Bars to the right for gain, to the left for harm, on one scale, with intervals and the mark of churn.

    Args:
        parts: heading and table of each part, with columns name, questions, gain, harm (each with _low and _high),
            churn and benefit.
    """
    rows = pl.concat([part for _, part in parts])
    ends = rows.select("gain", "gain_high", "harm", "harm_high", "churn").to_numpy().astype(float)
    most = min(max(np.nanmax(ends, initial=0.0) * 1.05, 0.05), 1.0)
    figure, axes = columns(1.5 * len(parts) + 2.2 * rows.height, (17, 14, 40, 14, 8), head=5)
    names, harms, both, gains, nets = axes
    step = next(step for step in STEPS if step <= most / 1.5)
    ticks = [(step * k, f"{abs(100 * step * k):g} %" if k else "0") for k in range(-2, 3) if abs(step * k) <= most]
    scale(both, -most, most, ticks)
    say(both, -0.05 * most, -4.4, "harm: right without tools, wrong with", HARM, ha="right", fontsize=10)
    say(both, 0.05 * most, -4.4, "gain: wrong without tools, right with", GAIN, fontsize=10)
    legend = f"percent, {confidence:.0%} intervals; mark: what two attempts without tools differ by (churn)"
    say(both, 0, -3.2, legend, ha="center")
    y = 0.3
    for heading, part in parts:
        say(names, 0, y, heading)
        y += 1.3
        for row in part.iter_rows(named=True):
            say(names, 0, y, one_line(row["name"], 24), weight="bold")
            say(names, 0, y + 0.85, _questions(row["questions"]))
            for name, sign, colour, column in (("gain", 1, GAIN, gains), ("harm", -1, HARM, harms)):
                value, low, high, churn = (row[key] for key in (name, f"{name}_low", f"{name}_high", "churn"))
                if value is None:
                    continue
                _estimate(both, y, colour, [None if end is None else sign * end for end in (value, low, high)])
                words = in_percent(value, low, high)
                say(column, sign < 0, y, words, colour, ha="right" if sign < 0 else "left")
                if churn is not None:
                    both.plot([sign * churn], [y], "|", color=INK, markersize=18, markeredgewidth=2)
            if row["benefit"] is not None:
                say(nets, 1, y, f"net {round(100 * row['benefit'], 1) + 0.0:+.1f}", ha="right")
            y += 2.2
        y += 0.2
    return markdown_image(figure, "gain and harm")


def _estimate(axes: "Axes", line: float, colour: str, estimate: Sequence[float | None]) -> None:
    """A faint bar from 0 to a value, and over it the value as a dot on its interval."""
    value, low, high = estimate
    strokes(axes, [(0, value, line)], colour, 11, alpha=FAINT)
    strokes(axes, [(low, high, line)], colour, 1.5)
    if value is not None:
        axes.plot([value], [line], "o", color=colour, markersize=5, clip_on=False)


def what_explains(by_task: pl.DataFrame, words: Sequence[str], confidence: float) -> str:
    """A chart of each task's benefit, its two parts, and what results alone give: bars from 0 with intervals.

    Args:
        by_task: columns name, questions, and each of PARTS with _low and _high.
        words: what the controls explain, one line per row of `by_task`.
    """
    names = [name for name, _, _ in PARTS]
    ends = by_task.select(f"{name}{end}" for name in names for end in ("", "_low", "_high")).to_numpy().astype(float)
    low = min(np.nanmin(ends, initial=0.0), -0.02)
    high = max(np.nanmax(ends, initial=0.0), 0.05)
    block = len(PARTS) + 1.8
    figure, (labels, bars, numbers) = columns(block * by_task.height, (33, 49, 18), head=3)
    say(labels, 0, -2.6, f"difference of pass rates in percentage points, {confidence:.0%} intervals")
    step = next(step for step in STEPS if step <= (high - low) / 3 or step == STEPS[-1])
    ticks = [(step * k, f"{100 * step * k:g}") for k in range(-int(-low / step), int(high / step) + 1)]
    scale(bars, low, high, ticks)
    bars.grid(False)  # what is said above the bars would be crossed out
    for index, (row, said) in enumerate(zip(by_task.iter_rows(named=True), words, strict=True)):
        y = block * index + 0.3
        heading = f"{one_line(row['name'], 28)}, {_questions(row['questions'])}"
        say(labels, 0, y, heading, fontsize=10, weight="bold")
        say(bars, low, y, said)
        bars.vlines([at for at, _ in ticks], y + 0.5, y + len(PARTS) + 0.5, INK, linewidth=0.8, alpha=FAINT)
        for line, (name, label, colour) in enumerate(PARTS, 1):
            estimate = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
            say(labels, 1, y + line, label, ha="right")
            _estimate(bars, y + line, colour, estimate)
            say(numbers, 1, y + line, in_percent(*estimate), ha="right")
    return markdown_image(figure, "what explains the gain")
