"""Answers and golds that were once judged wrongly, or could be: tests/traps/verdicts.jsonl and golds.jsonl."""

import json
from pathlib import Path

import polars as pl

from filters.questions.verifiable import apply
from records.question import Question
from records.tables import to_frame
from verdicts.rules import judge

TRAPS = Path(__file__).parent.parent / "traps"


def lines(name):
    return [json.loads(line) for line in (TRAPS / name).read_text().splitlines()]


def question(trap, row):
    return Question(
        source="s", source_row=str(row), task="math", text=f"What is {row}?", answer=trap["gold"],
        answer_type=trap["answer_type"], choices=trap.get("choices", []), aliases=trap.get("aliases", []),
        answer_rule=trap.get("rule", ""),
    )  # fmt: skip


def test_every_answer_is_judged_as_it_should_be():
    traps = lines("verdicts.jsonl")
    judged = [(trap, judge(trap["answer"], question(trap, row))) for row, trap in enumerate(traps)]
    wrong = [(*trap.values(), verdict.how) for trap, verdict in judged if verdict.correct is not trap["right"]]
    assert not wrong, "\n".join(map(str, wrong))
    assert len(traps) >= 400


def test_every_gold_is_kept_or_rejected_as_it_should_be():
    traps = lines("golds.jsonl")
    questions = [question(trap, row) for row, trap in enumerate(traps)]
    kept, rejects = apply(to_frame(questions, Question))
    reasons = dict(rejects.select("row_id", "reason").iter_rows())
    kept_ids = set(kept["question_id"])
    wrong = [
        (*trap.values(), reasons.get(asked.question_id))
        for trap, asked in zip(traps, questions, strict=True)
        if (asked.question_id in kept_ids) is not trap["kept"] or reasons.get(asked.question_id, "") != trap["reason"]
    ]
    assert not wrong, "\n".join(map(str, wrong))
    details = rejects.filter(pl.col("reason") == "gold_not_checkable")["detail"].to_list()
    assert details and all("other ways of writing it" in detail for detail in details)
