"""How many rows of each source are left after each step, and what took the others: a picture and its numbers."""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl
from PIL import Image, ImageDraw

from reports.drawing import EMPTY, FAINT, KEPT, LOST, TITLE, markdown_image, one_line, width, write
from reports.markdown import Markdown, markdown_table

WIDTH = 860
"""The picture's width in pixels."""
MARGIN = 10
"""Pixels that stay empty at each edge."""
BARS = 180
"""Pixels from the left to the start of the bars."""
BAR_WIDTH = 250
"""The length in pixels of a bar of all rows."""
WORDS = 440
"""Pixels from the left to the numbers behind a bar."""
NOTES = 500
"""Pixels from the left to the reasons."""
LINE = 16
"""The height of a line in pixels."""
BAR = 13
"""The height of a bar in pixels."""
GAP = 3
"""Pixels between two steps."""
HEAD = 22
"""The height of a heading in pixels."""
BELOW = 14
"""Pixels below a funnel."""
MOST_LINES = 12
"""The most lines that the reasons of one step take."""
PANELS = 5
"""The most sources that get a funnel each; more get a line each below the funnel of all."""
ALL = "all sources"
"""The name of the funnel of all sources."""


class FunnelStep(NamedTuple):
    """A step and what it rejected."""

    name: str
    rejected: list[tuple[str, int]]
    """Reason code and rows, most rows first."""

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.rejected)


class Flow(NamedTuple):
    """The way of one source's rows through the steps."""

    source: str
    came_in: int
    steps: list[FunnelStep]

    @property
    def came_out(self) -> int:
        return self.came_in - sum(step.rows for step in self.steps)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        return _summed(pair for step in self.steps for pair in step.rejected)


def funnel(steps: pl.DataFrame) -> Markdown:
    """A picture of the rows that each step left of each source, above the same numbers as a table.

    Args:
        steps: columns source, step, reason (text) and rows (count). A row without a reason says how many rows of the
            source came in at that step (0 for a step that is to be seen though it rejects nothing), one with a reason
            how many the step rejected for it. Sources and steps come in the order of their first rows.
    """
    flows = _flows(steps)
    if not flows:
        return Markdown("(none)")
    if len(flows) > 1:
        rejecting = [flow._replace(steps=[step for step in flow.steps if step.rejected]) for flow in flows]
        flows = [_flow(ALL, steps), *rejecting]
    return Markdown(f"{markdown_image(_draw(flows), 'rows of each source, step by step')}\n\n{_table(flows)}")


def _flows(steps: pl.DataFrame) -> list[Flow]:
    parts = steps.with_columns(pl.col("source").fill_null("")).partition_by("source", maintain_order=True)
    return [_flow(part["source"][0], part) for part in parts]


def _flow(source: str, steps: pl.DataFrame) -> Flow:
    totals = (
        steps.with_columns(pl.col("step", "reason").fill_null(""), pl.col("rows").fill_null(0))
        .group_by("step", "reason", maintain_order=True)
        .agg(pl.col("rows").sum())
    )
    came_in = totals.filter(pl.col("reason") == "")["rows"].sum()
    taken = [
        FunnelStep(part["step"][0], _summed(part.filter(pl.col("reason") != "").select("reason", "rows").iter_rows()))
        for part in totals.partition_by("step", maintain_order=True)
    ]
    first = totals.filter((pl.col("reason") == "") & (pl.col("rows") > 0))["step"].head(1).to_list()
    # The step at which rows come in is the bar "in"; it has one of its own only if it rejects as well.
    return Flow(source, came_in, [step for step in taken if step.rejected or step.name not in first])


def _summed(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    sums: dict[str, int] = {}
    for reason, rows in pairs:
        sums[reason] = sums.get(reason, 0) + rows
    return sorted(((reason, rows) for reason, rows in sums.items() if rows), key=lambda pair: (-pair[1], pair[0]))


def _percent(part: int, whole: int) -> str:
    if not whole:
        return "-"
    if 0 < part < whole and round(100 * part / whole, 1) in (0.0, 100.0):
        return "<0.1 %" if part < whole / 2 else ">99.9 %"
    return f"{100 * part / whole:.1f} %"


def _table(flows: list[Flow]) -> str:
    rows = [
        (
            flow.source,
            f"{flow.came_in:,}",
            " · ".join(f"{reason} {rows:,}" for reason, rows in flow.reasons),
            f"{flow.came_out:,}",
            _percent(flow.came_out, flow.came_in),
        )
        for flow in flows
    ]
    columns = ["source", "in", "rejected", "out", "kept"]
    return markdown_table(pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row"), cut=2000)


def _notes(reasons: list[tuple[str, int]], pixels: int, lines: int) -> list[str]:
    """Reasons with their rows on at most `lines` lines of so many pixels; those that find no room are counted."""
    out = [""]
    for index, (reason, rows) in enumerate(reasons):
        note = f"{one_line(reason, pixels - 120)} {rows:,}"
        longer = f"{out[-1]} · {note}" if out[-1] else note
        more = f" · {len(reasons) - index} more"
        if width(longer) <= pixels - (width(more) if len(out) == lines else 0):
            out[-1] = longer
        elif len(out) < lines:
            out.append(note)
        else:
            out[-1] += more
            break
    return out


def _draw(flows: list[Flow]) -> Image.Image:
    panels = flows if len(flows) <= PANELS + 1 else flows[:1]
    lines = flows[len(panels) :]
    height = 2 * MARGIN + sum(map(_height, panels)) + (HEAD + len(lines) * (LINE + GAP) if lines else 0)
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    y = MARGIN
    for flow in panels:
        _panel(draw, flow, y)
        y += _height(flow)
    if lines:
        write(draw, (MARGIN, y), "each source", size=TITLE)
        y += HEAD
    for flow in lines:
        _line(draw, flow, y)
        y += LINE + GAP
    return image


def _step_notes(step: FunnelStep) -> list[str]:
    return _notes(step.rejected, WIDTH - NOTES - MARGIN, MOST_LINES)


def _height(flow: Flow) -> int:
    """Pixels of a panel, the space below it included."""
    lines = [1, *(len(_step_notes(step)) for step in flow.steps), 1]
    return HEAD + sum(LINE * n + GAP for n in lines) + BELOW


def _panel(draw: ImageDraw.ImageDraw, flow: Flow, y: int) -> None:
    """One funnel: a bar for what came in, one per step for what it left and what it rejected, one for what came out."""
    write(draw, (MARGIN, y), one_line(flow.source, WIDTH - 2 * MARGIN, TITLE), size=TITLE)
    y += HEAD
    left = flow.came_in
    _bar(draw, y, "in", flow, left, 0)
    write(draw, (WORDS, y), f"{left:,}")
    y += LINE + GAP
    for step in flow.steps:
        left -= step.rows
        _bar(draw, y, step.name, flow, left, step.rows)
        share = _percent(step.rows, flow.came_in)
        write(draw, (NOTES - MARGIN, y), share, fill=LOST if step.rows else FAINT, anchor="ra")
        for note in _step_notes(step):
            write(draw, (NOTES, y), note)
            y += LINE
        y += GAP
    _bar(draw, y, "out", flow, left, 0)
    out = f"{flow.came_out:,}  ({_percent(flow.came_out, flow.came_in)})"
    write(draw, (WORDS, y - 2), out, size=TITLE)


def _line(draw: ImageDraw.ImageDraw, flow: Flow, y: int) -> None:
    """A source on one line: its name, a bar of what is left and what is not, and what took the most."""
    _bar(draw, y, flow.source, flow, flow.came_out, flow.came_in - flow.came_out)
    share = f"{_percent(flow.came_out, flow.came_in)} of {flow.came_in:,}"
    write(draw, (WORDS, y), share)
    start = WORDS + 140
    write(draw, (start, y), _notes(flow.reasons, WIDTH - start - MARGIN, 1)[0], FAINT)


def _bar(draw: ImageDraw.ImageDraw, y: int, label: str, flow: Flow, left: int, lost: int) -> None:
    """A bar with its label: of all that came in, what is left, what was just lost, and what was lost before."""
    write(draw, (BARS - MARGIN, y), one_line(label, BARS - 2 * MARGIN), anchor="ra")
    scale = BAR_WIDTH / max(flow.came_in, 1)
    kept, gone = (BARS + round(scale * max(rows, 0)) for rows in (left, left + lost))
    draw.rectangle([BARS, y, BARS + BAR_WIDTH, y + BAR], fill=EMPTY)
    if kept > BARS:
        draw.rectangle([BARS, y, kept, y + BAR], fill=KEPT)
    if lost > 0:  # seen even where it is less than a pixel
        draw.rectangle([max(min(kept, gone - 1), BARS), y, gone, y + BAR], fill=LOST)
