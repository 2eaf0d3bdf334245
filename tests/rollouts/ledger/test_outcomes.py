"""Which stored outcomes stand, when the server is another one, or was only out of order."""

import polars as pl
import pytest

from rollouts.ledger.compaction import compact
from rollouts.ledger.ledger import Ledger
from rollouts.ledger.outcomes import Outcomes
from tests.rollouts.ledger.test_ledger import rollout


def ended(name, reason, why=""):
    update = {"stop_reason": reason, "error_class": why, "answer": None, "correct": None}
    return rollout(name).model_copy(update=update)


def stored(tmp_path, context, *finished):
    """Stop reasons of the rollouts that stand, by rollout, after these were finished."""
    with Ledger(str(tmp_path)) as ledger:
        ledger.outcomes = Outcomes(lambda: context)
        for one in finished:
            ledger.finish(one)
        ledger.flush()
        return dict(ledger.select(["rollout_id", "stop_reason"], pl.lit(True)).iter_rows())


def test_a_prompt_that_does_not_fit_is_asked_again_in_another_context(tmp_path):
    made = [
        ended("a", "context_length", "HTTP 400: too long"),
        ended("b", "context_length"),
        ended("c", "refused", "no"),
    ]
    assert stored(tmp_path, 2048, *made) == {"a": "context_length", "b": "context_length", "c": "refused"}
    assert stored(tmp_path, 2048) == {"a": "context_length", "b": "context_length", "c": "refused"}
    assert stored(tmp_path, 4096) == stored(tmp_path, None) == {"c": "refused"}
    assert stored(tmp_path, 4096, rollout("a")) == {"a": "answered", "c": "refused"}
    assert stored(tmp_path, 2048)["b"] == "context_length"
    with Ledger(str(tmp_path)) as ledger:
        compact(ledger.rollouts)
    assert stored(tmp_path, 4096) == {"a": "answered", "c": "refused"}
    assert stored(tmp_path, 2048) == {"a": "answered", "b": "context_length", "c": "refused"}


def test_where_a_server_does_not_say_its_context_the_outcome_stands_for_its_run(tmp_path):
    assert stored(tmp_path, None, ended("a", "context_length")) == {"a": "context_length"}
    assert stored(tmp_path, None) == {}


@pytest.mark.parametrize("reason", ["malformed_reply", "context_length"])
def test_what_was_stored_without_a_reason_is_made_again_over_its_calls(tmp_path, reason):
    with Ledger(str(tmp_path)) as ledger:
        ledger.put("a", "model", "first", {"text": "<python>2</python>"})
        ledger.put("a", "model", "second", {"failure": reason, "detail": "HTTP 413"})
        ledger.outcomes.stamped = lambda rollout: rollout  # as earlier versions did
        ledger.finish(ended("a", reason))
        ledger.finish(rollout("b"))
    with Ledger(str(tmp_path)) as ledger:
        assert ledger.select(["rollout_id"], pl.lit(True))["rollout_id"].to_list() == ["b"]
        assert [batch["rollout_id"].to_list() for batch in ledger.full(pl.lit(True))] == [["b"]]
        assert ledger.get("a", "first") == {"text": "<python>2</python>"} and ledger.get("a", "second") is None
        ledger.finish(rollout("a"))
        compact(ledger.rollouts)
    with Ledger(str(tmp_path)) as ledger:
        compact(ledger.rollouts)
        rows = ledger.rollouts.read(["rollout_id", "stop_reason"])
        assert sorted(rows.iter_rows()) == [("a", "answered"), ("b", "answered")]


def test_a_reply_that_could_not_be_read_stands_when_it_says_so(tmp_path):
    assert stored(tmp_path, 2048, ended("a", "malformed_reply")) == {"a": "malformed_reply"}
    assert stored(tmp_path, None) == {"a": "malformed_reply"}


def test_the_context_is_asked_for_only_where_it_counts(tmp_path):
    def context():
        raise AssertionError("asked")

    with Ledger(str(tmp_path)) as ledger:
        ledger.outcomes = Outcomes(context)
        ledger.finish(rollout("a"))
        ledger.finish(ended("b", "malformed_reply", "why"))
        ledger.flush()
        assert ledger.select(["rollout_id"], pl.lit(True)).height == 2


def test_another_writers_outcome_is_taken_where_it_stands(tmp_path):
    with Ledger(str(tmp_path)) as ours:
        ours.outcomes = Outcomes(lambda: 4096)
        assert ours.found("s", "q", 0) is None
        for context, sample in ((2048, 0), (4096, 1)):
            with Ledger(str(tmp_path)) as other:
                other.outcomes = Outcomes(lambda context=context: context)
                other.finish(ended(f"r{sample}", "context_length").model_copy(update={"sample_index": sample}))
        ours.look_around()
        assert ours.found("s", "q", 0) is None and ours.found("s", "q", 1).stop_reason == "context_length"
