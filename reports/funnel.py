"""How many rows of each source are left after each step, and what took the others: a picture and its numbers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from reports.drawing import FAINT, INK, KEPT, LOST, columns, markdown_image, one_line, say, strokes
from reports.markdown import Markdown, markdown_table

WIDTHS = (18, 28, 15, 39)
"""The relative widths of the columns: names, bars, what is left or taken, and reasons."""
LABEL = 21
"""The most letters of a name."""
LETTERS = 52
"""The most letters of a line of reasons."""
MOST_LINES = 12
"""The most lines that the reasons of a step take."""
SEEN = 0.004
"""Share of a bar's length that the smallest part takes."""
PANELS = 5
"""Up to so many sources get a funnel of their own; more get a line each below the funnel of all."""
ALL = "all sources"


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


class Bar(NamedTuple):
    """A line of the picture: of all rows, those left and those just lost; without a number it is a heading."""

    label: str
    left: int = 0
    lost: int = 0
    of: int | None = None
    said: str = ""
    notes: Sequence[str] = ()
    step: bool = False


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
    return Markdown(f"{_draw(flows)}\n\n{_table(flows)}")


def _flows(steps: pl.DataFrame) -> list[Flow]:
    parts = steps.with_columns(pl.col("source").fill_null("")).partition_by("source", maintain_order=True)
    return [_flow(part["source"][0], part) for part in parts]


def _flow(source: str, steps: pl.DataFrame) -> Flow:
    totals = (
        steps.with_columns(pl.col("step", "reason").fill_null(""), pl.col("rows").fill_null(0))
        .group_by("step", "reason", maintain_order=True)
        .agg(pl.col("rows").sum())
    )
    came_in = int(totals.filter(pl.col("reason") == "")["rows"].sum())
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


def _notes(reasons: list[tuple[str, int]], letters: int, lines: int) -> list[str]:
    """Reasons with their rows on at most `lines` lines of so many letters; those that find no room are counted."""
    out = [""]
    for index, (reason, rows) in enumerate(reasons):
        note = f"{one_line(reason, letters - 20)} {rows:,}"
        longer = f"{out[-1]} · {note}" if out[-1] else note
        more = f" · {len(reasons) - index} more"
        if len(longer) <= letters - (len(more) if len(out) == lines else 0):
            out[-1] = longer
        elif len(out) < lines:
            out.append(note)
        else:
            out[-1] += more
            break
    return out


def _draw(flows: list[Flow]) -> str:
    panels = flows if len(flows) <= PANELS + 1 else flows[:1]
    bars = [bar for flow in panels for bar in _panel(flow)]
    if len(panels) < len(flows):
        bars += [Bar("each source"), *map(_line, flows[len(panels) :])]
    starts = [0.0]
    for bar in bars:  # a heading stands off from what is above it
        starts.append(starts[-1] + (1.2 if bar.of is None else 1.15 * max(len(bar.notes), 1)))
    figure, (labels, scale, numbers, notes) = columns(starts[-1], WIDTHS)
    shares: dict[str, list[tuple[float, float, float]]] = {INK: [], KEPT: [], LOST: []}
    for y, bar in zip(starts, bars, strict=False):
        if bar.of is None:
            say(labels, 0, y, one_line(bar.label, 120), fontsize=10, weight="bold")
            continue
        say(labels, 1, y, one_line(bar.label, LABEL), ha="right")
        kept, gone = (max(rows, 0) / max(bar.of, 1) for rows in (bar.left, bar.left + bar.lost))
        shares[INK].append((0, 1, y))
        shares[KEPT].append((0, kept, y))
        if bar.lost:  # seen even where it is less than a pixel
            shares[LOST].append((max(min(kept, gone - SEEN), 0), gone, y))
        say(numbers, 0, y, bar.said, LOST if bar.lost and bar.step else INK)
        for row, note in enumerate(bar.notes):
            say(notes, 0, y + 1.15 * row, note)
    for colour, ends in shares.items():
        strokes(scale, ends, colour, 9.5, alpha=FAINT / 2 if colour == INK else 1)
    return markdown_image(figure, "rows of each source, step by step")


def _panel(flow: Flow) -> list[Bar]:
    """One funnel: a bar for what came in, one a step for what it left and what it rejected, one for what came out."""
    left = flow.came_in
    bars = [Bar(flow.source), Bar("in", left, 0, left, f"{left:,}")]
    for step in flow.steps:
        left -= step.rows
        notes = _notes(step.rejected, LETTERS, MOST_LINES)
        bars.append(Bar(step.name, left, step.rows, flow.came_in, _percent(step.rows, flow.came_in), notes, True))
    out = f"{flow.came_out:,}  ({_percent(flow.came_out, flow.came_in)})"
    return [*bars, Bar("out", left, 0, flow.came_in, out)]


def _line(flow: Flow) -> Bar:
    """A source on one line: its name, a bar of what is left and what is not, and what took the most."""
    said = f"{_percent(flow.came_out, flow.came_in)} of {flow.came_in:,}"
    notes = _notes(flow.reasons, LETTERS, 1)
    return Bar(flow.source, flow.came_out, flow.came_in - flow.came_out, flow.came_in, said, notes)
