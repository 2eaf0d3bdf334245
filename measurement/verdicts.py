"""Verdicts of stored rollouts, reached anew where the verifier or what it compares with has changed.

The ledger keeps the answer and the verdict that was reached when a rollout finished. A new verifier, or an alias more,
makes a stored verdict stale; the new one is kept beside the rollouts, so that it is reached once.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from records.question import AnswerRule, AnswerType, Question
from records.tables import completed, from_frame
from rollouts.judges import Verifier
from rollouts.judges.rules import RULES
from rollouts.ledger.ledger import Ledger
from rollouts.waves import NOT_AN_ATTEMPT

_COLUMNS = ["rollout_id", "question_id", "stop_reason", "correct", "verdict", "judged_with"]

JUDGED_BY = ["answer_type", "aliases", "answer_rule"]
"""The columns of a question that a verdict depends on beyond the question's identity."""
_log = logging.getLogger(__name__)
AT_ONCE = 64
"""Answers that the verifier is asked about at the same time."""


TO_RIGHT, TO_WRONG = "wrong to right", "right to wrong"
CHANGES = ["change", "answer_type", "before", "now", "count"]


@dataclass(frozen=True)
class Rejudged:
    """Stored answers that were judged again without a model call."""

    judged: int
    """How many there were."""
    changed: pl.DataFrame
    """Those whose verdict changed, counted: CHANGES (before, now: the rules that decided)."""

    def lines(self) -> list[str]:
        """The same in sentences."""
        sums = {name: self.changed.filter(pl.col("change") == name)["count"].sum() for name in (TO_WRONG, TO_RIGHT)}
        head = ", ".join(f"{count} {name}" for name, count in sums.items())
        return [f"{self.judged} stored answers judged again without a model call: {head}"] + [
            f"  {count} {change}: {answer_type}, by {before} before, by {now} now"
            for change, answer_type, before, now, count in self.changed.iter_rows()
        ]


def said(rejudged: Rejudged) -> None:
    """Put it into the log."""
    for line in rejudged.lines():
        _log.warning(line)


def with_current_verdicts(
    ledger: Ledger,
    rows: pl.DataFrame,
    questions: pl.DataFrame,
    verifier: Verifier = RULES,
    note: Callable[[Rejudged], None] = said,
) -> pl.DataFrame:
    """`rows` of the ledger with the columns correct, verdict and judged_with as this verifier has them.

    Args:
        rows: rollouts at these questions, with the columns rollout_id, question_id, stop_reason, correct, verdict and
            judged_with.
        questions: a table of questions.
        note: is told which verdicts changed, where answers were judged again.
    """
    against = completed(questions, Question).select("question_id", *JUDGED_BY)
    kinds = against.select(JUDGED_BY).unique()
    kinds = kinds.with_columns(
        current=pl.Series([_fingerprint(verifier, *kind) for kind in kinds.iter_rows()], dtype=pl.String)
    )
    current = against.join(kinds, on=JUDGED_BY, nulls_equal=True).select("question_id", "current")
    rows = rows.join(current, on="question_id", how="left", maintain_order="left")
    stale = rows.filter(
        pl.col("current").is_not_null()
        & pl.col("stop_reason").is_in(NOT_AN_ATTEMPT).not_()
        & (pl.col("judged_with") != pl.col("current"))
    ).select("rollout_id", "question_id", "current", key=pl.concat_str("rollout_id", pl.lit("/"), "current"))
    rows = rows.drop("current")
    if stale.is_empty():
        return rows
    stored = ledger.verdicts.read(["key", "correct", "verdict"]).unique("key", keep="first")
    missing = stale.join(stored, on="key", how="anti")
    if missing.height:
        reached = asyncio.run(_judge(ledger, missing, questions, verifier))
        ledger.verdicts.append(reached)
        stored = pl.concat([stored, reached])
        note(changes(rows, missing.join(reached, on="key"), questions))
    renewed = stale.join(stored, on="key").select(
        "rollout_id", new_correct="correct", new_verdict="verdict", new_judged_with="current"
    )
    return (
        rows.join(renewed, on="rollout_id", how="left", maintain_order="left")
        .with_columns(
            correct=pl.when(pl.col("new_judged_with").is_not_null()).then("new_correct").otherwise("correct"),
            verdict=pl.coalesce("new_verdict", "verdict"),
            judged_with=pl.coalesce("new_judged_with", "judged_with"),
        )
        .drop("new_correct", "new_verdict", "new_judged_with")
    )


def changes(rows: pl.DataFrame, reached: pl.DataFrame, questions: pl.DataFrame) -> Rejudged:
    """How many verdicts changed, in which direction and by which rule.

    Args:
        rows: rollouts as they were judged before: rollout_id, correct and verdict.
        reached: the verdicts that were reached anew: rollout_id, question_id, correct and verdict.
        questions: a table of questions.
    """
    before = rows.select("rollout_id", was="correct", before="verdict")
    both = reached.join(before, on="rollout_id").join(questions.select("question_id", "answer_type"), on="question_id")
    moved = both.filter(pl.col("was").is_not_null() & (pl.col("was") != pl.col("correct")))
    change = pl.when("correct").then(pl.lit(TO_RIGHT)).otherwise(pl.lit(TO_WRONG))
    groups = moved.group_by("answer_type", "before", change=change, now="verdict").agg(count=pl.len())
    return Rejudged(both.height, groups.select(CHANGES).sort(CHANGES, descending=[True] + [False] * 4, nulls_last=True))


def _fingerprint(
    verifier: Verifier, answer_type: AnswerType, aliases: list[str] | None, answer_rule: AnswerRule
) -> str:
    """The verifier's fingerprint, which depends on these fields of a question alone."""
    question = Question(
        source="", source_row="", task="math", text="", answer="", answer_type=answer_type, aliases=aliases or [],
        answer_rule=answer_rule,
    )  # fmt: skip
    return verifier.fingerprint(question)


async def _judge(ledger: Ledger, missing: pl.DataFrame, questions: pl.DataFrame, verifier: Verifier) -> pl.DataFrame:
    """Verdicts on the answers of these rollouts: key, correct, verdict."""
    answers = ledger.select(["rollout_id", "answer"], pl.col("rollout_id").is_in(missing["rollout_id"].implode()))
    asked = questions.join(missing, on="question_id", how="semi")
    by_id = {question.question_id: question for question in from_frame(asked, Question)}
    reached = []
    todo = missing.join(answers, on="rollout_id").select("key", "question_id", "answer")
    for part in todo.iter_slices(AT_ONCE):
        rows = part.rows()
        verdicts = await asyncio.gather(*(verifier.verify(answer, by_id[asked]) for _, asked, answer in rows))
        reached += [(row[0], verdict.correct, verdict.how) for row, verdict in zip(rows, verdicts, strict=True)]
    return pl.DataFrame(reached, schema=ledger.verdicts.kind.schema, orient="row")
