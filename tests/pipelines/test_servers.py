"""Whole stages over servers that are in order, but answer in ways of their own."""

import polars as pl
import pytest

from rollouts.models import endpoint
from tests.support.fault_server import Reply, StandIn, chat
from tests.support.whole_runs import SUMS, Place

DIRECT = ("direct_rollouts",)
REFUSED = {
    "403": Reply({"error": {"message": "Your input was flagged by moderation", "code": 403}}, 403),
    "400": Reply({"error": {"message": "The prompt triggered the content management policy"}}, 400),
    "firewall": Reply("<html>Access denied</html>", 403),
    "content_filter": Reply(chat("", "content_filter")),
    "refusal": Reply(chat(None, "stop", refusal="I cannot help with that.")),
}


@pytest.fixture
def direct(tmp_path, monkeypatch):
    """Call it with what a server answers to a prompt; it returns the place, the server and a function that runs."""
    monkeypatch.setattr(endpoint, "FIRST_DELAY_S", 0.01)
    servers = []

    def start(answer, **changes):
        server = StandIn(answer=lambda body: answer(str(body["messages"][-1]["content"])))
        servers.append(server)
        return Place(tmp_path, server.url, {"models.policy.max_retries": 1, **changes}), server

    yield start
    for server in servers:
        server.close()


def test_a_refused_question_is_its_own_outcome_and_stops_nothing(direct):
    flagged = {question.text: reply for question, reply in zip(SUMS[3::4], REFUSED.values(), strict=False)}
    assert len(flagged) == len(REFUSED)
    place, server = direct(
        lambda asked: next((r for text, r in flagged.items() if text in asked), Reply(chat("<answer>4</answer>"))),
        **{"split.held_out": 0.0},
    )
    result = place.run(DIRECT)
    assert result.error == ""
    refused = place.tables.read("direct_rollouts").filter(pl.col("stop_reason") == "refused")
    texts = place.tables.read("questions").join(refused, on="question_id").group_by("text").len()
    assert set(texts["text"]) == set(flagged) and (texts["len"] > 1).all()
    assert refused["correct"].null_count() == refused.height and (refused["error_class"] != "").all()
    assert "refused" in result.metadata["direct_rollouts"]["by_stop_reason"]
    asked = len(server.bodies)
    assert place.run(DIRECT).error == "" and len(server.bodies) == asked, "it is not asked again"


def test_an_arm_that_never_answers_and_a_server_that_counts_nothing_are_said(direct):
    reply = chat("I would rather not\nsay in your form.", None)
    del reply["usage"]
    place, _ = direct(lambda asked: Reply(reply))
    result = place.run(DIRECT)
    warnings = result.metadata["direct_rollouts"]["warnings"]
    assert result.error == "" and "ended as no_answer" in warnings
    assert "did not count the tokens" in warnings
    assert (place.tables.read("direct_rollouts")["completion_tokens"] > 0).all()


def test_a_reason_that_is_not_known_stops_the_stage_with_its_name(direct):
    place, _ = direct(lambda asked: Reply(chat("<answer>4", "finito")))
    error = place.run(DIRECT).error
    assert "finito" in error and "finish_reasons" in error
    place.change({"models.policy.finish_reasons": {"finito": "stop"}})
    assert place.run(DIRECT).error == ""
    assert set(place.tables.read("direct_rollouts")["stop_reason"]) == {"answered"}


def test_max_tokens_beyond_the_context_stops_the_stage_with_both_numbers(direct):
    said = "This model's maximum context length is 1024 tokens. However, you requested 2100 tokens"
    place, _ = direct(
        lambda asked: Reply({"error": {"message": said}}, 400), **{"difficulty.sampling.max_tokens": 2048}
    )
    error = place.run(DIRECT).error
    assert (
        "max_tokens is 2048, where prompt and reply together may have 1024 tokens" in error
        and "Lower max_tokens" in error
    )
    assert place.on_disk().is_empty()
