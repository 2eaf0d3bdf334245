"""Pictures of numbers, drawn with matplotlib as SVG small enough to lie in an asset's metadata.

A picture has no background and one palette, so that it is read on a light page and on a dark one; its texts stay texts,
which the reader's browser draws sharply and in any script. Matplotlib is imported where something is drawn: it takes
half a second, and a picture then 0.1 to 0.25 s and 3 to 42 kB.
"""

import base64
import functools
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

INK = "#7a7a7a"
KEPT = "#b8860b"
LOST = "#d9483b"
GAIN = "#1a80bb"
HARM = "#d55e00"
HABIT = "#cc79a7"
CONTENT = "#009e73"
RESULTS = "#56b4e9"
"""Colours that colour-blind people can tell apart (Okabe and Ito 2008, "Color Universal Design"), the blue lighter so
that words in it are read on a dark page."""
FAINT = 0.35
"""Opacity of what lies behind something else."""
WIDTH = 9.0
"""The width of a picture, in inches."""
LINE = 0.19
"""The height of a line of text, in inches."""
SETTINGS: "dict[RcKeyType, Any]" = {
    "axes.edgecolor": INK, "axes.labelcolor": INK, "font.sans-serif": ["DejaVu Sans"], "font.size": 9,
    "grid.alpha": FAINT, "grid.color": INK, "legend.frameon": False, "path.simplify": False, "svg.fonttype": "none",
    "svg.hashsalt": "touchstone", "text.color": INK, "text.parse_math": False, "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip


@functools.cache
def _settle() -> None:
    import matplotlib

    matplotlib.rcParams.update(SETTINGS)
    warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)  # the reader's browser has it


def new_figure(width: float, height: float) -> "Figure":
    """An empty picture of so many inches, without a background."""
    from matplotlib.figure import Figure

    _settle()
    return Figure(figsize=(width, height), facecolor="none", layout="constrained")


def columns(lines: float, widths: Sequence[float], head: int = 0) -> "tuple[Figure, Sequence[Axes]]":
    """Columns side by side, without any axis, whose y is the number of a line from 0 downwards.

    Args:
        widths: of the columns, as shares of their sum.
        head: lines above line 0, for what a column's scale says.
    """
    figure = new_figure(WIDTH, LINE * (lines + head + 0.5))
    figure.set_layout_engine("none")
    room = {"left": 0.01, "right": 0.99, "bottom": 0, "top": 1 - head / (lines + head + 0.5), "wspace": 0.03}
    (axes,) = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths, gridspec_kw=room)
    for column in axes:
        column.set(xlim=(0, 1), ylim=(lines, -0.5), facecolor="none")
        column.axis("off")
    return figure, axes


def scale(axes: "Axes", low: float, high: float, ticks: Sequence[tuple[float, str]]) -> None:
    """Give a column a scale from `low` to `high`: upright lines with their words above them."""
    axes.axis("on")
    axes.set_xlim(low, high)
    axes.set_xticks([at for at, _ in ticks], labels=[words for _, words in ticks])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.yaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x")


def say(axes: "Axes", x: float, line: float, text: object, colour: str = INK, **how: object) -> None:
    """One line of text of any letters; `how` is what matplotlib's Text takes."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    axes.text(x, line, words, color=colour, **{"va": "center", "fontsize": 9, **how})


def strokes(
    axes: "Axes", ends: Iterable[tuple[float | None, float | None, float]], colour: str, thick: float, **how: object
) -> None:
    """Level lines, each from x to x on a line; one path for all of them, which is what keeps pictures small."""
    table = np.array([end for end in ends if None not in end], dtype=float).reshape(-1, 3)
    if len(table):
        gap = np.full(len(table), np.nan)
        x, y = np.column_stack([table[:, :2], gap]).ravel(), np.column_stack([table[:, 2], table[:, 2], gap]).ravel()
        axes.plot(x, y, color=colour, linewidth=thick, **{"solid_capstyle": "butt", "clip_on": False, **how})


def one_line(text: object, letters: int) -> str:
    """`text` on one line, cut with an ellipsis where it has more letters."""
    line = " ".join(str(text).split())
    return line if len(line) <= letters else f"{line[: letters - 1]}…"


def markdown_image(figure: "Figure", title: str) -> str:
    """A picture as a markdown image (Dagster has no image type; a data URI in markdown is the idiom)."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"]))
    small = re.sub(r"<[^>]*>", lambda tag: _slim(tag[0]), re.sub(r">\s+<", "><", buffer.getvalue()))
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(small.encode()).decode()})"


def _slim(tag: str) -> str:
    """A tag of half the bytes: tenths of a point are enough, text is not turned, and any font does."""
    tag = re.sub(r' transform="rotate\(-0 [^"]*"| font-family: [^;]*;|(?<=\.\d)\d{3,}', "", tag)
    return " ".join(tag.replace("<svg ", '<svg font-family="sans-serif" ').split())


def bar_chart(labels: Sequence[str], values: Sequence[float], title: str) -> str:
    """Upright bars with their values, as a markdown image of a few kB."""
    figure = new_figure(max(0.6 * len(labels), 0.085 * len(title)) + 0.2, 1.7)
    axes = figure.subplots()
    axes.bar_label(axes.bar(labels, values, color=KEPT), fmt="{:g}", padding=2)
    axes.set(xlabel=title, facecolor="none", ylim=(0, max([*values, 1]) * 1.15))
    axes.yaxis.set_visible(False)
    axes.tick_params(length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    return markdown_image(figure, title)
