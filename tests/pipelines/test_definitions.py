import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
LOAD = """
import json, sys, time
start = time.monotonic()
from pipelines.definitions import defs
import dagster as dg
dg.Definitions.validate_loadable(defs)
heavy = [m for m in ("torch", "vllm", "transformers", "datasets", "trl", "sympy", "bm25s") if m in sys.modules]
graph = defs.resolve_asset_graph()
print(json.dumps({
    "heavy": heavy,
    "described": {key.to_user_string(): graph.get(key).description for key in graph.get_all_asset_keys()},
    "groups": sorted({graph.get(key).group_name for key in graph.get_all_asset_keys()}),
    "jobs": sorted(job.name for job in defs.jobs), "schedules": [s.name for s in defs.schedules],
}))
"""


def load(**environment):
    return subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment
    )


def test_the_demo_loads_without_the_heavy_libraries_and_every_asset_is_described():
    found = json.loads(load(TOUCHSTONE_RECIPE="demo").stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert {"easy_vqa", "questions", "difficulty", "tool_benefit", "trajectories", "rejects"} <= set(found["described"])
    assert all(len(text or "") > 40 for text in found["described"].values())
    assert found["jobs"] == ["curation", "refresh"] and found["schedules"] == ["nightly_refresh"]
    assert found["groups"] == [
        "cold_start", "difficulty", "evaluation", "questions", "rejects", "selection", "sources", "tool_benefit",
        "training", "training_sets",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "pipelines" / "recipes").glob("*.yaml")))
def test_every_shipped_recipe_loads(name):
    done = load(TOUCHSTONE_RECIPE=name)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dialect": "klingon"}, "there is no dialect 'klingon'; known: deepeyes_v2, plain_tags"),
        ({"tools": {"math": ["hammer"]}}, "tools.math: there is no tool 'hammer'; known: python, search"),
        ({"sources": [{"name": "a", "loader": "nowhere"}]}, "sources.0.loader: there is no loader 'nowhere'"),
        ({"sources": [{"name": "a", "loader": "easy_vqa", "options": {"splt": 1}}]}, "sources.0.options.splt"),
        ({"cold_start": {"checks": ["nice"]}}, "there is no check 'nice'"),
        ({"sft": {"formats": ["verl_parquet"]}}, "sft.formats: 'verl_parquet' is no format for sft"),
        ({"seeed": 1}, "seeed: no such key (did you mean 'seed'?)"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_runs(tmp_path, change, says):
    recipe = yaml.safe_load((ROOT / "pipelines" / "recipes" / "demo.yaml").read_text()) | change
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe))
    done = load(TOUCHSTONE_RECIPE=str(path))
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert "mine.yaml" in message and says in message


def test_an_unknown_recipe_name_lists_the_known_ones():
    assert "no such recipe; shipped ones: demo" in load(TOUCHSTONE_RECIPE="demoo").stderr
