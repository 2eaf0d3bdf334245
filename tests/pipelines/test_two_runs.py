"""Two runs at once on one ledger: they share the work, and neither spoils what the other writes."""

import polars as pl

from tests.support.whole_runs import ModelStandIn, Place, assert_same, undisturbed

FLUSH_S = POLL_S = 0.1
BUSY_S = 4
"""What writing, listing, reading and waiting for a turn may take on a busy machine."""
SLOWLY = {"models.policy.concurrency": 2}
"""Few questions are under way at a time, so that most are not when the other run finishes them."""


def test_two_runs_at_once_ask_twice_only_for_what_was_under_way(tmp_path, tmp_path_factory):
    _, expected, calls = undisturbed(tmp_path_factory.getbasetemp())
    with ModelStandIn(tmp_path, delay=0.06) as server:
        shared = tmp_path / "ledger"
        one, two = (Place(tmp_path / name, server.url, SLOWLY, shared) for name in ("one", "two"))
        running = [place.start(FLUSH_S, POLL_S) for place in (one, two)]
        results = [run.wait() for run in running]
    assert [result.error for result in results] == ["", ""]
    for place in (one, two):
        assert_same(place.contents(), expected)
    assert not list(shared.glob("**/set_aside/*"))
    requests, made = server.asked().total(), [result.calls for result in results]
    twice, known_for = _asked_twice(server, one)
    print(f"\n{calls} calls, {requests} requests: {made}; {twice} attempts were begun twice, "
          f"at most {known_for:.2f} s after the other run had finished them")  # fmt: skip
    assert sum(made) == requests and min(made) > 0.2 * calls
    assert set(one.model_keys()) == set(server.asked()) and len(server.asked()) == calls
    assert requests < 1.7 * calls
    assert known_for < FLUSH_S + POLL_S + BUSY_S


def _asked_twice(server: ModelStandIn, place: Place) -> tuple[int, float]:
    """How many attempts were begun twice, and the longest time from the end of one to the beginning of the other."""
    events = pl.DataFrame(server.events()).join(place.on_disk().unique("key"), on="key")
    asked = events.filter(pl.col("event") == "asked").group_by("rollout_id", "key").agg(pl.col("time").sort())
    begun = asked.sort(pl.col("time").list.first()).unique("rollout_id", keep="first", maintain_order=True)
    answers = events.filter(pl.col("event") == "answered").group_by("rollout_id", "key").agg(pl.col("time").min())
    ended = answers.group_by("rollout_id").agg(ended=pl.col("time").max())
    twice = begun.filter(pl.col("time").list.len() > 1).join(ended, on="rollout_id")
    return twice.height, twice.select((pl.col("time").list.last() - pl.col("ended")).max()).item() or 0.0
