"""The figures of the tool-benefit benchmark: stated against true, and what a budget settles."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from PIL import Image

from filters.benefit.columns import RULES
from reports.drawing import CONTENT, GAIN, HABIT, HARM, INK, KEPT, RESULTS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent.parent.parent / "docs" / "figures"
COLOURS = (GAIN, HARM, CONTENT, HABIT, KEPT, RESULTS, INK)
Points = Sequence[tuple[float, float, float]]
"""x, y, and half the length of the error bar."""


def _panel(axes: "Axes", title: str, up: str, across: str, ends: tuple[float, float]) -> None:
    """Say what a panel shows; up it has percent from end to end."""
    axes.set_title(f"{title}\n", loc="left", fontsize=11)
    axes.text(0, 1.03, up, transform=axes.transAxes)
    axes.set(xlabel=across, ylim=ends, facecolor="none")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.locator_params(axis="y", nbins=5)
    axes.yaxis.grid()
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)


def _curve(axes: "Axes", points: Points, colour: str, label: str, hollow: bool = False) -> None:
    """Points joined by lines, with their error bars; hollow points have a thin line."""
    how: dict[str, Any] = {"linewidth": 1, "markerfacecolor": "none"} if hollow else {"linewidth": 1.8}
    x, y, error = np.array(points).reshape(-1, 3).T
    axes.errorbar(x, y, error, color=colour, label=label, marker="o", markersize=5, elinewidth=1, clip_on=False, **how)


def _save(figure: "Figure", file: Path) -> None:
    """A picture of few colours takes half the bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)
    with Image.open(file) as image:
        small = image.quantize(128, method=Image.Quantize.FASTOCTREE)
    small.save(file, "PNG", optimize=True)


def calibration(cells: pl.DataFrame, reliability: pl.DataFrame, samples: int, file: Path) -> None:
    """Probabilities and intervals, stated against measured.

    Args:
        cells: one row per population, size and number of samples: columns population, questions, samples, further,
            coverage, coverage_error.
        reliability: one row per bin: columns way (fixed, planner), stated, true, error.
        samples: the number of samples whose coverage is shown.
    """
    figure = new_figure(9.8, 4.2)
    left, right = figure.subplots(1, 2)
    _panel(left, "Stated probability of a gain", "questions that do gain", "stated", (0, 1))
    left.plot([0, 1], [0, 1], "--", color=INK, linewidth=1)
    left.set_xlim(0, 1)
    left.xaxis.set_major_formatter(left.yaxis.get_major_formatter())
    names = {"fixed": "equally many samples", "planner": "samples where the planner wants them"}
    for (way, name), colour in zip(names.items(), COLOURS, strict=False):
        rows = reliability.filter(pl.col("way") == way)
        _curve(left, rows.select("stated", "true", 2 * pl.col("error")).rows(), colour, name, way == "planner")
    left.legend(loc="upper left")

    title = f"Intervals of 95 %, {samples} samples per arm"
    _panel(right, title, "questions whose interval holds the truth", "questions", (0.9, 1))
    right.axhline(0.95, linestyle="--", color=INK, linewidth=1)
    fixed = cells.filter(pl.col("samples") == samples, pl.col("further") == 0, pl.col("population") != "null")
    for name, colour in zip(fixed["population"].unique(maintain_order=True), COLOURS, strict=True):
        rows = fixed.filter(pl.col("population") == name).sort("questions")
        _curve(right, rows.select("questions", "coverage", 2 * pl.col("coverage_error")).rows(), colour, name)
    sizes = sorted(cells["questions"].unique())
    right.set_xscale("log")
    right.set_xticks(sizes, labels=[f"{size:,}" for size in sizes])
    right.minorticks_off()
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    _save(figure, file)


def budget(points: pl.DataFrame, titles: dict[str, str], file: Path) -> None:
    """What the planner and equal numbers of samples settle, a panel for each kind of data.

    Args:
        points: columns data, rule, way (planner, equal), budget, rightly and rightly_error (shares of the questions).
        titles: data -> its panel's title, in the order of the panels.
    """
    figure = new_figure(3 * len(titles), 4)
    (panels,) = figure.subplots(1, len(titles), squeeze=False, sharex=True)
    ways = {"planner": ("planner", False), "equal": ("equally many each", True)}
    for axes, (data, title) in zip(panels, titles.items(), strict=True):
        _panel(axes, title, "questions rightly settled", "further rollouts per question", (0, 0.8))
        axes.set_xticks([budget for budget in sorted(points["budget"].unique()) if budget == 0 or budget >= 4])
        for rule, colour in zip(RULES, COLOURS, strict=False):
            for way, (name, hollow) in ways.items():
                mine = (pl.col("data") == data, pl.col("rule") == rule, pl.col("way").is_in([way, "both"]))
                rows = points.filter(*mine).sort("budget")
                shown = rows.select("budget", "rightly", 2 * pl.col("rightly_error")).rows()
                _curve(axes, shown, colour, f"{rule}, {name}", hollow)
    panels[0].legend(loc="upper left")
    _save(figure, file)
