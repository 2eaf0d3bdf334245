"""The figures of the tool-benefit benchmark, drawn with Pillow: stated against true, and what a budget settles."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageColor, ImageDraw

from reports.drawing import TEXT, TITLE, font

FOLDER = Path(__file__).parent.parent.parent / "docs" / "figures"
SCALE = 3
"""Pictures are drawn this much larger and then made smaller, which smooths lines."""
SHADES = 16
"""Between white and each colour."""
INK, FAINT, GRID = "#222222", "#6a6a6a", "#e4e4e4"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#000000")
"""Okabe and Ito's, which the colour-blind can tell apart (the yellow one darker)."""
Ticks = Sequence[tuple[float, str]]
Points = Sequence[tuple[float, float, float]]
"""x, y, and half the length of the error bar."""


class Panel:
    """A pair of axes. `box` is left, top, right, bottom of the area of the data, in pixels of the finished picture; the
    first and the last of the ticks are the ends of an axis."""

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        box: tuple[int, int, int, int],
        texts: tuple[str, str, str],
        x: Ticks,
        y: Ticks,
        scale: Callable[[float], float] = float,
    ) -> None:
        """Draw the axes. `texts`: title, what is upward, what is to the right. `scale`: of x, such as math.log."""
        self._draw, self._box, self._scale = draw, box, scale
        self._left, self._right = scale(x[0][0]), scale(x[-1][0])
        self._low, self._high = y[0][0], y[-1][0]
        left, top, right, bottom = box
        for value, text in y:
            self._line([(left, self._up(value)), (right, self._up(value))], GRID, 1)
            self.text((left - 6, self._up(value)), text, "rm", FAINT)
        for value, text in x:
            self._line([(self._across(value), bottom), (self._across(value), bottom + 4)], FAINT, 1)
            self.text((self._across(value), bottom + 8), text, "ma", FAINT)
        self._line([(left, bottom), (right, bottom)], FAINT, 1)
        self.text((left - 34, top - 34), texts[0], "ls", INK, TITLE)
        self.text((left - 34, top - 14), texts[1], "ls", FAINT)
        self.text(((left + right) / 2, bottom + 26), texts[2], "ma", FAINT)

    def _across(self, x: float) -> float:
        return self._box[0] + (self._scale(x) - self._left) / (self._right - self._left) * (self._box[2] - self._box[0])

    def _up(self, y: float) -> float:
        share = min(max((y - self._low) / (self._high - self._low), 0), 1)
        return self._box[3] - share * (self._box[3] - self._box[1])

    def _line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        self._draw.line([(x * SCALE, y * SCALE) for x, y in points], fill=colour, width=round(width * SCALE))

    def text(self, at: tuple[float, float], text: str, anchor: str, colour: str, size: int = TEXT) -> None:
        self._draw.text((at[0] * SCALE, at[1] * SCALE), text, fill=colour, font=font(size * SCALE), anchor=anchor)

    def dashes(self, start: tuple[float, float], end: tuple[float, float], colour: str = FAINT) -> None:
        """A dashed line between two points of the data."""
        ends = np.array([(self._across(x), self._up(y)) for x, y in (start, end)])
        pieces = max(1, round(float(np.hypot(*(ends[1] - ends[0]))) / 4))
        for piece in range(0, pieces, 2):
            shares = [piece / pieces, min(piece + 1, pieces) / pieces]
            self._line([tuple(ends[0] + share * (ends[1] - ends[0])) for share in shares], colour, 1)

    def curve(self, points: Points, colour: str, hollow: bool = False) -> None:
        """Points joined by lines, with their error bars; hollow points have a thin line."""
        self._line([(self._across(x), self._up(y)) for x, y, _ in points], colour, 1 if hollow else 1.8)
        for x, y, error in points:
            self._line([(self._across(x), self._up(y + way * error)) for way in (-1, 1)], colour, 1)
            at, r = (self._across(x) * SCALE, self._up(y) * SCALE), 3 * SCALE
            box = [at[0] - r, at[1] - r, at[0] + r, at[1] + r]
            self._draw.ellipse(box, fill="white" if hollow else colour, outline=colour, width=SCALE)

    def legend(self, at: tuple[int, int], names: Sequence[tuple[str, str, bool]]) -> None:
        """Lines of name, colour and whether its points are hollow, downwards from `at`."""
        for row, (name, colour, hollow) in enumerate(names):
            y, r = at[1] + 18 * row, 3
            self._line([(at[0], y), (at[0] + 20, y)], colour, 1 if hollow else 1.8)
            box = [(at[0] + 10 - r) * SCALE, (y - r) * SCALE, (at[0] + 10 + r) * SCALE, (y + r) * SCALE]
            self._draw.ellipse(box, fill="white" if hollow else colour, outline=colour, width=SCALE)
            self.text((at[0] + 27, y), name, "lm", INK)


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width * SCALE, height * SCALE), "white")
    return image, ImageDraw.Draw(image)


def _save(image: Image.Image, file: Path) -> None:
    small = image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.LANCZOS)
    colours = np.array([ImageColor.getrgb(colour) for colour in (INK, FAINT, GRID, *COLOURS)])
    shares = np.linspace(0, 1, SHADES)[:, None, None]
    palette = Image.new("P", (1, 1))
    palette.putpalette((colours * shares + 255 * (1 - shares)).round().astype(int).ravel().tolist())
    file.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(palette=palette, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def _percent(*values: int) -> Ticks:
    return [(value / 100, f"{value} %") for value in values]


def calibration(cells: pl.DataFrame, reliability: pl.DataFrame, samples: int, file: Path) -> None:
    """Probabilities and intervals, stated against measured.

    Args:
        cells: one row a population, size and number of samples: columns population, questions, samples, further,
            coverage, coverage_error.
        reliability: one row a bin: columns way (fixed, planner), stated, true, error.
        samples: the number of samples whose coverage is shown.
    """
    image, draw = _canvas(980, 420)
    tenths = _percent(0, 20, 40, 60, 80, 100)
    title = "Stated probability of a gain"
    panel = Panel(draw, (60, 70, 390, 360), (title, "questions that do gain", "stated"), tenths, tenths)
    panel.dashes((0, 0), (1, 1))
    for way, colour, hollow in (("fixed", COLOURS[0], False), ("planner", COLOURS[1], True)):
        rows = reliability.filter(pl.col("way") == way)
        panel.curve(rows.select("stated", "true", 2 * pl.col("error")).rows(), colour, hollow)
    names = [("equally many samples", COLOURS[0], False), ("samples where the planner wants them", COLOURS[1], True)]
    panel.legend((72, 84), names)

    sizes = sorted(cells["questions"].unique())
    texts = (f"Intervals of 95 %, {samples} samples an arm", "questions whose interval holds the truth", "questions")
    ticks = [(sizes[0] * 0.7, ""), *((size, f"{size:,}") for size in sizes), (sizes[-1] * 1.4, "")]
    panel = Panel(draw, (490, 70, 800, 360), texts, ticks, _percent(90, 92, 94, 96, 98, 100), math.log)
    panel.dashes((ticks[0][0], 0.95), (ticks[-1][0], 0.95), INK)
    fixed = cells.filter(pl.col("samples") == samples, pl.col("further") == 0, pl.col("population") != "null")
    names = fixed["population"].unique(maintain_order=True)
    for name, colour in zip(names, COLOURS, strict=True):
        rows = fixed.filter(pl.col("population") == name).sort("questions")
        panel.curve(rows.select("questions", "coverage", 2 * pl.col("coverage_error")).rows(), colour)
    panel.legend((820, 84), [(name, colour, False) for name, colour in zip(names, COLOURS, strict=True)])
    _save(image, file)


def budget(points: pl.DataFrame, titles: dict[str, str], file: Path) -> None:
    """What the planner and equal numbers of samples settle, a panel for each kind of data.

    Args:
        points: columns data, way (planner, equal), budget, rightly and rightly_error (shares of the questions).
        titles: data -> its panel's title, in the order of the panels.
    """
    image, draw = _canvas(300 * len(titles), 400)
    budgets = sorted(points["budget"].unique())
    ways = [("planner", COLOURS[0], False), ("equal", COLOURS[1], True)]
    for column, (data, title) in enumerate(titles.items()):
        left = 300 * column + 55
        texts = (title, "questions rightly settled", "further rollouts a question")
        ticks = [(value, f"{value:g}") for value in budgets if value == 0 or value >= 4]
        panel = Panel(draw, (left, 70, left + 225, 340), texts, ticks, _percent(0, 20, 40, 60, 80))
        for way, colour, hollow in reversed(ways):
            rows = points.filter(pl.col("data") == data, pl.col("way").is_in([way, "both"])).sort("budget")
            panel.curve(rows.select("budget", "rightly", 2 * pl.col("rightly_error")).rows(), colour, hollow)
        if not column:
            panel.legend((left + 8, 84), [("planner", *ways[0][1:]), ("equally many each", *ways[1][1:])])
    _save(image, file)
