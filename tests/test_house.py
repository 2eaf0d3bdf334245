"""Who may import whom: an import points down the list only, and only the top two rooms import Dagster."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "records": set(),
    "sources": {"records"},
    "filters": {"records"},
    "rollouts": {"records"},
    "training": {"records", "filters", "rollouts"},
    "assets": {"records", "sources", "filters", "rollouts", "training"},
    "pipelines": {"records", "sources", "filters", "rollouts", "training", "assets"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_down(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        names = set(imported(path))
        forbidden = (names & set(MAY_IMPORT)) - MAY_IMPORT[room] - {room}
        if room not in ("assets", "pipelines"):
            forbidden |= names & {"dagster"}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {sorted(forbidden)}"
