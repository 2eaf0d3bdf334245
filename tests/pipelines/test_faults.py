"""Whole runs over a server that fails: faults that pass change nothing, lasting ones move no pass rate."""

import time
from collections import Counter

import polars as pl
import pytest

from rollouts.ledger import ledger
from rollouts.ledger.segments import Segments
from rollouts.models import endpoint
from tests.support.whole_runs import ROLLOUTS, ModelStandIn, Place, assert_same, undisturbed

PASSING = {"429": 0.03, "500": 0.07, "503": 0.07, "reset": 0.07, "truncated": 0.07, "empty_choices": 0.07, "big": 0.07}
"""What hangs is waited for in tests/rollouts/models/test_endpoint.py."""
LASTING = {"context_length": 0.06, "cut": 0.06}
STORED = ("stop_reason", "error_class")
SOON_S = 300.0
"""A guard alone: that an outage is given up soon is told by how often the server is asked."""


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(endpoint, "FIRST_DELAY_S", 0.02)


@pytest.fixture
def fault_free(tmp_path_factory):
    return undisturbed(tmp_path_factory.getbasetemp())


def faults_seen(server):
    return Counter(line["fault"] for line in server.events() if line["event"] == "asked" and line["fault"])


def test_faults_that_pass_leave_every_table_as_it_would_have_been(tmp_path, fault_free):
    _, expected, calls = fault_free
    with ModelStandIn(tmp_path, faults=PASSING) as server:
        place = Place(tmp_path, server.url)
        result = place.run()
    seen = faults_seen(server)
    print(f"\n{dict(seen)} in {server.asked().total()} requests for {calls} calls")
    assert result.error == ""
    assert_same(place.contents(), expected)
    assert set(seen) == set(PASSING)
    assert server.asked().total() == calls + seen.total()


def test_faults_that_last_are_outcomes_of_their_own_and_move_no_pass_rate(tmp_path, fault_free):
    _, expected, _ = fault_free
    with ModelStandIn(tmp_path, faults=LASTING) as server:
        place = Place(tmp_path, server.url, {"models.policy.max_retries": 2})
        result = place.run()
        again = place.run()
    assert result.error == again.error == "" and again.calls == 0, "the context is the same: the outcomes stand"
    found = place.contents()
    faults = Counter({line["key"]: line["fault"] for line in server.events() if line["fault"]}.values())
    stored = Segments(f"{place.workspace.ledger}/rollouts", ledger.ROLLOUTS).read(["rollout_id", *STORED])
    hit = stored.filter(pl.col("stop_reason") == "context_length").select("rollout_id")
    made = pl.concat([found[name] for name in ROLLOUTS])
    without = pl.concat([expected[name] for name in ROLLOUTS])

    struck = made.join(hit, on="rollout_id")
    print(f"\n{dict(faults)}; {struck.height} of {made.height} rollouts were hit")
    assert set(faults) == set(LASTING) and struck.height > 10
    assert hit.height == faults.total(), "each ended the rollout that it was in"
    assert set(struck["verdict"]) == {"context_length"} and struck["correct"].null_count() == struck.height
    assert struck["error_class"].str.starts_with("a context of 4096 tokens: ").all()

    both = made.join(hit, on="rollout_id", how="anti").join(without, on="rollout_id", suffix="_without")
    assert both.height > 0.7 * made.height
    for column in ("correct", "answer", "verdict", "stop_reason"):
        assert both[column].equals(both[f"{column}_without"]), column

    direct, usual = found["direct_rollouts"], expected["direct_rollouts"]
    spared = direct.group_by("question_id").agg(pl.col("rollout_id").is_in(hit["rollout_id"].implode()).any())
    spared = spared.filter(~pl.col("rollout_id")).drop("rollout_id")
    assert 0 < spared.height < direct["question_id"].n_unique()
    of_spared = [table.join(spared, on="question_id", how="semi", maintain_order="left") for table in (direct, usual)]
    assert of_spared[0].equals(of_spared[1])


def test_an_outage_ends_the_asset_soon_with_all_that_finished_and_the_next_run_goes_on(tmp_path, fault_free):
    _, expected, calls = fault_free
    server = ModelStandIn(tmp_path, delay=0.02, faults={"down_after": 60})
    server.start()
    place = Place(tmp_path, server.url, {"models.policy.max_retries": 2})
    server.stop()
    began = time.monotonic()
    refused = place.run().error
    assert time.monotonic() - began < SOON_S
    assert "direct, tools: no call gets through to the model" in refused and "connection after 3 attempts" in refused
    assert "Check that the server runs and that the url is right." in refused
    assert "All finished calls are saved: run the same command to resume." in refused

    server.start()
    began = time.monotonic()
    down = place.run().error
    assert time.monotonic() - began < SOON_S
    assert "no call gets through to the model" in down and "HTTP 503: " in down and "the server is overloaded" in down
    assert "All finished calls are saved: run the same command to resume." in down
    in_vain = sum(line["event"] == "asked" and line["fault"] == "down" for line in server.events())
    assert in_vain <= 2 * (3 * place.workspace.recipe.models.policy.concurrency + 1), (
        "of two assets, three tries a call"
    )
    answered = {line["key"] for line in server.events() if line["event"] == "answered" and not line["fault"]}
    assert len(answered) >= 60
    assert set(place.model_keys()) == answered

    server.stop()
    server.faults = {}
    with server:
        result = place.run()
    assert result.error == "" and result.calls == calls - len(answered)
    assert_same(place.contents(), expected)
    assert set(map(len, server.answered().values())) == {1}, "nothing was paid for twice"


@pytest.mark.slow
def test_a_page_of_html_is_an_outage_and_leaves_nothing_behind(tmp_path, fault_free):
    """A maintenance page with HTTP 200, for a while: no attempt is anything but what a healthy server makes of it."""
    _, expected, calls = fault_free
    with ModelStandIn(tmp_path, faults={"page_after": 60}) as server:
        place = Place(tmp_path, server.url, {"models.policy.max_retries": 1})
        down = place.run().error
        answered = {line["key"] for line in server.events() if line["event"] == "answered" and not line["fault"]}
        assert "no call gets through to the model" in down and "malformed after 2 attempts" in down
        assert "being maintained" in down
        assert set(place.model_keys()) == answered
    server.faults = {}
    with server:
        result = place.run()
    assert result.error == "" and result.calls == calls - len(answered)
    assert_same(place.contents(), expected)


def test_a_wrong_model_name_fails_at_once_and_says_what_is_served(tmp_path):
    with ModelStandIn(tmp_path) as server:
        place = Place(tmp_path, server.url, {"models.policy.model": "stand-on"})
        error = place.run().error
    assert "direct, tools: no call gets through to the model" in error
    assert "The model `stand-on` does not exist" in error and "it serves: stand-in" in error
    assert set(server.asked().values()) == {1}, "a refusal is not tried again"
    assert server.asked().total() <= 2 * place.workspace.recipe.models.policy.concurrency, "of two assets"
