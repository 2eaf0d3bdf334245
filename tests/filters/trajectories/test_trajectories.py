import json
import sys

import pytest

from filters import trajectories
from records.recipe.section import RecipeError
from tests.filters.trajectories.test_elementary import NAMES, candidate

CHECK = """
from filters.trajectories import Finding, check


@check("brief", needs={"limit"})
def brief(candidate):
    limit = candidate.gathered.get("limit", 0)
    return Finding(candidate.rollout.completion_tokens <= limit, "not_brief", f"at most {limit} tokens")
"""


def test_what_passes_carries_its_record_and_the_shortest_is_kept():
    longer, shorter = candidate("a", calls=2), candidate("b", tokens=5)
    kept, rejects = trajectories.apply([longer, candidate("c"), shorter], NAMES, 1)
    assert [t.rollout_id for t in kept] == ["b"]
    assert sorted((r.row_id, r.reason) for r in rejects) == [("a", "surplus"), ("c", "surplus")]
    assert list(json.loads(kept[0].checks)) == NAMES


def test_an_unknown_check_is_refused():
    with pytest.raises(RecipeError, match="no check 'nice'; known: right"):
        trajectories.get_checks(["nice"])


def test_what_a_check_needs_is_gathered_for_candidates_that_pass_the_others():
    wrong, good = candidate("a", correct=False, again=None), candidate("b", again=None)
    asked = []

    def replay(passed):
        asked.extend(one.rollout.rollout_id for one in passed)
        return {one.rollout.rollout_id: [[call.result for call in one.rollout.tool_calls]] for one in passed}

    gathered = trajectories.gather([wrong, good], NAMES, {"replay": replay})
    assert asked == ["b"] and [list(one.gathered) for one in gathered] == [[], ["replay"]]
    kept, rejects = trajectories.apply(gathered, NAMES, 1)
    assert [row.rollout_id for row in kept] == ["b"] and [row.reason for row in rejects] == ["wrong_answer"]


def test_nothing_is_gathered_that_no_check_needs():
    assert trajectories.gather([candidate()], ["right"], {}) == [candidate()]


def test_a_need_that_nothing_meets_is_an_error():
    with pytest.raises(ValueError, match="nothing gathers replay; known: judge"):
        trajectories.gather([], NAMES, {"judge": lambda passed: {}})


@pytest.fixture
def drop_in(tmp_path, monkeypatch):
    """A function that adds modules to the folder."""

    def add(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, f"filters.trajectories.{name}", raising=False)

    monkeypatch.setattr(trajectories, "__path__", [*trajectories.__path__, str(tmp_path)])
    return add


def test_a_new_file_in_the_folder_is_a_new_check(drop_in):
    drop_in("brief", CHECK)
    names = ["right", "brief"]
    gathered = trajectories.gather(
        [candidate("a", tokens=3), candidate("b", tokens=30)],
        names,
        {"limit": lambda passed: {one.rollout.rollout_id: 10 for one in passed}},
    )
    kept, rejects = trajectories.apply(gathered, names, 2)
    assert [row.rollout_id for row in kept] == ["a"] and [row.reason for row in rejects] == ["not_brief"]
    assert json.loads(kept[0].checks)["brief"] == "at most 10 tokens"


def test_a_private_module_offers_no_check_and_a_name_is_given_once(drop_in):
    drop_in("_private", CHECK.replace("brief", "hidden"))
    assert "hidden" not in trajectories.known_checks()
    drop_in("another", CHECK.replace("brief", "right"))
    with pytest.raises(ValueError, match="there is another check 'right'"):
        trajectories.known_checks()
