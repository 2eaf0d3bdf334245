"""Pictures of what tools are good for: pass rates of single questions, gain and harm, what explains the gain.

Each takes a table and gives a markdown image of some kB. Where a number is null nothing is drawn for it.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

from filters.benefit.columns import COMPARED, attempts, right
from reports.drawing import (  # fmt: skip
    CONTENT,
    EMPTY,
    FAINT,
    GAIN,
    HABIT,
    HARM,
    INK,
    RESULTS,
    TEXT,
    TITLE,
    markdown_image,
    one_line,
    plain_letters,
    width,
    write,
)

DECISIONS = {
    "gain": ("tools help", GAIN),
    "harm": ("tools harm", HARM),
    "open": ("still open", FAINT),
    "none": ("tools make no difference", INK),
}
"""What a decision says, and its colour; in the order that pictures and tables show them."""
PARTS = (
    ("benefit", "tools - direct", INK),
    ("habit", "habit of calling: call_only - direct", HABIT),
    ("content", "content of the results: tools - call_only", CONTENT),
    ("results_alone", "results alone: result_only - direct", RESULTS),
)
WIDTH = 860
"""The width of a picture in pixels."""
MARGIN = 10
"""Pixels that stay empty at each edge."""
LINE = 20
"""The height of a line in pixels."""
HEAD = 26
"""The height of a heading in pixels."""
DOT = 4
"""The radius of a dot in pixels."""


class Axis:
    """Numbers along a line of pixels; what lies outside is drawn at its end."""

    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        self.left, self.right, self.low, self.high = left, right, low, high

    def at(self, value: float) -> float:
        """Pixels from the picture's left."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)

    def grid(self, draw: ImageDraw.ImageDraw, top: float, bottom: float, ticks: Sequence[tuple[float, str]]) -> None:
        """Upright lines with their values above them, that of 0 darker."""
        for value, label in ticks:
            x = self.at(value)
            draw.line([x, top, x, bottom], fill=EMPTY if value else "#aaaaaa")
            write(draw, (x, top - 2), label, FAINT, anchor="ms")


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, colour: str, full: bool, radius: float = DOT) -> None:
    box = [x - radius, y - radius, x + radius, y + radius]
    draw.ellipse(box, fill=colour if full else "#ffffff", outline=colour, width=2)


def _interval(
    draw: ImageDraw.ImageDraw, axis: Axis, y: float, low: float | None, high: float | None, fill: str
) -> None:
    """A line from end to end with a stroke at each; nothing where there is no interval."""
    if low is None or high is None:
        return
    draw.line([axis.at(low), y, axis.at(high), y], fill=fill)
    for end in (low, high):
        draw.line([axis.at(end), y - 3, axis.at(end), y + 3], fill=fill)


def _canvas(height: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (WIDTH, int(height)), "white")
    return image, ImageDraw.Draw(image)


def in_percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A share in percent, with its interval where there is one: `31.0 (22.4 to 40.1)`."""
    if value is None:
        return "not measured"
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f}{interval}"


def question_rates(chosen: pl.DataFrame, counts: dict[str, int], confidence: float) -> str:
    """One line per question: direct (ring) and tools (dot) joined, the benefit's interval, and the attempts.

    Args:
        chosen: columns number, decision, text, direct, tools (rates), benefit, benefit_low, benefit_high and
            {direct,tools}_{right,attempts}; in the order to show, by decision.
        counts: how many questions of the whole table each decision has.
    """
    parts = [(name, chosen.filter(pl.col("decision") == name)) for name in DECISIONS]
    top = MARGIN + 2 * LINE
    bottom = top + sum(HEAD + LINE * part.height for _, part in parts)
    image, draw = _canvas(bottom + MARGIN)
    rates, benefits = Axis(365, 535, 0, 1), Axis(640, 770, -1, 1)
    write(draw, (rates.left, MARGIN), "right answers:")
    for x, label, full in ((rates.left + 90, "direct", False), (rates.left + 145, "tools", True)):
        _dot(draw, x, MARGIN + 7, INK, full)
        write(draw, (x + 8, MARGIN), label)
    write(draw, (benefits.left - 5, MARGIN), f"benefit, {confidence:.0%} interval, points")
    rates.grid(draw, top, bottom, [(0, "0"), (0.25, ""), (0.5, "50 %"), (0.75, ""), (1, "100 %")])
    benefits.grid(draw, top, bottom, [(-1, "-100"), (-0.5, ""), (0, "0"), (0.5, ""), (1, "100")])
    y = top
    for name, part in parts:
        said, colour = DECISIONS[name]
        shown = f", {part.height} of them shown" if part.height < counts[name] else ""
        heading = f"{name}: {said} ({counts[name]:,}{shown})"
        draw.rectangle([MARGIN, y + 6, MARGIN + 11, y + 17], fill=colour)
        write(draw, (MARGIN + 18, y + 4), heading, size=TITLE)
        y += HEAD
        for row in part.iter_rows(named=True):
            _question(draw, y, row, colour, rates, benefits)
            y += LINE
    return markdown_image(image, "direct against tools, question by question")


def _question(draw: ImageDraw.ImageDraw, y: float, row: dict, colour: str, rates: Axis, benefits: Axis) -> None:
    middle = y + LINE / 2 - 2
    write(draw, (MARGIN + 22, y), str(row["number"]), FAINT, anchor="ra")
    write(draw, (MARGIN + 30, y), one_line(plain_letters(row["text"]), rates.left - MARGIN - 50))
    direct, tools = rates.at(row["direct"]), rates.at(row["tools"])
    draw.line([direct, middle, tools, middle], fill=colour, width=3)
    _dot(draw, direct, middle, colour, full=False, radius=DOT + 1)
    _dot(draw, tools, middle, colour, full=True, radius=DOT - (direct == tools))
    counts = [f"{row[right(arm)]}/{row[attempts(arm)]}" for arm in COMPARED]
    write(draw, ((rates.right + benefits.left) / 2, y), " to ".join(counts), FAINT, anchor="ma")
    _interval(draw, benefits, middle, row["benefit_low"], row["benefit_high"], colour)
    _dot(draw, benefits.at(row["benefit"]), middle, colour, full=True, radius=DOT - 1)
    write(draw, (WIDTH - MARGIN - 20, y), f"{round(100 * row['benefit']):+d}", anchor="ra")


def rate_plane(cells: pl.DataFrame, steps: int) -> str:
    """Direct rate across, tools rate up; the area of a disc is the number of questions with these two rates.

    Args:
        cells: columns direct, tools (0 to `steps`) and questions (count), each pair once.
        steps: how many steps the axes have, so that a rate is a step over `steps`.
    """
    side, left, top = 420, 70, MARGIN + LINE
    image, draw = _canvas(top + side + 46)
    room = side / (steps + 1)
    along = Axis(room / 2, side - room / 2, 0, steps)
    for place in map(along.at, range(steps + 1)):
        draw.line([left + place, top, left + place, top + side], fill=EMPTY)
        draw.line([left, top + place, left + side, top + place], fill=EMPTY)
    draw.line([left, top + side, left + side, top], fill=INK)
    for share, label in ((0, "0"), (0.5, "50 %"), (1, "100 %")):
        place = along.at(share * steps)
        write(draw, (left + place, top + side + 4), label, FAINT, anchor="ma")
        write(draw, (left - 6, top + side - place), label, FAINT, anchor="rm")
    write(draw, (left, top - 6), "right with tools", anchor="ls")
    write(draw, (left + side / 2, top + side + 22), "right without (direct)", anchor="ma")
    direct, tools, questions = (cells[name].to_numpy() for name in ("direct", "tools", "questions"))
    radius = np.maximum(np.sqrt(questions / max(questions.max(initial=1), 1)) * max(room / 2, 10), 1.5)
    for x, y, r, n in sorted(zip(direct, tools, radius, questions, strict=True), key=lambda disc: -disc[2]):
        centre = left + along.at(x), top + side - along.at(y)
        draw.ellipse([centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r], fill=_side(y - x))
        if r >= TEXT - 4 and width(f"{n:,}") < 1.7 * r:
            write(draw, centre, f"{n:,}", "#ffffff", anchor="mm")
    _plane_legend(draw, left + side + 40, top + 20, np.sign(tools - direct), questions)
    return markdown_image(image, "direct against tools, all questions")


def _side(difference: float) -> str:
    return FAINT if difference == 0 else GAIN if difference > 0 else HARM


def _plane_legend(draw: ImageDraw.ImageDraw, x: float, y: float, side: np.ndarray, questions: np.ndarray) -> None:
    write(draw, (x, y), "The area of a disc: questions with these rates", size=TITLE)
    for sign, said in ((1, "more often right with tools"), (0, "as often"), (-1, "less often right with tools")):
        y += 26
        _dot(draw, x + 6, y + 8, _side(sign), full=True, radius=6)
        write(draw, (x + 20, y), f"{int(questions[side == sign].sum()):,}  {said}", size=TITLE)
    write(draw, (x, y + 34), "Single attempts differ by luck alone: without any effect", FAINT)
    write(draw, (x, y + 54), "of tools there would be discs on both sides.", FAINT)


def gain_and_harm(parts: Sequence[tuple[str, pl.DataFrame]], confidence: float) -> str:
    """Bars to the right for gain, to the left for harm, on one scale, with intervals and the mark of churn.

    Args:
        parts: heading and table of each part, with columns name, questions, gain, harm (each with _low and _high),
            churn and benefit.
    """
    rows = pl.concat([part for _, part in parts])
    ends = rows.select("gain", "gain_high", "harm", "harm_high", "churn").to_numpy().astype(float)
    most = min(max(np.nanmax(ends, initial=0.0) * 1.05, 0.05), 1.0)
    top = MARGIN + 3 * LINE
    bottom = top + sum(HEAD + 30 * part.height for _, part in parts)
    image, draw = _canvas(bottom + MARGIN)
    axis = Axis(275, 615, -most, most)
    write(draw, (axis.at(0) - 12, MARGIN), "harm: right without tools, wrong with", HARM, TITLE, anchor="ra")
    write(draw, (axis.at(0) + 12, MARGIN), "gain: wrong without tools, right with", GAIN, TITLE)
    legend = f"percent, {confidence:.0%} intervals; stroke: what two attempts without tools differ by (churn)"
    write(draw, (axis.at(0), MARGIN + LINE), legend, FAINT, anchor="ma")
    tick = next(t for t in (0.5, 0.25, 0.2, 0.1, 0.05, 0.02) if t <= most / 1.5)
    axis.grid(draw, top, bottom, [(t * s, f"{100 * t:g} %") for t in (tick, 2 * tick) if t <= most for s in (-1, 1)])
    axis.grid(draw, top, bottom, [(0, "0")])
    y = top
    for heading, part in parts:
        write(draw, (MARGIN, y + 6), heading, FAINT)
        y += HEAD
        for row in part.iter_rows(named=True):
            _both_ways(draw, axis, y, row)
            y += 30
    return markdown_image(image, "gain and harm")


def _both_ways(draw: ImageDraw.ImageDraw, axis: Axis, y: float, row: dict) -> None:
    write(draw, (MARGIN, y - 2), one_line(plain_letters(row["name"]), 150), size=TITLE)
    write(draw, (MARGIN, y + 13), _questions(row["questions"]), FAINT)
    for name, sign, colour in (("gain", 1, GAIN), ("harm", -1, HARM)):
        value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        if value is None:
            continue
        ends = sorted((axis.at(0), axis.at(sign * value)))
        draw.rectangle([ends[0], y, ends[1], y + 16], fill=colour)
        if low is not None and high is not None:
            _interval(draw, axis, y + 8, sign * low, sign * high, INK)
        if row["churn"] is not None:
            x = axis.at(sign * row["churn"])
            draw.line([x, y - 4, x, y + 20], fill=INK, width=2)
        x, anchor = (axis.right + 12, "la") if sign > 0 else (axis.left - 12, "ra")
        write(draw, (x, y + 1), in_percent(value, low, high), colour, anchor=anchor)
    if row["benefit"] is not None:
        write(draw, (WIDTH - MARGIN, y + 1), f"net {round(100 * row['benefit'], 1) + 0.0:+.1f}", anchor="ra")


def _questions(number: int) -> str:
    return f"{number:,} question{'' if number == 1 else 's'}"


def what_explains(by_task: pl.DataFrame, words: Sequence[str], confidence: float) -> str:
    """Of each task the benefit, its two parts, and what results alone give, as bars from 0 with intervals.

    Args:
        by_task: columns name, questions, and each of PARTS with _low and _high.
        words: what the controls explain, one line per row of `by_task`.
    """
    names = [name for name, _, _ in PARTS]
    ends = by_task.select(f"{name}{end}" for name in names for end in ("", "_low", "_high")).to_numpy().astype(float)
    low = min(np.nanmin(ends, initial=0.0), -0.02)
    high = max(np.nanmax(ends, initial=0.0), 0.05)
    top, block = MARGIN + 2 * LINE, HEAD + len(PARTS) * LINE + 8
    image, draw = _canvas(top + block * by_task.height + MARGIN)
    axis = Axis(300, 690, low, high)
    write(draw, (MARGIN, MARGIN), f"difference of pass rates in percentage points, {confidence:.0%} intervals", FAINT)
    step = next(t for t in (0.5, 0.25, 0.2, 0.1, 0.05, 0.02) if t <= (high - low) / 3 or t == 0.02)
    ticks = [(step * k, f"{100 * step * k:g}") for k in range(-int(-low / step), int(high / step) + 1)]
    axis.grid(draw, top, image.height - MARGIN, ticks)
    for index, (row, said) in enumerate(zip(by_task.iter_rows(named=True), words, strict=True)):
        y = top + block * index + 4
        heading = f"{one_line(plain_letters(row['name']), 200, TITLE)}, {_questions(row['questions'])}"
        draw.rectangle([MARGIN, y, MARGIN + width(heading, TITLE) + 12 + width(said), y + 18], fill="#ffffff")
        write(draw, (MARGIN, y), heading, size=TITLE)
        write(draw, (MARGIN + width(heading, TITLE) + 12, y + 2), said, FAINT)
        y += HEAD - 2
        for name, label, colour in PARTS:
            _part(draw, axis, y, label, colour, row[name], row[f"{name}_low"], row[f"{name}_high"])
            y += LINE
    return markdown_image(image, "what explains the gain")


def _part(draw: ImageDraw.ImageDraw, axis: Axis, y: float, label: str, colour: str, *estimate: float | None) -> None:
    value, low, high = estimate
    write(draw, (axis.left - 15, y), label, anchor="ra")
    if value is None:
        write(draw, (axis.at(0) + 6, y), "not measured", FAINT)
        return
    ends = sorted((axis.at(0), axis.at(value)))
    draw.rectangle([ends[0], y + 2, ends[1], y + 13], fill=colour)
    _interval(draw, axis, y + 7, low, high, FAINT if colour == INK else INK)
    write(draw, (WIDTH - MARGIN, y), in_percent(value, low, high), anchor="ra")
