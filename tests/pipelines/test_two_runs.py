"""Two runs at once on one ledger: they share the work, and neither spoils what the other writes."""

from tests.support.watched_ledger import overlooked, read_notes
from tests.support.whole_runs import ModelStandIn, Place, assert_same, undisturbed

FLUSH_S = POLL_S = 0.1
SLOWLY = {"models.policy.concurrency": 2}
"""Few questions are under way at a time, so that most are not when the other run finishes them."""


def test_two_runs_at_once_ask_twice_only_for_what_was_under_way(tmp_path, tmp_path_factory):
    """Order decides and not the clock: what a run had seen before it came to an attempt, it did not make again."""
    _, expected, calls = undisturbed(tmp_path_factory.getbasetemp())
    with ModelStandIn(tmp_path, delay=0.06) as server:
        shared = tmp_path / "ledger"
        one, two = (Place(tmp_path / name, server.url, SLOWLY, shared) for name in ("one", "two"))
        running = [place.start(FLUSH_S, POLL_S, watched=True) for place in (one, two)]
        results = [run.wait() for run in running]
    assert [result.error for result in results] == ["", ""]
    for place in (one, two):
        assert_same(place.contents(), expected)
    assert not list(shared.glob("**/set_aside/*"))
    requests, made = server.asked().total(), [result.calls for result in results]
    assert sum(made) == requests < 2 * calls and min(made) > 0
    assert set(one.model_keys()) == set(server.asked()) and len(server.asked()) == calls

    notes = [read_notes(place.folder / "notes") for place in (one, two)]
    counts = [{name: sum(len(getattr(ledger, name)) for ledger in mine) for name in ("written", "looks", "taken")}
              for mine in notes]  # fmt: skip
    print(f"\n{calls} calls, {requests} requests: {made}; {counts}")
    assert overlooked(notes[0], notes[1]) == [] == overlooked(notes[1], notes[0])
    for mine in counts:
        # They write and look equally often, so that one measures the other however busy the machine is.
        assert mine["looks"] > mine["written"] / 4 > 0
    assert sum(mine["taken"] for mine in counts) > 0, "what another run finished meanwhile was taken from it"
