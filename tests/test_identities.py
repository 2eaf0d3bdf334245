"""No identity moves: what a ledger is filed under today is what it was filed under when these were written down.

A change of one of them makes every ledger's rollouts anew. It is a decision with a version of its own, never a side
effect: then both files under tests/identities are written again, and the note of the change says so.
"""

import json
import shutil
from pathlib import Path

from rollouts.tools import python
from sandbox import SandboxDescription
from tests.support.identities import identities
from tests.support.whole_runs import ROLLOUTS, Place

HERE = Path(__file__).parent / "identities"


def test_identities_of_the_demo_recipe_are_those_written_down():
    assert identities() == json.loads((HERE / "demo.json").read_text())


def test_a_recorded_ledger_is_read_with_no_call(tmp_path, monkeypatch):
    """Whole rollout stages over a ledger of an earlier commit, with a model that nobody answers for."""
    monkeypatch.setattr(python, "check_sandbox", lambda settings: SandboxDescription("recorded"))
    place = Place(tmp_path, "http://127.0.0.1:9/v1")
    shutil.copytree(HERE / "ledger", place.data / "ledger")
    recorded = place.on_disk().height
    assert recorded > 300
    result = place.run()
    assert result.error == ""
    assert result.calls == 0 and place.on_disk().height == recorded
    assert all(place.tables.read(name).height for name in (*ROLLOUTS, "trajectories"))
    assert not list((place.data / "ledger").glob("verdicts/*")), "a stored verdict was reached anew"
