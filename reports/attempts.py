"""Attempts to read: of each kind of question that tools help, harm or leave as it is, one or two, arm beside arm."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from filters.benefit import columns
from filters.benefit.columns import ARMS
from filters.benefit.per_question import CLEAR, NO_TOOL
from records.images.store import ImageStore
from reports.markdown import markdown_table, plain
from reports.samples import Thumbnails

TEXT = 400
"""The most characters of a question."""
CELL = 180
"""The most characters of a text, a call or a result."""
ANSWER = 60
"""The most characters of an answer."""
CALLS = 3
"""The most calls of an attempt that are shown."""
LINES = 14
"""The most lines of code."""
COLUMNS = 110
"""The most characters of a line of code."""


class ExampleKind(NamedTuple):
    """What questions are an example of."""

    heading: str
    decided: pl.Expr
    """Which questions are of the kind."""
    near: pl.Expr | None
    """Which are the nearest to it where none is decided; None: then there is no example."""
    certainty: pl.Expr
    """The greater the better an example."""
    ends: dict[str, bool | None]
    """Arms to show, and whether an attempt that ended right (wrong) is wanted; None: either."""
    most: int


_SEEMS, _CONTENT, _HABIT = (pl.col(columns.probability(name)) >= CLEAR for name in ("gain", "content", "habit"))
KINDS = (
    ExampleKind(
        "Gained by the content of the results",
        (pl.col("decision") == "gain") & (pl.col("attribution") == "content"),
        _SEEMS & _CONTENT & ~_HABIT,
        pl.col("gain_probability") * pl.col("content_probability"),
        {"direct": False, "tools": True, "call_only": False},
        2,
    ),
    ExampleKind(
        "Gained by the habit of calling",
        (pl.col("decision") == "gain") & (pl.col("attribution") == "habit"),
        _SEEMS & _HABIT & ~_CONTENT,
        pl.col("gain_probability") * pl.col("habit_probability"),
        {"direct": False, "tools": True, "call_only": True},
        2,
    ),
    ExampleKind(
        "Gained, and what explains it is both or not known",
        (pl.col("decision") == "gain") & ~pl.col("attribution").fill_null("").is_in(["content", "habit"]),
        None,
        pl.col("gain_probability"),
        {"direct": False, "tools": True, "call_only": None},
        2,
    ),
    ExampleKind(
        "Harmed",
        pl.col("decision") == "harm",
        pl.col("harm_probability") >= CLEAR,
        pl.col("harm_probability"),
        {"direct": True, "tools": False, "call_only": None},
        2,
    ),
    ExampleKind(
        "Called a tool, and it made no difference",
        (pl.col("decision") == "none") & (pl.col("tool") != NO_TOOL),
        None,
        -(pl.col("benefit_high") - pl.col("benefit_low")),
        {"direct": None, "tools": None},
        1,
    ),
)
EXPLAINED = tuple(kind.heading for kind in KINDS[:2])
"""Kinds that there are only where the arm call_only was measured."""
_READ = ("question_id", "arm", "sample_index", "correct", "answer", "stop_reason", "messages", "tool_calls")


def examples(table: pl.DataFrame, questions: pl.DataFrame, rollouts: pl.LazyFrame, images: ImageStore) -> str:
    """Markdown: of each kind its examples, or that there are none.

    Args:
        table: one row per question, of filters.benefit.per_question.per_question.
        questions: columns question_id, text, answer, images.
        rollouts: whole rollouts (records.trajectory.Rollout); read are those of the chosen questions alone.
    """
    controlled = table["habit_probability"].count() > 0
    pictured = questions.filter(pl.col("images").list.len() > 0)["question_id"].implode()
    table = table.with_columns(_pictured=pl.col("question_id").is_in(pictured))
    chosen = [(kind, *_choose(table, kind)) for kind in KINDS if controlled or kind.heading not in EXPLAINED]
    every = pl.concat([part for _, _, part in chosen])
    asked = questions.filter(pl.col("question_id").is_in(every["question_id"].implode()))
    about = {row["question_id"]: row for row in asked.iter_rows(named=True)}
    shown = _attempts(rollouts, chosen)
    thumbnails = Thumbnails(images)
    parts = []
    for kind, decided, part in chosen:
        if part.is_empty():
            parts.append(f"### {kind.heading}\n\n(no question)")
            continue
        parts.append(f"### {kind.heading}{'' if decided else ' (not decided; the nearest to it)'}")
        for row in part.iter_rows(named=True):
            of_question = {arm: shown.get((row["question_id"], arm)) for arm in kind.ends}
            parts.append(_example(row, about.get(row["question_id"], {}), of_question, thumbnails))
    parts.append(
        "Of each arm one attempt is shown, a short one, chosen because it ended as the heading says; how often the "
        "others did is in the first line."
    )
    return "\n\n".join(parts)


def _choose(table: pl.DataFrame, kind: ExampleKind) -> tuple[bool, pl.DataFrame]:
    """Whether they are decided, and the rows of a kind's examples: the most certain ones of their tasks, of different
    tasks first, one with a picture before the others."""
    certain = table.select(
        "task",
        "_pictured",
        decided=kind.decided,
        near=kind.near if kind.near is not None else False,
        certainty=kind.certainty,
        open=pl.col("decision") == "open",
    ).with_row_index("row")
    found = certain.filter("decided")
    decided = found.height > 0 or kind.near is None
    if not decided:
        found = certain.filter(pl.col("near") & pl.col("open"))
    turn = pl.col("certainty").rank("ordinal", descending=True).over("task")
    best = found.with_columns(turn=turn).sort("turn", ~pl.col("_pictured"), -pl.col("certainty"), "row").head(kind.most)
    return decided, table[best["row"].to_list()]


def _attempts(
    rollouts: pl.LazyFrame, chosen: Sequence[tuple[ExampleKind, bool, pl.DataFrame]]
) -> dict[tuple[str, str], dict]:
    """The attempt to show of each chosen question in each arm: one that ended as wanted, with a call if the arm has
    them, with the fewest words."""
    wanted = [
        (question, arm, right)
        for kind, _, part in chosen
        for question in part["question_id"]
        for arm, right in kind.ends.items()
    ]
    ends = pl.DataFrame(
        wanted, schema={"question_id": pl.String, "arm": pl.String, "wanted": pl.Boolean}, orient="row"
    ).unique(["question_id", "arm"], keep="first", maintain_order=True)
    asked = pl.col("question_id").is_in(ends["question_id"].unique().implode())
    found = rollouts.filter(asked & pl.col("correct").is_not_null()).select(_READ).collect(engine="streaming")
    fits = (pl.col("correct") == pl.col("wanted")).fill_null(True)
    best = found.join(ends, on=["question_id", "arm"]).sort(
        ~fits,
        (pl.col("arm") != "direct") & (pl.col("tool_calls") == "[]"),
        pl.col("messages").str.len_bytes(),
        "sample_index",
    )
    rows = best.unique(["question_id", "arm"], keep="first", maintain_order=True).iter_rows(named=True)
    return {(row["question_id"], row["arm"]): row for row in rows}


def _example(row: dict, question: dict, attempts: dict[str, dict | None], thumbnails: Thumbnails) -> str:
    """The question, a table with the arms side by side, and the code of the attempt with tools."""
    picture = thumbnails.of(question.get("images"))
    heading = f"#### {plain(question.get('text') or row['question_id'], TEXT)} {picture}"
    rates = ", ".join(
        f"{arm} {row[columns.right(arm)]} of {row[columns.attempts(arm)]}" for arm in ARMS if row[columns.attempts(arm)]
    )
    facts = f"Right answer: **{plain(question.get('answer'), ANSWER)}** · {plain(row['task'])} · right in {rates}"
    made = {arm: attempt for arm, attempt in attempts.items() if attempt}
    cells = {arm: _column(attempt, thumbnails) for arm, attempt in made.items()}
    rows = ["text", "calls", "results", "answer", "verdict"]
    side_by_side = markdown_table(pl.DataFrame({"": rows, **cells}), markdown=list(cells))
    code = _code(made["tools"]) if "tools" in made else ""
    return "\n\n".join(part for part in (f"{heading}\n\n{facts}", side_by_side, code) if part)


def _column(attempt: dict, thumbnails: Thumbnails) -> list[str]:
    """What happened in an attempt, as markdown cells: words, calls, results, answer, verdict."""
    said = [_words(message) for message in _list(attempt["messages"]) if message.get("role") == "assistant"]
    words = next((text for text in reversed(said) if text), "")
    calls = _list(attempt["tool_calls"])[:CALLS]
    results = [_result(executed.get("result", {}), thumbnails) for executed in calls]
    answered = plain(attempt["answer"], ANSWER)
    return [
        plain(words if len(words) <= CELL else f"…{words[1 - CELL :]}", CELL),
        " · ".join(_call(executed.get("call", {})) for executed in calls)
        or ("(nothing)" if attempt["arm"] in ("tools", "call_only") else ""),
        " · ".join(results),
        f"**{answered}**" if answered else f"(no answer: {plain(attempt['stop_reason'])})",
        "✓ right" if attempt["correct"] else "✗ wrong",
    ]


def _list(text: str | None) -> list[dict]:
    """JSON text of a list; an empty one where it cannot be read."""
    try:
        read = json.loads(text or "[]")
    except json.JSONDecodeError:
        return []
    return [item for item in read if isinstance(item, dict)] if isinstance(read, list) else []


def _words(message: dict) -> str:
    """What the model wrote in a turn, calls and answer aside."""
    texts = [block.get("text") or "" for block in message.get("content") or [] if isinstance(block, dict)]
    return " ".join([message.get("reasoning") or "", *texts]).strip()


def _argument(call: dict) -> str:
    """A call's only argument as it is, several as JSON text."""
    try:
        read = json.loads(call.get("arguments") or "")
    except json.JSONDecodeError:
        return str(call.get("arguments") or "")
    values = list(read.values()) if isinstance(read, dict) else []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else str(call.get("arguments"))


def _call(call: dict) -> str:
    argument = _argument(call).strip()
    lines = argument.count("\n") + 1
    name = plain(call.get("name"), ANSWER)
    return f"{name}: {lines} lines, see below" if lines > 1 else f"{name}: {plain(argument, CELL)}"


def _result(result: dict, thumbnails: Thumbnails) -> str:
    text = plain(result.get("text"), CELL)
    if result.get("outcome", "ok") != "ok":
        text = f"({plain(result['outcome'])}) {text}"
    return f"{text} {thumbnails.of(result.get('images'))}".strip()


def _code(attempt: dict) -> str:
    """The first call of several lines as a block of code; nothing where there is none."""
    for executed in _list(attempt["tool_calls"])[:CALLS]:
        code = _argument(executed.get("call", {})).strip("\n")
        if "\n" in code:
            lines = code.splitlines()
            kept = [line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in lines[:LINES]]
            if len(lines) > LINES:
                kept.append(f"… ({len(lines) - LINES} more lines)")
            block = "".join(c for c in "\n".join(kept) if c.isprintable() or c in "\n\t")
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block)), default=0))
            return f"{fence}python\n{block}\n{fence}"
    return ""
