import functools
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


@functools.cache
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
        "benchmarks", "cold_start", "difficulty", "evaluation", "questions", "rejects", "selection", "sources",
        "tool_benefit", "training", "training_sets",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "pipelines" / "recipes").glob("*.yaml")))
def test_every_shipped_recipe_loads(name):
    done = load(TOUCHSTONE_RECIPE=name)
    assert done.returncode == 0, done.stderr[-2000:]


WRONG = [
    ({"dialect": "klingon"}, "there is no dialect 'klingon'; known: deepeyes_v2, plain_tags"),
    ({"tools": {"math": ["hammer"]}}, "tools.math: there is no tool 'hammer'; known: python, search"),
    ({"sources": [{"name": "a", "loader": "nowhere"}]}, "sources.0.loader: there is no loader 'nowhere'"),
    ({"sources": [{"name": "a", "loader": "easy_vqa", "options": {"splt": 1}}]}, "sources.0.options.splt"),
    (
        {"sources": [{"name": "a", "loader": "huggingface", "options": {"published": "vstar_gqa"}}]},
        "the source 'a' comes from what 'vstar_bench' comes from",
    ),
    ({"cold_start": {"checks": ["nice"]}}, "there is no check 'nice'"),
    ({"sft": {"formats": ["verl_parquet"]}}, "sft.formats: 'verl_parquet' is not a format for sft"),
    ({"seeed": 1}, "seeed: no such key (did you mean 'seed'?)"),
]
# Every recipe in a process of its own, forked from one that has imported all but the definitions.
LOAD_EACH = f"""
import os, sys
import assets.graph, pipelines.console, pipelines.jobs, pipelines.schedules
for recipe in sys.argv[1:]:
    if (child := os.fork()) == 0:
        os.environ["TOUCHSTONE_RECIPE"] = recipe
        said = os.open(recipe + ".txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1), os.dup2(said, 2)
        exec({LOAD!r})
        break
    open(recipe + ".status", "w").write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What loading each of the wrong recipes ended with: exit status and last line."""
    folder = tmp_path_factory.mktemp("recipes")
    demo = yaml.safe_load((ROOT / "pipelines" / "recipes" / "demo.yaml").read_text())
    paths = [folder / f"mine{number}.yaml" for number in range(len(WRONG))]
    for path, (change, _) in zip(paths, WRONG, strict=True):
        path.write_text(yaml.safe_dump(demo | change))
    subprocess.run([sys.executable, "-c", LOAD_EACH, *paths], cwd=ROOT, check=True, capture_output=True)
    return [
        (int(Path(f"{path}.status").read_text()), Path(f"{path}.txt").read_text().strip().splitlines()[-1])
        for path in paths
    ]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[says for _, says in WRONG])
def test_a_wrong_recipe_is_refused_before_anything_runs(refused, number):
    status, message = refused[number]
    assert status != 0
    assert f"mine{number}.yaml" in message and WRONG[number][1] in message


def test_an_unknown_recipe_name_lists_the_known_ones():
    assert "no such recipe; shipped ones: demo" in load(TOUCHSTONE_RECIPE="demoo").stderr
