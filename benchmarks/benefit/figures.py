"""The figures of the tool-benefit benchmark, drawn with matplotlib: stated against true, and what a budget settles."""

from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

FOLDER = Path(__file__).parent.parent.parent / "docs" / "figures"
INK, FAINT, GRID = "#222222", "#6a6a6a", "#e4e4e4"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#000000")
"""Okabe and Ito's, which the colour-blind can tell apart (the yellow one darker)."""
LEGEND = {"frameon": False, "fontsize": 9, "labelcolor": INK, "loc": "upper left"}


def _figure(width: int, height: int, panels: int) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many pixels with its panels side by side."""
    figure = Figure((width / 100, height / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    for panel in axes:
        panel.spines[["left", "top", "right"]].set_visible(False)
        panel.spines["bottom"].set_color(FAINT)
        panel.grid(axis="y", color=GRID)
        panel.tick_params(labelcolor=FAINT, color=FAINT, labelsize=9)
        panel.tick_params(axis="y", length=0)
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    return figure, axes


def _named(panel: Axes, title: str, upward: str, across: str) -> None:
    panel.set_title(f"{title}\n", loc="left", fontsize=11, color=INK)
    panel.text(0, 1.03, upward, transform=panel.transAxes, fontsize=9, color=FAINT)
    panel.set_xlabel(across, fontsize=9, color=FAINT)


def _curve(panel: Axes, points: pl.DataFrame, name: str, colour: str, hollow: bool = False) -> None:
    """Points joined by lines, with error bars of two standard errors; hollow points have a thin line.

    Args:
        points: three columns: x, y, standard error of y.
    """
    x, y, error = (column.to_numpy() for column in points)
    face = "white" if hollow else colour
    panel.errorbar(
        x, y, 2 * error, label=name, color=colour, linewidth=1 if hollow else 1.8, elinewidth=1, marker="o",
        markersize=5, markerfacecolor=face, clip_on=False,
    )  # fmt: skip


def _save(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG with a palette of its own, which takes a third of the bytes."""
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    file.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def calibration(cells: pl.DataFrame, reliability: pl.DataFrame, samples: int, file: Path) -> None:
    """Probabilities and intervals, stated against measured.

    Args:
        cells: one row per population, size and number of samples: columns population, questions, samples, further,
            coverage, coverage_error.
        reliability: one row per bin: columns way (fixed, planner), stated, true, error.
        samples: the number of samples whose coverage is shown.
    """
    figure, (left, right) = _figure(980, 420, 2)
    _named(left, "Stated probability of a gain", "questions that do gain", "stated")
    left.set(xlim=(0, 1), ylim=(0, 1))
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    left.axline((0, 0), (1, 1), color=FAINT, linewidth=1, linestyle="--")
    ways = {"fixed": "equally many samples", "planner": "samples where the planner wants them"}
    for (way, name), colour in zip(ways.items(), COLOURS, strict=False):
        rows = reliability.filter(pl.col("way") == way).select("stated", "true", "error")
        _curve(left, rows, name, colour, way == "planner")
    left.legend(**LEGEND)

    title = f"Intervals of 95 %, {samples} samples per arm"
    _named(right, title, "questions whose interval holds the truth", "questions")
    sizes = sorted(cells["questions"].unique())
    right.set(xscale="log", ylim=(0.9, 1))
    right.set_xticks(sizes, [f"{size:,}" for size in sizes])
    right.minorticks_off()
    right.axhline(0.95, color=INK, linewidth=1, linestyle="--")
    fixed = cells.filter(pl.col("samples") == samples, pl.col("further") == 0, pl.col("population") != "null")
    names = fixed["population"].unique(maintain_order=True)
    for name, colour in zip(names, COLOURS, strict=True):
        rows = fixed.filter(pl.col("population") == name).sort("questions")
        _curve(right, rows.select("questions", "coverage", "coverage_error"), name, colour)
    right.legend(**LEGEND, bbox_to_anchor=(1, 1))
    _save(figure, file)


def budget(points: pl.DataFrame, titles: dict[str, str], file: Path) -> None:
    """What the planner and equal numbers of samples settle, a panel for each kind of data.

    Args:
        points: columns data, way (planner, equal, both), budget, rightly and rightly_error (shares of the questions).
        titles: data -> its panel's title, in the order of the panels.
    """
    figure, panels = _figure(300 * len(titles), 400, len(titles))
    budgets = [value for value in sorted(points["budget"].unique()) if value == 0 or value >= 4]
    for panel, (data, title) in zip(panels, titles.items(), strict=True):
        _named(panel, title, "questions rightly settled", "further rollouts per question")
        panel.set(xlim=(0, max(budgets)), ylim=(0, 0.8))
        panel.set_xticks(budgets, [f"{value:g}" for value in budgets])
        for way, name, colour in (("planner", "planner", COLOURS[0]), ("equal", "equally many each", COLOURS[1])):
            rows = points.filter(pl.col("data") == data, pl.col("way").is_in([way, "both"])).sort("budget")
            _curve(panel, rows.select("budget", "rightly", "rightly_error"), name, colour, way == "equal")
    panels[0].legend(**LEGEND)
    _save(figure, file)
