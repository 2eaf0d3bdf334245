import asyncio

import polars as pl
import pytest

from measurement.verdicts import with_current_verdicts
from records.question import Question
from records.tables import to_frame
from records.trajectory import Rollout
from rollouts.ledger.ledger import Ledger
from rollouts.waves import judged
from verdicts import rules as answers

COLUMNS = ["rollout_id", "question_id", "stop_reason", "correct", "verdict", "judged_with"]
QUESTION = Question(source="s", source_row="1", task="search", text="Capital?", answer="Kyiv", answer_type="short_text")


def rollout(name, answer, stop_reason="answered"):
    return Rollout(
        rollout_id=name, question_id=QUESTION.question_id, arm="direct", model_fingerprint="m", prompt_fingerprint="p",
        sampling="{}", tool_versions="{}", sample_index=0, prompt=[], messages=[], answer=answer, tool_calls=[],
        prompt_tokens=1, completion_tokens=1, seconds=0.5, stop_reason=stop_reason,
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    with Ledger(str(tmp_path)) as ledger:
        for row in (rollout("a", "Kyiv"), rollout("b", "Kiev"), rollout("c", None, "malformed_reply")):
            ledger.finish(asyncio.run(judged(row, QUESTION)))
        ledger.flush()
        yield ledger


def verdicts(ledger, question):
    rows = ledger.select(COLUMNS, pl.lit(True))
    current = with_current_verdicts(ledger, rows, to_frame([question], Question))
    assert current.columns == COLUMNS
    return dict(current.select("rollout_id", "correct").iter_rows())


def test_stored_verdicts_stand_while_nothing_changed(ledger, monkeypatch):
    monkeypatch.setattr("rollouts.judges.rules.judge", None)
    assert verdicts(ledger, QUESTION) == {"a": True, "b": False, "c": None}


def test_a_new_alias_is_judged_once(ledger, monkeypatch):
    known = QUESTION.model_copy(update={"aliases": ["Kiev"]})
    assert verdicts(ledger, known) == {"a": True, "b": True, "c": None}
    monkeypatch.setattr("rollouts.judges.rules.judge", None)
    assert verdicts(ledger, known) == {"a": True, "b": True, "c": None}
    assert verdicts(ledger, QUESTION) == {"a": True, "b": False, "c": None}


def test_the_rule_of_a_field_is_asked_where_a_question_names_one(ledger, caplog):
    known = QUESTION.model_copy(update={"aliases": ["Kíev"]})
    assert verdicts(ledger, known) == {"a": True, "b": True, "c": None}
    caplog.clear()
    exact = known.model_copy(update={"answer_rule": "squad"})
    assert verdicts(ledger, exact) == {"a": True, "b": False, "c": None}
    assert caplog.messages[0].startswith("2 stored answers judged again without a model call: ")


def test_the_run_says_which_verdicts_changed_and_by_which_rule(ledger, caplog):
    verdicts(ledger, QUESTION)
    assert caplog.messages == []
    verdicts(ledger, QUESTION.model_copy(update={"aliases": ["Kiev"]}))
    assert caplog.messages == [
        "2 stored answers judged again without a model call: 0 right to wrong, 1 wrong to right",
        "  1 wrong to right: short_text, by short_text before, by short_text now",
    ]


def test_another_verifier_judges_anew(ledger, monkeypatch):
    reached = []
    monkeypatch.setattr(answers, "_verifier", lambda: "another")
    monkeypatch.setattr(
        "rollouts.judges.rules.judge", lambda answer, question: reached.append(answer) or answers.Verdict(False, "x")
    )
    assert verdicts(ledger, QUESTION) == {"a": False, "b": False, "c": None}
    assert sorted(reached) == ["Kiev", "Kyiv"]
