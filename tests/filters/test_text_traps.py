"""The corpus tests/traps/texts.jsonl: pairs of questions that are one or two, of answers that agree or do not.

Every pair of texts goes through the duplicates and, one as a question and one as a row of an evaluation set, through
decontamination, unless its `where` names the one that it is about.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from filters.contamination.text import hits
from filters.duplicates import exact, inexact
from filters.duplicates.answers import choices_in_any_order
from records.question import Question
from records.recipe.questions import Decontamination, Duplicates
from records.tables import to_frame
from verdicts.agreement import agree

LINES = [json.loads(line) for line in (Path(__file__).parents[1] / "traps/texts.jsonl").read_text().splitlines()]
TEXTS = [line for line in LINES if "one" in line]
ANSWERS = [line for line in LINES if "answers" in line]


def question(row, **values):
    return Question(**{"source": "s", "source_row": row, "task": "math", "answer_type": "short_text", **values})


def as_one(rows):
    """The numbers of the pairs of which one row is left. Each pair has choices of its own: none meets another."""
    table = to_frame(rows, Question).with_columns(first_seen=pl.lit(1), pictures=pl.col("images"))
    kept, lost = exact.apply(table)
    assert "contradicting_answers" not in lost["reason"].to_list()
    kept = inexact.apply(kept, Duplicates())[0]
    left = kept.select(pl.col("source_row").str.split(" ").list.first()).to_series().value_counts()
    return {int(number) for number, count in left.iter_rows() if count == 1}


def wrong(lines, found, what):
    return [
        f"{what}: {line['one'][:60]} | {line['other'][:60]} ({line['because']}): expected {line['same']}"
        for number, line in lines
        if (number in found) != line["same"]
    ]


def test_pairs_of_texts_are_one_question_or_two():
    lines = [(n, line) for n, line in enumerate(TEXTS) if "duplicates" in line.get("where", ["duplicates"])]
    rows = [
        question(f"{n} {side}", text=line[side], answer="right", choices=["right", f"pair {n}"])
        for n, line in lines
        for side in ("one", "other")
    ]
    assert not (failed := wrong(lines, as_one(rows), "duplicates")), "\n".join(failed)


@pytest.mark.parametrize("image", [False, True])
def test_pairs_of_texts_are_found_in_an_evaluation_set_or_not(image):
    lines = [(n, line) for n, line in enumerate(TEXTS) if "contamination" in line.get("where", ["contamination"])]
    if image:  # a short text says little about which picture it is asked about
        lines = [
            (n, line)
            for n, line in lines
            if len(line["one"]) > 110 or (line["language"] == "zh" and len(line["one"]) > 40)
        ]
        assert lines
    found = set()
    for number, line in lines:
        one, other = (
            to_frame([question("1", text=line[s], answer="", images=["i"] * image)], Question) for s in ("one", "other")
        )
        asked = one.with_columns(benchmark=pl.lit("b"), row=pl.lit("1"), has_image=pl.lit(image))
        if hits(other, asked, Decontamination()).height:
            found.add(number)
    assert not (failed := wrong(lines, found, "contamination")), "\n".join(failed)


def test_pairs_of_answers_agree_or_do_not():
    failed = []
    for line in ANSWERS:
        one, other = line["answers"]
        if agree(one, other, line["type"]) != line["same"] or agree(other, one, line["type"]) != line["same"]:
            failed.append(f"agree: {one} | {other}")
        rows = [
            question(str(i), text="What is it?", answer=a, answer_type=line["type"]) for i, a in enumerate((one, other))
        ]
        reasons = exact.apply(to_frame(rows, Question))[1]["reason"].to_list()
        if reasons != (["duplicate"] if line["same"] else ["contradicting_answers"] * 2):
            failed.append(f"exact: {one} | {other}: {reasons}")
        near = [
            question(str(i), text=text, answer=a, answer_type=line["type"])
            for i, (text, a) in enumerate(
                zip(
                    ("What is it, the thing in the box there?", "What is it, the thing of the box?"),
                    (one, other),
                    strict=True,
                )
            )
        ]
        table = to_frame(near, Question).with_columns(first_seen=pl.lit(1), pictures=pl.col("images"))
        if (inexact.apply(table, Duplicates())[0].height == 1) != line["same"]:
            failed.append(f"near: {one} | {other}")
    assert not failed, "\n".join(failed)


def test_choices_in_another_spelling_are_the_same_choices():
    table = to_frame(
        [
            question(str(i), text="t", answer="A", choices=c)
            for i, c in enumerate(([r"\frac12", "3"], ["3", "1/2"], ["0.5", "3.0"], ["1/3", "3"]))
        ],
        Question,
    )
    first, second, third, other = choices_in_any_order(table)
    assert first == second == third != other
