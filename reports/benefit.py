"""What the asset `tool_benefit` shows: in short, pictures with the numbers behind them, and examples to read."""

from collections.abc import Mapping, Sequence
from typing import cast

import polars as pl

from filters.benefit import columns
from filters.benefit.columns import COMPARED
from records.images.store import ImageStore
from records.recipe import ToolBenefit
from reports import benefit_charts as charts
from reports.attempts import examples
from reports.benefit_decisions import ALL, decisions, fallback, never_solved
from reports.markdown import Markdown, markdown_table, plain

ROWS = 40
"""The most questions in the picture question by question."""
TOOLS = 10
"""The most tools that have a bar each."""
FINEST = 16
"""The most steps of the plane's axes."""
TELLING = 0.01
"""The share of attempts without a verdict from which on the page says it."""
FEW_QUESTIONS = 100
"""The number of questions below which the page says that intervals are wide."""
FEW_ATTEMPTS = 8
"""The number of attempts per arm below which the page says that intervals are wide."""
DONE = ("questions", "direct", "tools", "oracle", "churn", "benefit", "corrected_benefit", "gain", "harm")
"""The totals that say what tools do."""
SAID = (
    "call_only_questions", "result_only_questions", "call_only", "result_only", "habit", "content", "results_alone",
    "habit_share", "results_share",
)  # fmt: skip
"""The totals that say what the control arms explain."""


def metadata(
    table: pl.DataFrame,
    by: Mapping[str, pl.DataFrame],
    questions: pl.DataFrame,
    rollouts: pl.LazyFrame,
    images: ImageStore,
    settings: ToolBenefit,
) -> dict[str, object]:
    """Everything that the asset shows, at most about 200 kB for a table of any length.

    Args:
        table: one row per question, of filters.benefit.per_question.per_question.
        by: `task` and `tool` (the tool called first) -> totals of filters.benefit.totals.totals by it, the row `all`
            last.
        questions: columns question_id, text, answer, images.
        rollouts: whole rollouts; only those of a few questions are read.
    """
    by_task, by_tool = by["task"], by["tool"]
    if by_task.is_empty():
        return {"in_short": "No question has a first attempt with a verdict in both arms: there is nothing to compare."}
    return {
        "in_short": in_short(table, by_task, settings),
        "direct_against_tools": Markdown(direct_against_tools(table, questions, settings)),
        "gain_and_harm": Markdown(gain_and_harm(by_task, by_tool, settings.confidence)),
        "what_explains_the_gain": Markdown(what_explains(by_task, settings.confidence)),
        "decisions": Markdown(decisions(table, settings)),
        "examples": Markdown(examples(table, questions, rollouts, images)),
        "totals": Markdown(totals_table(by_task, by_tool)),
    }


def in_short(table: pl.DataFrame, by_task: pl.DataFrame, settings: ToolBenefit) -> str:
    """How much was measured, the benefit over all, how many gain and are harmed, and what the controls explain."""
    total = by_task.row(by_task["task"].to_list().index(ALL), named=True)
    attempts = cast("int | None", table[columns.first_attempts("direct")].max()) or 0
    wide = table.height < FEW_QUESTIONS or attempts < FEW_ATTEMPTS
    made = dict(table["decision"].value_counts().iter_rows())
    measured = f"{_number(table.height, 'question')}, {_number(attempts, 'attempt')} per arm"
    sums = {arm: table.select(columns.attempts(arm), columns.samples(arm)).sum().row(0) for arm in COMPARED}
    lost = {arm: 1 - judged / max(samples, 1) for arm, (judged, samples) in sums.items()}
    silent = ""
    if max(lost.values()) >= TELLING:
        shares = ", ".join(f"{arm} {share:.0%}" for arm, share in lost.items())
        silent = f" Attempts without a verdict count nowhere: {shares}."
    silent += unreadable(table)
    interval = ""
    if total["benefit_low"] is not None:
        low, high = 100 * total["benefit_low"], 100 * total["benefit_high"]
        interval = f" ({settings.confidence:.0%} interval {low:+.1f} to {high:+.1f})"
    return (
        f"{measured}{': intervals are wide' if wide else ''}. "
        f"Right without tools {charts.in_percent(total['direct'])} %, with tools {charts.in_percent(total['tools'])} %"
        f": {100 * total['benefit']:+.1f} points{interval}. "
        f"Questions that tools help: {made.get('gain', 0):,}, harm: {made.get('harm', 0):,}, make no difference to: "
        f"{made.get('none', 0):,}{_of_them_never_solved(table)}, still open: {made.get('open', 0):,}. "
        f"{explained(total)[0].upper()}"
        f"{explained(total)[1:]}.{fallback(table, settings)}{silent}"
    )


def _of_them_never_solved(table: pl.DataFrame) -> str:
    never = table.filter(pl.col("decision") == "none", never_solved()).height
    return f" ({never:,} of them never solved)" if never else ""


def unreadable(table: pl.DataFrame) -> str:
    """How many attempts could not be read, and how many decisions hang on them; "" without any."""
    sums = table.select(
        *(pl.sum_horizontal(columns.silent(arm), columns.lost(arm)).sum().alias(arm) for arm in COMPARED),
        hang=(pl.col(columns.counted_wrong("decision")) != pl.col(columns.left_out("decision"))).sum(),
        apart=pl.col(columns.counted_wrong("benefit")).mean() - pl.col(columns.left_out("benefit")).mean(),
    ).row(0, named=True)
    if not any(sums[arm] for arm in COMPARED):
        return ""
    counted = ", ".join(f"{arm} {sums[arm]:,}" for arm in COMPARED)
    apart = "" if sums["apart"] is None else f" {100 * sums['apart']:+.1f} points of estimated benefit and"
    return (
        f" Attempts that could not be read: {counted}. Counting them all as wrong instead of none makes{apart} "
        f"{_number(sums['hang'], 'decision')} of difference; such questions are open."
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def explained(total: dict) -> str:
    """What the control arms say about the benefit, in words."""
    if total["habit"] is None and total["results_alone"] is None:
        return "no control arm was measured: what explains the benefit is not known"
    if total["habit_share"] is None and total["results_share"] is None:
        return "the benefit is too uncertain to divide"
    said = []
    for share, words in (("habit", "the habit of calling explains {} % of it"), ("results", "results alone give {} %")):
        value, low, high = (total[f"{share}_share{end}"] for end in ("", "_low", "_high"))
        if value is not None:
            ends = "" if low is None or high is None else f" ({100 * low:.0f} to {100 * high:.0f})"
            said.append(words.format(f"{100 * value:.0f}") + ends)
    return ", ".join(said)


def direct_against_tools(table: pl.DataFrame, questions: pl.DataFrame, settings: ToolBenefit) -> str:
    """The picture question by question, its numbers, and for more questions than it shows the plane of all of them."""
    chosen = representative(table)
    texts = questions.filter(pl.col("question_id").is_in(chosen["question_id"].implode())).select("question_id", "text")
    chosen = chosen.join(texts, on="question_id", how="left", maintain_order="left")
    chosen = chosen.with_columns(pl.col("text").fill_null("")).with_row_index("number", offset=1)
    counts = {name: int((table["decision"] == name).sum()) for name in charts.DECISIONS}
    parts = [charts.question_rates(chosen, counts, settings.confidence)]
    if table.height > chosen.height:
        steps = min(settings.samples, FINEST)
        first = f"All questions, by their first {_number(settings.samples, 'attempt')} per arm; below, some of them."
        parts = [charts.rate_plane(_plane(table, steps), steps), first, *parts]
    behind = chosen.select(
        "number",
        "decision",
        "task",
        "text",
        *(pl.format("{}/{}", columns.right(arm), columns.attempts(arm)).alias(arm) for arm in COMPARED),
        "benefit",
        low="benefit_low",
        high="benefit_high",
    )
    parts.append(
        "The benefit is the estimate of the difference, corrected for chance. The estimate is pulled towards the other "
        "questions, more strongly when there are few attempts."
    )
    return "\n\n".join([*parts, markdown_table(behind)])


def representative(table: pl.DataFrame, rows: int = ROWS) -> pl.DataFrame:
    """The most telling questions, at most `rows`: every decision is seen, and within it from most benefit to least.

    Room that a decision does not need goes to the others. Of gains and harms the most certain are taken, of `none`
    those with the narrowest interval, and open ones spread evenly from most benefit to least.
    """
    keys = ["decision", "benefit", "gain_p", "harm_p"]
    narrow = table.select(*keys, width=pl.col("benefit_high") - pl.col("benefit_low")).with_row_index("row")
    groups = {name: narrow.filter(pl.col("decision") == name) for name in charts.DECISIONS}
    room = dict.fromkeys(groups, 0)
    for _ in range(rows):
        lacking = [name for name, group in groups.items() if room[name] < group.height]
        if lacking:
            room[min(lacking, key=lambda name: room[name])] += 1
    order = {"gain": ["gain_p", -pl.col("benefit")], "harm": ["harm_p", "benefit"], "none": ["width"]}
    taken = []
    for name, group in groups.items():
        if name in order:
            part = group.sort(*order[name], "row", nulls_last=True).head(room[name])
        else:
            step = group.height / max(room[name], 1)
            part = group.sort("benefit", "row")[[int((index + 0.5) * step) for index in range(room[name])]]
        taken.append(part.sort(-pl.col("benefit"), "row"))
    return table[pl.concat(taken)["row"].to_list()]


def _plane(table: pl.DataFrame, steps: int) -> pl.DataFrame:
    """How many questions have each pair of rates, those of their first attempts, in `steps` steps."""
    rates = [
        (pl.col(columns.first_right(arm)) / pl.col(columns.first_attempts(arm)) * steps).round().alias(arm)
        for arm in COMPARED
    ]
    cells = table.filter(pl.col(columns.first_attempts(arm)) > 0 for arm in COMPARED).select(*rates)
    return cells.cast(pl.Int64).group_by("direct", "tools").len("questions").sort("direct", "tools")


def gain_and_harm(by_task: pl.DataFrame, by_tool: pl.DataFrame, confidence: float) -> str:
    """The picture, and how to read it."""
    tools = _named(by_tool, "tool").filter(pl.col("name") != ALL).sort("questions", "name", descending=[True, False])
    parts = [("by task", _named(by_task, "task")), ("by the tool called first", tools.head(TOOLS))]
    picture = charts.gain_and_harm([(heading, part) for heading, part in parts if part.height], confidence)
    return (
        f"{picture}\n\nGain: an attempt without tools is wrong and one with them right; harm: the reverse. "
        "Gain - harm = benefit (net). The upright mark is churn: how much two attempts *without* tools differ. Gain or "
        "harm below it may be chance."
    )


def what_explains(by_task: pl.DataFrame, confidence: float) -> str:
    """The picture, and the shares in words."""
    named = _named(by_task, "task")
    words = [explained(row) for row in named.iter_rows(named=True)]
    listed = [f"- {plain(name)}: {said}" for name, said in zip(named["name"], words, strict=True)]
    for arm in ("call_only", "result_only"):
        total = by_task.row(-1, named=True)
        if 0 < total[f"{arm}_questions"] < total["questions"]:
            counted = f"{total[f'{arm}_questions']:,} of {total['questions']:,}"
            listed.append(f"\nWhat {arm} says is over the {counted} questions with an attempt in that arm.")
    return "\n".join([charts.what_explains(named, words, confidence), "", *listed])


def _named(totals: pl.DataFrame, by: str) -> pl.DataFrame:
    """The totals with `by` as `name`; without the last row, over all, where it is that of the only other one."""
    named = totals.rename({by: "name"})
    return named.head(1) if named.height == 2 else named


def totals_table(by_task: pl.DataFrame, by_tool: pl.DataFrame) -> str:
    """All totals by task and by tool, in percent: what tools do, and what the control arms say."""
    parts = [
        _readable(totals, names)
        for totals in (by_task, by_tool.sort("questions", maintain_order=True).tail(TOOLS + 1))
        for names in (DONE, SAID)
    ]
    return "\n\n".join(markdown_table(part) for part in parts if part.width > 1)


def _readable(totals: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Estimates with their intervals in one column each; what was not measured has no column."""
    listed = [totals.get_columns()[0]]
    for values in totals.select(names):
        if values.null_count() == totals.height or (values.dtype.is_integer() and values.sum() == 0):
            continue
        if values.dtype.is_float():
            nothing = pl.repeat(None, totals.height, eager=True)
            ends = [totals.get_column(f"{values.name}{end}", default=nothing) for end in ("_low", "_high")]
            shown = [charts.in_percent(*row) if row[0] is not None else "" for row in zip(values, *ends, strict=True)]
            values = pl.Series(f"{values.name} %", shown)
        listed.append(values)
    return pl.DataFrame(listed)
