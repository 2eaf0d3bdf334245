"""Semantic duplicates: which answers make one question of two that mean the same."""

import numpy as np
import polars as pl
import pytest

from filters.duplicates import inexact
from records.question import Question
from records.recipe.questions import Duplicates, SemanticDuplicates
from records.tables import to_frame
from verdicts.agreement import agree, agreement_key

RULES = Duplicates(semantic=SemanticDuplicates(package="not loaded here"))
TEXTS = ("Which share of the cake is left over?", "How much of the cake remains in the end?")
SAME = [
    ("number", "1/2", "0.5"), ("number", "50%", "0.5"), ("number", "5 cm", "5"), ("number", "5 million", "5000000"),
    ("expression", "\\frac12", "1/2"), ("expression", "\\frac{\\sqrt3}{2}", "\\dfrac{\\sqrt{3}}{2}"),
    ("short_text", "U.S.", "US"), ("short_text", "the euro", "Euro"), ("short_text", "São Paulo", "Sao Paulo"),
    ("boolean", "yes", "Yes"), ("set", "1, 2", "2, 1"),
]  # fmt: skip
OTHERS = [("number", "1/2", "1/3"), ("short_text", "US", "UK"), ("expression", "\\sqrt2", "\\sqrt3")]


def asked(answer_type, answers):
    rows = zip(TEXTS, answers, strict=True)
    questions = [
        Question(source="s", source_row=str(n), task="math", text=text, answer=answer, answer_type=answer_type)
        for n, (text, answer) in enumerate(rows)
    ]
    table = to_frame(questions, Question)
    return table.with_columns(pictures=pl.lit([], pl.List(pl.String)), first_seen=pl.lit(0))


def one_meaning(texts):
    """What an embedding says of texts that mean the same."""
    return np.tile(np.array([1.0, 0.0], np.float16), (len(texts), 1))


@pytest.mark.parametrize(("answer_type", "one", "other"), SAME)
def test_the_verdict_says_whether_the_answers_are_one(answer_type, one, other):
    assert agree(one, other, answer_type) and agreement_key(one, answer_type) == agreement_key(other, answer_type)
    kept, rejects, _ = inexact.apply(asked(answer_type, (one, other)), RULES, one_meaning)
    assert kept.height == 1 and rejects["reason"].to_list() == ["semantic_duplicate"]


@pytest.mark.parametrize(("answer_type", "one", "other"), OTHERS)
def test_other_answers_are_other_questions(answer_type, one, other):
    kept, rejects, _ = inexact.apply(asked(answer_type, (one, other)), RULES, one_meaning)
    assert kept.height == 2 and rejects.is_empty()
