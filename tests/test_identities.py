"""No identity moves: what a ledger is filed under today is what it was filed under when these were written down.

A change of one of them makes every ledger's rollouts anew. It is a decision with a version of its own, never a side
effect: then both files under tests/identities are written again, and the note of the change says so.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from records.identity import hashed
from rollouts.tools import python
from sandbox import SandboxDescription
from tests.support.identities import identities
from tests.support.whole_runs import ROLLOUTS, Place

HERE = Path(__file__).parent / "identities"
ROOT = Path(__file__).parent.parent
LATER_FIELDS = {
    "Message": "trajectory.py",
    "ToolCall": "trajectory.py",
    "Sampling": "recipe/sampling.py",
    "SandboxSettings": "recipe/sandbox.py",
}
"""Classes that every identity depends on, and the files of records/ that they are in."""


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


def test_attempts_of_the_version_before_are_read_again_and_not_asked_for_again(tmp_path, monkeypatch):
    """No call of an arm without tools is made: what is new about it is only how its turns are read."""
    monkeypatch.setattr(python, "check_sandbox", lambda settings: SandboxDescription("recorded"))
    place = Place(tmp_path, "http://127.0.0.1:9/v1")
    shutil.copytree(HERE / "ledger_version_1", place.data / "ledger")
    result = place.run(("difficulty",))
    assert result.error == ""
    assert result.calls == 0 and place.tables.read("direct_rollouts").height


def with_later_fields(folder: Path, value: str) -> Path:
    """A copy of records/ in which each of LATER_FIELDS has one field more, of this default or set to this value."""
    shutil.copytree(ROOT / "records", folder / "records")
    for name, file in LATER_FIELDS.items():
        path = folder / "records" / file
        lines = path.read_text().splitlines(keepends=True)
        start = next(n for n, line in enumerate(lines) if line.startswith(f"class {name}("))
        at = next(n for n, line in enumerate(lines) if n > start and "ALWAYS_HASHED" in line)
        field = '    later: str = ""\n'
        if value:  # what a caller would have given
            field += f"    def model_post_init(self, _: object) -> None: object.__setattr__(self, 'later', {value!r})\n"
        lines.insert(at, field)
        path.write_text("".join(lines))
    return folder


def identities_with(folder: Path) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.support.identities"]
    # elsewhere: -m puts the working directory before PYTHONPATH
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for name, inner in items for key, leaf in flat(inner, f"{path}/{name}").items()}
    return {path: value}


def test_a_field_added_with_a_default_moves_no_identity(tmp_path):
    assert identities_with(with_later_fields(tmp_path, "")) == json.loads((HERE / "demo.json").read_text())


def test_a_value_of_an_added_field_moves_the_identities_that_depend_on_it(tmp_path):
    before = flat(json.loads((HERE / "demo.json").read_text()))
    after = flat(identities_with(with_later_fields(tmp_path, "x")))
    assert before.keys() == after.keys()
    parts = {part for path in before for part in path.split("/")}
    for part in ("setting", "prompt", "rollout", "calls", "trajectory", "python"):
        assert part in parts
        here = [path for path in before if part in path.split("/")]
        assert all(before[path] != after[path] for path in here), part
    assert all(before[path] == after[path] for path in before if path.startswith(("/questions", "/verdicts")))


class Inner(BaseModel):
    ALWAYS_HASHED: ClassVar = ("old",)
    old: int | None = None
    new: int = 0


class Outer(BaseModel):
    needed: str
    one: Inner = Inner()
    many: list[Inner] = []
    named: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("outer", "entering"),
    [
        (Outer(needed=""), {"needed": ""}),
        (Outer(needed="", one=Inner(new=1)), {"needed": "", "one": {"old": None, "new": 1}}),
        (Outer(needed="", many=[Inner()]), {"needed": "", "many": [{"old": None}]}),
        (Outer(needed="", named={"a": Inner(old=0)}), {"needed": "", "named": {"a": {"old": 0}}}),
    ],
)
def test_what_enters_a_hash(outer, entering):
    assert hashed(outer) == entering
    assert hashed(outer, leaving_out={"needed"}) == {k: v for k, v in entering.items() if k != "needed"}
